"""Exports that overlap: which rows hold, on both engines. What is right is written down by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F

from capflow_assets.clean.bills import bills
from capflow_assets.clean.items import items
from capflow_assets.clean.line_items import line_items
from capflow_assets.clean.users import users
from capflow_assets.expressions.exports import later
from capflow_assets_doubles.engines import rows_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
MARCH, APRIL, MAY = "2024-03.csv", "2024-04.csv", "2024-05.csv"
LINES = "bill_id string, item_id string, quantity double, amount double, line_no bigint, billed_at timestamp"
EMPTY = "item_name string, user_id string, store_id string, discount double"
HEADS = "bill_id string, user_id string, amount double, billed_at timestamp"


@pytest.fixture(params=["spark", "jvm"])
def engine(request: pytest.FixtureRequest) -> SparkSession:
    session: SparkSession = request.getfixturevalue(request.param)
    return session


def lines(
    session: SparkSession, *rows: tuple[Any, ...], line_no: bool = False, times: dict[str, datetime] | None = None
) -> DataFrame:
    """Raw line items: bill, item, quantity, amount, [line_no,] export."""
    wide = [(*row[:4], row[4] if line_no else None, (times or {}).get(row[-1], NOON), row[-1]) for row in rows]
    frame = session.createDataFrame(wide, f"{LINES}, source_export string")
    return frame.selectExpr("*", *(f"cast(null as {kind}) as {name}" for name, kind in _named(EMPTY)))


def heads(session: SparkSession, *rows: tuple[Any, ...]) -> DataFrame:
    """Raw bills: bill, user, amount, days after noon of the first of March, export."""
    wide = [(*row[:3], NOON + timedelta(days=row[3]), row[4]) for row in rows]
    frame = session.createDataFrame(wide, f"{HEADS}, source_export string")
    nothing = _named("store_id string, discount double, quantity double")
    return frame.selectExpr("*", *(f"cast(null as {kind}) as {name}" for name, kind in nothing))


def _named(columns: str) -> list[list[str]]:
    return [group.split() for group in columns.split(", ")]


def outcome(raw: DataFrame, *names: str, said: bool = False, **how: Any) -> list[tuple[Any, ...]]:
    table = line_items(raw, zone="UTC", ordered_exports=["line_items"] if said else [], **how)
    return rows_of(table, *names, "removed_because")


def test_the_later_export_holds_for_the_whole_bill(engine: SparkSession) -> None:
    """Of `milk 2,10` and a bread in March, April makes `milk 1,5`: 5 and one piece; the bread was taken out."""
    raw = lines(
        engine,
        ("t1", "milk", 2.0, 10.0, MARCH),
        ("t1", "bread", 1.0, 2.0, MARCH),
        ("t1", "egg", 1.0, 3.0, MARCH),
        ("t1", "milk", 1.0, 5.0, APRIL),
        ("t1", "egg", 1.0, 3.0, APRIL),
        ("t2", "milk", 2.0, 10.0, MARCH),
        ("t3", "milk", 2.0, 10.0, APRIL),
    )
    for said, reason in ((True, "earlier_export"), (False, "earlier_by_file_name")):
        assert outcome(raw, "bill_id", "item_id", "quantity", "amount", said=said) == [
            ("t1", "bread", 1.0, 2.0, reason),
            ("t1", "egg", 1.0, 3.0, "repeated_export"),
            ("t1", "egg", 1.0, 3.0, None),
            ("t1", "milk", 1.0, 5.0, None),
            ("t1", "milk", 2.0, 10.0, reason),
            ("t2", "milk", 2.0, 10.0, None),
            ("t3", "milk", 2.0, 10.0, None),
        ]


def test_an_export_that_is_sent_twice_counts_once_and_its_equal_lines_stay(spark: SparkSession) -> None:
    """Three scans of milk and a bread, sent as two files: 5.30. Of three scans that became two, one was taken out."""
    bill = [("t1", "milk", 1.0, 1.1)] * 3 + [("t1", "bread", 1.0, 2.0)]
    twice = lines(spark, *((*row, file) for file in (MARCH, APRIL) for row in bill))
    for said in (True, False):
        rows = outcome(twice, "item_id", "amount", said=said)
        assert [row for row in rows if row[-1] is None] == [("bread", 2.0, None), *[("milk", 1.1, None)] * 3]
        assert [row[-1] for row in rows if row[-1]] == ["repeated_export"] * 4
    fewer = lines(spark, *((*row, MARCH) for row in bill), *((*row, APRIL) for row in bill[1:]))
    assert outcome(fewer, "item_id", said=True) == [
        ("bread", "repeated_export"),
        ("bread", None),
        ("milk", "earlier_export"),
        ("milk", "repeated_export"),
        ("milk", "repeated_export"),
        ("milk", None),
        ("milk", None),
    ]


def test_a_bill_of_parts_with_no_line_in_common_loses_none(spark: SparkSession) -> None:
    """Nobody says which file is later: a bill over midnight, or over two files, stays whole and is flagged."""
    raw = lines(
        spark,
        ("t1", "milk", 1.0, 5.0, MARCH),
        ("t1", "bread", 1.0, 2.0, APRIL),
        ("t2", "milk", 1.0, 5.0, APRIL),
    )
    assert outcome(raw, "bill_id", "item_id", "flags") == [
        ("t1", "bread", "anonymous,several_exports", None),
        ("t1", "milk", "anonymous,several_exports", None),
        ("t2", "milk", "anonymous", None),
    ]
    at = {MARCH: datetime(2024, 3, 31, 23, 59, tzinfo=UTC), APRIL: datetime(2024, 4, 1, 0, 1, tzinfo=UTC)}
    night = lines(spark, ("t1", "milk", 1.0, 5.0, MARCH), ("t1", "milk", 1.0, 5.0, APRIL), times=at)
    assert [row[-1] for row in outcome(night, "item_id")] == [None, None]
    assert sorted(map(str, (row[-1] for row in outcome(night, "item_id", said=True)))) == ["None", "earlier_export"]


def test_a_line_number_tells_which_line_was_edited(spark: SparkSession) -> None:
    """The item of line 1 was exchanged: April's word; lines 2 and 3 in two files are two."""
    raw = lines(
        spark,
        ("t1", "milk", 1.0, 5.0, 1, MARCH),
        ("t1", "oat milk", 1.0, 6.0, 1, APRIL),
        ("t2", "milk", 1.0, 5.0, 2, MARCH),
        ("t2", "milk", 1.0, 5.0, 3, APRIL),
        line_no=True,
    )
    assert outcome(raw, "bill_id", "item_id") == [
        ("t1", "milk", "earlier_by_file_name"),
        ("t1", "oat milk", None),
        ("t2", "milk", None),
        ("t2", "milk", None),
    ]


