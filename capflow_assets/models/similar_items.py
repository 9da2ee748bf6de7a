"""Which items are like each item: the nearest by what is bought together, by their texts and by their pictures.

Each part is a vector per item; items are as alike as the weighted sum of the parts' cosines
(``learning.item_likeness``), and the weights are those that would have served best at a past moment. A customer without
texts or pictures has the parts that are there. It is judged by what is bought together afterwards; what it finds for
items that nobody had bought yet is told apart.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import Field

from capflow_assets.contract import Candidate, Column, Horizon, Needs, Reads, Subject
from capflow_assets.learning.item_likeness import LINE_COLUMNS
from capflow_assets.learning.likeness_estimators import (
    BILLS,
    CAME,
    OTHER,
    Alike,
    BoughtTogether,
    Fused,
    PopularOfCategory,
)
from capflow_assets.learning.objectives.ranked_list import TOP
from capflow_assets.learning.objectives.vector import nearest_model

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

LINES, ITEMS, TEXT, PICTURES = "clean/line_items", "clean/items", "features/text", "features/item_pictures"
# Of an item, so many others that stand on most bills with it are what was bought together.
MOST_TOGETHER = 20


class SimilarItemsParams(Horizon):
    """What a person may set for similar items."""

    moments: int = Field(3, ge=2, le=24, description="How many past as-of moments make the examples.")
    items: int = Field(10, ge=TOP, le=100, description="How many items an item's list has.")
    most_items: int = Field(
        20_000, ge=TOP, le=1_000_000, description="So many items have a list and may stand on one: those on most bills."
    )


def outcome(line_items: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """Which items stand on one bill in the horizon.

    Of each item with company on a bill in ``(start, end]`` the ``MOST_TOGETHER`` others on most bills with it, ties by
    their ids: ``item_id``, ``like_item_id``, ``together_bills``. Returns and what is no item do not count.
    """
    import pyspark.sql.functions as F
    from pyspark.sql import Window

    is_within = (F.col("billed_at") > F.lit(start)) & (F.col("billed_at") <= F.lit(end))
    stands = line_items.where(is_within & _is_bought()).select("bill_id", "item_id").distinct()
    others = stands.select("bill_id", F.col("item_id").alias(OTHER))
    pairs = stands.join(others, "bill_id").where(F.col("item_id") != F.col(OTHER)).groupBy("item_id", OTHER)
    together = pairs.agg(F.count(F.lit(1)).cast("double").alias(CAME))
    place = F.row_number().over(Window.partitionBy("item_id").orderBy(F.desc(CAME), OTHER))
    return together.withColumn("place", place).where(F.col("place") <= MOST_TOGETHER).drop("place")


def known(line_items: DataFrame, params: SimilarItemsParams, items: DataFrame | None = None) -> DataFrame:
    """Every item that was bought or is listed: ``item_id``; of more than ``most_items`` those on most bills.

    The others have no list (``learning.item_likeness``), and are not asked about.
    """
    import pyspark.sql.functions as F

    bought = line_items.where(_is_bought()).groupBy("item_id").agg(F.countDistinct("bill_id").alias("bills"))
    if items is not None:
        listed = items.where(~F.contains("flags", F.lit("not_an_item"))).select("item_id", F.lit(0).alias("bills"))
        bought = bought.unionByName(listed).groupBy("item_id").agg(F.max("bills").alias("bills"))
    return bought.orderBy(F.col("bills").desc(), "item_id").limit(params.most_items).select("item_id")


def _is_bought() -> Expression:
    import pyspark.sql.functions as F

    return ~F.col("is_return") & F.coalesce(~F.contains("flags", F.lit("not_an_item")), F.lit(True))


MODEL = nearest_model(
    question="Which items are like each item?",
    needs=Needs(tables=("clean/bills", LINES), history_days=90, users=100, evidence={"user_item_cells": 1000}),
    subject=Subject("item", ("item_id",), known=known),
    reads=(
        Reads(LINES, LINE_COLUMNS, "frame"),
        Reads(ITEMS, ("item_id", "category", "flags"), "frame", optional=True),
        Reads(TEXT, ("item_id", "embedding"), "frame", optional=True),
        Reads(PICTURES, ("item_id", "embedding"), "frame", optional=True),
    ),
    outcome=outcome,
    other=OTHER,
    together=CAME,
    parts={
        "bills": "on one bill",
        "users": "by the same users",
        "text": "by what they are said to be",
        "pictures": "by how they look",
    },
    times_bought=Column(BILLS, "bigint", "Bills with the item so far.", required=True, at_least=0),
    params=SimilarItemsParams,
    candidates=(
        Candidate("fused", Fused),
        Candidate("bought together", BoughtTogether),
        Candidate("text and picture", Alike),
        Candidate("the most popular of the category", PopularOfCategory, is_baseline=True),
    ),
)
