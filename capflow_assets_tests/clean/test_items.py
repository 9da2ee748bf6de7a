from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.clean.items import items
from capflow_assets.raw.items import TABLE as RAW
from capflow_assets_tests.engines import frame_of, rows_of

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
        made = items(frame_of(spark, RAW, order, "colour string"))
        assert rows_of(made, "item_id", "brand", "colour", "removed_because") == [
            ("milk", None, None, "duplicate"),
            ("milk", None, None, None),
            ("tea", "Luna", "green", None),
            ("tea", None, None, "conflicting_duplicate"),
            (None, None, None, "no_item_id"),
        ]


def test_full_beats_first_by_name(spark: SparkSession) -> None:
    raw = [{"item_id": "tea", "name": "A"}, {"item_id": "tea", "name": "Z", "brand": "Luna"}]
    made = items(frame_of(spark, RAW, raw)).filter("removed_because is null")
    assert rows_of(made, "name", "brand") == [("Z", "Luna")]


def test_equally_full_rows_are_decided_by_their_values(spark: SparkSession) -> None:
    raw = [{"item_id": "tea", "name": name} for name in ("Tee", "Çay", "Tea")]
    for order in (raw, raw[::-1]):
        made = items(frame_of(spark, RAW, order)).filter("removed_because is null")
        assert rows_of(made, "name") == [("Tea",)]


def test_no_rows(spark: SparkSession) -> None:
    assert rows_of(items(frame_of(spark, RAW, []))) == []
