"""How much of what customers sent has labels to learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.learning.review_labels import LABEL, labelled

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def of_reviews(raw_reviews: DataFrame | None) -> dict[str, float]:
    """How many reviews praise and complain, by their labels or stars; nothing where there are no reviews."""
    from pyspark.sql import functions as F

    if raw_reviews is None:
        return {}
    row = labelled(raw_reviews).agg(F.count(F.lit(1)), F.count(F.when(F.col(LABEL) > 0, 1))).collect()[0]
    return {"reviews_praising": float(row[1]), "reviews_complaining": float(row[0] - row[1])}
