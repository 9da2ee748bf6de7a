"""A user is forgotten and a customer retired: nothing of them is left anywhere, and everything of the others is."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.deployment import Deployment
from capflow_assets.erasure import forgetting
from capflow_assets.erasure.erased_rows import UserRows
from capflow_assets.errors import GraphError
from capflow_assets.graph.engine import deployment
from capflow_assets.graph.launch import dagster_instance
from capflow_assets.graph.records import DagsterRecords
from capflow_assets.home.keys import customer_key
from capflow_assets.home.places import Home
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets.stores.erased_history import keep_newest_version, remove_old_objects
from capflow_assets.stores.lake import Lake
from capflow_assets.tables.suppression import (
    SUPPRESSION,
    digest,
    forgotten,
    remember,
    rows_of_forgotten,
    without_forgotten,
)
from capflow_assets_tests.homes import FEW_FEATURES, TestHome, own_environment
from capflow_assets_tests.platform.services import Aws

USER = "o'Né\"il-77ü"
SHARED = "B-shared"
BROKEN = "B-broken"
SENDS = ("bills", "line_items", "users", "items")
SELECT = "raw,clean,validation,features,*/rfm_segments"
# What is enough where it does not matter how many tables there are.
FEW = "raw,clean,features/rfm,*/rfm_segments"


def files_of(folder: Path, name: str, extra: bool = False) -> Path:
    """A shop in which one user has an awkward id, a bill that cannot land, and one that stands on somebody else too.

    Line items say nothing of users. With ``extra`` one more bill has come.
    """
    toml = write(simulate(tiny(name, seed=6, users=200, days=400, sends=SENDS)), folder, settings=FEW_FEATURES)
    bills = pd.read_csv(folder / "bills.csv", dtype=str)
    lines = pd.read_csv(folder / "line_items.csv", dtype=str)
    users = pd.read_csv(folder / "users.csv", dtype=str)
    chosen = bills["user_id"].value_counts().index[0]
    for frame in (bills, users):
        frame["user_id"] = frame["user_id"].replace({chosen: USER})
    first = bills[bills["user_id"] == USER].iloc[[0]]
    more = [
        first.assign(bill_id=SHARED),
        first.assign(bill_id=SHARED, user_id="somebody", billed_at="2024-06-01 10:00:00"),
        first.assign(bill_id=BROKEN, amount="a lot"),
        first.assign(bill_id="B-padded", user_id=f" {USER} "),
        *([first.assign(bill_id="B-extra", user_id="somebody")] if extra else []),
    ]
    pd.concat([bills, *more]).to_csv(folder / "bills.csv", index=False)
    line = lines.iloc[[0]]
    added = [line.assign(bill_id=SHARED), line.assign(bill_id=BROKEN), line.assign(bill_id=BROKEN, amount="much")]
    pd.concat([lines, *added]).assign(user_id="").to_csv(folder / "line_items.csv", index=False)
    users.to_csv(folder / "users.csv", index=False)
    return toml


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> TestHome:
    """A home with ``shop``, of several versions, and ``shop2``, which sends the same. Do not change it."""
    home = TestHome(tmp_path_factory.mktemp("shops") / "home")
    for name, tables in (("shop", SELECT), ("shop2", FEW)):
        home.ok("onboard", str(files_of(home.root.parent / name, name)))
        home.ok("run", name, "--select", tables)
    files_of(home.root.parent / "shop", "shop", extra=True)
    home.ok("run", "shop", "--select", SELECT)
    with own_environment(), dagster_instance(Home.of(home.root)) as instance:
        for name in ("shop", "shop2"):
            told = {"sample": dg.MetadataValue.json([{"user_id": USER}]), "note": f"{USER} came; {USER}s did not"}
            key = dg.AssetKey(["raw", "bills"])
            instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=name, metadata=told))
    return home


@pytest.fixture
def own(shops: TestHome, tmp_path: Path) -> TestHome:
    return shops.copied(tmp_path / "home")


@contextlib.contextmanager
def opened(home: TestHome) -> Iterator[tuple[Deployment, dg.DagsterInstance]]:
    with own_environment(), dagster_instance(Home.of(home.root)) as instance:
        yield deployment(STAGES, SOURCES, home=Home.of(home.root)), instance


def lake_of(home: TestHome) -> Lake:
    return Lake(str(home.root / "lake"), lambda: None)  # type: ignore[arg-type, return-value]


def rows_of(lake: Lake, customer: str) -> dict[str, Counter[str]]:
    return {
        table: Counter(json.dumps(row, default=str, sort_keys=True) for row in lake.arrow(customer, table).to_pylist())
        for table in lake.tables(customer)
        if table != SUPPRESSION
    }


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def contents(file: Path) -> Iterator[bytes]:
    """A file as it lies there, and unpacked where it is packed."""
    content = file.read_bytes()
    yield content
    if file.suffix == ".parquet":
        with pq.ParquetFile(file) as opened_file:
            yield "\n".join(texts(opened_file.read().to_pylist())).encode()
            yield "\n".join(texts(opened_file.metadata.to_dict())).encode()
    elif zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield archive.read(name)


def texts(value: Any) -> Iterator[str]:
    """All texts in rows, lists and fields, as they are."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from texts(each)
    elif isinstance(value, str | bytes):
        yield value if isinstance(value, str) else value.decode(errors="replace")


