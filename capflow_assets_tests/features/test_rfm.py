from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from capflow_assets.features.rfm import TABLE, plot, rfm
from capflow_assets_doubles.engines import rows_of
from capflow_assets_tests.features.shoppers import AS_OF, FUTURE, SHOPPERS, ZONE, bill, bills_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_figures_by_hand(spark: SparkSession) -> None:
    table = rfm(bills_of(spark, SHOPPERS), AS_OF, ZONE)
    assert table.columns == list(TABLE.names)
    assert table.dtypes == [(column.name, column.type) for column in TABLE.columns]
    # Ana: 30 June 2023 lies 366 days back, 1 April 90, 3 June 27, 28 June 2.
    counts = ("user_id", "recency_days", "tenure_days", "visits", "bills", "visits_28d", "visits_91d", "visits_364d")
    assert rows_of(table, *counts) == [
        ("ana", 2, 366, 4, 6, 2, 3, 3),
        ("bea", 0, 0, 1, 2, 1, 1, 1),
        ("cem", None, 10, 0, 1, 0, 0, 0),
        ("dan", 10, 10, 1, 1, 1, 1, 1),
    ]
    # Ana: 10 + 20.3 + 40 - 5 + 30 = 95.3; after the first visit (20.3 + 40 + 30) / 3 = 30.1.
    money = ("user_id", "spend_total", "spend_avg", "spend_91d", "spend_364d", "repeat_visit_spend_avg")
    assert rows_of(table, *money) == [
        ("ana", 95.3, 95.3 / 4, 85.3, 85.3, pytest.approx(30.1)),
        ("bea", 15.0, 15.0, 15.0, 15.0, None),
        ("cem", -3.0, None, -3.0, -3.0, None),
        ("dan", 0.0, 0.0, 0.0, 0.0, None),
    ]
    assert rows_of(table, "user_id", "returns_total") == [("ana", 5.0), ("bea", 0.0), ("cem", 3.0), ("dan", 0.0)]
    assert set(rows_of(table, "as_of")) == {("2024-06-30 20:00:00",)}


def test_windows_end_with_their_first_day(spark: SparkSession) -> None:
    """30 June back 27 days is 3 June, 90 days is 1 April, 363 days is 3 July 2023; one day more is outside."""
    days = {"in": ("2024-06-03", "2024-04-01", "2023-07-03"), "out": ("2024-06-02", "2024-03-31", "2023-07-02")}
    for position, window in enumerate((28, 91, 364)):
        pair = [bill(user, dates[position], 2.0) for user, dates in days.items()]
        table = rfm(bills_of(spark, pair), AS_OF, ZONE)
        assert rows_of(table, "user_id", f"visits_{window}d") == [("in", 1), ("out", 0)]
        if window != 28:
            assert rows_of(table, "user_id", f"spend_{window}d") == [("in", 2.0), ("out", 0.0)]


def test_days_are_local(spark: SparkSession) -> None:
    """22:30 UTC on 30 June is 1 July in Madrid, so a bill of 30 June is a day old."""
    late = datetime(2024, 6, 30, 22, 30, tzinfo=UTC)
    frame = bills_of(spark, [bill("ana", "2024-06-30", 1.0)])
    assert rows_of(rfm(frame, late, ZONE), "recency_days") == [(1,)]
    assert rows_of(rfm(frame, late, "UTC"), "recency_days") == [(0,)]


