"""Outcomes look into the horizon and nowhere else, at visits and nothing else, alike on both engines."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.models import lifetime_value, purchase_propensity, rfm_segments

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

START, END = datetime(2020, 3, 1, 12, tzinfo=UTC), datetime(2020, 3, 31, 12, tzinfo=UTC)
SCHEMA = (
    "bill_id string, user_id string, billed_at timestamp, billed_on date, amount double, "
    "is_return boolean, is_anonymous boolean"
)


def bill(user: str | None, at: datetime, amount: float, **changed: Any) -> tuple[Any, ...]:
    is_return = changed.get("is_return", amount < 0)
    return (f"{user}{at}", user, at, changed.get("on", at.date()), amount, is_return, user is None)


BILLS = [
    bill("ann", START, 100.0),  # the start itself belongs to the past
    bill("ann", START.replace(microsecond=1), 0.1),
    bill("ann", datetime(2020, 3, 9, 9, tzinfo=UTC), 0.2),
    bill("ann", datetime(2020, 3, 9, 18, tzinfo=UTC), 20.0),  # the same errand day
    bill("ann", datetime(2020, 3, 10, 23, 30, tzinfo=UTC), 3.0, on=date(2020, 3, 11)),  # the next day, locally
    bill("ann", datetime(2020, 3, 11, 9, tzinfo=UTC), 4.0),
    bill("ann", datetime(2020, 3, 12, 9, tzinfo=UTC), -20.0),
    bill("bob", END, 7.0),  # the end itself belongs to the horizon
    bill("cas", END.replace(microsecond=1), 7.0),
    bill("dan", datetime(2020, 3, 9, tzinfo=UTC), -5.0),
    bill("eve", datetime(2020, 3, 9, tzinfo=UTC), 0.0),  # a gift is a visit
    bill(None, datetime(2020, 3, 9, tzinfo=UTC), 50.0),
]
EXPECTED = {
    "rfm_segments": [("ann", 27.3), ("bob", 7.0), ("eve", 0.0)],
    # ann's days: 1 March, 9 March, 11 March (twice); she brought 20 back, and dan 5 and nothing else
    "lifetime_value": [("ann", 3, 7.3), ("bob", 1, 7.0), ("dan", 0, -5.0), ("eve", 1, 0.0)],
    "purchase_propensity": [("ann", 1), ("bob", 1), ("eve", 1)],
}
MODULES = {"rfm_segments": rfm_segments, "lifetime_value": lifetime_value, "purchase_propensity": purchase_propensity}


def rows(frame: DataFrame) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in frame.orderBy("user_id").collect()]


@pytest.mark.parametrize("name", MODULES)
def test_an_outcome_sees_known_users_inside_the_horizon(spark: SparkSession, name: str) -> None:
    bills = spark.createDataFrame(BILLS, SCHEMA)
    frame = MODULES[name].MODEL.outcome.compute(bills, START, END)
    assert frame.columns == ["user_id", *MODULES[name].MODEL.outcome.columns]
    assert rows(frame) == EXPECTED[name]


def test_both_engines_agree(spark: SparkSession, jvm: SparkSession) -> None:
    for module in MODULES.values():
        here, there = (
            module.MODEL.outcome.compute(engine.createDataFrame(BILLS, SCHEMA), START, END) for engine in (spark, jvm)
        )
        assert here.dtypes == there.dtypes
        assert rows(here) == rows(there)
