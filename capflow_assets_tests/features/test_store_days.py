from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from capflow_assets.features.store_days import HISTORY_DAYS, TABLE, plot, store_days
from capflow_assets_doubles.engines import rows_of
from capflow_assets_tests.features.shoppers import AS_OF, ZONE, bill, bills_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

COLUMNS = ("store_id", "day", "bills", "amount")


def sale(
    store: str | None, day: str, amount: float = 1.0, at: time = time(12), user: str | None = "ana"
) -> dict[str, Any]:
    return bill(user, day, amount, at) | {"store_id": store}


def june(day: int) -> date:
    return date(2024, 6, day)


def test_figures_by_hand(spark: SparkSession) -> None:
    """A sells on the 26th and 28th, B closed after the 27th; a return and a bill without a store do not count."""
    rows = [sale("A", "2024-06-26", 0.1), sale("A", "2024-06-26", 0.2, user=None), sale("A", "2024-06-28", 5.0)]
    rows += [sale("A", "2024-06-27", -3.0), sale("B", "2024-06-27", 0.0), sale(None, "2024-06-29", 9.0)]
    rows += [sale("C", "2024-06-27", -9.0), sale("A", "2024-07-01", 7.0)]
    table = store_days(bills_of(spark, rows), as_of=AS_OF, zone=ZONE)
    assert table.dtypes == [(column.name, column.type) for column in TABLE.columns]
    assert rows_of(table, *COLUMNS) == [
        ("A", june(26), 2, 0.3),
        ("A", june(27), 0, 0.0),
        ("A", june(28), 1, 5.0),
        ("B", june(27), 1, 0.0),
        ("B", june(28), 0, 0.0),
    ]


def test_days_are_those_of_the_customers_clock_over_its_change(spark: SparkSession) -> None:
    """On 31 March Madrid has 23 hours: each of these bills is 24 hours after the one before but one."""
    rows = [sale("A", f"2024-{day}", at=time(23, 30)) for day in ("03-29", "03-30", "03-31", "04-01")]
    table = store_days(bills_of(spark, rows), as_of=AS_OF, zone=ZONE)
    assert [(day, bills) for _, day, bills, _ in rows_of(table, *COLUMNS)] == [
        (date(2024, 3, 29), 1),
        (date(2024, 3, 30), 1),
        (date(2024, 3, 31), 1),
        (date(2024, 4, 1), 1),
    ]


def test_each_moment_has_its_own_last_day(spark: SparkSession) -> None:
    rows = [sale("A", "2024-06-01"), sale("B", "2024-06-02"), sale("A", "2024-06-04")]
    early, late = datetime(2024, 6, 3, tzinfo=UTC), datetime(2024, 6, 10, tzinfo=UTC)
    table = store_days(bills_of(spark, rows), as_of=[late, early], zone=ZONE)
    at = {moment: rows_of(table.filter(table.as_of == moment), "store_id", "day", "bills") for moment in (early, late)}
    assert at[early] == [("A", june(1), 1), ("A", june(2), 0), ("B", june(2), 1)]
    assert at[late] == [
        ("A", june(1), 1),
        ("A", june(2), 0),
        ("A", june(3), 0),
        ("A", june(4), 1),
        ("B", june(2), 1),
        ("B", june(3), 0),
        ("B", june(4), 0),
    ]


def test_history_is_bounded_and_a_store_without_a_purchase_in_it_is_left_out(spark: SparkSession) -> None:
    last = june(28)
    first = last - timedelta(days=HISTORY_DAYS - 1)
    old = (first - timedelta(days=1)).isoformat()
    rows = [sale("A", old), sale("A", first.isoformat()), sale("A", "2024-06-28"), sale("old", old)]
    days = sorted(rows_of(store_days(bills_of(spark, rows), as_of=AS_OF, zone=ZONE), *COLUMNS))
    assert [days[0][:3], days[-1][:3]] == [("A", first, 1), ("A", last, 1)]
    assert [day for _, day, _, _ in days] == [first + timedelta(days=n) for n in range(HISTORY_DAYS)]
    assert sum(bills for _, _, bills, _ in days) == 2


def test_without_a_store_there_is_no_row(spark: SparkSession) -> None:
    rows = [sale(None, "2024-06-28"), sale("A", "2024-06-28", -1.0)]
    assert rows_of(store_days(bills_of(spark, rows), as_of=AS_OF, zone=ZONE), *COLUMNS) == []


def test_the_plot_shows_each_day(spark: SparkSession) -> None:
    rows = [sale("A", "2024-06-26"), sale("B", "2024-06-28"), sale("A", "2024-06-28")]
    (axes,) = plot(store_days(bills_of(spark, rows), as_of=AS_OF, zone=ZONE)).axes
    assert list(axes.lines[0].get_ydata()) == [1, 0, 2]
    assert axes.get_title() == "Bills of 2 stores over 3 days"
