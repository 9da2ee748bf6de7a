"""Line items held against the list of items."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.contract import Finding
from capflow_assets.expressions.ids import identifiers

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def known_items(line_items: DataFrame, raw_items: DataFrame, *, at_most_share_pct: float = 5.0) -> Finding:
    """Whether the items that were bought are on the list of items: at most 5 % of the line items may name another.

    That share is ``at_most_share_pct``. The sample shows the missing items that were bought most often.
    """
    from pyspark.sql import functions as F

    # The raw list, because the clean one may be made after the line items in the same run.
    listed = raw_items.select(*identifiers("item_id")).distinct()
    unknown = line_items.join(listed, "item_id", "left_anti").groupBy("item_id").agg(F.count(F.lit(1)).alias("lines"))
    lines = line_items.count()
    missing = unknown.agg(F.count(F.lit(1)), F.coalesce(F.sum("lines"), F.lit(0))).collect()[0]
    share_pct = 100 * missing[1] / lines if lines else 0.0
    sample = unknown.orderBy(F.col("lines").desc(), "item_id").limit(10).collect() if missing[0] else []
    return Finding(
        check="known_items",
        passed=share_pct <= at_most_share_pct,
        message=f"{missing[1]:,} of {lines:,} line items ({share_pct:.2f} %) name an item that is not in the "
        f"catalogue; at most {at_most_share_pct:g} % may",
        found={"line_items": lines, "unknown": missing[1], "items": missing[0], "share_pct": share_pct},
        sample=tuple({"item_id": row["item_id"], "lines": row["lines"]} for row in sample),
    )
