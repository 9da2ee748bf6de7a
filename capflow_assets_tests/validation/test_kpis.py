from __future__ import annotations

from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.validation.kpis import TABLE, kpis, plot
from capflow_assets.validation.report import report
from capflow_assets_doubles.engines import rows_of
from capflow_assets_tests.features.shoppers import AS_OF, FUTURE, SHOPPERS, ZONE, bill, bills_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Key = tuple[str, str | None]


def table_of(spark: SparkSession, rows: list[dict[str, Any]], as_of: datetime = AS_OF) -> DataFrame:
    return kpis(bills_of(spark, rows), as_of, ZONE, "EUR")


def by_measure(frame: DataFrame, column: str = "value") -> dict[Key, dict[str, Any]]:
    """A column of each month and store by measure."""
    by_key: dict[Key, dict[str, Any]] = {}
    for month, store, measure, value in rows_of(frame, "month", "store_id", "measure", column):
        by_key.setdefault((month, store), {})[measure] = value
    return by_key


def in_store(store: str | None, user: str | None, day: str, amount: float, **more: Any) -> dict[str, Any]:
    return bill(user, day, amount) | {"store_id": store} | more


# Ana buys in two stores on one day; bea brings back; somebody unknown; nothing in May; cem in no store.
SPRING = [
    in_store("s1", "ana", "2024-04-01", 10.0, line_items=2, discount=2.0),
    in_store("s2", "ana", "2024-04-01", 20.0, line_items=4),
    in_store("s1", "bea", "2024-04-10", 30.0),
    in_store("s1", None, "2024-04-11", 40.0),
    in_store("s1", "bea", "2024-04-12", -5.0, line_items=1),
    in_store(None, "cem", "2024-06-05", 100.0),
]
NOTHING = {
    "amount_total": 0.0,
    "bills": 0.0,
    "bill_amount_avg": None,
    "users": 0.0,
    "visits": 0.0,
    "spend_avg": None,
    "line_items_avg": None,
    "anonymous_share_pct": None,
    "returns_share_pct": None,
    "discount_share_pct": None,
}


def test_measures_by_hand(spark: SparkSession) -> None:
    table = table_of(spark, SPRING)
    assert table.dtypes == [(column.name, column.type) for column in TABLE.columns]
    by_month = by_measure(table)
    discount = pytest.approx(100 * 2 / 12)
    assert by_month["2024-04", None] == {
        "amount_total": 95.0,
        "bills": 5.0,
        "bill_amount_avg": 19.0,
        "users": 2.0,
        "visits": 2.0,
        "spend_avg": 27.5,
        "line_items_avg": pytest.approx(7 / 3),
        "anonymous_share_pct": 20.0,
        "returns_share_pct": 20.0,
        "discount_share_pct": discount,
    }
    assert by_month["2024-04", "s1"] == {
        "amount_total": 75.0,
        "bills": 4.0,
        "bill_amount_avg": 18.75,
        "users": 2.0,
        "visits": 2.0,
        "spend_avg": 17.5,
        "line_items_avg": 1.5,
        "anonymous_share_pct": 25.0,
        "returns_share_pct": 25.0,
        "discount_share_pct": discount,
    }
    assert by_month["2024-04", "s2"]["visits"] == 1.0
    assert by_month["2024-06", None]["spend_avg"] == 100.0
    assert by_month["2024-06", None]["discount_share_pct"] is None
    assert by_month["2024-06", None]["amount_total"] == 100.0


def test_months_without_bills_are_there_with_nothing(spark: SparkSession) -> None:
    by_month = by_measure(table_of(spark, SPRING))
    assert sorted(by_month, key=str) == sorted(
        [(month, store) for month in ("2024-04", "2024-05", "2024-06") for store in (None, "s1", "s2")], key=str
    )
    silent: tuple[Key, ...] = (("2024-05", None), ("2024-05", "s1"), ("2024-06", "s1"), ("2024-06", "s2"))
    assert all(by_month[key] == NOTHING for key in silent)


def monthly(amounts: list[float], begin: int = 2023, day: int = 1) -> list[dict[str, Any]]:
    """One bill a month, from January on."""
    return [
        bill("ana", f"{begin + n // 12}-{n % 12 + 1:02}-{day if n == 0 else 20:02}", amount)
        for n, amount in enumerate(amounts)
    ]


