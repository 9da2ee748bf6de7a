"""Whom a campaign addressed and whom it held out by chance: the two groups that show what it changed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from capflow_assets.expressions.days import local_day
from capflow_assets.expressions.ids import identifier, identifiers
from capflow_assets.expressions.messages import messages_of, spans

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

# A campaign whose groups are smaller says nothing of what it changed.
LEAST_IN_A_GROUP = 10
EARLY_DAYS = 7


def campaign_groups(messages: DataFrame, campaigns: DataFrame, zone: str) -> DataFrame:
    """The users of each campaign that has both groups, and the moment before it began for them.

    **Grain**: one row per campaign and user: ``user_id``, ``campaign_id``, ``began_at``, ``is_treated``.

    ``began_at`` is the last microsecond before the local day on which the campaign starts, or on which its first
    message was sent if that is earlier: whoever looks at the user as of that moment sees nothing of the campaign, not
    even who was chosen for it, and a horizon of days from it begins with the campaign's first day.

    **Left out**: a message without a campaign of the list, or sent more than ``EARLY_DAYS`` before it starts; a user
    who was held out of a campaign and sent one of its messages all the same; a campaign with fewer than
    ``LEAST_IN_A_GROUP`` users addressed, or held out.
    """
    from pyspark.sql import functions as F

    control = F.col("is_control").cast("int")
    users = (
        timely_messages(messages, campaigns)
        .groupBy("user_id", "campaign_id")
        .agg(
            F.min(F.least("sent_at", "starts_at")).alias("begins_at"),
            F.min(control).alias("least"),
            F.max(control).alias("most"),
        )
        .filter("least = most")
        .withColumn("is_treated", 1 - F.col("most"))
    )
    treated = F.sum("is_treated")
    both = users.groupBy("campaign_id").agg(
        F.min("begins_at").alias("begins_at"), treated.alias("treated"), (F.count("*") - treated).alias("held_out")
    )
    compared = both.filter(f"least(treated, held_out) >= {LEAST_IN_A_GROUP}")
    began = compared.select("campaign_id", before_the_day("begins_at", zone).alias("began_at"))
    return users.join(began, "campaign_id").select("user_id", "campaign_id", "began_at", "is_treated")


def addressed_users(messages: DataFrame, campaigns: DataFrame, zone: str) -> DataFrame:
    """The users whom each campaign addressed, the moment before it began, and when each was first sent to.

    **Grain**: one row per campaign and user with a message: ``user_id``, ``campaign_id``, ``began_at``, ``sent_at``.

    ``began_at`` and what is **left out** are as of ``campaign_groups``, but that nobody need have been held out; those
    who were are no rows here.
    """
    from pyspark.sql import functions as F

    sent = timely_messages(messages, campaigns)
    begins = sent.groupBy("campaign_id").agg(F.min(F.least("sent_at", "starts_at")).alias("begins_at"))
    users = sent.filter(~F.col("is_control")).groupBy("user_id", "campaign_id").agg(F.min("sent_at").alias("sent_at"))
    counted = users.groupBy("campaign_id").count().filter(f"count >= {LEAST_IN_A_GROUP}")
    began = counted.join(begins, "campaign_id").select(
        "campaign_id", before_the_day("begins_at", zone).alias("began_at")
    )
    return users.join(began, "campaign_id").select("user_id", "campaign_id", "began_at", "sent_at")


def timely_messages(messages: DataFrame, campaigns: DataFrame) -> DataFrame:
    """The messages of listed campaigns with the campaign's start, but those sent long before it."""
    from pyspark.sql import functions as F

    sent = messages_of(messages, campaigns).drop("ends_at").join(spans(campaigns), "campaign_id")
    return sent.filter(F.col("sent_at") >= F.col("starts_at") - F.expr(f"INTERVAL {EARLY_DAYS} DAYS"))


def before_the_day(time: str, zone: str) -> Expression:
    """The last microsecond before the local day of a time."""
    from pyspark.sql import functions as F

    midnight = F.to_utc_timestamp(local_day(time, zone).cast("timestamp"), zone)
    return midnight - F.expr("INTERVAL 1 MICROSECOND")


def with_coupons(campaigns: DataFrame, coupons: DataFrame) -> DataFrame:
    """Those of the campaigns that hand out a coupon; their columns as they came, ``campaign_id`` in its normal form."""
    from pyspark.sql import functions as F

    handing = coupons.select(*identifiers("campaign_id")).filter(F.col("campaign_id").isNotNull()).distinct()
    listed = campaigns.withColumn("campaign_id", identifier("campaign_id"))
    return listed.join(handing, "campaign_id", "left_semi")


def redemptions_of_campaigns(redemptions: DataFrame, coupons: DataFrame) -> DataFrame:
    """The uses of coupons: ``user_id``, ``campaign_id``, ``redeemed_at``.

    A use that does not name its campaign is one of every campaign that handed the coupon out; where none did it is left
    out, as is one without a user or a time.
    """
    from pyspark.sql import functions as F

    used = redemptions.select(*identifiers("user_id", "coupon_id", "campaign_id"), "redeemed_at")
    used = used.filter("user_id is not null and redeemed_at is not null")
    handed = coupons.select(*identifiers("coupon_id", "campaign_id")).distinct()
    unnamed = used.filter("campaign_id is null").drop("campaign_id").join(handed, "coupon_id")
    columns = ("user_id", "campaign_id", "redeemed_at")
    both = used.filter("campaign_id is not null").select(*columns).unionByName(unnamed.select(*columns))
    return both.filter(F.col("campaign_id").isNotNull())


def campaigns_ahead(campaigns: DataFrame, as_of: datetime, most: int = 5) -> DataFrame:
    """The campaigns that run at a moment or begin next, the latest first; where there is none, the newest that began.

    One row per campaign: ``campaign_id``. At most ``most`` of them: some campaigns never end.
    """
    from pyspark.sql import functions as F

    now, starts = F.lit(as_of), F.col("starts_at")
    is_running = (starts <= now) & (F.col("ends_at") > now)
    listed = spans(campaigns)
    facts = listed.agg(
        F.min(F.when(starts > now, starts)).alias("next"),
        F.max(F.when(starts <= now, starts)).alias("newest"),
        F.max(is_running.cast("int")).alias("running"),
    )
    is_newest = F.col("next").isNull() & (F.col("running") == 0) & (starts == F.col("newest"))
    chosen = listed.crossJoin(facts).filter(is_running | (starts == F.col("next")) | is_newest)
    return chosen.orderBy(starts.desc(), "campaign_id").limit(most).select("campaign_id")
