"""How far items and users are covered: descriptions, files, purchases in common."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from capflow_assets.expressions.ids import identifiers

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

USABLE_WORDS = 3
NO_CATEGORY = "no category"
# Engines differ in what else they take for white space.
SPACE = "[ \\t\\r\\n\u00a0]+"
KINDS = ("image", "audio")

Rows = Iterator[tuple[str, str | None, float | None]]


def words(text: str) -> Column:
    """How many words a text column has; a word has a letter. 0 for null."""
    from pyspark.sql import functions as F

    parts = F.filter(F.split(F.coalesce(text, F.lit("")), SPACE), lambda part: part.rlike("\\p{L}"))
    return F.size(parts)


def item_coverage(items: DataFrame | None, media: DataFrame | None) -> Rows:
    """Descriptions and files of the items: measure, category (null: all together), value."""
    from pyspark.sql import functions as F

    if items is None:
        return
    described = items.select(
        "item_id", F.coalesce("category", F.lit(NO_CATEGORY)).alias("category"), words("description").alias("words")
    )
    described = described if media is None else _with_files(described, media, "item_id")
    files = [] if media is None else [F.count(F.when(F.col(f"has_{kind}"), 1)).alias(kind) for kind in KINDS]
    counted = described.groupBy("category").agg(
        F.count(F.lit(1)).alias("items"),
        F.count(F.when(F.col("words") >= USABLE_WORDS, 1)).alias("usable"),
        F.count(F.when(F.col("words") > 0, 1)).alias("described"),
        F.sum("words").alias("words"),
        *files,
    )
    groups = {row["category"]: row.asDict() for row in counted.collect()}
    names = [name for name in ("items", "usable", "described", "words", *KINDS) if name in counted.columns]
    together = {name: sum(group[name] for group in groups.values()) for name in names}
    yield "categories", None, float(len(groups.keys() - {NO_CATEGORY}))
    for category, group in [(None, together), *sorted(groups.items())]:
        yield "items", category, float(group["items"])
        yield "attribute_fill_share", category, _share(group["usable"], group["items"])
        yield "description_words_avg", category, _share(group["words"], group["described"])
        for kind in KINDS:
            if kind in group:
                yield f"items_with_{kind}_share", category, _share(group[kind], group["items"])


def launches(items: DataFrame | None, line_items: DataFrame | None, quarter_began: datetime) -> Rows:
    """How many listed items were first sold after a moment, and how many never were, whoever bought."""
    from pyspark.sql import functions as F

    if items is None or line_items is None:
        return
    sold = line_items.groupBy("item_id").agg(F.min("billed_at").alias("first"))
    row: Any = (
        items.select("item_id")
        .join(sold, "item_id", "left")
        .agg(
            F.count(F.when(F.col("first") > F.lit(quarter_began), 1)).alias("new"),
            F.count(F.when(F.col("first").isNull(), 1)).alias("unsold"),
        )
        .collect()[0]
    )
    yield "new_items_91d", None, float(row["new"])
    yield "unsold_items", None, float(row["unsold"])


def user_files(users: DataFrame | None, media: DataFrame | None) -> Rows:
    """How many users have a file of each kind: measure, category (null), value."""
    from pyspark.sql import functions as F

    if users is None or media is None:
        return
    with_files = (F.count(F.when(F.col(f"has_{kind}"), 1)) for kind in KINDS)
    total, *counts = (
        _with_files(users.select("user_id"), media, "user_id").agg(F.count(F.lit(1)), *with_files).collect()[0]
    )
    for kind, count in zip(KINDS, counts, strict=True):
        yield f"users_with_{kind}_share", None, _share(count, total)


def _with_files(frame: DataFrame, media: DataFrame, key: str) -> DataFrame:
    """The same rows, with ``has_image`` and ``has_audio``: whether a file of that kind is linked to them."""
    from pyspark.sql import functions as F

    linked = media.select(*identifiers(key), "kind").filter(F.col(key).isNotNull())
    by_key = linked.groupBy(key).agg(*(F.max(F.col("kind") == kind).alias(f"has_{kind}") for kind in KINDS))
    return frame.join(by_key, key, "left")


def overlap(line_items: DataFrame | None) -> Rows:
    """How much the purchases of users have in common, in one pass over the pairs of a user and an item."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    if line_items is None:
        return
    pairs = (
        line_items.filter(F.col("user_id").isNotNull() & ~F.col("is_return")).select("user_id", "item_id").distinct()
    )
    of_item = Window.partitionBy("item_id")
    marked = pairs.withColumn("buyers", F.count(F.lit(1)).over(of_item)).withColumn(
        # One pair stands for its item, so that items are counted in the same pass.
        "is_first",
        F.col("user_id") == F.min("user_id").over(of_item),
    )
    is_shared = F.col("buyers") > 1
    per_user = marked.groupBy("user_id").agg(
        F.count(F.lit(1)).alias("cells"),
        F.count(F.when(is_shared, 1)).alias("shared"),
        F.count(F.when(F.col("is_first"), 1)).alias("items"),
        F.count(F.when(F.col("is_first") & is_shared, 1)).alias("shared_items"),
    )
    row: Any = per_user.agg(
        F.count(F.lit(1)).alias("users"),
        F.coalesce(F.sum("cells"), F.lit(0)).alias("cells"),
        F.count(F.when(F.col("shared") > 1, 1)).alias("sharing"),
        F.coalesce(F.sum("items"), F.lit(0)).alias("items"),
        F.coalesce(F.sum("shared_items"), F.lit(0)).alias("shared_items"),
    ).collect()[0]
    yield "user_item_cells", None, float(row["cells"])
    yield "user_item_density_share", None, _share(row["cells"], row["users"] * row["items"])
    yield "overlapping_users_share", None, _share(row["sharing"], row["users"])
    yield "overlapping_items_share", None, _share(row["shared_items"], row["items"])


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
