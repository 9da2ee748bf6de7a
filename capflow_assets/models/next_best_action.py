"""What to do with each user when the next campaign begins: nothing, or a message, on which channel, with what offer.

An ensemble of what other models answered as it was at each moment (where it was kept; else feature tables alone are
read, and the card says so), of features and of the users' traits. What an action brings beyond nothing is learned from
the users of past campaigns: all that begin at one moment are one lot, out of which each user got one action
(``expressions.campaign_actions``). Where some were held out the chances are known; where nobody was, they are estimated
among users who bought as often, and a person is asked before it is promoted (``learning.objectives.action``).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from capflow_assets.contract import Needs, Outcome, Subject
from capflow_assets.learning.action_estimators import ActionParams
from capflow_assets.learning.actions import CHANNELS, words_of_channels
from capflow_assets.learning.objectives.action import LOGGED, action_model

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

VISITS, USERS = "visits", "clean/users"
RFM = {
    "recency_days": "last visit {:.0f} days before",
    "tenure_days": "first visit {:.0f} days before",
    "visits": "{:.0f} visits in all",
    "visits_91d": "{:.0f} visits in the 91 days before",
    "visits_364d": "{:.0f} visits in the 364 days before",
    "spend_avg": "{:,.2f} spent per visit",
}
RHYTHM = {
    "gap_days_avg": "{:.1f} days between visits on average",
    "overdue_ratio": "waiting {:.1f} times the usual gap",
}
CONTACTS = {
    "contacts_28d": "{:.0f} messages in the 28 days before",
    "contacts_91d": "{:.0f} messages in the 91 days before",
    "open_rate": "{:.0%} of messages opened",
    "click_rate": "{:.0%} of messages with a link followed",
}
PROMOTION = {
    "visit_response_share": "bought within a week of {:.0%} of messages",
    "discount_share": "{:.0%} of full prices taken off",
    "coupons_used": "{:.0f} coupons used",
}
# Whose answers are read, and what their lists are of beside campaigns.
ANSWERS: dict[str, tuple[str, ...]] = {
    "predictions/campaign_response": (),
    "predictions/campaign_uplift": (),
    "predictions/channel_affinity": ("channel",),
    "predictions/churn": (),
    "predictions/coupon_redemption": (),
    "predictions/purchase_propensity": (),
}


class NextBestActionParams(ActionParams):
    """What a person or the tuner may set for the next best action: budget, cap, costs and the trees."""


def begun(
    bills: DataFrame,
    messages: DataFrame,
    raw_campaigns: DataFrame,
    coupons: DataFrame | None = None,
    *,
    zone: str,
) -> DataFrame:
    """The users of every lot: ``user_id``, ``began_at``."""
    from capflow_assets.expressions.campaign_actions import lots

    rows = lots(bills, messages, raw_campaigns, coupons, zone, words_of_channels(), CHANNELS)
    return rows.select("user_id", "began_at")


def known(bills: DataFrame, as_of: datetime, zone: str) -> DataFrame:
    """Every user with a bill: ``user_id``."""
    from capflow_assets.expressions.visits import known_users

    return known_users(bills, as_of, zone).select("user_id")


def outcome(
    bills: DataFrame,
    messages: DataFrame,
    raw_campaigns: DataFrame,
    coupons: DataFrame | None = None,
    *,
    start: datetime,
    end: datetime,
    zone: str,
) -> DataFrame:
    """What was done with the users of the lot that begins at ``start``, and what they did in ``(start, end]``.

    One row per user: ``visits`` (distinct local days with a visit), ``action`` (``learning.actions``), ``propensity``
    (its chance), ``possible`` (the actions that could be got, as bits), ``is_drawn`` (1: some were held out by chance).
    """
    import pyspark.sql.functions as F

    from capflow_assets.expressions.campaign_actions import lots, with_chances
    from capflow_assets.learning.outcomes import visits_within

    rows = lots(bills, messages, raw_campaigns, coupons, zone, words_of_channels(), CHANNELS)
    of_lot = with_chances(rows.filter(F.col("began_at") == F.lit(start)), bills, start, zone)
    days = visits_within(bills, start, end).groupBy("user_id").agg(F.count_distinct("billed_on").alias(VISITS))
    visits = F.coalesce(VISITS, F.lit(0)).alias(VISITS)
    return of_lot.join(days, "user_id", "left").select("user_id", visits, *LOGGED)


MODEL = action_model(
    question="What to do with each user when the next campaign begins: nothing, or which message?",
    needs=Needs(
        tables=("clean/bills", USERS, "raw/messages", "raw/campaigns"),
        history_days=90,
        users=100,
        evidence={"campaigns": 2, "messages": 200},
    ),
    subject=Subject("user", ("user_id",), known=known, events=begun),
    words={
        "features/rfm": RFM,
        "features/rhythm": RHYTHM,
        "features/campaigns": CONTACTS,
        "features/promotion": PROMOTION,
    },
    outcome=Outcome(outcome, (VISITS, *LOGGED), absent="unknown"),
    contacts="contacts_28d",
    orders={"visits_91d": "visits in 91 days", "visit_response_share": "the share of own messages that were answered"},
    answers=ANSWERS,
    traits=USERS,
    traits_without=("is_listed",),
    params=NextBestActionParams,
)
