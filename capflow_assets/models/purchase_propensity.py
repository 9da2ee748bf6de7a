"""Who buys within the next thirty days, by what users did (``learning.objectives.chance``)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from capflow_assets.contract import Needs, Outcome
from capflow_assets.learning.objectives.chance import ChanceParams, by_column, chance_model

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

RFM = {
    "recency_days": "last visit {:.0f} days ago",
    "tenure_days": "first visit {:.0f} days ago",
    "visits": "{:.0f} visits in all",
    "visits_28d": "{:.0f} visits in the last 28 days",
    "visits_91d": "{:.0f} visits in the last 91 days",
    "visits_364d": "{:.0f} visits in the last 364 days",
    "spend_total": "{:,.2f} spent in all",
    "spend_avg": "{:,.2f} spent per visit",
    "spend_91d": "{:,.2f} spent in the last 91 days",
    "spend_364d": "{:,.2f} spent in the last 364 days",
}
RHYTHM = {
    "gap_days_avg": "{:.1f} days between visits on average",
    "gap_days_std": "gaps between visits vary by {:.1f} days",
    "gap_days_last": "{:.0f} days between the last two visits",
    "gap_days_recent_avg": "{:.1f} days between the latest visits",
    "gap_change_pct": "gaps between visits changed by {:+.0f} %",
    "overdue_ratio": "waiting {:.1f} times the usual gap",
}


class PurchasePropensityParams(ChanceParams):
    """What a person or the tuner may set for the propensity to buy."""


def outcome(bills: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """Who bought in the horizon.

    One row per known user with a visit in ``(start, end]``: ``user_id``, ``bought`` (always 1).
    """
    import pyspark.sql.functions as F

    from capflow_assets.learning.outcomes import example_key, visits_within

    return visits_within(bills, start, end).select(*example_key(bills)).distinct().withColumn("bought", F.lit(1))


MODEL = chance_model(
    question="Who buys within the next thirty days?",
    family="propensity",
    needs=Needs(tables=("clean/bills",), history_days=90, users=100, positives=50, evidence={"negatives": 30}),
    words={"features/rfm": RFM, "features/rhythm": RHYTHM},
    outcome=Outcome(outcome, ("bought",)),
    params=PurchasePropensityParams,
    baseline=by_column("recency alone", "bought", "recency_days", "days since the last visit", grows=False),
)
