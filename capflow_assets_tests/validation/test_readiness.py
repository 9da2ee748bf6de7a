"""The table of verdicts: one row per model and need, with the figures, the day and the risk."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Needs, Requirements
from capflow_assets.validation.evidence import TABLE as EVIDENCE
from capflow_assets.validation.readiness import TABLE, readiness
from capflow_assets_doubles.engines import frame_of, rows_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Already 25 November in Madrid.
AS_OF = datetime(2025, 11, 24, 23, 30, tzinfo=UTC)


def row(measure: str, value: float | None, model: str | None = None, category: str | None = None) -> dict[str, Any]:
    return {"model": model, "measure": measure, "category": category, "value": value, "unit": "u", "as_of": AS_OF}


ROWS = (
    row("newest_bill_age_days", 0.25),
    row("history_days", 120.0),
    row("users", 90.0),
    row("rows", 5.0, category="clean/bills"),
    row("rows", 0.0, category="clean/items"),
    row("past_horizons", 3.0, "churn"),
    row("users", 80.0, "churn"),
    row("positives", 52.0, "churn"),
)


def requirements_of(needs: Needs) -> Requirements:
    return Requirements(needs, 30, 4, outcome=lambda: None, column="bought", outcome_tables={}, fitted="now")


NEEDS = {
    "churn": requirements_of(
        Needs(("clean/bills", "clean/items", "raw/stores"), history_days=365, users=20, positives=50)
    ),
    "rhythm": requirements_of(Needs(("clean/bills",), evidence={"attribute_fill_share": 0.5})),
}


def test_the_table_by_hand(spark: SparkSession) -> None:
    table = readiness(frame_of(spark, EVIDENCE, ROWS), AS_OF, "Europe/Madrid", NEEDS)
    assert table.dtypes == [(column.name, column.type) for column in TABLE.columns]
    names = ("model", "position", "need", "readiness", "found", "needed", "unit", "risk")
    assert rows_of(table, *names) == [
        ("churn", 1, "table clean/bills", "ready", 1.0, 1.0, "table", ""),
        ("churn", 2, "table clean/items", "not ready", 0.0, 1.0, "table", ""),
        ("churn", 3, "table raw/stores", "not ready", 0.0, 1.0, "table", ""),
        ("churn", 4, "history_days", "not ready", 120.0, 365.0, "days", ""),
        ("churn", 5, "users", "ready", 80.0, 20.0, "users", ""),
        ("churn", 6, "positives", "at risk", 52.0, 50.0, "users", "only 4 % above what is needed"),
        # No horizon of rhythm is over, so history comes first.
        ("rhythm", 1, "table clean/bills", "ready", 1.0, 1.0, "table", ""),
        ("rhythm", 2, "history_days", "ready", 120.0, 60.0, "days", ""),
        ("rhythm", 3, "attribute_fill_share", "not ready", None, 0.5, "share", ""),
        (None, 1, "feed", "ready", 0.0, 7.0, "days", ""),
    ]
    fixes = {need: fix for need, fix in rows_of(table, "need", "fix") if fix}
    assert fixes["history_days"] == "needs 365 days of bills, has 120; ready on 2026-07-28 at today's pace"
    assert fixes["table clean/items"] == "table clean/items is empty; deliver rows for it"
    assert "map a source" in fixes["table raw/stores"]


def test_a_late_feed_has_a_row_of_its_own(spark: SparkSession) -> None:
    late = [row("newest_bill_age_days", 12.5), *ROWS[1:]]
    table = readiness(frame_of(spark, EVIDENCE, late), AS_OF, "Europe/Madrid", {})
    assert rows_of(table, "readiness", "found", "risk") == [
        ("at risk", 12.0, "the newest bill is 12 days old; check the feed")
    ]
    empty = readiness(frame_of(spark, EVIDENCE, ()), AS_OF, "Europe/Madrid", {})
    assert rows_of(empty, "readiness", "found") == [("not ready", None)]
