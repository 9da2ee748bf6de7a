"""Whom a campaign brings in if addressed: who buys within a week of its first day, after the message.

The users of past campaigns as they were before it began, and whether they answered (``learning.objectives.chance``).
Many of those who answer would have come anyway: whom a message moves, campaign_uplift says. A purchase counts as an
answer from the sending of the user's first message on, up to the end of the horizon; with messages that are sent over
months, only those sent within the horizon are learned from.
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
ANSWERED = "answered"
RFM = {
    "recency_days": "last visit {:.0f} days before",
    "tenure_days": "first visit {:.0f} days before",
    "visits": "{:.0f} visits in all",
    "visits_28d": "{:.0f} visits in the 28 days before",
    "visits_91d": "{:.0f} visits in the 91 days before",
    "visits_364d": "{:.0f} visits in the 364 days before",
    "spend_avg": "{:,.2f} spent per visit",
}
RHYTHM = {
    "gap_days_avg": "{:.1f} days between visits on average",
    "gap_days_last": "{:.0f} days between the last two visits",
    "overdue_ratio": "waiting {:.1f} times the usual gap",
}
CONTACTS = {
    "contacts_91d": "{:.0f} messages in the 91 days before",
    "open_rate": "{:.0%} of messages opened",
    "click_rate": "{:.0%} of messages with a link followed",
}
ANSWERS = {
    "messages_answerable": "{:.0f} messages a week ago or more",
    "visit_response_share": "bought within a week of {:.0%} of messages",
    "discount_share": "{:.0%} of full prices taken off",
}


class CampaignResponseParams(ChanceParams):
    """What a person or the tuner may set for the response to campaigns."""

    horizon_days: int = Field(7, ge=1, le=365, description="Local days from the campaign's first that are looked at.")
    moments: int = Field(8, ge=1, le=24, description="How many past beginnings of campaigns make the examples.")


def begun(messages: DataFrame, raw_campaigns: DataFrame, zone: str) -> DataFrame:
    """The users whom each campaign addressed: ``user_id``, ``campaign_id``, ``began_at``."""
    from capflow_assets.expressions.campaign_groups import addressed_users

    return addressed_users(messages, raw_campaigns, zone).select(*KEY, "began_at")


def known(bills: DataFrame, raw_campaigns: DataFrame, as_of: datetime, zone: str) -> DataFrame:
    """Every user with a bill, for each campaign that runs or begins next, else for the newest."""
    from capflow_assets.expressions.campaign_groups import campaigns_ahead
    from capflow_assets.expressions.visits import known_users

    return known_users(bills, as_of, zone).select("user_id").crossJoin(campaigns_ahead(raw_campaigns, as_of))


def outcome(
    bills: DataFrame, messages: DataFrame, raw_campaigns: DataFrame, start: datetime, end: datetime, zone: str
) -> DataFrame:
    """Who of those addressed by the campaigns that begin at ``start`` bought after the message, in ``(start, end]``.

    One row per campaign and user who was sent a message in the horizon: ``answered`` (0, 1).
    """
    import pyspark.sql.functions as F

    from capflow_assets.expressions.campaign_groups import addressed_users
    from capflow_assets.learning.outcomes import visits_within

    addressed = addressed_users(messages, raw_campaigns, zone).filter(F.col("began_at") == F.lit(start))
    in_time = addressed.filter(F.col("sent_at") <= F.lit(end))
    newest = visits_within(bills, start, end).groupBy("user_id").agg(F.max("billed_at").alias("bought_at"))
    answered = F.coalesce(F.col("bought_at") > F.col("sent_at"), F.lit(False)).cast("int")
    return in_time.join(newest, "user_id", "left").select(*KEY, answered.alias(ANSWERED))


MODEL = chance_model(
    question="Who buys within a week of being addressed by a campaign?",
    family="campaigns",
    needs=Needs(
        tables=("clean/bills", "raw/messages", "raw/campaigns"),
        history_days=90,
        users=100,
        evidence={"campaigns": 2, "messages": 200},
    ),
    subject=Subject("user and campaign", KEY, known=known, events=begun),
    words={
        "features/rfm": RFM,
        "features/rhythm": RHYTHM,
        "features/campaigns": CONTACTS,
        "features/promotion": ANSWERS,
    },
    outcome=Outcome(outcome, (ANSWERED,), absent="unknown"),
    did="bought after the message",
    params=CampaignResponseParams,
    baseline=by_column(
        "own past answers", ANSWERED, "visit_response_share", "the share of own messages that were answered", grows=True
    ),
)
