"""Everybody stands somewhere, and nobody in two places."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from capflow_assets.expressions.own_rhythm import ACTIVE, LAPSED, NEW, lapses_by, of_standing, standings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

AS_OF = datetime(2020, 6, 1, 12, tzinfo=UTC)


def bills(spark: SparkSession, visits: dict[str, list[int]], amount: float = 5.0) -> DataFrame:
    """Bills so many days before the moment."""
    times = [(user, AS_OF - timedelta(days=day)) for user, days in visits.items() for day in days]
    rows = [(user, at, at.date(), amount) for user, at in times]
    return spark.createDataFrame(rows, "user_id string, billed_at timestamp, billed_on date, amount double")


@pytest.mark.parametrize(
    ("days", "standing"),
    [
        ([0], NEW),
        ([90], NEW),
        ([91], LAPSED),
        ([30, 10], ACTIVE),  # silent for half a gap
        ([80, 60], ACTIVE),  # for three
        ([81, 61], LAPSED),  # for a day more
        ([400, 300, 240], ACTIVE),  # three gaps of 80 days
        ([3, 3, 3], NEW),  # several bills of a day are one visit
        ([0, -1], NEW),  # what comes later is not known
    ],
)
def test_a_user_stands_by_the_own_gaps(spark: SparkSession, days: list[int], standing: str) -> None:
    (row,) = standings(bills(spark, {"ann": days}), AS_OF, "UTC").collect()
    assert row["standing"] == standing
    assert row["silent_days"] == min(day for day in days if day >= 0)


def test_who_only_brought_back_stands_nowhere(spark: SparkSession) -> None:
    assert standings(bills(spark, {"ann": [5]}, amount=-1.0), AS_OF, "UTC").count() == 0


def test_who_stays_away_lapses_when_three_gaps_are_over(spark: SparkSession) -> None:
    active = of_standing(bills(spark, {"ann": [20, 10]}), AS_OF, "UTC", ACTIVE)
    for ahead, has_lapsed in ((20, False), (21, True)):
        (row,) = active.select(lapses_by(AS_OF, AS_OF + timedelta(days=ahead), "UTC").alias("lapses")).collect()
        assert row["lapses"] is has_lapsed
