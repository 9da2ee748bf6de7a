"""Which lapsed users will come back within sixty days by themselves or when called (``expressions.own_rhythm``).

Only users are asked about who stayed away for more than three of their own usual gaps, or who came once and never
within a quarter of a year after it.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from capflow_assets.contract import Needs, Outcome, Search, Subject
from capflow_assets.learning.objectives.chance import ChanceParams, by_column, by_history, chance_model

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

RFM = {
    "recency_days": "last visit {:.0f} days ago",
    "tenure_days": "first visit {:.0f} days ago",
    "visits": "{:.0f} visits in all",
    "visits_91d": "{:.0f} visits in the last 91 days",
    "visits_364d": "{:.0f} visits in the last 364 days",
    "spend_total": "{:,.2f} spent in all",
    "spend_avg": "{:,.2f} spent per visit",
    "spend_364d": "{:,.2f} spent in the last 364 days",
}
RHYTHM = {
    "gap_days_avg": "{:.1f} days between visits on average",
    "gap_days_cv": "gaps between visits vary by {:.1f} times their mean",
    "gap_days_last": "{:.0f} days between the last two visits",
    "gap_days_recent_avg": "{:.1f} days between the latest visits",
    "overdue_ratio": "waiting {:.1f} times the usual gap",
}


class WinbackParams(ChanceParams):
    """What a person or the tuner may set for winning back."""

    horizon_days: int = Field(60, ge=1, le=730, description="Local days after the as-of moment that are looked at.")
    min_child_weight: Annotated[float, Search(1.0, 100.0, log=True)] = Field(
        5.0, ge=0, le=1000, description="Least weight of a leaf; few come back, so it is small."
    )


def known(bills: DataFrame, as_of: datetime, zone: str) -> DataFrame:
    """The users who have lapsed at the moment: ``user_id``."""
    from capflow_assets.expressions.own_rhythm import LAPSED, of_standing

    return of_standing(bills, as_of, zone, LAPSED).select("user_id")


def outcome(bills: DataFrame, start: datetime, end: datetime, zone: str) -> DataFrame:
    """Which of the users who have lapsed at ``start`` come back.

    One row per such user with a visit in ``(start, end]``: ``user_id``, ``came_back`` (always 1).
    """
    import pyspark.sql.functions as F

    from capflow_assets.expressions.own_rhythm import LAPSED, of_standing
    from capflow_assets.learning.outcomes import visits_within

    back = of_standing(bills, start, zone, LAPSED).join(visits_within(bills, start, end), "user_id", "left_semi")
    return back.select("user_id", F.lit(1).alias("came_back"))


MODEL = chance_model(
    question="Which lapsed users will come back within the next sixty days?",
    family="win-back",
    needs=Needs(tables=("clean/bills",), history_days=150, users=100, positives=30, evidence={"negatives": 30}),
    subject=Subject("user", ("user_id",), known=known),
    words={"features/rfm": RFM, "features/rhythm": RHYTHM},
    outcome=Outcome(outcome, ("came_back",)),
    params=WinbackParams,
    did="came back",
    also=(by_history("came_back", RFM),),
    baseline=by_column("recency alone", "came_back", "recency_days", "days since the last visit", grows=False),
)
