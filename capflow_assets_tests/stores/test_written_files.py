"""Files that become a table's as they are: on both engines, in a folder and in a bucket, and only if committed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.compute as pc
import pytest

from capflow_assets.stores.lake import KEPT_VERSIONS_HOURS, VACUUM_EVERY, Lake
from capflow_assets.stores.written_files import written

COLUMNS = {
    "word": "string",
    "big": "bigint",
    "small": "int",
    "real": "double",
    "yes": "boolean",
    "day": "date",
    "at": "timestamp",
}
ROWS = """
select 'a' as word, 1L as big, 1 as small, 1.5D as real, true as yes, date'2024-05-02' as day,
       timestamp'2024-05-02 10:00:00.123456' as at, cast(null as string) as besides
union all select null, null, null, null, null, null, null, 'kept from the table'
union all select 'b', -5L, 7, -2.5D, false, date'1999-12-31', timestamp'2030-01-01 00:00:00', null
"""
IN_BUCKET = """
import json, sys
from pysail.spark import SparkConnectServer
from pyspark.sql import SparkSession
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.written_files import written
server = SparkConnectServer("127.0.0.1", 0)
server.start(background=True)
spark = SparkSession.builder.remote(f"sc://127.0.0.1:{server.listening_address[1]}").getOrCreate()
lake = Lake("s3://written/lake", lambda: spark)
for number in (1, 2):
    with written(lake, spark.sql(f"select {number}L as n, 'x' as besides"), "acme", "raw/bills") as files:
        files.commit({"n": "bigint"}, "overwrite" if number == 1 else "append")
with written(lake, spark.range(3), "acme", "raw/bills"):
    pass