def holding(folder: Path, text: str = USER) -> list[str]:
    """The files in which a text stands, however it is written."""
    as_json = {json.dumps(text, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    forms = {text, text.replace("'", "''"), repr(text)[1:-1], *as_json, *(json.dumps(form)[1:-1] for form in as_json)}
    signs = {form.encode() for form in forms} | {text.encode("utf-32-le"), text.encode("utf-16-le")}
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return [str(file) for file in files if any(sign in content for content in contents(file) for sign in signs)]


def receipts(home: TestHome, customer: str = "shop") -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted((home.root / "lake" / customer / "receipts").glob("*"))]


# -- forget --------------------------------------------------------------------------------------------------------


def test_the_search_finds_the_id_wherever_it_may_hide(shops):
    found = " ".join(holding(shops.root))
    places = ("raw/bills", "raw/bills_rejected", "clean/bills", "features/rfm", "predictions/rfm_segments")
    for place in (*places, "answers/rfm_segments"):
        assert f"lake/shop/{place}/" in found
    assert "/dagster/" in found


def test_every_training_has_left_its_picture_and_its_card(shops):
    """The shop's model was trained twice; all of it goes with a user's erasure, as pictures do."""
    kept = {file.name for file in (shops.root / "lake" / "shop" / "plots").glob("models.*")}
    assert kept == {f"models.rfm_segments.v{version}.{name}" for version in (1, 2) for name in ("holdout.png", "json")}
    shown = shops.report("shop", "rfm_segments", 1)["plots"]
    assert [Path(place).name for place in shown] == ["holdout.png"]
    assert all(Path(place).read_bytes().startswith(b"\x89PNG") for place in shown)


def test_forgetting_leaves_no_trace_of_the_user_and_all_of_the_others(own):
    lake = lake_of(own)
    before, neighbour = rows_of(lake, "shop"), bytes_below(own.root / "lake" / "shop2")
    bills = {json.loads(row)["bill_id"] for row in before["raw/bills"] if json.loads(row)["user_id"] == USER}
    out = own.ok("forget", "shop", USER, "--yes", "--reason", "a letter")
    after = rows_of(lake, "shop")
    for table, rows in before.items():
        gone = Counter({row: count for row, count in rows.items() if is_theirs(json.loads(row), bills - {SHARED})})
        assert after[table] == rows - gone, table
        if table.startswith(("raw/bills", "raw/line_items", "predictions/", "answers/")) or table == "clean/bills":
            assert gone, table
    assert holding(own.root / "lake" / "shop") == []
    assert bytes_below(own.root / "lake" / "shop2") == neighbour
    assert USER not in out
    assert not list((own.root / "lake" / "shop").glob("plots/*"))
    assert not list((own.root / "lake" / "shop").glob("pages/*"))
    [receipt] = receipts(own)
    assert receipt["reason"] == "a letter"
    assert receipt["was_known"] is True
    assert receipt["rows_removed"] == {
        table: count for table in before if (count := before[table].total() - after[table].total())
    }
    assert receipt["models_marked"] == {"rfm_segments": [1, 2]}
    assert set(receipt["recomputed_at_the_next_run"]) >= {"validation/report", "features/rfm"}
    assert receipt["user_digest"][:12] in out


def is_theirs(row: dict[str, Any], bills: set[str]) -> bool:
    if row.get("source_row"):
        source = json.loads(row["source_row"])
        return (source.get("user_id") or "").strip() == USER or (
            "item_id" in source and source["bill_id"] in bills | {BROKEN}
        )
    owner = (row.get("user_id") or "").strip()
    return owner == USER or (not owner and row.get("bill_id") in bills | {BROKEN})


def test_older_versions_cannot_be_read(own):
    own.ok("forget", "shop", USER, "--yes")
    tables = ("raw/bills", "raw/bills_rejected", "clean/bills", "features/rfm", "predictions/rfm_segments")
    for table in (*tables, "answers/rfm_segments"):
        path = lake_of(own).path("shop", table)
        newest = DeltaTable(path).version()
        assert newest > 0, table
        for version in range(newest):
            with pytest.raises(Exception, match=r"(?i)version|log|not found|no such"):
                DeltaTable(path, version=version).to_pyarrow_table()


def test_dagsters_records_stay_without_the_id(own):
    key = dg.AssetKey(["raw", "bills"])

    def told(name: str) -> dict[str, Any]:
        with opened(own) as (_, instance):
            wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[name])
            event = instance.fetch_materializations(wanted, limit=1).records[0].asset_materialization
            return {each: value.value for each, value in event.metadata.items()}

    own.ok("forget", "shop", USER, "--yes")
    assert told("shop")["sample"] == [{"user_id": "(forgotten)"}]
    assert told("shop")["note"] == f"(forgotten) came; {USER}s did not"
    assert told("shop2")["sample"] == [{"user_id": USER}]
    assert receipts(own)[0]["records_redacted"]["events"] >= 1
    own.ok("status")


