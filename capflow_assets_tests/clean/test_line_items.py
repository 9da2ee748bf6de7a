from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from capflow_assets.clean.bills import bills
from capflow_assets.clean.line_items import TABLE, line_items
from capflow_assets.raw.bills import TABLE as RAW_BILLS
from capflow_assets.raw.items import TABLE as RAW_ITEMS
from capflow_assets.raw.line_items import TABLE as RAW
from capflow_assets_doubles.engines import frame_of, rows_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ZONE = "Europe/Madrid"
NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
LATER = datetime(2024, 6, 1, 13, tzinfo=UTC)


def line(
    number: str | None, item: str | None, amount: float | None = 1.0, at: datetime | None = NOON, **more: object
) -> dict:
    return {"bill_id": number, "item_id": item, "amount": amount, "quantity": 1.0, "billed_at": at, **more}


def test_odd_lines_are_flagged_and_stay(spark: SparkSession) -> None:
    raw = [
        line("b1", "milk", user_id="ana"),
        line("b1", "tea", 0.0, user_id="ana"),
        line("b1", "fuel", 5.0, quantity=0.0, user_id="ana"),
        line("b1", "void", 0.0, quantity=0.0, user_id="ana"),
        line("b1", "ghost", 2.0, user_id="ana"),
    ]
    catalogue = frame_of(spark, RAW_ITEMS, [{"item_id": name} for name in ("milk", " tea ", "fuel", "void", "fuel")])
    table = line_items(frame_of(spark, RAW, raw), raw_items=catalogue, zone=ZONE)
    assert table.columns == [*TABLE.names, "removed_because"]
    assert rows_of(table, "item_id", "flags", "removed_because") == [
        ("fuel", "zero_quantity", None),
        ("ghost", "unknown_item", None),
        ("milk", "", None),
        ("tea", "zero_amount", None),
        ("void", "zero_quantity,zero_amount", None),
    ]
    without = line_items(frame_of(spark, RAW, raw), zone=ZONE)
    assert dict(rows_of(without, "item_id", "flags"))["ghost"] == ""


def test_what_goes_back_and_who_is_unknown_is_flagged(spark: SparkSession) -> None:
    raw = [
        line("b1", "credit note", -2.0, quantity=-1.0, user_id="ana"),
        line("b1", "written off", 0.0, quantity=-1.0),
        line("b1", "bad debt", -9.0, user_id="ana"),
        line("b1", "weighed nothing", None, quantity=None, user_id="ana"),
        line("b1", "sold", user_id=" "),
    ]
    table = line_items(frame_of(spark, RAW, raw), zone=ZONE)
    assert dict(rows_of(table, "item_id", "flags")) == {
        "credit note": "negative_quantity,cancellation",
        "written off": "anonymous,zero_amount,negative_quantity",
        "bad debt": "negative_price",
        "weighed nothing": "",
        "sold": "anonymous",
    }


@pytest.mark.parametrize("kind", ["boolean", "string"])
def test_the_catalogue_says_what_is_no_item(spark: SparkSession, kind: str) -> None:
    said = [("tea", None), ("post", False), ("post", True), ("milk", True), (" fee ", False)]
    if kind == "string":
        said = [(item, None if truth is None else str(truth).lower()) for item, truth in said]
    catalogue = spark.createDataFrame(said, f"item_id string, is_item {kind}")
    raw = [line("b1", item, user_id="ana") for item in ("tea", "post", "milk", "fee", "ghost")]
    table = line_items(frame_of(spark, RAW, raw), raw_items=catalogue, zone=ZONE)
    assert dict(rows_of(table, "item_id", "flags")) == {
        "tea": "",
        "post": "not_an_item",
        "milk": "",
        "fee": "not_an_item",
        "ghost": "unknown_item",
    }


def test_rows_that_call_the_item_otherwise_are_no_copies(spark: SparkSession) -> None:
    raw = frame_of(spark, RAW, [line("b1", "tea") for _ in range(3)]).drop("item_name")
    table = line_items(raw, zone=ZONE, equal_lines="drop")
    assert [reason for (reason,) in rows_of(table, "removed_because")].count("duplicate") == 2
    named = raw.limit(2).unionByName(raw.limit(1)).selectExpr("*", "cast(null as string) as item_name")
    other = raw.limit(1).selectExpr("*", "'Green tea' as item_name")
    table = line_items(named.unionByName(other), zone=ZONE, equal_lines="drop")
    assert rows_of(table, "line_no", "item_name", "removed_because") == [
        (1, "Green tea", None),
        (2, None, "duplicate"),
        (2, None, "duplicate"),
        (2, None, None),
    ]


def test_returns_are_marked_and_stay(spark: SparkSession) -> None:
    raw = [
        line("b1", "a", -1.0),
        line("b1", "b", 1.0, quantity=-1.0),
        line("b1", "c", 1.0),
        line("b1", "d", quantity=None),
    ]
    table = line_items(frame_of(spark, RAW, raw), zone=ZONE)
    assert rows_of(table, "item_id", "is_return") == [("a", True), ("b", True), ("c", False), ("d", False)]


