from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from capflow_assets.validation.retention import TABLE, plot, retention
from capflow_assets_doubles.engines import rows_of
from capflow_assets_tests.features.shoppers import AS_OF, FUTURE, SHOPPERS, ZONE, bill, bills_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Ana comes in January and March, bea in January alone; cem brings back before he ever buys, in February, and in April.
USERS = (
    bill("ana", "2024-01-05", 10.0),
    bill("ana", "2024-03-05", 30.0),
    bill("ana", "2024-03-06", -4.0),
    bill("bea", "2024-01-31", 20.0),
    bill("cem", "2024-01-31", -7.0),
    bill("cem", "2024-02-29", 5.0),
    bill("cem", "2024-04-01", -1.0),
    bill(None, "2024-04-01", 99.0),
)


def test_cohorts_by_hand(spark: SparkSession) -> None:
    table = retention(bills_of(spark, USERS), datetime(2024, 4, 29, 12, tzinfo=UTC), ZONE)
    assert table.dtypes == [(column.name, column.type) for column in TABLE.columns]
    names = ("cohort_month", "age_months", "month", "is_whole", "users", "active_users", "retained_pct")
    assert rows_of(table, *names, "amount", "spend_per_user") == [
        ("2024-01", 0, "2024-01", True, 2, 2, 100.0, 30.0, 15.0),
        ("2024-01", 1, "2024-02", True, 2, 0, 0.0, 0.0, 0.0),
        ("2024-01", 2, "2024-03", True, 2, 1, 50.0, 26.0, 13.0),
        ("2024-01", 3, "2024-04", False, 2, 0, 0.0, 0.0, 0.0),
        ("2024-02", 0, "2024-02", True, 1, 1, 100.0, 5.0, 5.0),
        ("2024-02", 1, "2024-03", True, 1, 0, 0.0, 0.0, 0.0),
        ("2024-02", 2, "2024-04", False, 1, 0, 0.0, -1.0, -1.0),
    ]


def test_each_user_is_in_one_cohort(spark: SparkSession) -> None:
    """Ana and bea have visits; cem only brought back, dan paid nothing."""
    table = retention(bills_of(spark, SHOPPERS), AS_OF, ZONE)
    assert rows_of(table.filter("age_months = 0"), "cohort_month", "users") == [("2023-06", 1), ("2024-06", 1)]
    assert rows_of(table.filter("active_users > 0"), "cohort_month", "age_months") == [
        ("2023-06", 0),
        ("2023-06", 10),
        ("2023-06", 12),
        ("2024-06", 0),
    ]
    assert table.count() == 13 + 1


def test_the_future_changes_nothing(spark: SparkSession) -> None:
    known = rows_of(retention(bills_of(spark, SHOPPERS), AS_OF, ZONE))
    assert rows_of(retention(bills_of(spark, [*FUTURE, *SHOPPERS[::-1]]), AS_OF, ZONE)) == known
    later = retention(bills_of(spark, [*FUTURE, *SHOPPERS]), datetime(2024, 7, 3, tzinfo=UTC), ZONE)
    assert rows_of(later.filter("cohort_month = '2024-07'"), "users") == [(1,)]


def test_no_rows(spark: SparkSession) -> None:
    table = retention(bills_of(spark, []), AS_OF, ZONE)
    assert rows_of(table) == []
    assert plot(table).axes[0].get_title("left") == "Too few months to see who comes back"


def test_the_picture_leaves_the_first_cohort_and_the_running_month_out_of_its_finding(spark: SparkSession) -> None:
    rows = [bill(f"old{n}", "2024-01-05", 1.0) for n in range(5)]
    rows += [bill(f"u{n}", "2024-02-05", 1.0) for n in range(4)] + [bill(f"u{n}", "2024-03-05", 1.0) for n in range(3)]
    rows += [bill("new", "2024-03-05", 1.0)]
    table = retention(bills_of(spark, rows), datetime(2024, 4, 2, tzinfo=UTC), ZONE)
    axes = plot(table).axes[0]
    assert axes.get_title("left") == "Of new users, 75 % come in the month after"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["until 2024-01 (5)", "2024-02 (4)", "2024-03 (1)"]
    assert {text.get_text() for text in axes.texts} == {"0", "75"}


@pytest.mark.parametrize("months", [1, 30])
def test_the_picture_holds_one_month_and_many(spark: SparkSession, months: int) -> None:
    rows = [bill("ana", f"{2022 + n // 12}-{n % 12 + 1:02}-15", 1.0) for n in range(months)]
    rows += [bill(f"u{n}", f"{2022 + n // 12}-{n % 12 + 1:02}-15", 1.0) for n in range(months)]
    table = retention(bills_of(spark, rows), datetime(2022 + (months - 1) // 12, 12, 31, 12, tzinfo=UTC), ZONE)
    assert len(plot(table).axes[0].get_yticklabels()) == min(months, 24)