def test_the_engine_reads_and_writes_on_where_history_was_taken_away(own):
    own.ok("forget", "shop", USER, "--yes", "--rerun")
    rows = own.rows("features/rfm", "shop")
    assert rows
    assert USER not in {row["user_id"] for row in rows}
    assert own.rows("predictions/rfm_segments", "shop")
    assert holding(own.root / "lake" / "shop") == []
    kpis = [row for row in own.rows("validation/kpis", "shop") if row["measure"] == "bills" and row["store_id"] is None]
    assert sum(row["value"] for row in kpis) == len(own.rows("clean/bills", "shop"))


def test_a_forgotten_user_does_not_land_again(own):
    own.ok("forget", "shop", USER, "--yes")
    own.ok("run", "shop", "--select", FEW)
    own.ok("run", "shop", "--select", "raw", "--full")
    assert "forgotten" in own.ok("show", "raw/bills", "--customer", "shop")
    assert holding(own.root / "lake" / "shop") == []
    owners = {row["bill_id"]: row["user_id"] for row in own.rows("raw/bills", "shop")}
    assert owners[SHARED] == "somebody"
    assert BROKEN not in {row["bill_id"] for row in own.rows("raw/line_items", "shop")}
    assert SHARED in {row["bill_id"] for row in own.rows("raw/line_items", "shop")}


def test_forgetting_again_changes_nothing(own):
    own.ok("forget", "shop", USER, "--yes")
    folder = own.root / "lake" / "shop"
    before = {name: content for name, content in bytes_below(folder).items() if not name.startswith("receipts")}
    out = own.ok("forget", "shop", USER, "--yes")
    assert {name: content for name, content in bytes_below(folder).items() if name in before} == before
    assert "nobody of that id was known" in out
    _, second = receipts(own)
    assert (second["rows_removed"], second["files_removed"], second["models_marked"]) == ({}, 0, {})


def test_of_an_unknown_user_nothing_is_touched(own):
    """Neither history nor pictures, nor the list of those who do not land: it may be a slip of the pen."""
    before = bytes_below(own.root / "lake" / "shop")
    said = own.capflow("forget", "shop", "nobody-9", "--yes")
    assert (said.code, said.out) == (0, "")
    assert "knows no user 'nobody-9'" in said.err
    assert str(own.root) in said.err
    assert bytes_below(own.root / "lake" / "shop") == before
    mixed = own.capflow("forget", "shop", "nobody-9", USER, "--yes")
    assert "knows no user 'nobody-9'" in mixed.err
    assert len(receipts(own)) == 1
    assert holding(own.root / "lake" / "shop") == []


