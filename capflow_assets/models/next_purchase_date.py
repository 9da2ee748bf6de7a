"""When each user comes next: boosted trees over censored times, or a renewal of the user's own gaps.

See ``learning.time_estimators`` and ``learning.gap_estimators``; ``learning.objectives.time_to_event`` judges dates.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import Field

from capflow_assets.contract import Candidate, Needs
from capflow_assets.learning.column_menu import MenuParams
from capflow_assets.learning.gap_estimators import DueDate, RenewalTime
from capflow_assets.learning.objectives.time_to_event import time_model

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

RFM = {
    "recency_days": "has not bought for {:.0f} days",
    "tenure_days": "first visit {:.0f} days ago",
    "visits": "{:.0f} visits in all",
    "visits_28d": "{:.0f} visits in the last 28 days",
    "visits_91d": "{:.0f} visits in the last 91 days",
    "visits_364d": "{:.0f} visits in the last 364 days",
    "spend_avg": "{:,.2f} spent per visit",
}
RHYTHM = {
    "gap_days_median": "usual gap {:.0f} days",
    "gap_days_avg": "{:.1f} days between visits on average",
    "gap_days_cv": "gaps vary by {:.1f} times their average",
    "gap_days_last": "{:.0f} days between the last two visits",
    "gap_days_recent_avg": "{:.1f} days between the latest visits",
    "gap_change_pct": "gaps between visits changed by {:+.0f} %",
    "overdue_ratio": "waiting {:.1f} times the usual gap",
}


class NextPurchaseDateParams(MenuParams):
    """What a person or the tuner may set for the date of the next purchase."""

    horizon_days: int = Field(60, ge=1, le=730, description="Local days after the as-of moment that are looked at.")
    moments: int = Field(6, ge=2, le=24, description="How many past as-of moments make the examples.")


def outcome(bills: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """After how many days each user came.

    One row per known user with a visit in ``(start, end]``: ``user_id``, ``came`` (always 1), ``days`` (whole days of
    24 hours from ``start`` to the first visit, begun ones counting whole).
    """
    import pyspark.sql.functions as F

    from capflow_assets.expressions.micros import A_DAY
    from capflow_assets.learning.outcomes import example_key, visits_within

    micros = F.unix_micros("billed_at") - F.unix_micros(F.lit(start))
    days = F.ceil(F.min(micros) / F.lit(A_DAY)).cast("double")
    visits = visits_within(bills, start, end)
    return visits.groupBy(*example_key(bills)).agg(F.lit(1.0).alias("came"), days.alias("days"))


MODEL = time_model(
    question="When will each user buy next?",
    family="next purchase",
    needs=Needs(tables=("clean/bills",), history_days=150, users=100, positives=50),
    outcome=outcome,
    words={"features/rfm": RFM, "features/rhythm": RHYTHM},
    baseline=Candidate("the usual gap", DueDate, is_baseline=True),
    params=NextPurchaseDateParams,
    also=(Candidate("renewal of own gaps", RenewalTime),),
)
