"""How much of what customers sent has labels to learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.learning.call_labels import LEAST_OF_INTENT, labelled_recordings
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


def of_recordings(raw_media: DataFrame) -> dict[str, float]:
    """How many recordings are labelled with an intent, and how many intents occur often enough to be learned."""
    from pyspark.sql import functions as F

    counts = labelled_recordings(raw_media).groupBy("intent").agg(F.count(F.lit(1)).alias("recordings"))
    often = F.count(F.when(F.col("recordings") >= LEAST_OF_INTENT, 1))
    row = counts.agg(F.coalesce(F.sum("recordings"), F.lit(0)), often).collect()[0]
    return {"recordings_labelled": float(row[0]), "intents_labelled": float(row[1])}
