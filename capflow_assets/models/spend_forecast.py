"""What each user spends within the next thirty days: boosted trees in two parts or as one mean, calibrated.

See ``learning.boosted_amounts`` for the trees and ``learning.objectives.amount`` for how forecasts are judged.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import Field

from capflow_assets.contract import Candidate, Examples, Needs, Outcome
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.boosted_amounts import AMOUNT_TYPES, AmountParams
from capflow_assets.learning.objectives.amount import amount_model

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from pyspark.sql import DataFrame

    from capflow_assets.learning.amounts import AmountBands

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
    "spend_prior_91d": "{:,.2f} spent in the 91 days before those",
    "spend_364d": "{:,.2f} spent in the last 364 days",
    "repeat_visit_spend_avg": "{:,.2f} spent a visit after the first",
}
RHYTHM = {
    "gap_days_avg": "{:.1f} days between visits on average",
    "gap_days_std": "gaps between visits vary by {:.1f} days",
    "gap_days_recent_avg": "{:.1f} days between the latest visits",
    "gap_change_pct": "gaps between visits changed by {:+.0f} %",
    "overdue_ratio": "waiting {:.1f} times the usual gap",
}
SPEND = "spend"
YEAR_DAYS = 364.0


class SpendForecastParams(AmountParams):
    """What a person or the tuner may set for the forecast of spend."""

    moments: int = Field(8, ge=2, le=24, description="How many past as-of moments make the examples.")


class UsualSpend:
    """The baseline: a user goes on spending as in the last year, drawn towards everybody's mean by one horizon of it.

    ``h (s + m) / (d + h)`` with ``s`` the net spend of ``d`` days (the last 364, or those since the first bill), ``m``
    everybody's mean spend in a horizon of ``h`` days.
    """

    saved_types = AMOUNT_TYPES

    def __init__(self, params: SpendForecastParams) -> None:
        self.params = params
        self.mean: float | None = None
        self.bands: AmountBands | None = None

    def fit(self, examples: Examples) -> UsualSpend:
        """Learn everybody's mean, and how far users are from it."""
        from capflow_assets.learning.amounts import fit_amount_bands
        from capflow_assets.learning.boosted_amounts import amounts

        spent = amounts(examples, SPEND)
        if not spent.any():
            raise EvidenceError("The usual spend cannot be learned", expected="users who spent", came="none")
        self.mean = float(spent.mean())
        self.bands = fit_amount_bands(spent, self._expected(examples))
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """``score``: the usual spend of a horizon, with its 80 % interval."""
        import pandas as pd

        from capflow_assets.learning.frames import fitted

        expected = self._expected(examples)
        low, high = fitted(self.bands, "usual spend").of(expected)
        columns = {"score": expected, "low_80": low, "high_80": high, "reasons": "spends as in the last year"}
        return pd.DataFrame(columns, index=examples.columns.index)

    def parameters(self) -> dict[str, Any]:
        """Everybody's mean spend in a horizon."""
        return {"mean": self.mean, "bands": None if self.bands is None else self.bands.describe()}

    def _expected(self, examples: Examples) -> np.ndarray:
        import numpy as np

        from capflow_assets.learning.frames import fitted, matrix

        state = matrix(examples.columns, ("tenure_days", "spend_364d")).fillna(0.0)
        days = np.minimum(state["tenure_days"].to_numpy() + 1, YEAR_DAYS)
        spend, horizon = np.maximum(state["spend_364d"].to_numpy(), 0.0), self.params.horizon_days
        return np.asarray(horizon * (spend + fitted(self.mean, "usual spend")) / (days + horizon))


def outcome(bills: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """What each user spends in the horizon.

    One row per known user with a visit in ``(start, end]``: ``user_id``, ``spend`` (sum of the bills that are no
    returns, currency).
    """
    import pyspark.sql.functions as F

    from capflow_assets.expressions.sums import exact_sum
    from capflow_assets.learning.outcomes import example_key, visits_within

    spend = exact_sum(F.col("amount")).alias(SPEND)
    return visits_within(bills, start, end).groupBy(*example_key(bills)).agg(spend)


MODEL = amount_model(
    question="What will each user spend within the next thirty days?",
    family="spend forecast",
    needs=Needs(tables=("clean/bills",), history_days=90, users=100, positives=50),
    outcome=Outcome(outcome, (SPEND,)),
    words={"features/rfm": RFM, "features/rhythm": RHYTHM},
    baseline=Candidate("the usual spend", UsualSpend, is_baseline=True),
    params=SpendForecastParams,
)
