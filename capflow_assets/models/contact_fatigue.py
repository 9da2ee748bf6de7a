"""Who leaves the list: opts out, or stops opening what is sent, within thirty days.

The users are those on the list: sent a message within the quarter before, whose last word on it is not a no
(``expressions.opt_outs``). They leave by a denial or a suppression in raw/consents that is of a channel by which they
are written to, or in silence: a user who opened messages opens none of so many that it can hardly be bad luck. What is
known of them is how often and how closely they are written to, and what they make of it
(``learning.objectives.chance``). Of a customer without raw/consents the silent ones alone are known.

A chance says what goes with leaving, not what would keep the user: to learn that, hold messages back by lot.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from capflow_assets.contract import Needs, Outcome, Search, Subject
from capflow_assets.learning.objectives.chance import ChanceParams, by_column, chance_model

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

LEFT = "left_list"
CONTACTS = {
    "contacts_28d": "{:.0f} messages in the 28 days before",
    "contacts_91d": "{:.0f} messages in the 91 days before",
    "opens_91d": "{:.0f} messages opened in the 91 days before",
    "open_rate_91d": "{:.0%} opened of the messages of the 91 days before",
    "click_rate_91d": "a link followed in {:.0%} of the messages of the 91 days before",
    "contact_recency_days": "last message {:.0f} days before",
    "open_recency_days": "last opened one {:.0f} days before",
}
RHYTHM = {
    "contacts_7d": "{:.0f} messages in the 7 days before",
    "contact_gap_days_avg": "a message every {:.1f} days on average",
    "contact_gap_days_last": "{:.0f} days between the last two messages",
    "contacts_unopened": "{:.0f} messages since the last one opened",
}
ANSWERS = {"visit_response_share": "bought within a week of {:.0%} of messages"}
RFM = {"recency_days": "last visit {:.0f} days before", "visits_91d": "{:.0f} visits in the 91 days before"}


class ContactFatigueParams(ChanceParams):
    """What a person or the tuner may set for leaving the list."""

    horizon_days: int = Field(30, ge=1, le=365, description="Local days after the as-of moment that are looked at.")
    min_child_weight: Annotated[float, Search(1.0, 100.0, log=True)] = Field(
        10.0, ge=0, le=1000, description="Least weight of a leaf; few leave in a month."
    )


def known(
    messages: DataFrame,
    as_of: datetime,
    zone: str,
    raw_campaigns: DataFrame | None = None,
    consents: DataFrame | None = None,
) -> DataFrame:
    """The users on the list: ``user_id``."""
    from capflow_assets.expressions.messages import messages_of
    from capflow_assets.expressions.opt_outs import listed

    return listed(messages_of(messages, raw_campaigns), consents, as_of, zone).select("user_id")


def outcome(
    messages: DataFrame,
    start: datetime,
    end: datetime,
    zone: str,
    raw_campaigns: DataFrame | None = None,
    consents: DataFrame | None = None,
) -> DataFrame:
    """Which of the users on the list at ``start`` leave it in ``(start, end]``: ``user_id``, ``left_list`` (1)."""
    import pyspark.sql.functions as F

    from capflow_assets.expressions.messages import messages_of
    from capflow_assets.expressions.opt_outs import fell_silent, listed, opted_out

    sent = messages_of(messages, raw_campaigns)
    users = listed(sent, consents, start, zone)
    left = fell_silent(sent, users, start, end, zone)
    if consents is not None:
        left = left.unionByName(opted_out(consents, users, start, end))
    return left.distinct().withColumn(LEFT, F.lit(1))


MODEL = chance_model(
    question="Who opts out or stops opening messages within thirty days?",
    family="campaigns",
    needs=Needs(
        tables=("clean/bills", "raw/messages"),
        history_days=120,
        users=100,
        positives=30,
        evidence={"messages": 500},
    ),
    subject=Subject("user", ("user_id",), known=known),
    words={
        "features/campaigns": CONTACTS,
        "features/contact_rhythm": RHYTHM,
        "features/promotion": ANSWERS,
        "features/rfm": RFM,
    },
    outcome=Outcome(outcome, (LEFT,)),
    did="left the list",
    params=ContactFatigueParams,
    baseline=by_column(
        "messages of the last four weeks", LEFT, "contacts_28d", "messages in the 28 days before", grows=True
    ),
)