def test_numbers_that_come_again_in_two_files_are_no_versions(spark: SparkSession) -> None:
    """Bill 1 of Berlin and bill 1 of Paris, told apart by store or user: nothing of them goes without a word."""
    raw = lines(spark, ("t1", "milk", 1.0, 5.0, MARCH), ("t1", "milk", 1.0, 6.0, APRIL))
    for name in ("user_id", "store_id"):
        marked = raw.withColumn(name, F.substring("source_export", 6, 2))
        assert [row[-1] for row in outcome(marked, "item_id", name)] == [None, None]
        known = heads(spark, ("1", None, 10.0, 0, MARCH), ("1", None, 4.0, 0, APRIL))
        table = bills(known.withColumn(name, F.substring("source_export", 6, 2)), zone="UTC")
        assert [row[0] for row in rows_of(table, "removed_because")] == ["conflicting_duplicate", None]


def test_of_a_bills_heads_the_latest_holds(spark: SparkSession) -> None:
    """10 in March, 4 in April: 4, in whatever order the rows come. A number of another day is another bill."""
    raw = heads(
        spark,
        ("1", "c1", 4.0, 0, APRIL),
        ("1", "c1", 10.0, 0, MARCH),
        ("2", "c2", 3.0, 0, MARCH),
        ("2", "c2", 3.0, 0, APRIL),
        ("3", "c3", 5.0, 0, MARCH),
        ("3", "c9", 6.0, 30, APRIL),
    )
    moved = ("3", "c9", 6.0)
    for said, (held, reason) in ((True, (6.0, "earlier_export")), (False, (5.0, "conflicting_duplicate"))):
        table = bills(raw, zone="UTC", ordered_exports=["bills"] if said else [])
        assert rows_of(table.where("removed_because is null"), "bill_id", "amount") == [
            ("1", 4.0),
            ("2", 3.0),
            ("3", held),
        ]
        gone = rows_of(table.where("removed_because is not null"), "bill_id", "user_id", "amount", "removed_because")
        third = ("3", "c3", 5.0, reason) if said else (*moved, reason)
        first = ("1", "c1", 10.0, "earlier_export" if said else "earlier_by_file_name")
        assert gone == [first, ("2", "c2", 3.0, "repeated_export"), third]