def amounts_of(frame: DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    return rows_of(frame.filter("measure = 'amount_total' and store_id is null"), "month", *columns)


def test_change_against_the_own_history_by_hand(spark: SparkSession) -> None:
    """Medians of 10, 20, 30 and so on; of the first six 35, from which they are 25, 15, 5, 5, 15, 25 away: 15."""
    table = table_of(spark, monthly([10, 20, 30, 40, 50, 60, 100]), datetime(2023, 7, 31, 12, tzinfo=UTC))
    assert amounts_of(table, "months_before", "usual") == [
        ("2023-01", 0, None),
        ("2023-02", 1, None),
        ("2023-03", 2, None),
        ("2023-04", 3, 20.0),
        ("2023-05", 4, 25.0),
        ("2023-06", 5, 30.0),
        ("2023-07", 6, 35.0),
    ]
    changes = amounts_of(table, "change_pct", "robust_z")
    assert changes[2:4] == [("2023-03", None, None), ("2023-04", 100.0, None)]
    assert changes[6] == ("2023-07", pytest.approx(100 * 65 / 35), pytest.approx(65 / (1.4826 * 15)))


def test_history_is_the_twelve_months_before_and_the_year_before_one_of_them(spark: SparkSession) -> None:
    amounts = [float(7 * n % 31 + 5) for n in range(18)]
    table = table_of(spark, monthly(amounts))
    _, months_before, usual, change, z, year = amounts_of(
        table, "months_before", "usual", "change_pct", "robust_z", "year_change_pct"
    )[-1]
    past = amounts[5:17]
    middle = median(past)
    deviation = median(abs(value - middle) for value in past)
    assert (months_before, usual) == (12, middle)
    assert change == pytest.approx(100 * (amounts[17] - middle) / middle)
    assert z == pytest.approx((amounts[17] - middle) / (1.4826 * deviation))
    assert year == pytest.approx(100 * (amounts[17] - amounts[5]) / amounts[5])


def test_only_months_seen_from_end_to_end_are_compared(spark: SparkSession) -> None:
    rows = monthly([1000, 20, 30, 40, 50, 60, 70, 5], day=2)
    table = table_of(spark, rows, datetime(2023, 8, 21, 12, tzinfo=UTC))
    assert [row[1] for row in amounts_of(table, "is_whole")] == [False, *[True] * 6, False]
    assert amounts_of(table, "months_before", "usual", "change_pct", "robust_z")[-1] == ("2023-08", 6, 45.0, None, None)


@pytest.mark.parametrize(("hour", "newest"), [(21, ("2024-06", True)), (22, ("2024-07", False))])
def test_months_are_those_of_the_customers_clock(spark: SparkSession, hour: int, newest: tuple[str, bool]) -> None:
    """In Madrid the last day of June ends at 22:00 UTC."""
    table = table_of(spark, SPRING, datetime(2024, 6, 30, hour, tzinfo=UTC))
    assert amounts_of(table, "is_whole")[-1] == newest


def test_a_usual_value_of_nothing_gives_no_change(spark: SparkSession) -> None:
    table = table_of(spark, monthly([10, 10, 10, 10, 10, 10, 12]), datetime(2023, 7, 31, 12, tzinfo=UTC))
    assert amounts_of(table, "usual", "change_pct", "robust_z")[-1] == ("2023-07", 10.0, 20.0, None)
    returns = by_measure(table, "change_pct")["2023-07", None]["returns_share_pct"]
    assert returns is None
    assert by_measure(table, "usual")["2023-07", None]["returns_share_pct"] == 0.0


def test_the_figures_of_all_stores_are_those_of_the_report(spark: SparkSession) -> None:
    by_month = by_measure(table_of(spark, list(SHOPPERS)))
    monthly = report(bills_of(spark, SHOPPERS), AS_OF, ZONE, "EUR").filter("section = 'monthly'")
    names = {"EUR": "amount_total", "bills": "bills", "users": "users"}
    for month, unit, value in rows_of(monthly, "name", "unit", "value"):
        assert by_month[month, None][names[unit]] == value
    assert sum(figures["visits"] for figures in by_month.values()) == 5


def test_the_future_changes_nothing(spark: SparkSession) -> None:
    known = rows_of(table_of(spark, [*SHOPPERS, *SPRING]))
    assert rows_of(table_of(spark, [*FUTURE, *SPRING[::-1], *SHOPPERS[::-1]])) == known
    later = table_of(spark, [*SHOPPERS, *FUTURE], datetime(2024, 7, 3, tzinfo=UTC))
    # One of the three bills that the moment did not know of is of the evening of 30 June.
    assert by_measure(later)["2024-07", None]["amount_total"] == 2000.0


def test_no_rows(spark: SparkSession) -> None:
    table = table_of(spark, [])
    assert rows_of(table) == []
    assert plot(table).axes == []


def test_the_picture_says_the_newest_whole_month(spark: SparkSession) -> None:
    table = table_of(spark, monthly([10, 20, 30, 40, 3]), datetime(2023, 5, 21, 12, tzinfo=UTC))
    picture = plot(table)
    titles = {axes.get_title("left").split(":")[0]: axes.get_title("left") for axes in picture.axes}
    assert titles["Net amount"] == "Net amount: 40 EUR\n+100 % from usual"
    assert titles["Active users"] == "Active users: 1\n+0 % from usual"
    assert titles["Returns, of bills"] == "Returns, of bills: 0.0 %\nas usual"
    assert "Discounts, of the price" not in titles
    assert [axes.get_ylabel() for axes in picture.axes][:2] == ["EUR", "bills"]