row = spark.sql("select 2L as n")
lake.replace_keys(spark.sql("select 3L as n"), row, "acme", "raw/bills")
print(json.dumps([sorted(r[0] for r in lake.table("acme", "raw/bills").collect()), lake.version("acme", "raw/bills")]))
"""


@pytest.fixture(params=["spark", "jvm"])
def engine(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def lake(tmp_path, engine):
    return Lake(str(tmp_path / "lake"), lambda: engine)


def commit(lake, frame, columns, mode="overwrite"):
    with written(lake, frame, "acme", "raw/things") as files:
        assert files.frame.count() == frame.count()
        return files.commit(columns, mode)


def test_what_was_written_is_the_table(lake, engine, spark, tmp_path):
    assert commit(lake, engine.sql(ROWS), COLUMNS) == 0
    table = lake.arrow("acme", "raw/things").sort_by("big")
    assert table.column_names == list(COLUMNS)
    assert table.to_pylist()[1] == {
        "word": "a", "big": 1, "small": 1, "real": 1.5, "yes": True, "day": datetime(2024, 5, 2).date(),  # noqa: DTZ001
        "at": datetime(2024, 5, 2, 10, 0, 0, 123456, tzinfo=UTC),
    }  # fmt: skip
    assert lake.rows("acme", "raw/things") == 3
    assert lake.tables("acme") == ["raw/things"]
    # The other engine reads the same, whoever wrote it.
    read = Lake(str(tmp_path / "lake"), lambda: spark).table("acme", "raw/things")
    assert dict(read.dtypes) == COLUMNS
    assert read.where("at = timestamp'2024-05-02 10:00:00.123456'").count() == 1
    assert commit(lake, engine.sql(ROWS), COLUMNS, "append") == 1
    assert lake.rows("acme", "raw/things") == 6
    assert commit(lake, engine.sql("select 'c' as word, 2 as other"), {"word": "string", "other": "int"}) == 2
    assert lake.arrow("acme", "raw/things").to_pylist() == [{"word": "c", "other": 2}]


def test_lists_and_a_table_without_rows_are_written_too(lake, engine, spark):
    frame = engine.sql("select array('a', null) as words, array(1.5D) as reals, 1L as n")
    on_sail = Lake(lake.root, lambda: spark)
    columns = {"words": "array<string>", "reals": "array<double>", "n": "bigint"}
    assert commit(lake, frame, columns) == 0
    assert lake.arrow("acme", "raw/things").to_pylist() == [{"words": ["a", None], "reals": [1.5], "n": 1}]
    assert dict(on_sail.table("acme", "raw/things").dtypes) == columns
    with written(lake, frame.where("n > 1"), "acme", "raw/things") as files:
        assert files.rows == 0
        assert files.commit(columns, "overwrite") == 1
    assert lake.rows("acme", "raw/things") == 0
    assert dict(on_sail.table("acme", "raw/things").dtypes) == columns


def test_the_log_knows_rows_and_nulls_and_no_value(lake, engine):
    commit(lake, engine.sql(ROWS).coalesce(1), COLUMNS)
    (log,) = Path(lake.path("acme", "raw/things"), "_delta_log").glob("*.json")
    added = [json.loads(line)["add"] for line in log.read_text().splitlines() if '"add"' in line]
    stats = [json.loads(action["stats"]) for action in added]
    assert sum(stat["numRecords"] for stat in stats) == 3
    assert not any(set(stat) - {"numRecords", "nullCount"} for stat in stats)
    assert sum(stat["nullCount"]["real"] for stat in stats) == 1


def test_a_filtered_read_finds_its_rows(lake, engine):
    commit(lake, engine.sql(ROWS).coalesce(1), COLUMNS)
    table = lake.delta("acme", "raw/things").to_pyarrow_dataset()
    (word, *_) = [row["word"] for row in table.to_table().to_pylist() if row["word"] is not None]
    assert table.to_table(filter=pc.field("word") == word).num_rows >= 1
    assert table.to_table(filter=pc.field("big") < 0).num_rows == 1
    assert table.to_table(filter=pc.field("real").is_null()).num_rows == 1


def test_what_is_not_committed_leaves_nothing(lake, engine):
    commit(lake, engine.range(5), {"id": "bigint"})
    before = sorted(Path(lake.root).rglob("*"))
    with written(lake, engine.range(7), "acme", "raw/things") as files:
        assert lake.rows("acme", "raw/things") == 5
        assert files.frame.count() == 7
    with pytest.raises(ZeroDivisionError), written(lake, engine.range(7), "acme", "raw/things"):
        _ = 1 // 0
    assert sorted(Path(lake.root).rglob("*")) == before


def test_no_rows_are_no_frame_or_an_empty_one(lake, engine):
    with written(lake, engine.range(0), "acme", "raw/things") as files:
        assert files.frame is None or files.frame.count() == 0
        assert files.commit({"id": "bigint"}, "overwrite") == 0
    assert lake.arrow("acme", "raw/things").to_pylist() == []


def test_what_a_killed_run_left_goes_with_the_next_clearing_out(tmp_path, spark):
    lake = Lake(str(tmp_path / "lake"), lambda: spark)
    commit(lake, spark.range(5), {"id": "bigint"})
    left = Path(lake.path("acme", "raw/things"), "landing-0123456789abcdef", "part.parquet")
    left.parent.mkdir()
    left.write_bytes(b"half a file")
    long_ago = time.time() - (KEPT_VERSIONS_HOURS + 1) * 3600
    os.utime(left, (long_ago, long_ago))
    for number in range(VACUUM_EVERY):
        commit(lake, spark.range(number + 1), {"id": "bigint"})
    assert not left.exists()
    assert lake.rows("acme", "raw/things") == VACUUM_EVERY
    assert lake.table("acme", "raw/things").count() == VACUUM_EVERY


@pytest.fixture
def bucket() -> Iterator[dict[str, str]]:
    """The environment that leads to an empty bucket ``shop`` on a server in this process."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "y"}
    client = boto3.client("s3", endpoint_url=address, region_name="eu-west-1", **keys)
    client.create_bucket(Bucket="written", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    yield {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y",
        "AWS_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL": address,
        "AWS_ALLOW_HTTP": "true",
    }
    server.stop()


def test_in_a_bucket(bucket):
    said = subprocess.run(
        [sys.executable, "-c", IN_BUCKET], env=os.environ | bucket, capture_output=True, text=True, timeout=120
    )
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout) == [[1, 3], 2]