def test_the_heads_that_lines_ask_are_the_latest_too(spark: SparkSession) -> None:
    known = heads(spark, ("t1", "ana", 5.0, 0, MARCH), ("t1", "bea", 5.0, 0, APRIL))
    raw = lines(spark, ("t1", "milk", 1.0, 5.0, MARCH)).drop("source_export")
    assert rows_of(line_items(raw, known, zone="UTC", ordered_exports=["bills"]), "user_id") == [("bea",)]


def test_of_users_and_items_the_latest_holds_though_an_earlier_is_fuller(spark: SparkSession) -> None:
    listed = spark.createDataFrame(
        [("ana", None, "gold", MARCH), (" ana ", None, None, APRIL), ("bea", None, "tin", MARCH)],
        "user_id string, joined_at timestamp, tier string, source_export string",
    )
    table = users(listed)
    assert "source_export" not in table.columns
    assert rows_of(table, "user_id", "tier", "removed_because") == [
        ("ana", "gold", "earlier_export"),
        ("ana", None, None),
        ("bea", "tin", None),
    ]
    given = [("i1", "Tea", "old", MARCH), ("i1", "Tea", None, APRIL), ("i2", "Egg", None, MARCH)]
    given += [("i2", "Egg", None, APRIL)]
    names = ("description", "department", "category", "subcategory", "brand", "size")
    catalogue = spark.createDataFrame(given, "item_id string, name string, colour string, source_export string")
    catalogue = catalogue.selectExpr(
        "*", *(f"cast(null as string) as {name}" for name in names), "cast(null as boolean) as own_brand",
        "cast(null as double) as price",
    )  # fmt: skip
    table = items(catalogue)
    assert "source_export" not in table.columns
    assert rows_of(table, "item_id", "colour", "removed_because") == [
        ("i1", "old", "earlier_export"),
        ("i1", None, None),
        ("i2", None, "repeated_export"),
        ("i2", None, None),
    ]


def test_exports_are_ordered_as_people_order_names(engine: SparkSession) -> None:
    names = ["export-9.csv", "export-10.csv", "Export-11.csv", "export-010.csv", "", "2024/3/b.csv", "2024/12/a.csv"]
    names += ["2024-05-02T10:00:00.000001 z.csv", "2024-05-02T10:00:00.000002 a.csv"]
    frame = engine.createDataFrame([(name,) for name in names], "source_export string")
    assert [row[0] for row in frame.orderBy(later()).collect()] == [
        "",
        "2024-05-02T10:00:00.000001 z.csv",
        "2024-05-02T10:00:00.000002 a.csv",
        "2024/3/b.csv",
        "2024/12/a.csv",
        "export-9.csv",
        "export-010.csv",
        "export-10.csv",
        "Export-11.csv",
    ]
