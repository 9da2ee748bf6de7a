"""Who buys within the next thirty days: boosted trees over what users did, calibrated (``learning.boosting``)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from capflow_assets.contract import Candidate, Examples, Model, Needs, Outcome, Reads, Rule
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.boosting import BoostedChance, BoostingParams
from capflow_assets.learning.metrics import roc_auc

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure
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


class PurchasePropensityParams(BoostingParams):
    """What a person or the tuner may set for the propensity to buy."""

    moments: int = Field(8, ge=2, le=24, description="How many past as-of moments make the examples.")


class PurchasePropensity(BoostedChance):
    """The chance to buy within the horizon."""

    outcome = "bought"
    words: ClassVar[Mapping[str, str]] = {**RFM, **RHYTHM}


class RecencyRule:
    """The baseline: the share of buyers by days since the last visit, never growing with them."""

    def __init__(self, params: PurchasePropensityParams) -> None:
        self.params = params
        self.days: np.ndarray | None = None
        self.share: np.ndarray | None = None
        self.overall = 0.0

    def fit(self, examples: Examples) -> RecencyRule:
        """Isotonic regression of the outcome on ``recency_days``."""
        from sklearn.isotonic import IsotonicRegression

        from capflow_assets.learning.boosting import positives
        from capflow_assets.learning.frames import matrix

        bought = positives(examples, "bought").astype(float)
        days = matrix(examples.columns, ("recency_days",))["recency_days"].to_numpy()
        known = days == days
        if not known.any():
            raise EvidenceError("The recency rule cannot be fitted", expected="users with a visit", came="none")
        curve = IsotonicRegression(increasing=False, out_of_bounds="clip").fit(days[known], bought[known])
        self.days, self.share, self.overall = curve.X_thresholds_, curve.y_thresholds_, float(bought.mean())
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """``score``: the share of buyers among users as recent; everybody's where the last visit is unknown."""
        import numpy as np
        import pandas as pd

        from capflow_assets.learning.frames import fitted, matrix

        corners, share = fitted(self.days, "recency rule"), fitted(self.share, "recency rule")
        days = matrix(examples.columns, ("recency_days",))["recency_days"].to_numpy()
        score = np.where(np.isnan(days), self.overall, np.interp(np.nan_to_num(days), corners, share))
        return pd.DataFrame({"score": score, "reasons": "days since the last visit"}, index=examples.columns.index)

    def parameters(self) -> dict[str, Any]:
        """The curve's corners."""
        if self.days is None or self.share is None:
            return {}
        return {"recency_days": self.days.tolist(), "share": self.share.tolist()}


def outcome(bills: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """Who bought in the horizon.

    One row per known user with a visit in ``(start, end]``: ``user_id``, ``bought`` (always 1).
    """
    import pyspark.sql.functions as F

    from capflow_assets.learning.outcomes import example_key, visits_within

    return visits_within(bills, start, end).select(*example_key(bills)).distinct().withColumn("bought", F.lit(1))


def calibration(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """Expected calibration error of the chances beyond what chance alone would show, ten bins of equal mass.

    Without taking chance off, no customer of a few hundred users could ever pass.
    """
    from capflow_assets.learning.calibration import calibration_error_by_chance, expected_calibration_error

    bought, chances = outcomes["bought"], answers["score"]
    return max(0.0, expected_calibration_error(bought, chances) - calibration_error_by_chance(bought, chances))


def plot(outcomes: pd.DataFrame, answers: pd.DataFrame) -> Figure:
    """The chance that was predicted against the share that bought, in ten groups of users."""
    from capflow_assets.learning.plots import calibration_plot

    return calibration_plot(outcomes["bought"], answers["score"], "bought", calibration(outcomes, answers))


MODEL = Model(
    question="Who buys within the next thirty days?",
    family="propensity",
    needs=Needs(tables=("clean/bills",), history_days=90, users=100, positives=50, evidence={"negatives": 30}),
    reads=(Reads("features/rfm", tuple(RFM)), Reads("features/rhythm", tuple(RHYTHM))),
    outcome=Outcome(outcome, ("bought",)),
    params=PurchasePropensityParams,
    candidates=(
        Candidate("boosted trees", PurchasePropensity),
        Candidate("recency alone", RecencyRule, is_baseline=True),
    ),
    metric=roc_auc("bought"),
    rules=(Rule("calibrated", calibration, "its calibration error", at_most=0.05),),
    plot=plot,
)
