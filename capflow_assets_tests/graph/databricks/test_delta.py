"""Delta on the local clusters' Spark against Delta on the embedded engine: through the lake's own code, on both stores.

The bucket is reached by the cluster's own rights, as by an instance profile.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from pyspark.errors import PySparkException

from capflow_assets.stores.lake import Lake
from capflow_assets_doubles.databricks.steps import environment
from capflow_assets_doubles.databricks.workspace import local_workspace
from capflow_assets_doubles.engines import free_port, rows_of, wait_until_open

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SCHEMA = (
    "id long, name string, sold_at timestamp, day date, price decimal(12,2), tags array<string>, "
    "place struct<store:int,city:string>, share double, open boolean, count int, raw binary"
)
NIGHT = datetime(2024, 3, 31, 1, 30, 0, 123456, UTC)
BEFORE = datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)
ROWS: list[tuple[Any, ...]] = [
    (1, "ä", NIGHT, date(1969, 7, 20), Decimal("-1.50"), ["u", None], (1, "q"), 0.1, True, -3, b"\x00\xff"),
    (2, *[None] * 10),
    (3, "", BEFORE, date(2100, 1, 1), Decimal("9999999999.99"), [], (None, None), float("inf"), False, 2**31 - 1, b""),
]
BUCKET = "delta-of-clusters"
DAYS = "id long, name string, day date"


@pytest.fixture(scope="module")
def rights() -> Iterator[dict[str, str]]:
    """The variables by which a bucket is reached, set here too. The store is another process, as delta-rs needs it."""
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "moto.server", "-p", str(port)], stderr=subprocess.DEVNULL)
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    variables = keys | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ALLOW_HTTP": "true"}
    try:
        wait_until_open(port, server, Path(os.devnull))
        requests.put(f"{variables['AWS_ENDPOINT_URL']}/{BUCKET}", timeout=10).raise_for_status()
        with environment(**variables):
            yield variables
    finally:
        server.terminate()
        server.wait(timeout=10)


@pytest.fixture(scope="module")
def connected(
    rights: dict[str, str], spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SparkSession]:
    """A session on the clusters' Spark, after ``spark``, so that the embedded engine stays the active session."""
    from pyspark.sql import SparkSession

    with local_workspace(tmp_path_factory.mktemp("delta"), instance_profile=rights) as clusters:
        session = SparkSession.builder.remote(clusters.spark_remote()).create()
        yield session
        session.stop()


@dataclass(frozen=True)
class Lakes:
    """One place as each of the two engines sees it."""

    sail: Lake
    jvm: Lake

    @property
    def both(self) -> tuple[Lake, Lake]:
        return self.sail, self.jvm


@pytest.fixture
def lakes(spark: SparkSession, connected: SparkSession, tmp_path: Path) -> Lakes:
    """In a folder."""
    return Lakes(Lake(str(tmp_path), lambda: spark), Lake(str(tmp_path), lambda: connected))


@pytest.fixture(params=["folder", "bucket"])
def stores(request: pytest.FixtureRequest, lakes: Lakes, tmp_path: Path) -> Lakes:
    """In a folder, and in a bucket."""
    if request.param == "folder":
        return lakes
    root = f"s3://{BUCKET}/{tmp_path.name}"
    return Lakes(replace(lakes.sail, root=root), replace(lakes.jvm, root=root))


def of_days(lake: Lake, *rows: tuple[int, str, int]) -> Any:
    dated = [(number, name, date(2024, 1, day)) for number, name, day in rows]
    return lake.spark().createDataFrame(dated, DAYS)


@pytest.mark.parametrize("writer", ["sail", "jvm"])
def test_what_one_engine_writes_both_read_alike(stores: Lakes, writer: str):
    lake: Lake = getattr(stores, writer)
    rows = lake.spark().createDataFrame(ROWS, SCHEMA)
    lake.write(rows, "acme", "raw/bills")
    mine, other = (reader.table("acme", "raw/bills") for reader in stores.both)
    assert mine.dtypes == other.dtypes
    assert rows_of(mine) == rows_of(other)
    assert rows_of(mine) == rows_of(rows)


def test_a_write_is_one_version_and_old_ones_stay_readable(stores: Lakes):
    lake, session = stores.jvm, stores.jvm.spark()
    assert lake.write(session.range(3), "acme", "raw/bills") == 0
    assert lake.write(session.range(5).selectExpr("id", "'x' as more"), "acme", "raw/bills") == 1
    assert lake.write(session.range(0), "acme", "raw/bills") == 2
    assert [lake.table("acme", "raw/bills", version).count() for version in (0, 1, 2)] == [3, 5, 0]
    assert stores.sail.table("acme", "raw/bills", 1).columns == ["id", "more"]
    assert lake.rows("acme", "raw/bills") == 0


@pytest.mark.parametrize("engine", ["sail", "jvm"])
def test_some_rows_are_replaced_in_one_commit(stores: Lakes, engine: str):
    lake = getattr(stores, engine)
    lake.write(of_days(lake, (1, "a", 1), (2, "b", 2), (3, "c", 2)), "acme", "raw/bills")
    assert lake.replace(of_days(lake, (4, "new", 2)), "acme", "raw/bills", "day = '2024-01-02'") == 1
    expected = [(1, "a", date(2024, 1, 1)), (4, "new", date(2024, 1, 2))]
    assert all(rows_of(reader.table("acme", "raw/bills")) == expected for reader in stores.both)


def test_appending_and_many_partitions(lakes: Lakes):
    lake, session = lakes.jvm, lakes.jvm.spark()
    lake.write(session.range(1000).repartition(4), "acme", "raw/bills")
    session.range(1000, 1500).write.format("delta").mode("append").save(lake.path("acme", "raw/bills"))
    assert [tuple(row) for row in lake.table("acme", "raw/bills").selectExpr("count(*)", "sum(id)").collect()] == [
        (1500, 1500 * 1499 // 2)
    ]


def test_a_failed_write_leaves_the_old_version(lakes: Lakes):
    lake, session = lakes.jvm, lakes.jvm.spark()
    lake.write(session.range(3), "acme", "raw/bills")
    bad = session.range(3).selectExpr("if(id = 2, raise_error('half way'), id) as id")
    with pytest.raises(PySparkException, match="half way"):
        lake.write(bad.selectExpr("cast(id as long) as id"), "acme", "raw/bills")
    other = session.range(1).selectExpr("'text' as id")
    with pytest.raises(PySparkException):
        other.write.format("delta").mode("overwrite").save(lake.path("acme", "raw/bills"))
    assert lake.version("acme", "raw/bills") == 0
    assert rows_of(lakes.sail.table("acme", "raw/bills")) == [(0,), (1,), (2,)]


def test_staged_rows_are_read_back_and_gone(lakes: Lakes):
    lake = lakes.jvm
    lake.write(lake.spark().range(1), "acme", "raw/bills")
    with lake.staged(lake.spark().range(4), "acme", "raw/items") as staged:
        assert staged.count() == 4
    assert lake.tables("acme") == ["raw/bills"]
