"""Who redeems a coupon of a campaign, of those whom it addresses: learned from past campaigns with coupons.

The users as they were before each campaign began, and whether they used one of its coupons within the horizon
(``learning.objectives.chance``). A redemption that does not name its campaign counts for every campaign that handed
the coupon out and runs in the horizon.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import Field

from capflow_assets.contract import Needs, Outcome, Subject
from capflow_assets.learning.objectives.chance import ChanceParams, by_column, chance_model

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

KEY = ("user_id", "campaign_id")
REDEEMED = "redeemed"
RFM = {
    "recency_days": "last visit {:.0f} days before",
    "tenure_days": "first visit {:.0f} days before",
    "visits_28d": "{:.0f} visits in the 28 days before",
    "visits_91d": "{:.0f} visits in the 91 days before",
    "spend_avg": "{:,.2f} spent per visit",
    "spend_91d": "{:,.2f} spent in the 91 days before",
}
RHYTHM = {
    "gap_days_avg": "{:.1f} days between visits on average",
    "overdue_ratio": "waiting {:.1f} times the usual gap",
}
CONTACTS = {
    "contacts_91d": "{:.0f} messages in the 91 days before",
    "open_rate": "{:.0%} of messages opened",
    "click_rate": "{:.0%} of messages with a link followed",
}
COUPONS = {
    "coupons_used": "{:.0f} coupons used in all",
    "coupons_used_91d": "{:.0f} coupons used in the 91 days before",
    "coupon_recency_days": "last coupon used {:.0f} days before",
    "coupon_response_share": "used a coupon within a week of {:.0%} of messages",
    "discount_share_91d": "{:.0%} of full prices taken off in the 91 days before",
    "discounted_bill_share": "{:.0%} of purchases with a discount",
}


class CouponRedemptionParams(ChanceParams):
    """What a person or the tuner may set for the redemption of coupons."""

    horizon_days: int = Field(56, ge=1, le=365, description="Local days from the campaign's first that are looked at.")
    moments: int = Field(12, ge=1, le=24, description="How many past beginnings of campaigns make the examples.")


def begun(messages: DataFrame, raw_campaigns: DataFrame, coupons: DataFrame, zone: str) -> DataFrame:
    """The users whom each campaign with coupons addressed: ``user_id``, ``campaign_id``, ``began_at``."""
    from capflow_assets.expressions.campaign_groups import addressed_users, with_coupons

    return addressed_users(messages, with_coupons(raw_campaigns, coupons), zone).select(*KEY, "began_at")


def known(bills: DataFrame, raw_campaigns: DataFrame, coupons: DataFrame, as_of: datetime, zone: str) -> DataFrame:
    """Every user with a bill, for each campaign with coupons that runs or begins next, else for the newest."""
    from capflow_assets.expressions.campaign_groups import campaigns_ahead, with_coupons
    from capflow_assets.expressions.visits import known_users

    ahead = campaigns_ahead(with_coupons(raw_campaigns, coupons), as_of)
    return known_users(bills, as_of, zone).select("user_id").crossJoin(ahead)


def outcome(
    messages: DataFrame,
    raw_campaigns: DataFrame,
    coupons: DataFrame,
    redemptions: DataFrame,
    start: datetime,
    end: datetime,
    zone: str,
) -> DataFrame:
    """Who of those addressed by the campaigns that begin at ``start`` used one of their coupons in ``(start, end]``.

    One row per campaign and user who was sent a message in the horizon: ``redeemed`` (0, 1).
    """
    import pyspark.sql.functions as F

    from capflow_assets.expressions.campaign_groups import addressed_users, redemptions_of_campaigns, with_coupons

    addressed = addressed_users(messages, with_coupons(raw_campaigns, coupons), zone)
    begins = (F.col("began_at") == F.lit(start)) & (F.col("sent_at") <= F.lit(end))
    within = (F.col("redeemed_at") > F.lit(start)) & (F.col("redeemed_at") <= F.lit(end))
    used = redemptions_of_campaigns(redemptions, coupons).filter(within).select(*KEY).distinct()
    rows = addressed.filter(begins).join(used.withColumn(REDEEMED, F.lit(1)), list(KEY), "left")
    return rows.select(*KEY, F.coalesce(REDEEMED, F.lit(0)).alias(REDEEMED))


MODEL = chance_model(
    question="Who redeems a coupon of the next campaign?",
    family="campaigns",
    needs=Needs(
        tables=("clean/bills", "raw/messages", "raw/campaigns", "raw/coupons", "raw/redemptions"),
        history_days=90,
        users=100,
        evidence={"campaigns": 2, "messages": 200, "redemptions": 100, "redeeming_users": 50},
    ),
    subject=Subject("user and campaign", KEY, known=known, events=begun),
    words={
        "features/rfm": RFM,
        "features/rhythm": RHYTHM,
        "features/campaigns": CONTACTS,
        "features/promotion": COUPONS,
    },
    outcome=Outcome(outcome, (REDEEMED,), absent="unknown"),
    did="redeemed a coupon",
    params=CouponRedemptionParams,
    baseline=by_column(
        "coupons used before", REDEEMED, "coupons_used", "the coupons that were used before", grows=True
    ),
)
