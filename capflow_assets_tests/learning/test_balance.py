"""How outcomes fell, of tables that a customer has and of those that it lacks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from capflow_assets.clean.line_items import TABLE as LINE_ITEMS
from capflow_assets.contract import Requirements
from capflow_assets.learning.balance import UNKNOWN, balance
from capflow_assets.models.next_basket import MODEL
from capflow_assets_doubles.engines import frame_of
from capflow_assets_tests.features.shoppers import bill, bills_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FIRST, UNTIL = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 6, 30, tzinfo=UTC)
REQUIREMENTS = Requirements(
    MODEL.needs,
    horizon_days=30,
    moments=3,
    outcome=MODEL.outcome.compute,
    column="bought",
    outcome_tables={"line_items": "clean/line_items"},
    injected=("start", "end"),
)
BILLS = [bill("ana", "2024-03-01", 1.0), bill("bea", "2024-03-01", 1.0), bill("cem", "2024-06-29", 1.0)]


def measured(spark: SparkSession, lines: DataFrame | None) -> dict[str, Any]:
    bills = bills_of(spark, BILLS)
    return balance(
        REQUIREMENTS, bills, {"clean/bills": bills, "clean/line_items": lines}, {"zone": "UTC"}, FIRST, UNTIL
    )


def test_a_user_with_several_items_is_one_positive(spark: SparkSession) -> None:
    at = UNTIL - timedelta(days=3)
    row = {"user_id": "ana", "billed_at": at, "billed_on": at.date(), "is_return": False, "flags": ""}
    lines = frame_of(spark, LINE_ITEMS, [{**row, "item_id": "tea"}, {**row, "item_id": "jam"}])
    assert measured(spark, lines) == {
        "past_horizons": 3.0,
        "users": 2.0,
        "positives": 1.0,
        "negatives": 1.0,
        "positives_before": 0.0,
    }


def test_outcomes_of_a_table_that_the_customer_lacks_are_unknown(spark: SparkSession) -> None:
    assert measured(spark, None) == {"past_horizons": 3.0, **UNKNOWN}


def test_outcomes_that_can_do_without_a_table_are_counted_without_it(spark: SparkSession) -> None:
    def outcome(bills: DataFrame, start: datetime, end: datetime, line_items: DataFrame | None = None) -> DataFrame:
        assert line_items is None
        within = bills.filter((F.col("billed_at") > F.lit(start)) & (F.col("billed_at") <= F.lit(end)))
        return within.select("user_id", F.lit(1.0).alias("bought"))

    bills = bills_of(spark, BILLS)
    tables = {"bills": "clean/bills", "line_items": "clean/line_items"}
    requirements = Requirements(MODEL.needs, 30, 3, outcome, "bought", tables, ("start", "end"))
    counted = balance(
        requirements, bills, {"clean/bills": bills, "clean/line_items": None}, {"zone": "UTC"}, FIRST, UNTIL
    )
    assert (counted["users"], counted["positives"]) == (2.0, 0.0)
