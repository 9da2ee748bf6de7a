"""What killed writers leave goes, and nothing that any entry of a table's log names: in a folder and in a bucket."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.transaction import AddAction, create_table_with_add_actions
from pyarrow import fs

from capflow_assets.stores.lake import Lake
from capflow_assets.stores.leftovers import clean
from capflow_assets_tests.platform.policy_gate import Gate
from capflow_assets_tests.platform.services import Aws

ROWS = pa.table({"n": [1, 2, 3]})
SCHEMA = pa.schema([("n", pa.int64())])


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket on a server in a process of its own: delta-rs lets no other thread of its process answer it."""
    import boto3

    command = [sys.executable, "-c", "from moto.server import main; import sys; main(sys.argv[1:])", "-p", "0"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    with server, pytest.MonkeyPatch.context() as patch:
        assert server.stderr is not None
        address = next(match[0] for line in server.stderr if (match := re.search(r"http://127\.0\.0\.1:\d+", line)))
        # The server writes a line for each request, and stops where nobody reads them.
        threading.Thread(target=deque, args=(server.stderr, 0), daemon=True).start()
        for name, value in Aws(address, Gate(None)).variables().items():
            patch.setenv(name, value)
        boto3.client("s3", endpoint_url=address).create_bucket(Bucket="left")
        yield "s3://left"
        server.kill()


@pytest.fixture(params=["folder", "bucket"])
def lake(request, tmp_path) -> Lake:
    root = str(tmp_path) if request.param == "folder" else request.getfixturevalue("bucket")
    return Lake(f"{root}/{request.node.name.split('[')[0][:40]}", lambda: pytest.fail("no engine is needed"))


def put(lake: Lake, place: str) -> int:
    """Write rows at a place of acme's, and give their bytes."""
    store, path = opened(lake, place)
    if "://" not in lake.root:
        store.create_dir(path.rsplit("/", 1)[0], recursive=True)
    pq.write_table(ROWS, path, filesystem=store)
    return int(store.get_file_info(path).size)


def opened(lake: Lake, place: str) -> tuple[fs.FileSystem, str]:
    prefix = lake.prefix("acme")
    store, path = fs.FileSystem.from_uri(prefix if "://" in prefix else Path(prefix).resolve().as_uri())
    return store, f"{path}/{place}"


def is_there(lake: Lake, place: str) -> bool:
    store, path = opened(lake, place)
    return store.get_file_info(path).type != fs.FileType.NotFound


def commit(lake: Lake, folder: str, mode: str = "overwrite") -> None:
    """Rows in a folder of ``raw/bills`` that become the table's, as landing does it."""
    size = put(lake, f"raw/bills/{folder}/part-0.parquet")
    action = AddAction(f"{folder}/part-0.parquet", size, {}, 0, True, json.dumps({"numRecords": 3}))
    path = lake.path("acme", "raw/bills")
    schema = DeltaSchema()
    if lake.exists("acme", "raw/bills"):
        DeltaTable(path).create_write_transaction([action], mode, schema)
    else:
        create_table_with_add_actions(path, schema, [action], mode="error")


def DeltaSchema():  # noqa: N802
    from deltalake import Field, Schema
    from deltalake.schema import PrimitiveType

    return Schema([Field("n", PrimitiveType("long"))])


def test_only_what_no_entry_of_the_log_names_goes(lake):
    for number in range(3):
        commit(lake, f"landing-named{number}")
    commit(lake, "landing-appended", "append")
    put(lake, "raw/bills/landing-killed/part-0.parquet")
    put(lake, "raw/users/landing-first/part-0.parquet")
    put(lake, "_staging.clean.bills.0123456789abcdef/part-0.parquet")
    put(lake, "_staging.clean.bills/part-0.parquet")
    write_deltalake(lake.path("acme", "clean/bills"), ROWS)
    put(lake, "clean/bills/landing-of-others/part-0.parquet")
    done = clean(lake, "acme")
    assert sorted(done.removed) == [
        "_staging.clean.bills",
        "_staging.clean.bills.0123456789abcdef",
        "raw/bills/landing-killed",
        "raw/users/landing-first",
    ]
    assert not any(is_there(lake, f"{place}/part-0.parquet") for place in done.removed)
    assert done.unread == ()
    for version in range(4):
        table = DeltaTable(lake.path("acme", "raw/bills"), version=version).to_pyarrow_table()
        assert table.num_rows == (6 if version == 3 else 3)
    assert clean(lake, "acme").words() == ""


def test_rows_that_were_computed_and_not_committed_go_from_every_stage(lake):
    left = [f"{table}/computed-killed" for table in ("clean/bills", "features/rfm", "validation/kpis")]
    write_deltalake(lake.path("acme", "clean/bills"), ROWS)
    for folder in left:
        put(lake, f"{folder}/part-0.parquet")
    assert sorted(clean(lake, "acme").removed) == left
    assert not any(is_there(lake, f"{folder}/part-0.parquet") for folder in left)
    assert DeltaTable(lake.path("acme", "clean/bills")).to_pyarrow_table().num_rows == 3


def test_what_a_checkpoint_alone_names_stays(lake):
    for number in range(3):
        commit(lake, f"landing-named{number}")
    table = DeltaTable(lake.path("acme", "raw/bills"))
    table.create_checkpoint()
    store, log = opened(lake, "raw/bills/_delta_log")
    for number in range(2):
        store.delete_file(f"{log}/{number:020}.json")
    put(lake, "raw/bills/landing-killed/part-0.parquet")
    assert clean(lake, "acme").removed == ("raw/bills/landing-killed",)
    assert all(is_there(lake, f"raw/bills/landing-named{number}/part-0.parquet") for number in range(3))


def test_nothing_goes_where_the_log_cannot_be_read(lake):
    commit(lake, "landing-named")
    put(lake, "raw/bills/landing-killed/part-0.parquet")
    store, entry = opened(lake, "raw/bills/_delta_log/00000000000000000001.json")
    with store.open_output_stream(entry) as stream:
        stream.write(b'{"add": half an entr')
    put(lake, "raw/users/landing-first/part-0.parquet")
    done = clean(lake, "acme")
    assert (done.removed, done.unread) == (("raw/users/landing-first",), ("raw/bills",))
    assert is_there(lake, "raw/bills/landing-killed/part-0.parquet")
    assert "left as it is, since the log cannot be read: raw/bills" in done.words()


def test_a_customer_of_whom_there_is_nothing(lake):
    assert clean(lake, "nobody").words() == ""
