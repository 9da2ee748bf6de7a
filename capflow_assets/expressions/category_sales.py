"""Sales of categories in stores: which rows of bills count. One definition for what is learned and what is judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

COLUMNS = ("store_id", "item_id", "billed_at", "billed_on", "quantity", "amount")


def category_sales(line_items: DataFrame, items: DataFrame) -> DataFrame:
    """The rows of clean/line_items that sell an item with a category in a store: ``COLUMNS``, ``category``, ``pieces``.

    Returns, what is no item, and bills that name no store are left out. ``pieces`` is the quantity, to the fourth
    decimal; a row without one is a piece.
    """
    from pyspark.sql import functions as F

    from capflow_assets.expressions.sums import exact

    is_item = F.coalesce(~F.contains("flags", F.lit("not_an_item")), F.lit(True))
    sales = line_items.filter(~F.col("is_return") & is_item & F.col("store_id").isNotNull())
    listed = items.filter(F.col("category").isNotNull()).select("item_id", "category")
    pieces = exact(F.greatest(F.coalesce("quantity", F.lit(1.0)), F.lit(0.0)))
    return sales.select(*COLUMNS).join(listed, "item_id").withColumn("pieces", pieces)
