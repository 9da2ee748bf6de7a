"""Which rows a moment knows: one moment or many."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pyspark.sql import types as T

from capflow_assets.expressions.known_at import at_each, in_order, is_known, known
from capflow_assets_doubles.engines import rows_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

JUNE = datetime(2024, 6, 30, 22, 30, tzinfo=UTC)
MAY, JULY = JUNE - timedelta(days=30), JUNE + timedelta(days=30)
MICROSECOND = timedelta(microseconds=1)
ROWS = [("always", None), ("old", MAY), ("at", JUNE), ("after", JUNE + MICROSECOND), ("late", JULY + MICROSECOND)]


def rows(spark: SparkSession) -> DataFrame:
    schema = T.StructType([T.StructField("name", T.StringType()), T.StructField("time", T.TimestampType())])
    return spark.createDataFrame(ROWS, schema)


def test_a_moment_knows_what_is_not_later_and_what_has_no_time(spark: SparkSession) -> None:
    assert rows_of(rows(spark).filter(is_known("time", JUNE)), "name") == [("always",), ("at",), ("old",)]


def test_each_row_is_known_from_the_first_moment_that_is_not_earlier(spark: SparkSession) -> None:
    marked = known(rows(spark), "time", (JULY, MAY, JUNE, MAY))
    assert rows_of(marked, "name", "known_from") == [("after", 2), ("always", 0), ("at", 1), ("old", 0)]


def test_a_row_reaches_every_moment_that_knows_it_with_its_local_day(spark: SparkSession) -> None:
    handed = at_each(known(rows(spark), "time", (JUNE, JULY)), (JUNE, JULY), "Europe/Madrid")
    # Half past ten in the evening is the next day in Madrid.
    assert rows_of(handed.selectExpr("name", "cast(today as string) today")) == [
        ("after", "2024-07-31"),
        ("always", "2024-07-01"),
        ("always", "2024-07-31"),
        ("at", "2024-07-01"),
        ("at", "2024-07-31"),
        ("old", "2024-07-01"),
        ("old", "2024-07-31"),
    ]


def test_moments_come_once_and_in_order() -> None:
    assert in_order(JUNE) == (JUNE,)
    assert in_order((JULY, MAY, JULY)) == (MAY, JULY)