def test_a_user_of_older_versions_alone_is_no_stranger(own):
    with opened(own) as (deployed, _):
        lake = lake_of(own)
        for name in UserRows(lake, deployed.stages, deployed.customer("shop")).tables():
            DeltaTable(lake.path("shop", name)).delete()  # gone from the newest version, and in the files
    assert holding(own.root / "lake" / "shop") != []
    own.ok("forget", "shop", USER, "--yes")
    assert holding(own.root / "lake" / "shop") == []


def test_an_unknown_user_may_be_kept_out(own):
    before = rows_of(lake_of(own), "shop")
    out = own.ok("forget", "shop", "nobody-9", "nobody-8", "--yes", "--keep-out")
    assert out.count("nobody of that id was known") == 2
    assert rows_of(lake_of(own), "shop") == before
    assert all(receipt["rows_removed"] == {} for receipt in receipts(own))
    with opened(own) as (deployed, _):
        key = customer_key(deployed.home, "shop")
        found = forgotten(deployed.lake, "shop")
    assert found is not None
    assert found.users == {digest(key, "user", "nobody-9"), digest(key, "user", "nobody-8")}


def test_what_is_broken_off_is_finished_by_beginning_again(own, monkeypatch):
    whole = own.copied(own.root.parent / "whole")
    whole.ok("forget", "shop", USER, "--yes")
    stopped: list[str] = []
    delete = UserRows._delete

    def stop_at_clean_bills(self: UserRows, name: str, *rest: Any) -> int:
        if name == "clean/bills" and not stopped:
            stopped.append(name)
            raise KeyboardInterrupt
        return delete(self, name, *rest)

    monkeypatch.setattr(UserRows, "_delete", stop_at_clean_bills)
    with opened(own) as (deployed, instance), pytest.raises(KeyboardInterrupt):
        forgetting.forget(deployed, DagsterRecords(instance), "shop", [USER], "a letter")
    assert stopped
    own.ok("forget", "shop", USER, "--yes")
    assert rows_of(lake_of(own), "shop") == rows_of(lake_of(whole), "shop")
    assert holding(own.root / "lake" / "shop") == []


def test_a_person_is_asked_first(own):
    before = bytes_below(own.root / "lake")
    assert own.capflow("forget", "shop", USER).code == 1
    assert own.capflow("retire", "shop").code == 1
    assert bytes_below(own.root / "lake") == before


def test_a_run_that_has_not_ended_is_waited_for(own):
    with opened(own) as (_, instance):
        tags = {"dagster/partition": "shop"}
        instance.add_run(dg.DagsterRun("night", "1" * 36, status=dg.DagsterRunStatus.STARTED, tags=tags))
    said = own.capflow("forget", "shop", USER, "--yes")
    assert said.code == 1
    assert "11111111" in said.err
    own.ok("forget", "shop", USER, "--yes", "--anyway")
    own.ok("forget", "shop2", "nobody", "--yes")


def test_marked_versions_say_so(own):
    own.ok("forget", "shop", USER, "--yes")
    own.ok("forget", "shop", "nobody-9", "--yes", "--keep-out")
    with opened(own) as (deployed, _):
        assert deployed.registry.forgotten("shop", "rfm_segments", 1) == 1
        assert deployed.registry.forgotten("shop2", "rfm_segments", 1) == 0


def test_an_expression_tells_whose_a_rejected_row_is(tmp_path, spark):
    folder = tmp_path / "files"
    toml = files_of(folder, "shop")
    toml.write_text(toml.read_text().replace('user_id = "user_id"', "user_id = \"concat('web:', user_id)\"", 1))
    home = TestHome(tmp_path / "home")
    home.ok("onboard", str(toml))
    home.ok("run", "shop", "--select", "raw/bills")
    assert len(home.rows("raw/bills_rejected", "shop")) == 1
    home.ok("forget", "shop", f"web:{USER}", "--yes")
    assert home.rows("raw/bills_rejected", "shop") == []


# -- the list ------------------------------------------------------------------------------------------------------


