"""What was done with each user when campaigns began, and how likely that was.

The actions are those of ``learning.actions``: nothing, or a message on a channel, with or without a coupon. All
campaigns that begin at one moment are one lot, out of which each user got one action.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from capflow_assets.expressions.campaign_groups import (
    LEAST_IN_A_GROUP,
    before_the_day,
    timely_messages,
    with_coupons,
)
from capflow_assets.expressions.days import QUARTER_DAYS, days_before

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

# Users who bought on 0, 1, 2 to 3, 4 to 7, 8 to 15 and more days of a quarter are told apart where no lot was drawn.
MOST_STRATUM = 5
# An action that fewer users of a stratum got was not possible there.
LEAST_IN_A_CELL = 5


def lots(
    bills: DataFrame,
    messages: DataFrame,
    campaigns: DataFrame,
    coupons: DataFrame | None,
    zone: str,
    words: Mapping[str, str],
    channels: Sequence[str],
) -> DataFrame:
    """What each user of every lot got.

    **Grain**: one row per user and moment at which campaigns began: ``user_id``, ``began_at``, ``action`` (its number),
    ``is_drawn``.

    ``words`` say which of the ``channels`` a word of the customer means; what none of them says is the last channel.
    ``is_drawn`` is 1 in a lot of which at least ``LEAST_IN_A_GROUP`` users were held out by chance. In another lot all
    users with a bill before it who were not addressed are those with whom nothing was done.

    **Left out**: users of several campaigns that begin together, since nobody knows which of them worked; campaigns
    with fewer than ``LEAST_IN_A_GROUP`` users; what ``campaign_groups`` leaves out.
    """
    from pyspark.sql import functions as F

    users = _users(messages, campaigns, coupons, zone, words, channels)
    held_out = F.sum((F.col("action") == 0).cast("int"))
    drawn = users.groupBy("began_at").agg((held_out >= LEAST_IN_A_GROUP).cast("int").alias("is_drawn"))
    first = (
        bills.filter("user_id is not null and not is_anonymous")
        .groupBy("user_id")
        .agg(F.min("billed_at").alias("first_at"))
    )
    asked = first.crossJoin(drawn.filter("is_drawn = 0").select("began_at")).filter("first_at <= began_at")
    others = asked.join(users.select("user_id", "began_at"), ["user_id", "began_at"], "left_anti")
    nothing = others.select("user_id", "began_at", F.lit(0).alias("action"), F.lit(1).alias("campaigns"))
    rows = users.unionByName(nothing).filter("campaigns = 1")
    return rows.join(drawn, "began_at").select("user_id", "began_at", "action", "is_drawn")


def with_chances(rows: DataFrame, bills: DataFrame, start: datetime, zone: str) -> DataFrame:
    """The rows of one lot with the chance of what each user got: ``propensity``, ``possible``, ``is_drawn``.

    The chance is the share of the users of the same stratum who got that action. Where the lot was drawn, all of it is
    one stratum; else users who bought about as often in the quarter before are (subclassification, Rosenbaum & Rubin
    1984). ``possible`` holds the actions that at least ``LEAST_IN_A_CELL`` users of the stratum got, as bits.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    since = days_before(start, QUARTER_DAYS, zone)
    before = bills.filter((F.col("billed_at") > F.lit(since)) & (F.col("billed_at") <= F.lit(start)))
    days = before.groupBy("user_id").agg(F.count_distinct("billed_on").alias("days"))
    often = F.when(F.col("days") > 0, F.least(1 + F.floor(F.log2("days")), F.lit(MOST_STRATUM))).otherwise(F.lit(0))
    stratum = F.when(F.col("is_drawn") == 1, F.lit(-1)).otherwise(often).cast("int")
    placed = rows.join(days, "user_id", "left").withColumn("stratum", stratum).drop("days")
    cells = placed.groupBy("stratum", "action").agg(F.count(F.lit(1)).alias("cell"))
    whole = Window.partitionBy("stratum")
    bit = F.when(F.col("cell") >= LEAST_IN_A_CELL, F.pow(F.lit(2.0), F.col("action"))).otherwise(F.lit(0.0))
    shares = cells.select(
        "stratum",
        "action",
        (F.col("cell") / F.sum("cell").over(whole)).alias("propensity"),
        F.sum(bit).over(whole).alias("possible"),
    )
    return placed.join(shares, ["stratum", "action"]).drop("stratum")


def _users(
    messages: DataFrame,
    campaigns: DataFrame,
    coupons: DataFrame | None,
    zone: str,
    words: Mapping[str, str],
    channels: Sequence[str],
) -> DataFrame:
    """The users of campaigns: what each got of the campaign, and in how many that began together each was."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    control = F.col("is_control").cast("int")
    sent = timely_messages(messages, campaigns).withColumn("place", _place(words, channels))
    order = Window.partitionBy("user_id", "campaign_id").orderBy("sent_at", "place")
    users = (
        sent.withColumn("number", F.row_number().over(order))
        .groupBy("user_id", "campaign_id")
        .agg(
            F.min(F.least("sent_at", "starts_at")).alias("begins_at"),
            F.max(F.when(F.col("number") == 1, F.col("place"))).alias("place"),
            F.min(control).alias("least"),
            F.max(control).alias("most"),
        )
        .filter("least = most")
    )
    begins = users.groupBy("campaign_id").agg(F.min("begins_at").alias("begins_at"), F.count(F.lit(1)).alias("size"))
    began = begins.filter(F.col("size") >= LEAST_IN_A_GROUP).select(
        "campaign_id", before_the_day("begins_at", zone).alias("began_at")
    )
    handing = _handing(campaigns, coupons)
    message = 1 + 2 * F.col("place") + F.coalesce("has_coupon", F.lit(0))
    rows = users.drop("begins_at").join(began, "campaign_id").join(handing, "campaign_id", "left")
    acted = rows.select("user_id", "began_at", F.when(F.col("most") == 1, 0).otherwise(message).alias("action"))
    return acted.groupBy("user_id", "began_at").agg(
        F.max("action").cast("int").alias("action"), F.count(F.lit(1)).cast("int").alias("campaigns")
    )


def _handing(campaigns: DataFrame, coupons: DataFrame | None) -> DataFrame:
    """The campaigns that hand out a coupon: ``campaign_id``, ``has_coupon`` (1)."""
    from pyspark.sql import functions as F

    from capflow_assets.expressions.ids import identifier

    chosen = campaigns.filter(F.lit(False)) if coupons is None else with_coupons(campaigns, coupons)
    ids = chosen.select(identifier("campaign_id").alias("campaign_id")).distinct()
    return ids.withColumn("has_coupon", F.lit(1))


def _place(words: Mapping[str, str], channels: Sequence[str]) -> Expression:
    """The place of a message's channel among the channels."""
    from pyspark.sql import functions as F

    channel, place = F.lower(F.trim("channel")), F.lit(len(channels) - 1)
    for name in channels[:-1]:
        spelt = [word for word, meant in words.items() if meant == name]
        place = F.when(channel.isin(spelt), F.lit(channels.index(name))).otherwise(place)
    return F.when(F.col("channel").isNull(), F.lit(len(channels) - 1)).otherwise(place)
