"""Which recordings customers labelled, and who speaks in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# An intent with fewer recordings is not learned.
LEAST_OF_INTENT = 5


def labelled_recordings(raw_media: DataFrame) -> DataFrame:
    """One row per recording with an intent: ``media_id``, ``intent``, ``speaker``, ``modified_at``.

    The speaker is the user where none is told, and somebody else in each recording where neither is.
    """
    from pyspark.sql import functions as F

    from capflow_assets.expressions.optional_columns import optional

    intent = F.nullif(F.trim(optional(raw_media, "intent", "string")), F.lit(""))
    speaker = F.coalesce(optional(raw_media, "speaker", "string"), optional(raw_media, "user_id", "string"), "media_id")
    rows = raw_media.filter("kind = 'audio'").select(
        "media_id", intent.alias("intent"), speaker.alias("speaker"), "modified_at"
    )
    return rows.filter(F.col("intent").isNotNull()).dropDuplicates(["media_id"])
