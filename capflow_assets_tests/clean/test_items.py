from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.clean.items import items
from capflow_assets.raw.items import TABLE as RAW
from capflow_assets_doubles.engines import frame_of, rows_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_the_fullest_row_of_an_item_stays(spark: SparkSession) -> None:
    raw = [
        {"item_id": "tea", "name": "Tea"},
        {"item_id": " tea", "name": "Tea", "brand": "Luna", "colour": "green"},
        {"item_id": "milk", "price": 1.5},
        {"item_id": "milk", "price": 1.5},
        {"item_id": "", "name": "nothing"},
    ]
    for order in (raw, raw[::-1]):
        table = items(frame_of(spark, RAW, order, "colour string"))
        assert rows_of(table, "item_id", "brand", "colour", "removed_because") == [
            ("milk", None, None, "duplicate"),
            ("milk", None, None, None),
            ("tea", "Luna", "green", None),
            ("tea", None, None, "conflicting_duplicate"),
            (None, None, None, "no_item_id"),
        ]


def test_full_beats_first_by_name(spark: SparkSession) -> None:
    raw = [{"item_id": "tea", "name": "A"}, {"item_id": "tea", "name": "Z", "brand": "Luna"}]
    table = items(frame_of(spark, RAW, raw)).filter("removed_because is null")
    assert rows_of(table, "name", "brand") == [("Z", "Luna")]


def test_equally_full_rows_are_decided_by_their_values(spark: SparkSession) -> None:
    raw = [{"item_id": "tea", "name": name} for name in ("Tee", "Çay", "Tea")]
    for order in (raw, raw[::-1]):
        table = items(frame_of(spark, RAW, order)).filter("removed_because is null")
        assert rows_of(table, "name") == [("Tea",)]


def test_no_rows(spark: SparkSession) -> None:
    assert rows_of(items(frame_of(spark, RAW, []))) == []


def test_the_name_that_is_given_most_often_stays_and_several_are_flagged(spark: SparkSession) -> None:
    rows = [("tea", "?"), ("tea", "Tea"), ("tea", "Tea"), ("tea", None), ("milk", "Milk"), ("milk", None)]
    rows += [("", "a"), ("", "b")]
    raw = [{"item_id": item, "name": name} for item, name in rows]
    for order in (raw, raw[::-1]):
        table = items(frame_of(spark, RAW, order))
        assert rows_of(table, "item_id", "name", "flags", "removed_because") == [
            ("milk", "Milk", "", None),
            ("milk", None, "", "conflicting_duplicate"),
            ("tea", "?", "several_descriptions", "conflicting_duplicate"),
            ("tea", "Tea", "several_descriptions", "duplicate"),
            ("tea", "Tea", "several_descriptions", None),
            ("tea", None, "several_descriptions", "conflicting_duplicate"),
            (None, "a", "", "no_item_id"),
            (None, "b", "", "no_item_id"),
        ]


def test_what_is_no_item_says_so_and_stays(spark: SparkSession) -> None:
    rows = [{"item_id": item} for item in ("tea", "post", "post")]
    raw = frame_of(spark, RAW, rows).drop("is_item")
    assert set(rows_of(items(raw), "is_item", "flags")) == {(None, "")}
    said = raw.filter("item_id = 'post'").limit(1).selectExpr("*", "'false' as is_item")
    table = items(raw.selectExpr("*", "cast(null as string) as is_item").unionByName(said))
    assert rows_of(table, "item_id", "is_item", "flags", "removed_because") == [
        ("post", False, "not_an_item", None),
        ("post", None, "not_an_item", "conflicting_duplicate"),
        ("post", None, "not_an_item", "duplicate"),
        ("tea", None, "", None),
    ]