def test_quintiles_without_ties_are_fifths(spark: SparkSession) -> None:
    rows = [bill(f"u{n}", f"2024-06-{n + 1:02}", float(n)) for n in range(1, 11)]
    table = rfm(bills_of(spark, rows), AS_OF, ZONE)
    fifths = {f"u{n}": (n + 1) // 2 for n in range(1, 11)}
    assert dict(rows_of(table, "user_id", "recency_quintile")) == fifths
    assert dict(rows_of(table, "user_id", "monetary_quintile")) == fifths


def test_equal_users_get_the_quintile_of_their_middle(spark: SparkSession) -> None:
    """Six of ten came once (middle 3/10), three twice (middle 7.5/10), one three times (middle 9.5/10)."""
    visits = {f"once{n}": 1 for n in range(6)} | {f"twice{n}": 2 for n in range(3)} | {"thrice": 3}
    rows = [bill(user, f"2024-06-{day:02}", 1.0) for user, days in visits.items() for day in range(1, days + 1)]
    table = rfm(bills_of(spark, rows), AS_OF, ZONE)
    expected = {1: 2, 2: 4, 3: 5}
    assert dict(rows_of(table, "user_id", "frequency_quintile")) == {u: expected[n] for u, n in visits.items()}


def test_equal_sums_of_different_parts_are_equal(spark: SparkSession) -> None:
    """0.1 + 0.2 is not 0.3 in doubles; in money it is."""
    rows = [bill("ana", "2024-06-01", 0.1), bill("ana", "2024-06-02", 0.2), bill("bea", "2024-06-01", 0.3)]
    table = rfm(bills_of(spark, rows), AS_OF, ZONE)
    assert rows_of(table, "spend_total", "monetary_quintile") == [(0.3, 3), (0.3, 3)]


def test_who_only_brought_back_is_last_in_recency(spark: SparkSession) -> None:
    quintiles = dict(rows_of(rfm(bills_of(spark, SHOPPERS), AS_OF, ZONE), "user_id", "recency_quintile"))
    # Of four users one never came: the middles are 0.5/4, 1.5/4, 2.5/4 and 3.5/4.
    assert quintiles == {"cem": 1, "dan": 2, "ana": 4, "bea": 5}


def test_the_future_changes_nothing(spark: SparkSession) -> None:
    known = rows_of(rfm(bills_of(spark, SHOPPERS), AS_OF, ZONE))
    assert rows_of(rfm(bills_of(spark, [*FUTURE, *SHOPPERS]), AS_OF, ZONE)) == known
    assert rows_of(rfm(bills_of(spark, [*SHOPPERS[::-1], *FUTURE[::-1]]), AS_OF, ZONE)) == known
    seen = rows_of(rfm(bills_of(spark, [*FUTURE, *SHOPPERS]), datetime(2024, 7, 3, tzinfo=UTC), ZONE), "user_id")
    assert ("eva",) in seen


def test_a_bill_of_the_moment_itself_counts(spark: SparkSession) -> None:
    row = bill("ana", "2024-06-30", 1.0) | {"billed_at": AS_OF}
    assert rows_of(rfm(bills_of(spark, [row]), AS_OF, ZONE), "visits") == [(1,)]


def test_no_rows(spark: SparkSession) -> None:
    table = rfm(bills_of(spark, []), AS_OF, ZONE)
    assert rows_of(table) == []
    assert plot(table).axes[0].get_title().startswith("0 users")


def test_the_picture_counts_every_user(spark: SparkSession) -> None:
    axes = plot(rfm(bills_of(spark, SHOPPERS), AS_OF, ZONE)).axes[0]
    assert axes.get_title().startswith("4 users")
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert len(cells) == 25
    assert sum(int(text) for text in cells.values()) == 4
    # Dan and bea came once each, so their frequency is the middle of the two in four: 3.
    assert [cells[place] for place in ((1, 1), (2, 3), (5, 3), (4, 5))] == ["1"] * 4


def test_trends_hold_the_last_91_days_against_the_91_before(spark: SparkSession) -> None:
    """30 June back 90 days is 1 April; 91 days are 31 March, 181 days 1 January, and 182 days are outside."""
    rows = [bill("up", day, 2.0) for day in ("2024-04-01", "2024-06-30", "2024-06-29", "2024-03-31")]
    rows += [bill("down", "2024-01-01", 8.0), bill("down", "2024-03-31", 8.0), bill("down", "2024-06-01", 4.0)]
    rows += [bill("gone", "2024-03-01", 5.0), bill("new", "2024-06-01", 5.0), bill("new", "2023-12-31", 5.0)]
    table = rfm(bills_of(spark, rows), AS_OF, ZONE)
    names = ("user_id", "visits_prior_91d", "visits_trend_pct", "spend_prior_91d", "spend_trend_pct")
    assert rows_of(table, *names) == [
        ("down", 2, -50.0, 16.0, -75.0),
        ("gone", 1, -100.0, 5.0, -100.0),
        ("new", 0, None, 0.0, None),
        ("up", 1, 200.0, 2.0, 200.0),
    ]


def test_no_trend_of_money_where_more_was_brought_back(spark: SparkSession) -> None:
    rows = [bill("ana", "2024-03-01", 2.0), bill("ana", "2024-03-02", -3.0), bill("ana", "2024-06-01", 5.0)]
    table = rfm(bills_of(spark, rows), AS_OF, ZONE)
    assert rows_of(table, "spend_prior_91d", "spend_trend_pct", "visits_trend_pct") == [(-1.0, None, 0.0)]


def test_several_moments_are_each_alone(spark: SparkSession) -> None:
    frame = bills_of(spark, [*SHOPPERS, *FUTURE])
    moments = [AS_OF, datetime(2024, 6, 3, 10, 30, tzinfo=UTC), datetime(2024, 7, 3, tzinfo=UTC)]
    alone = [row for moment in moments for row in rows_of(rfm(frame, moment, ZONE))]
    assert rows_of(rfm(frame, moments, ZONE)) == sorted(alone, key=repr)
