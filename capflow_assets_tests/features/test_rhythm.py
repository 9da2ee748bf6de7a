from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest

from capflow_assets.features.rhythm import TABLE, plot, rhythm
from capflow_assets_doubles.engines import rows_of
from capflow_assets_tests.features.shoppers import AS_OF, FUTURE, SHOPPERS, ZONE, bill, bills_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_figures_by_hand(spark: SparkSession) -> None:
    """Ana: 30 June 2023, 1 April, 3 June, 28 June, so gaps of 276, 63 and 25 days; 2 days have passed since."""
    table = rhythm(bills_of(spark, SHOPPERS), AS_OF, ZONE)
    assert table.dtypes == [(column.name, column.type) for column in TABLE.columns]
    names = ("user_id", "gap_days_avg", "gap_days_last", "gap_days_recent_avg", "gap_change_pct", "overdue_ratio")
    average = (276 + 63 + 25) / 3
    assert rows_of(table, *names) == [
        ("ana", average, 25.0, average, 0.0, 2 / average),
        ("bea", None, None, None, None, None),
        ("cem", None, None, None, None, None),
        ("dan", None, None, None, None, None),
    ]
    # The squares about 121.33 are 23,921.8, 3,402.8 and 9,280.4, in all 36,604.67; halved and rooted 135.29.
    assert rows_of(table.filter("user_id = 'ana'"), "gap_days_std") == [(pytest.approx(135.286, abs=0.001),)]


def test_only_the_last_three_gaps_are_recent(spark: SparkSession) -> None:
    """Gaps 1, 2, 4, 6, 8: average 4.2, of the last three 6, so 42.857 % longer; ten days late are 2.38 gaps."""
    days = ("2024-05-30", "2024-05-31", "2024-06-02", "2024-06-06", "2024-06-12", "2024-06-20")
    table = rhythm(bills_of(spark, [bill("ana", day, 1.0) for day in days]), AS_OF, ZONE)
    names = ("gap_days_avg", "gap_days_last", "gap_days_recent_avg", "gap_change_pct", "overdue_ratio")
    assert rows_of(table, *names) == [
        (4.2, 8.0, 6.0, pytest.approx(42.857, abs=0.001), pytest.approx(2.381, abs=0.001))
    ]


def test_two_visits_have_a_gap_but_no_deviation(spark: SparkSession) -> None:
    table = rhythm(bills_of(spark, [bill("ana", "2024-06-10", 1.0), bill("ana", "2024-06-20", 1.0)]), AS_OF, ZONE)
    assert rows_of(table, "gap_days_avg", "gap_days_std", "overdue_ratio") == [(10.0, None, 1.0)]


def test_returns_and_second_bills_of_a_day_make_no_gap(spark: SparkSession) -> None:
    visits = [bill("ana", "2024-06-10", 1.0), bill("ana", "2024-06-20", 1.0)]
    others = [bill("ana", "2024-06-15", -1.0), bill("ana", "2024-06-20", 5.0)]
    alone, among = (rows_of(rhythm(bills_of(spark, rows), AS_OF, ZONE)) for rows in (visits, visits + others))
    assert alone == among


def test_a_bill_of_nothing_is_a_visit(spark: SparkSession) -> None:
    rows = [bill("ana", "2024-06-10", 1.0), bill("ana", "2024-06-16", 0.0), bill("ana", "2024-06-20", 1.0)]
    assert rows_of(rhythm(bills_of(spark, rows), AS_OF, ZONE), "gap_days_last") == [(4.0,)]


def test_a_day_of_buying_is_a_visit_though_more_was_brought_back(spark: SparkSession) -> None:
    rows = [bill("ana", "2024-06-10", 1.0), bill("ana", "2024-06-20", 1.0), bill("ana", "2024-06-20", -9.0)]
    assert rows_of(rhythm(bills_of(spark, rows), AS_OF, ZONE), "gap_days_last") == [(10.0,)]


def test_a_leap_day_is_a_day(spark: SparkSession) -> None:
    table = rhythm(bills_of(spark, [bill("ana", "2024-02-28", 1.0), bill("ana", "2024-03-01", 1.0)]), AS_OF, ZONE)
    assert rows_of(table, "gap_days_last") == [(2.0,)]


def test_the_future_changes_nothing(spark: SparkSession) -> None:
    known = rows_of(rhythm(bills_of(spark, SHOPPERS), AS_OF, ZONE))
    assert rows_of(rhythm(bills_of(spark, [*FUTURE, *SHOPPERS]), AS_OF, ZONE)) == known
    assert rows_of(rhythm(bills_of(spark, [*SHOPPERS[::-1], *FUTURE[::-1]]), AS_OF, ZONE)) == known


