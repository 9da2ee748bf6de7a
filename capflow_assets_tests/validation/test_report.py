from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from capflow_assets.clean.items import TABLE as ITEMS
from capflow_assets.clean.line_items import TABLE as LINES
from capflow_assets.clean.users import TABLE as USERS
from capflow_assets.validation.report import TABLE, plot, report
from capflow_assets_doubles.engines import frame_of, rows_of
from capflow_assets_tests.features.shoppers import AS_OF, FUTURE, SHOPPERS, ZONE, bill, bills_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def section(frame: DataFrame, name: str) -> dict[str, float]:
    """The values of a section by name, in the order of their position."""
    rows = sorted(rows_of(frame.filter(f"section = '{name}'"), "position", "name", "value"))
    return {label: value for _, label, value in rows}


def test_key_figures_by_hand(spark: SparkSession) -> None:
    table = report(bills_of(spark, SHOPPERS), AS_OF, ZONE, "EUR")
    assert table.dtypes == [(column.name, column.type) for column in TABLE.columns]
    # Ana 95.3, bea 15, cem -3, dan 0 and 99 by nobody known, on 11 bills; five visits: ana's four and bea's one.
    assert section(table, "kpi") == {
        "amount_total": 206.3,
        "bill_amount_avg": pytest.approx(206.3 / 11),
        "visits": 5,
        "spend_avg": pytest.approx(107.3 / 5),
        "line_items_avg": None,
        "users": 4,
        "users_28d": 2,
        "users_91d": 2,
        "anonymous_share_pct": pytest.approx(100 / 11),
        "returns_share_pct": pytest.approx(200 / 11),
        "discount_share_pct": None,
        "first_day": 20230630,
        "last_day": 20240630,
        "history_days": 367,
    }


def test_distributions_by_hand(spark: SparkSession) -> None:
    table = report(bills_of(spark, SHOPPERS), AS_OF, ZONE, "EUR")
    recency, latency, repeat = (section(table, name) for name in ("recency", "latency", "repeat"))
    assert list(recency) == ["0-6", "7-13", "14-27", "28-55", "56-90", "91-181", "182-363", "364+"]
    assert {name: value for name, value in recency.items() if value} == {"0-6": 2}
    # Ana's gaps: 276, 63 and 25 days.
    assert {name: value for name, value in latency.items() if value} == {"15-28": 1, "57-91": 1, "183+": 1}
    assert repeat == {"1": 1, "2": 0, "3": 0, "4": 1, "5-9": 0, "10-19": 0, "20+": 0}


def test_bins_take_their_edges(spark: SparkSession) -> None:
    """Days since the visit of 6, 7, 13 and 14."""
    rows = [bill(f"u{day}", f"2024-06-{day}", 1.0) for day in (24, 23, 17, 16)]
    bins = section(report(bills_of(spark, rows), AS_OF, ZONE, "EUR"), "recency")
    assert (bins["0-6"], bins["7-13"], bins["14-27"]) == (1, 2, 1)


def test_months_by_hand(spark: SparkSession) -> None:
    table = report(bills_of(spark, SHOPPERS), AS_OF, ZONE, "EUR").filter("section = 'monthly'")
    assert rows_of(table, "position", "name", "unit", "value") == [
        (1, "2023-06", "EUR", 10.0),
        (1, "2023-06", "bills", 1.0),
        (1, "2023-06", "users", 1.0),
        (2, "2024-04", "EUR", 20.3),
        (2, "2024-04", "bills", 2.0),
        (2, "2024-04", "users", 1.0),
        (3, "2024-06", "EUR", 176.0),
        (3, "2024-06", "bills", 8.0),
        (3, "2024-06", "users", 4.0),
    ]


def test_discounts_are_a_share_of_the_price_before_them(spark: SparkSession) -> None:
    """Bills of 30 after 10 off and of 60 without: 10 in 100. A bill that says nothing of discounts is left aside."""
    rows = [bill("a", "2024-06-01", 30.0) | {"discount": 10.0}, bill("b", "2024-06-01", 60.0) | {"discount": 0.0}]
    rows += [bill("c", "2024-06-01", 500.0)]
    table = report(bills_of(spark, rows), AS_OF, ZONE, "EUR")
    assert section(table, "kpi")["discount_share_pct"] == 10.0


def test_rows_of_the_tables_that_came(spark: SparkSession) -> None:
    bills = bills_of(
        spark, [bill("ana", "2024-06-01", 1.0) | {"line_items": 3}, bill(None, "2024-06-01", 1.0) | {"line_items": 0}]
    )
    lines = frame_of(spark, LINES, [{"bill_id": "b0", "line_no": n} for n in range(3)])
    users, items = frame_of(spark, USERS, [{"user_id": "ana"}]), frame_of(spark, ITEMS, [])
    table = report(bills, AS_OF, ZONE, "EUR", lines, users, items)
    assert section(table, "rows") == {"bills": 2, "line_items": 3, "users": 1, "items": 0}
    assert section(table, "kpi")["line_items_avg"] == 1.5
    assert section(report(bills, AS_OF, ZONE, "EUR", users=users), "rows") == {"bills": 2, "users": 1}


def test_the_future_changes_nothing(spark: SparkSession) -> None:
    known = rows_of(report(bills_of(spark, SHOPPERS), AS_OF, ZONE, "EUR"))
    assert rows_of(report(bills_of(spark, [*FUTURE, *SHOPPERS[::-1]]), AS_OF, ZONE, "EUR")) == known
    later = report(bills_of(spark, [*FUTURE, *SHOPPERS]), datetime(2024, 7, 3, tzinfo=UTC), ZONE, "EUR")
    assert section(later, "kpi")["last_day"] == 20240702


def test_no_rows(spark: SparkSession) -> None:
    table = report(bills_of(spark, []), AS_OF, ZONE, "EUR", frame_of(spark, LINES, []))
    kpi = section(table, "kpi")
    zero = {"amount_total", "visits", "users", "users_28d", "users_91d", "history_days"}
    assert {name for name, value in kpi.items() if value == 0} == zero
    assert {value for name, value in kpi.items() if name not in zero} == {None}
    assert section(table, "rows") == {"bills": 0, "line_items": 0}
    assert section(table, "monthly") == {}
    assert len(plot(table).axes) == 4


def test_the_picture_shows_a_silent_month_as_a_hole(spark: SparkSession) -> None:
    rows = [bill("ana", "2024-03-01", 5.0), bill("ana", "2024-05-01", 7.0)]
    picture = plot(report(bills_of(spark, rows), AS_OF, ZONE, "EUR"))
    assert [axes.get_title() for axes in picture.axes] == [
        "Users by days since the last visit",
        "Gaps between visits by days",
        "Users by number of visits",
        "Net amount a month (EUR)",
    ]
    assert list(picture.axes[3].lines[0].get_ydata()) == [5.0, 0.0, 7.0]