def test_equal_lines_stay_and_are_flagged(spark: SparkSession) -> None:
    """Three scans of milk at 1.10 and one bread at 2.00 are 5.30, in whatever order they come."""
    raw = [line("t1", "milk", 1.1) for _ in range(3)] + [line("t1", "bread", 2.0), line("t2", "milk", 1.1)]
    for order in (raw, raw[::-1]):
        table = line_items(frame_of(spark, RAW, order), zone=ZONE)
        assert rows_of(table, "bill_id", "line_no", "item_id", "amount", "flags", "removed_because") == [
            ("t1", 1, "bread", 2.0, "anonymous", None),
            ("t1", 2, "milk", 1.1, "anonymous", None),
            ("t1", 3, "milk", 1.1, "anonymous,repeated", None),
            ("t1", 4, "milk", 1.1, "anonymous,repeated", None),
            ("t2", 1, "milk", 1.1, "anonymous", None),
        ]
        (of_bill, of_other) = (
            bills(line_items=table.where("removed_because is null"), zone=ZONE).orderBy("bill_id").collect()
        )
        assert (of_bill.amount, of_bill.quantity, of_bill.line_items, of_other.amount) == (5.3, 4.0, 4, 1.1)


def test_rows_of_one_number_are_one_row_sent_twice(spark: SparkSession) -> None:
    """Equal ones are copies; of others the earliest stays; the number orders the rows; without one, all stay."""
    raw = [
        line("b1", "tea", line_no=20),
        line("b1", "tea", line_no=20),
        line("b1", "milk", line_no=100),
        line("b1", "milk", 5.0, LATER, line_no=100),
        line("b1", "tea", line_no=0),
        line("b1", "egg"),
        line("b1", "egg"),
        line("b2", "tea", line_no=20),
    ]
    for order in (raw, raw[::-1]):
        table = line_items(frame_of(spark, RAW, order), zone=ZONE)
        kept = table.where("removed_because is null")
        assert rows_of(kept, "bill_id", "line_no", "item_id", "amount", "flags") == [
            ("b1", 1, "tea", 1.0, "anonymous"),
            ("b1", 2, "tea", 1.0, "anonymous"),
            ("b1", 4, "milk", 1.0, "anonymous"),
            ("b1", 6, "egg", 1.0, "anonymous"),
            ("b1", 7, "egg", 1.0, "anonymous,repeated"),
            ("b2", 1, "tea", 1.0, "anonymous"),
        ]
        removed = table.where("removed_because is not null")
        assert rows_of(removed, "item_id", "amount", "removed_because") == [
            ("milk", 5.0, "conflicting_duplicate"),
            ("tea", 1.0, "duplicate"),
        ]


def test_copies_are_removed_and_lines_numbered_whatever_their_order(spark: SparkSession) -> None:
    raw = [line("b1", "tea"), line("b1", "milk"), line("b1", "tea"), line("b1", "tea", 2.0), line("b2", "tea")]
    for order in (raw, raw[::-1]):
        table = line_items(frame_of(spark, RAW, order), zone=ZONE, equal_lines="drop")
        assert rows_of(table, "bill_id", "line_no", "item_id", "amount", "removed_because") == [
            ("b1", 1, "milk", 1.0, None),
            ("b1", 2, "tea", 1.0, "duplicate"),
            ("b1", 2, "tea", 1.0, None),
            ("b1", 3, "tea", 2.0, None),
            ("b2", 1, "tea", 1.0, None),
        ]


def test_the_bill_tells_what_the_line_leaves_out(spark: SparkSession) -> None:
    heads = [
        {"bill_id": "b1", "user_id": "ana", "store_id": "s1", "billed_at": NOON, "amount": 1.0},
        {"bill_id": "b1", "user_id": "bea", "store_id": "s1", "billed_at": LATER, "amount": 1.0},
    ]
    raw = [
        line(" b1", "tea", at=None),
        line("b1", "milk", user_id="cem", store_id="s2"),
        line("b9", "tea", at=None),
        line("b8", "tea"),
    ]
    table = line_items(frame_of(spark, RAW, raw), frame_of(spark, RAW_BILLS, heads), zone=ZONE)
    assert rows_of(table, "bill_id", "item_id", "user_id", "store_id", "billed_at", "flags", "removed_because") == [
        ("b1", "milk", "cem", "s2", "2024-06-01 12:00:00", "", None),
        ("b1", "tea", "ana", "s1", "2024-06-01 12:00:00", "", None),
        ("b8", "tea", None, None, "2024-06-01 12:00:00", "anonymous,unknown_bill", None),
        ("b9", "tea", None, None, None, "anonymous,unknown_bill", "no_time"),
    ]


def test_what_no_line_can_lack_is_set_aside(spark: SparkSession) -> None:
    raw = [
        line(None, "tea"),
        line("b1", " "),
        line("b1", "tea", None),
        line("b1", "tea", at=None),
        line("b1", "tea", float("inf")),
    ]
    table = line_items(frame_of(spark, RAW, raw), zone=ZONE)
    reasons = ["no_amount", "no_amount", "no_bill_id", "no_item_id", "no_time"]
    assert sorted(reason for (reason,) in rows_of(table, "removed_because")) == reasons


def test_no_rows(spark: SparkSession) -> None:
    empty, heads, items = (frame_of(spark, table, []) for table in (RAW, RAW_BILLS, RAW_ITEMS))
    for table in (line_items(empty, zone=ZONE), line_items(empty, heads, items, zone=ZONE)):
        assert rows_of(table) == []
        assert dict(table.dtypes).items() >= {column.name: column.type for column in TABLE.columns}.items()


def test_a_row_long_after_its_bill_is_another_bills(spark: SparkSession) -> None:
    days = [NOON, NOON + timedelta(hours=24), NOON + timedelta(hours=24, seconds=1)]
    table = line_items(frame_of(spark, RAW, [line("b1", f"i{n}", at=at) for n, at in enumerate(days)]), zone=ZONE)
    assert rows_of(table, "item_id", "removed_because") == [
        ("i0", None),
        ("i1", None),
        ("i2", "later_than_its_bill"),
    ]
