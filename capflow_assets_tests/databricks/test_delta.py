"""Delta on the local clusters' Spark against Delta on the embedded engine: through the lake's own code, on both stores.

The bucket is reached by the cluster's own rights, as by an instance profile.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.errors import PySparkException

from capflow_assets.graph.lake import Lake
from capflow_assets_tests.databricks.steps import environment
from capflow_assets_tests.databricks.workspace import LocalWorkspace, local_workspace
from capflow_assets_tests.engines import rows_of
from capflow_assets_tests.platform.services import Aws, aws

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SCHEMA = (
    "id long, name string, sold_at timestamp, day date, price decimal(12,2), tags array<string>, "
    "place struct<store:int,city:string>, share double, open boolean, count int, raw binary"
)
ROWS: list[tuple[Any, ...]] = [
    (1, "ä", datetime(2024, 3, 31, 1, 30, 0, 123456, UTC), date(1969, 7, 20), Decimal("-1.50"), ["u", None], (1, "q"))
    + (0.1, True, -3, b"\x00\xff"),
    (2, *[None] * 10),
    (
        3,
        "",
        datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
        date(2100, 1, 1),
        Decimal("9999999999.99"),
        [],
        (None, None),
    )
    + (float("inf"), False, 2**31 - 1, b""),
]
DAYS = "id long, name string, day date"


@pytest.fixture(scope="module")
def bucket() -> Iterator[Aws]:
    with aws() as made, environment(**made.variables()):
        made.client("s3").create_bucket(Bucket="delta-of-clusters")
        yield made


@pytest.fixture(scope="module")
def clusters(bucket: Aws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorkspace]:
    with local_workspace(tmp_path_factory.mktemp("delta"), instance_profile=bucket.variables()) as made:
        yield made


@pytest.fixture(scope="module")
def connected(clusters: LocalWorkspace, spark: SparkSession) -> Iterator[SparkSession]:
    """A session on the clusters' Spark, after ``spark``, so that the embedded engine stays the active session."""
    from pyspark.sql import SparkSession

    session = SparkSession.builder.remote(clusters.spark_remote()).create()
    yield session
    session.stop()


@pytest.fixture(params=["folder", "bucket"])
def lakes(
    request: pytest.FixtureRequest,
    spark: SparkSession,
    connected: SparkSession,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Lake]:
    """The same place as each of the two engines sees it."""
    name = tmp_path_factory.mktemp("lake")
    root = str(name) if request.param == "folder" else f"s3://delta-of-clusters/{name.name}"
    return {"sail": Lake(root, lambda: spark), "jvm": Lake(root, lambda: connected)}


def of_days(lake: Lake, *rows: tuple[int, str, int]) -> Any:
    made = [(number, name, date(2024, 1, day)) for number, name, day in rows]
    return lake.spark().createDataFrame(made, DAYS)


@pytest.mark.parametrize("writer", ["sail", "jvm"])
def test_what_one_engine_writes_both_read_alike(lakes: dict[str, Lake], writer: str):
    lakes[writer].write(lakes[writer].spark().createDataFrame(ROWS, SCHEMA), "acme", "raw/bills")
    mine, other = (lake.table("acme", "raw/bills") for lake in lakes.values())
    assert mine.dtypes == other.dtypes
    assert rows_of(mine) == rows_of(other)
    assert rows_of(mine) == rows_of(lakes[writer].spark().createDataFrame(ROWS, SCHEMA))


def test_a_write_is_one_version_and_old_ones_stay_readable(lakes: dict[str, Lake]):
    lake, session = lakes["jvm"], lakes["jvm"].spark()
    assert lake.write(session.range(3), "acme", "raw/bills") == 0
    assert lake.write(session.range(5).selectExpr("id", "'x' as more"), "acme", "raw/bills") == 1
    assert lake.write(session.range(0), "acme", "raw/bills") == 2
    assert [lake.table("acme", "raw/bills", version).count() for version in (0, 1, 2)] == [3, 5, 0]
    assert lakes["sail"].table("acme", "raw/bills", 1).columns == ["id", "more"]
    assert lake.rows("acme", "raw/bills") == 0


@pytest.mark.parametrize("engine", ["sail", "jvm"])
def test_some_rows_are_replaced_in_one_commit(lakes: dict[str, Lake], engine: str):
    lake = lakes[engine]
    lake.write(of_days(lake, (1, "a", 1), (2, "b", 2), (3, "c", 2)), "acme", "raw/bills")
    assert lake.replace(of_days(lake, (4, "new", 2)), "acme", "raw/bills", "day = '2024-01-02'") == 1
    expected = [(1, "a", date(2024, 1, 1)), (4, "new", date(2024, 1, 2))]
    assert all(rows_of(each.table("acme", "raw/bills")) == expected for each in lakes.values())


def test_appending_and_many_partitions(lakes: dict[str, Lake]):
    lake, session = lakes["jvm"], lakes["jvm"].spark()
    lake.write(session.range(1000).repartition(4), "acme", "raw/bills")
    session.range(1000, 1500).write.format("delta").mode("append").save(lake.path("acme", "raw/bills"))
    assert [tuple(row) for row in lake.table("acme", "raw/bills").selectExpr("count(*)", "sum(id)").collect()] == [
        (1500, 1500 * 1499 // 2)
    ]


def test_a_failed_write_leaves_the_old_version(lakes: dict[str, Lake]):
    lake, session = lakes["jvm"], lakes["jvm"].spark()
    lake.write(session.range(3), "acme", "raw/bills")
    bad = session.range(3).selectExpr("if(id = 2, raise_error('half way'), id) as id")
    with pytest.raises(PySparkException, match="half way"):
        lake.write(bad.selectExpr("cast(id as long) as id"), "acme", "raw/bills")
    other = session.range(1).selectExpr("'text' as id")
    with pytest.raises(PySparkException):
        other.write.format("delta").mode("overwrite").save(lake.path("acme", "raw/bills"))
    assert lake.version("acme", "raw/bills") == 0
    assert rows_of(lakes["sail"].table("acme", "raw/bills")) == [(0,), (1,), (2,)]


def test_staged_rows_are_read_back_and_gone(lakes: dict[str, Lake]):
    lake = lakes["jvm"]
    lake.write(lake.spark().range(1), "acme", "raw/bills")
    with lake.staged(lake.spark().range(4), "acme", "raw/items") as staged:
        assert staged.count() == 4
    assert lake.tables("acme") == ["raw/bills"]
