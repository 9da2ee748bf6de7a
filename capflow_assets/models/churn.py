"""Which active users will have lapsed within sixty days, against their own rhythm (``expressions.own_rhythm``).

Only users who are still active are asked about. A user lapses who makes no visit in the horizon, and whose silence at
its end is longer than three of the own usual gaps: one who comes every two months cannot lapse within sixty days.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from capflow_assets.contract import Needs, Outcome, Search, Subject
from capflow_assets.expressions.own_rhythm import LAPSED_AFTER_GAPS
from capflow_assets.learning.objectives.chance import ChanceParams, by_column, by_history, chance_model

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

RFM = {
    "recency_days": "last visit {:.0f} days ago",
    "tenure_days": "first visit {:.0f} days ago",
    "visits": "{:.0f} visits in all",
    "visits_28d": "{:.0f} visits in the last 28 days",
    "visits_91d": "{:.0f} visits in the last 91 days",
    "visits_prior_91d": "{:.0f} visits in the 91 days before those",
    "visits_trend_pct": "visits changed by {:+.0f} % from one quarter to the next",
    "spend_avg": "{:,.2f} spent per visit",
    "spend_91d": "{:,.2f} spent in the last 91 days",
    "spend_trend_pct": "spend changed by {:+.0f} % from one quarter to the next",
}
RHYTHM = {
    "gap_days_avg": "{:.1f} days between visits on average",
    "gap_days_cv": "gaps between visits vary by {:.1f} times their mean",
    "gap_days_last": "{:.0f} days between the last two visits",
    "gap_days_recent_avg": "{:.1f} days between the latest visits",
    "gap_change_pct": "gaps between visits changed by {:+.0f} %",
    "overdue_ratio": "waiting {:.1f} times the usual gap",
}


class ChurnParams(ChanceParams):
    """What a person or the tuner may set for churn."""

    horizon_days: int = Field(60, ge=1, le=730, description="Local days of silence that are looked at.")
    min_child_weight: Annotated[float, Search(1.0, 100.0, log=True)] = Field(
        5.0, ge=0, le=1000, description="Least weight of a leaf; few lapse, so it is small."
    )


def known(bills: DataFrame, as_of: datetime, zone: str) -> DataFrame:
    """The users who are active at the moment: ``user_id``."""
    from capflow_assets.expressions.own_rhythm import ACTIVE, of_standing

    return of_standing(bills, as_of, zone, ACTIVE).select("user_id")


def outcome(bills: DataFrame, start: datetime, end: datetime, zone: str) -> DataFrame:
    """Which of the users who are active at ``start`` have lapsed at ``end``.

    One row per such user without a visit in ``(start, end]``: ``user_id``, ``lapsed`` (always 1). Rows up to ``start``
    say who is active and how long the own gaps are, which was known then.
    """
    import pyspark.sql.functions as F

    from capflow_assets.expressions.own_rhythm import ACTIVE, lapses_by, of_standing
    from capflow_assets.learning.outcomes import visits_within

    may_lapse = of_standing(bills, start, zone, ACTIVE).filter(lapses_by(start, end, zone))
    silent = may_lapse.join(visits_within(bills, start, end), "user_id", "left_anti")
    return silent.select("user_id", F.lit(1).alias("lapsed"))


MODEL = chance_model(
    question="Which active users will lapse within the next sixty days?",
    family="churn",
    needs=Needs(tables=("clean/bills",), history_days=150, users=100, positives=30),
    subject=Subject("user", ("user_id",), known=known),
    words={"features/rfm": RFM, "features/rhythm": RHYTHM},
    outcome=Outcome(outcome, ("lapsed",)),
    params=ChurnParams,
    also=(by_history("lapsed", RFM, LAPSED_AFTER_GAPS),),
    baseline=by_column("overdue alone", "lapsed", "overdue_ratio", "days since the last visit, in gaps", grows=True),
)
