"""Pictures held against the list of items."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.contract import Finding
from capflow_assets.expressions.ids import identifier, identifiers

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def pictured_items(raw_media: DataFrame, raw_items: DataFrame, *, at_most_share_pct: float = 5.0) -> Finding:
    """Whether the items that pictures show are on the list of items: at most 5 % of the pictures may name another.

    That share is ``at_most_share_pct``. A picture that names no item counts for none. The sample shows some of those
    that name a missing one.
    """
    from pyspark.sql import functions as F

    item = identifier("item_id").alias("item_id")
    pictures = raw_media.filter((F.col("kind") == "image") & identifier("item_id").isNotNull()).select("media_id", item)
    listed = raw_items.select(*identifiers("item_id")).distinct()
    unknown = pictures.join(listed, "item_id", "left_anti")
    count, missing = pictures.count(), unknown.count()
    share_pct = 100 * missing / count if count else 0.0
    sample = unknown.orderBy("item_id", "media_id").limit(10).collect() if missing else []
    return Finding(
        check="pictured_items",
        passed=share_pct <= at_most_share_pct,
        message=f"{missing:,} of {count:,} pictures ({share_pct:.2f} %) name an item that is not on the list of items; "
        f"at most {at_most_share_pct:g} % may",
        found={"pictures": count, "unknown": missing, "share_pct": share_pct},
        sample=tuple({"media_id": row["media_id"], "item_id": row["item_id"]} for row in sample),
    )
