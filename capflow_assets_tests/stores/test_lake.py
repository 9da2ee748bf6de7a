"""The lake: one commit per write, one prefix per customer, and a killed writer that leaves the last good version."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from capflow_assets.errors import CapflowError, NotFoundError
from capflow_assets.stores.lake import Lake

WRITER = """
import sys
from capflow_assets.graph.engine import Engine
from capflow_assets.stores.lake import Lake

spark = Engine().spark_session
lake = Lake(sys.argv[1], lambda: spark)
lake.write(spark.range(1000).selectExpr("id", "0 as generation"), "acme", "clean/bills")
print("written", flush=True)
big = spark.range(40_000_000).selectExpr("id", "1 as generation", "sha2(cast(id as string), 256) as filler")
lake.write(big, "acme", "clean/bills")
print("finished", flush=True)
"""


@pytest.fixture
def lake(tmp_path, spark):
    return Lake(str(tmp_path / "lake"), lambda: spark)


def test_a_write_replaces_the_table_and_counts_its_version(lake, spark):
    assert lake.version("acme", "clean/bills") is None
    assert lake.write(spark.range(3), "acme", "clean/bills") == 0
    assert lake.write(spark.range(5).selectExpr("id", "'x' as word"), "acme", "clean/bills") == 1
    assert lake.rows("acme", "clean/bills") == 5
    assert lake.table("acme", "clean/bills").columns == ["id", "word"]
    assert lake.table("acme", "clean/bills", version=0).count() == 3
    assert lake.tables("acme") == ["clean/bills"]


def test_replace_changes_only_the_rows_named(lake, spark):
    lake.write(spark.sql("select 1 as day, 'old' as what union all select 2, 'old'"), "acme", "health/m")
    lake.replace(spark.sql("select 2 as day, 'new' as what"), "acme", "health/m", "day = 2")
    lake.replace(spark.sql("select 3 as day, 'new' as what"), "acme", "health/m", "day = 3")
    rows = lake.arrow("acme", "health/m").sort_by("day").to_pylist()
    assert [row["what"] for row in rows] == ["old", "new", "new"]


@pytest.mark.parametrize("name", ["../acme", "a/b", "", ".", "Acme", "a" * 64, "acme\n"])
def test_no_path_leaves_the_lake(lake, name):
    with pytest.raises(CapflowError, match="no customer name"):
        lake.path(name, "clean/bills")


@pytest.mark.parametrize("table", ["bills", "clean/../bills", "clean/bills/x", "clean/Bills", "/etc"])
def test_no_table_name_leaves_the_customer(lake, table):
    with pytest.raises(CapflowError, match="no table name"):
        lake.path("acme", table)


def test_a_missing_table_names_the_ones_there_are(lake, spark):
    lake.write(spark.range(1), "acme", "clean/bills")
    with pytest.raises(NotFoundError, match=r"one of clean/bills[\s\S]*did you mean 'clean/bills'"):
        lake.table("acme", "clean/bill")


def test_kill_9_in_the_middle_of_a_write_leaves_the_last_good_version(tmp_path, spark):
    root = tmp_path / "lake"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        _wait_for_half_a_write(root / "acme/clean/bills")
        writer.send_signal(signal.SIGKILL)
        assert writer.stdout.read() == "", "the write had finished before it was killed"
    lake = Lake(str(root), lambda: spark)
    assert lake.version("acme", "clean/bills") == 0
    assert lake.table("acme", "clean/bills").selectExpr("count(*)", "max(generation)").collect()[0][:] == (1000, 0)
    assert lake.write(spark.range(7), "acme", "clean/bills") == 1
    assert lake.rows("acme", "clean/bills") == 7


def _wait_for_half_a_write(folder: Path) -> None:
    """Until bytes of the second version lie in the folder beside the files of the first."""
    deadline = time.monotonic() + 180
    committed = sum(file.stat().st_size for file in folder.glob("*.parquet"))
    while time.monotonic() < deadline:
        if sum(file.stat().st_size for file in folder.glob("*.parquet")) > committed:
            return
        time.sleep(0.005)
    raise AssertionError("the second write never began")