def test_rows_of_forgotten_users_and_their_bills_are_left_out(spark, tmp_path):
    lake, key = Lake(str(tmp_path), lambda: spark), b"k" * 32
    rows = [("b1", "ann"), ("b2", " ann "), ("b3", "bob"), ("b1", None), ("b4", None), (None, "ann"), ("b1", " ")]
    both = [("b5", "ann"), ("b5", "bob"), ("b5", None)]
    frame = spark.createDataFrame([*rows, *both], "bill_id string, user_id string")
    assert without_forgotten(lake, "shop", frame, key).count() == 10
    remember(lake, "shop", "user", [digest(key, "user", "ann")])
    left = {tuple(row) for row in without_forgotten(lake, "shop", frame, key).collect()}
    assert left == {("b3", "bob"), ("b4", None), ("b5", "bob"), ("b5", None)}
    assert rows_of_forgotten(lake, "shop", frame, key) == 10 - len(left)
    assert rows_of_forgotten(lake, "shop", frame.select("user_id"), key) == 4
    found = forgotten(lake, "shop")
    assert found is not None
    assert found.bills == {digest(key, "bill", "b1"), digest(key, "bill", "b2")}
    assert found.shared == {digest(key, "bill", "b5")}
    assert holding(tmp_path, "ann") == []
    with pytest.raises(GraphError, match="without a key"):
        without_forgotten(lake, "shop", frame, b"")
    assert remember(lake, "shop", "user", [digest(key, "user", "ann")]) == 0


def test_another_customers_key_makes_other_digests():
    assert digest(b"a" * 32, "user", "ann") != digest(b"b" * 32, "user", "ann")
    assert "ann" not in digest(b"a" * 32, "user", "ann")


# -- retire --------------------------------------------------------------------------------------------------------


def test_a_retired_customer_is_gone_and_its_namesake_stays(own):
    lake, neighbour = lake_of(own), bytes_below(own.root / "lake" / "shop2")
    own.ok("forget", "shop", "nobody", "--yes")
    status = own.status("shop2")
    out = own.ok("retire", "shop", "--yes", "--reason", "contract ended")
    assert "retired shop" in out
    assert not Path(lake.prefix("shop")).exists()
    assert bytes_below(own.root / "lake" / "shop2") == neighbour
    assert own.status("shop2") == status
    assert own.rows("predictions/rfm_segments", "shop2")
    assert not (own.root / "customers" / "shop.toml").exists()
    assert not (own.root / "keys" / "shop").exists()
    [receipt] = [json.loads(file.read_text()) for file in (own.root / "receipts").iterdir()]
    assert receipt["models"] == ["rfm_segments"]
    assert receipt["reason"] == "contract ended"
    with contextlib.closing(sqlite3.connect(own.root / "mlflow.db")) as database:
        assert database.execute("select name from registered_models").fetchall() == [("shop2.rfm_segments",)]
        assert {name for (name,) in database.execute("select name from experiments")} == {
            "Default",
            "shop2.rfm_segments",
        }
        assert database.execute("select count(*) from runs").fetchone() == (1,)
        assert database.execute("select count(*) from logged_models").fetchone() == (0,)
        assert database.execute("select count(*) from model_versions").fetchone() == (1,)
    assert b"shop.rfm_segments" not in (own.root / "mlflow.db").read_bytes()
    with opened(own) as (_, instance):
        assert instance.get_dynamic_partitions("customer") == ["shop2"]
        assert {run.tags["dagster/partition"] for run in instance.get_runs()} == {"shop2"}
        for name, count in (("shop", 0), ("shop2", 2)):
            wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(["raw", "bills"]), asset_partitions=[name])
            assert len(instance.fetch_materializations(wanted, limit=9).records) == count
        assert instance.get_materialized_partitions(dg.AssetKey(["clean", "bills"])) == {"shop2"}
        last = instance.get_latest_materialization_event(dg.AssetKey(["raw", "bills"]))
        assert last is not None
        assert last.asset_materialization.partition == "shop2"
    said = own.capflow("retire", "shop", "--yes")
    assert said.code == 1
    assert "There is no customer 'shop'" in said.err
    assert "shop2" in said.err


def test_a_retired_customer_is_not_onboarded_by_the_sensor(own):
    from capflow_assets.graph.onboarding import onboarding_sensor

    own.ok("retire", "shop", "--yes")
    with opened(own) as (deployed, instance):
        context = dg.build_sensor_context(instance=instance)
        result = onboarding_sensor(lambda: deployed, deployed.stages)(context)
        assert isinstance(result, dg.SensorResult)
        assert not result.dynamic_partitions_requests


