from __future__ import annotations

from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

from capflow_assets.features.sequence import TABLE, Params, sequence
from capflow_assets_doubles.engines import rows_of
from capflow_assets_tests.features.basket_rows import lines_of, sold
from capflow_assets_tests.features.shoppers import AS_OF, FUTURE, SHOPPERS, ZONE, bill, bills_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LINES = (
    sold("ana", "2024-06-28", "tea", 10.0),
    sold("ana", "2024-06-28", "tea", 1.0),
    sold("ana", "2024-06-28", "jam", 11.0),
    sold("ana", "2024-06-28", "ñandú", 8.0),
    sold("ana", "2024-06-28", "back", -5.0),
    sold("ana", "2024-04-01", "tea", 20.3),
    sold("ana", "2024-06-05", "back", -5.0),
    sold(None, "2024-06-29", "tea", 99.0),
)
LATE = (sold("ana", "2024-06-30", "late", 1000.0, time(23)), sold("bea", "2024-07-01", "late", 1000.0))


def test_figures_by_hand(spark: SparkSession) -> None:
    """Ana came on 28 June, 3 June, 1 April and 30 June 2023; that of 5 June is a return."""
    table = sequence(bills_of(spark, SHOPPERS), lines_of(spark, LINES), as_of=AS_OF, zone=ZONE)
    assert table.dtypes == [(column.name, column.type) for column in TABLE.columns]
    assert rows_of(table, "user_id", "position", "days_ago", "gap_days", "basket_amount") == [
        ("ana", 1, 2, 25, 30.0),
        ("ana", 2, 27, 63, 40.0),
        ("ana", 3, 90, 276, 20.3),
        ("ana", 4, 366, None, 10.0),
        ("bea", 1, 0, None, 15.0),
        ("dan", 1, 10, None, 0.0),
    ]
    items = rows_of(table.filter("user_id = 'ana'"), "position", "items", "item_amounts")
    assert items == [
        (1, ["jam", "tea", "ñandú"], [11.0, 11.0, 8.0]),
        (2, None, None),
        (3, ["tea"], [20.3]),
        (4, None, None),
    ]


def test_only_the_newest_and_dearest_are_kept(spark: SparkSession) -> None:
    kept = Params(visits=2, items_per_visit=2)
    table = sequence(bills_of(spark, SHOPPERS), lines_of(spark, LINES), as_of=AS_OF, zone=ZONE, params=kept)
    assert rows_of(table.filter("user_id = 'ana'"), "position", "gap_days", "items") == [
        (1, 25, ["jam", "tea"]),
        (2, 63, None),
    ]


def test_the_store_is_the_first_by_name(spark: SparkSession) -> None:
    stores = ("s2", "s1", None)
    rows = [bill("ana", "2024-06-28", 1.0) | {"store_id": store} for store in stores]
    assert rows_of(sequence(bills_of(spark, rows), as_of=AS_OF, zone=ZONE), "store_id", "items") == [("s1", None)]


def test_the_future_changes_nothing(spark: SparkSession) -> None:
    known = rows_of(sequence(bills_of(spark, SHOPPERS), lines_of(spark, LINES), as_of=AS_OF, zone=ZONE))
    bills, lines = bills_of(spark, [*FUTURE, *SHOPPERS[::-1]]), lines_of(spark, [*LATE, *LINES[::-1]])
    assert rows_of(sequence(bills, lines, as_of=AS_OF, zone=ZONE)) == known


def test_many_moments_and_both_engines(spark: SparkSession, jvm: SparkSession) -> None:
    moments = (AS_OF, datetime(2024, 6, 30, 10, tzinfo=UTC), datetime(2024, 7, 3, tzinfo=UTC))

    def rows_at(session: SparkSession, as_of: datetime | tuple[datetime, ...]) -> list[tuple[object, ...]]:
        bills, lines = bills_of(session, [*SHOPPERS, *FUTURE]), lines_of(session, [*LINES, *LATE])
        return rows_of(sequence(bills, lines, as_of=as_of, zone=ZONE))

    together = rows_at(spark, moments)
    assert together == sorted((row for one in moments for row in rows_at(spark, one)), key=repr)
    assert rows_at(jvm, moments) == together


def test_no_rows(spark: SparkSession) -> None:
    assert rows_of(sequence(bills_of(spark, []), lines_of(spark, []), as_of=AS_OF, zone=ZONE)) == []
