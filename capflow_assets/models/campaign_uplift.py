"""Whom a campaign changes: the visits that each user makes because of it, not those made anyway.

T- and X-learners (Künzel et al. 2019) on the users of past campaigns, of whom some were held out by chance; of the two
the better on the newest campaign that it may learn from. They are judged by the Qini coefficient (Radcliffe 2007) on a
later campaign, against a random order and against a response model, which finds those who come anyway.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from capflow_assets.contract import Needs, Outcome, Subject
from capflow_assets.learning.objectives.effect import Traits, effect_model
from capflow_assets.learning.uplift_estimators import UpliftParams

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

KEY = ("user_id", "campaign_id")
VISITS, TREATED, USERS = "visits", "is_treated", "clean/users"
RFM = {
    "recency_days": "last visit {:.0f} days before",
    "tenure_days": "first visit {:.0f} days before",
    "visits": "{:.0f} visits in all",
    "visits_28d": "{:.0f} visits in the 28 days before",
    "visits_91d": "{:.0f} visits in the 91 days before",
    "visits_364d": "{:.0f} visits in the 364 days before",
    "spend_avg": "{:,.2f} spent per visit",
    "spend_91d": "{:,.2f} spent in the 91 days before",
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


class CampaignUpliftParams(UpliftParams):
    """What a person or the tuner may set for the effect of campaigns."""


def begun(messages: DataFrame, raw_campaigns: DataFrame, zone: str) -> DataFrame:
    """The users of every campaign that can be compared: ``user_id``, ``campaign_id``, ``began_at``."""
    from capflow_assets.expressions.campaign_groups import campaign_groups

    return campaign_groups(messages, raw_campaigns, zone).select(*KEY, "began_at")


def known(bills: DataFrame, raw_campaigns: DataFrame, as_of: datetime, zone: str) -> DataFrame:
    """Every user with a bill, for each campaign that runs or begins next, else for the newest."""
    from capflow_assets.expressions.campaign_groups import campaigns_ahead
    from capflow_assets.expressions.visits import known_users

    return known_users(bills, as_of, zone).select("user_id").crossJoin(campaigns_ahead(raw_campaigns, as_of))


def outcome(
    bills: DataFrame, messages: DataFrame, raw_campaigns: DataFrame, start: datetime, end: datetime, zone: str
) -> DataFrame:
    """What the users of the campaigns that begin at ``start`` did in ``(start, end]``.

    One row per user and campaign, addressed or held out: ``visits`` (distinct local days with a visit), ``is_treated``.
    """
    import pyspark.sql.functions as F

    from capflow_assets.expressions.campaign_groups import campaign_groups
    from capflow_assets.learning.outcomes import visits_within

    groups = campaign_groups(messages, raw_campaigns, zone).filter(F.col("began_at") == F.lit(start))
    days = visits_within(bills, start, end).groupBy("user_id").agg(F.count_distinct("billed_on").alias(VISITS))
    return groups.join(days, "user_id", "left").select(*KEY, F.coalesce(VISITS, F.lit(0)).alias(VISITS), TREATED)


MODEL = effect_model(
    question="Whom does the next campaign bring who would not come anyway?",
    needs=Needs(
        tables=("clean/bills", USERS, "raw/messages", "raw/campaigns"),
        history_days=90,
        users=100,
        evidence={"compared_campaigns": 1, "controls": 50},
    ),
    subject=Subject("user and campaign", KEY, known=known, events=begun),
    words={"features/rfm": RFM, "features/rhythm": RHYTHM, "features/campaigns": CONTACTS},
    outcome=Outcome(outcome, (VISITS, TREATED), absent="unknown", treatment=TREATED),
    lot="campaign_id",
    unit=("user_id",),
    traits=Traits(USERS, "user_id", without=("is_listed",)),
    params=CampaignUpliftParams,
)