def test_a_retired_customer_may_come_again(own):
    own.ok("retire", "shop", "--yes")
    own.ok("onboard", str(files_of(own.root.parent / "again", "shop")))
    own.ok("run", "shop", "--select", FEW)
    assert own.status("shop")["rfm_segments"]["champion"] == 1
    assert USER in {row["user_id"] for row in own.rows("clean/bills", "shop")}


def test_a_customer_that_is_only_partly_there_can_be_retired(own):
    (own.root / "customers" / "shop.toml").unlink()
    own.ok("retire", "shop", "--yes")
    assert not (own.root / "lake" / "shop").exists()


# -- a bucket ------------------------------------------------------------------------------------------------------


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket with versioning, over HTTP; this process's variables point at it. It is ``lake`` of a new server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    # In a process of its own: deltalake does not let others of this one work while it looks for a table.
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for name, value in Aws(url, None).variables().items():  # type: ignore[arg-type]
            monkeypatch.setenv(name, value)
        wait_for(url)
        client = Aws(url, None).client("s3")  # type: ignore[arg-type]
        client.create_bucket(Bucket="lake")
        client.put_bucket_versioning(Bucket="lake", VersioningConfiguration={"Status": "Enabled"})
        yield client
    finally:
        server.terminate()
        server.wait(30)


def wait_for(url: str) -> None:
    for _ in range(300):
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1):
            return
        time.sleep(0.1)
    raise TimeoutError(url)


def test_a_bucket_keeps_no_older_version_of_an_object(bucket, tmp_path):
    import pyarrow as pa
    from deltalake import write_deltalake

    lake = Lake("s3://lake/brands", lambda: None)  # type: ignore[arg-type, return-value]
    for name in ("shop", "shop2"):
        for user in (USER, "ann"):
            write_deltalake(lake.path(name, "raw/users"), pa.table({"user_id": [user]}), mode="overwrite")
    assert keep_newest_version(lake.path("shop", "raw/users")) > 0
    assert keep_newest_version(lake.path("shop", "raw/users")) == 0
    versions = bucket.list_object_versions(Bucket="lake", Prefix="brands/shop2/")["Versions"]
    assert remove_old_objects(lake.prefix("shop")) > 0
    assert lake.arrow("shop", "raw/users").to_pylist() == [{"user_id": "ann"}]
    for each in bucket.list_object_versions(Bucket="lake", Prefix="brands/shop/")["Versions"]:
        assert each["IsLatest"]
        content = bucket.get_object(Bucket="lake", Key=each["Key"])["Body"].read()
        if not each["Key"].endswith("/"):
            (tmp_path / each["Key"].rsplit("/", 1)[1]).write_bytes(content)
    assert holding(tmp_path) == []
    assert bucket.list_object_versions(Bucket="lake", Prefix="brands/shop2/")["Versions"] == versions


def test_a_customer_in_a_bucket_is_retired_and_its_namesake_stays(bucket, tmp_path, monkeypatch):
    import pyarrow as pa
    from deltalake import write_deltalake

    home = TestHome(tmp_path / "home")
    for name in ("shop", "shop2"):
        home.ok("onboard", str(files_of(tmp_path / name, name)))
    with own_environment():
        monkeypatch.setenv("CAPFLOW_LAKE", "s3://lake/brands")
        place = Home.of(home.root)
        deployed = deployment(STAGES, SOURCES, home=place)
        for name in ("shop", "shop2"):
            write_deltalake(deployed.lake.path(name, "raw/users"), pa.table({"user_id": [USER, "ann"]}))
        with dagster_instance(place) as instance:
            [receipt] = forgetting.forget(deployed, DagsterRecords(instance), "shop", [USER], "a letter")
            assert receipt.rows_removed == {"raw/users": 1}
            assert deployed.lake.arrow("shop", "raw/users").to_pylist() == [{"user_id": "ann"}]
            from capflow_assets.graph.retirement import retire

            retire(deployed, instance, "shop", "contract ended")
    assert "Contents" not in bucket.list_objects_v2(Bucket="lake", Prefix="brands/shop/")
    assert "Versions" not in bucket.list_object_versions(Bucket="lake", Prefix="brands/shop/")
    assert bucket.list_objects_v2(Bucket="lake", Prefix="brands/shop2/")["Contents"]