def test_no_rows(spark: SparkSession) -> None:
    table = rhythm(bills_of(spark, []), AS_OF, ZONE)
    assert rows_of(table) == []
    assert plot(table).axes[0].get_title().startswith("0 of 0 users")


def test_the_picture_counts_the_overdue(spark: SparkSession) -> None:
    rows = [
        bill(user, day, 1.0)
        for user, last in (("ana", "11"), ("bea", "28"))
        for day in ("2024-06-01", f"2024-06-{last}")
    ]
    axes = plot(rhythm(bills_of(spark, rows), AS_OF, ZONE)).axes[0]
    assert axes.get_title() == "1 of 2 users with a rhythm are overdue"
    # Ana is 19 days after a gap of 10: 1.9, the bar from 1.75. Bea is 2 days after one of 27: 0.07, the first bar.
    assert sorted(bar.get_x() for bar in axes.patches if bar.get_height() == 1) == [0.0, 1.75]


def test_spread_regularity_and_the_next_visit(spark: SparkSession) -> None:
    """Gaps of 2 and 4 days: average 3, deviation sqrt(2). The visit due on the 23rd is 7 days late on the 30th."""
    days = ("2024-06-14", "2024-06-16", "2024-06-20")
    table = rhythm(bills_of(spark, [bill("ana", day, 1.0) for day in days]), AS_OF, ZONE)
    cv = pytest.approx(2**0.5 / 3)
    names = ("gap_days_median", "gap_days_cv", "regularity", "next_visit_in_days", "next_visit_on")
    assert rows_of(table, *names) == [(3.0, cv, pytest.approx(1 / (1 + 2**0.5 / 3)), -7.0, date(2024, 6, 23))]


def test_a_clock_is_wholly_regular(spark: SparkSession) -> None:
    days = ("2024-06-14", "2024-06-21", "2024-06-28")
    table = rhythm(bills_of(spark, [bill("ana", day, 1.0) for day in days]), AS_OF, ZONE)
    names = ("gap_days_cv", "regularity", "next_visit_in_days", "next_visit_on")
    assert rows_of(table, *names) == [(0.0, 1.0, 5.0, date(2024, 7, 5))]


def test_a_half_day_is_rounded_up_and_one_gap_has_no_regularity(spark: SparkSession) -> None:
    """Gaps of 1 and 2 days: 1.5 days after the 4th is the 6th. One gap of 29 February to 1 March is one day."""
    rows = [bill("ana", f"2024-06-{day:02}", 1.0) for day in (1, 2, 4)]
    rows += [bill("bea", "2024-02-29", 1.0), bill("bea", "2024-03-01", 1.0), bill("cem", "2024-06-01", 1.0)]
    table = rhythm(bills_of(spark, rows), AS_OF, ZONE)
    assert rows_of(table, "user_id", "gap_days_median", "regularity", "next_visit_on") == [
        ("ana", 1.5, pytest.approx(1 / (1 + 0.5**0.5 / 1.5)), date(2024, 6, 6)),
        ("bea", 1.0, None, date(2024, 3, 2)),
        ("cem", None, None, None),
    ]


def test_several_moments_are_each_alone(spark: SparkSession) -> None:
    frame = bills_of(spark, [*SHOPPERS, *FUTURE])
    moments = [AS_OF, datetime(2024, 6, 3, 10, 30, tzinfo=UTC), datetime(2024, 7, 3, tzinfo=UTC)]
    alone = [row for moment in moments for row in rows_of(rhythm(frame, moment, ZONE))]
    assert rows_of(rhythm(frame, moments, ZONE)) == sorted(alone, key=repr)


def test_logarithms_of_gaps_are_averaged(spark: SparkSession) -> None:
    """Gaps of 2 and 4 days: (ln 2 + ln 4) / 2 = 1.5 ln 2 = 1.039720771, under ln 3 as they differ."""
    days = ("2024-06-14", "2024-06-16", "2024-06-20")
    rows = [bill("ana", day, 1.0) for day in days] + [bill("bea", "2024-06-14", 1.0)]
    table = rhythm(bills_of(spark, rows), AS_OF, ZONE)
    assert rows_of(table, "user_id", "gap_days_log_avg") == [
        ("ana", pytest.approx(1.039720771, abs=1e-8)),
        ("bea", None),
    ]
