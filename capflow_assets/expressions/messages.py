"""What a message to a user is, for all blocks that look at messages alike."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from capflow_assets.expressions.ids import identifier

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

NEVER = datetime(9999, 1, 1, tzinfo=UTC)


def messages_of(messages: DataFrame, campaigns: DataFrame | None) -> DataFrame:
    """The messages as they landed, each once: ``user_id campaign_id sent_at opened_at clicked_at is_control ends_at``.

    A message without a time of its own was sent when its campaign began; one without either is left out, since it is
    unknown from when on it may be read. Rows that share user, campaign, channel and time are one message, opened and
    clicked when any of them says so first.
    """
    from pyspark.sql import functions as F

    ids = (identifier(name).alias(name) for name in ("user_id", "campaign_id", "channel"))
    times = ("opened_at", "clicked_at")
    control = F.coalesce("is_control", F.lit(False)).cast("int").alias("is_control")
    sent = messages.select(*ids, "sent_at", *times, control)
    if campaigns is None:
        nothing = F.lit(None).cast("timestamp")
        sent = sent.withColumn("ends_at", nothing)
    else:
        sent = sent.join(spans(campaigns), "campaign_id", "left")
        sent = sent.withColumn("sent_at", F.coalesce("sent_at", "starts_at"))
    known = sent.filter(F.col("user_id").isNotNull() & F.col("sent_at").isNotNull())
    return known.groupBy("user_id", "campaign_id", "channel", "sent_at").agg(
        *(F.min(name).alias(name) for name in times),
        (F.max("is_control") == 1).alias("is_control"),
        F.max("ends_at").alias("ends_at"),
    )


def spans(campaigns: DataFrame) -> DataFrame:
    """When each campaign begins and ends, once; one that any row gives no end never ends."""
    from pyspark.sql import functions as F

    rows = campaigns.select(identifier("campaign_id").alias("campaign_id"), "starts_at", "ends_at")
    ends = F.coalesce("ends_at", F.lit(NEVER))
    return rows.groupBy("campaign_id").agg(F.min("starts_at").alias("starts_at"), F.max(ends).alias("ends_at"))
