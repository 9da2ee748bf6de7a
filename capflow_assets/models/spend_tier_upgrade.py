"""Who reaches the next tier of spend within ninety days, by the spend of a year (``learning.spend_tiers``).

A customer with a scheme of its own names the tiers: ``[models.spend_tier_upgrade]`` with ``thresholds = [200, 500]``.
Users below the top tier are asked about. One reaches the next tier on the first day on which the bills of the 364 days
up to it add up to what it begins at; what is bought now counts, and what was bought a year ago drops out meanwhile.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from capflow_assets.contract import Candidate, Needs, Outcome, Subject
from capflow_assets.learning.objectives.chance import ChanceParams, chance_model
from capflow_assets.learning.spend_tiers import SpendTiers
from capflow_assets.learning.tier_gap import GapAlone, GapSplines, GapTrees

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

UPGRADED = "reached_next_tier"
RFM = {
    "recency_days": "last visit {:.0f} days ago",
    "tenure_days": "first visit {:.0f} days ago",
    "visits_91d": "{:.0f} visits in the last 91 days",
    "visits_364d": "{:.0f} visits in the last 364 days",
    "spend_avg": "{:,.2f} spent per visit",
    "spend_91d": "{:,.2f} spent in the last 91 days",
    "spend_prior_91d": "{:,.2f} spent in the 91 days before those",
    "spend_364d": "{:,.2f} spent in the last 364 days",
}
RHYTHM = {
    "gap_days_avg": "{:.1f} days between visits on average",
    "overdue_ratio": "waiting {:.1f} times the usual gap",
}


class SpendTierUpgradeParams(ChanceParams, SpendTiers):
    """What a person or the tuner may set for upgrades."""

    horizon_days: int = Field(90, ge=1, le=363, description="Local days after the as-of moment that are looked at.")
    max_examples: int = Field(
        60_000,
        ge=1000,
        description="Examples of all moments together; of more a share is drawn, and rare outcomes are all kept.",
    )


def known(bills: DataFrame, as_of: datetime, zone: str, params: SpendTierUpgradeParams) -> DataFrame:
    """The users below the top tier: ``user_id``."""
    from capflow_assets.learning.spend_tiers import standings

    return standings(bills, as_of, zone, params).filter("next_at is not null").select("user_id")


def outcome(bills: DataFrame, start: datetime, end: datetime, zone: str, params: SpendTierUpgradeParams) -> DataFrame:
    """Which of the users below the top tier at ``start`` reach the next one in ``(start, end]``.

    One row per such user: ``user_id``, ``reached_next_tier`` (always 1).
    """
    import pyspark.sql.functions as F

    from capflow_assets.learning.spend_tiers import upgrades

    return upgrades(bills, start, end, zone, params).withColumn(UPGRADED, F.lit(1))


MODEL = chance_model(
    question="Which users will reach the next tier of spend within ninety days?",
    family="propensity",
    needs=Needs(tables=("clean/bills",), history_days=270, users=100, positives=30, evidence={"negatives": 30}),
    subject=Subject("user", ("user_id",), known=known),
    words={"features/rfm": RFM, "features/rhythm": RHYTHM},
    outcome=Outcome(outcome, (UPGRADED,)),
    params=SpendTierUpgradeParams,
    did="reached the next tier",
    also=(
        Candidate("gap splines", partial(GapSplines, outcome=UPGRADED, words={**RFM, **RHYTHM})),
        Candidate("gap trees", partial(GapTrees, outcome=UPGRADED, words={**RFM, **RHYTHM})),
    ),
    baseline=Candidate("the gap over the own rate", partial(GapAlone, outcome=UPGRADED), is_baseline=True),
)
