"""How far back history reaches: which days belong to it, however odd they look, and which do not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from capflow_assets.expressions.history import first_day, first_moment
from capflow_assets.expressions.placeholders import is_placeholder
from capflow_assets.validation.lone_days import lone_days
from capflow_assets_tests.features.shoppers import bill, bills_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def days_from(first: str, count: int) -> list[date]:
    return [date.fromisoformat(first) + timedelta(days=n) for n in range(count)]


def test_a_few_days_long_before_are_no_history() -> None:
    shop = days_from("2024-05-01", 50)
    assert str(first_day([date(2001, 1, 1), *shop])) == "2024-05-01"
    assert str(first_day([date(1980, 1, 6), date(2001, 1, 1), date(2019, 7, 7), *shop])) == "2024-05-01"
    assert str(first_day([*shop[:3], *days_from("2026-01-01", 7)])) == "2026-01-01"


def test_what_a_shop_may_do_is_history() -> None:
    twenty_years = days_from("2004-06-01", 7305)
    assert str(first_day(twenty_years)) == "2004-06-01"
    seasons = [day for year in range(2020, 2025) for day in days_from(f"{year}-12-01", 24)]
    assert str(first_day(seasons)) == "2020-12-01"
    # Open for four weeks, closed for two years, open again; or seldom open at all.
    assert str(first_day([*days_from("2019-03-01", 28), *days_from("2021-06-01", 400)])) == "2019-03-01"
    assert str(first_day([date(2018, 1, 1), date(2020, 1, 1), date(2022, 1, 1)])) == "2018-01-01"
    assert first_day([]) is None


def test_the_first_moment_is_that_of_the_first_day(spark: SparkSession) -> None:
    rows = [bill("ann", str(day), 1.0) for day in (date(2001, 1, 1), *days_from("2024-05-01", 10))]
    # Noon in Madrid.
    assert first_moment(bills_of(spark, rows)) == datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert first_moment(bills_of(spark, [])) is None
    finding = lone_days(bills_of(spark, rows))
    assert (finding.passed, finding.found["lone_days"], finding.found["bills"]) == (False, 1, 1)
    assert "2001-01-01" in finding.message
    assert lone_days(bills_of(spark, rows[1:])).passed


def test_placeholders_are_known_in_every_zone(spark: SparkSession) -> None:
    """1970-01-01 of New York's evening and of Auckland's morning, Excel's zero; and days that are none."""
    moments = {
        "1970-01-01 00:00:00": True,
        "1969-12-31 11:00:00": True,
        "1970-01-02 04:59:59": True,
        "1900-01-01 00:00:00": True,
        "2099-12-31 23:59:59": True,
        "1970-01-04 00:00:00": False,
        "1999-12-31 12:00:00": False,
        "2000-01-01 00:00:00": False,
        "2024-06-01 12:00:00": False,
    }
    frame = spark.createDataFrame([(text,) for text in moments], "text string").selectExpr("text", "timestamp(text) t")
    assert {row[0]: row[1] for row in frame.select("text", is_placeholder(frame["t"])).collect()} == moments
