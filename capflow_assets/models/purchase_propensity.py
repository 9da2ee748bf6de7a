"""Who buys within the next thirty days: gradient-boosted trees over what users did, calibrated in time.

XGBoost (Chen & Guestrin 2016) on examples of several past moments; the newest of them is held out of the trees and
calibrates their scores, so that of users scored 0.3 three in ten buy. Reasons are SHAP contributions of the trees
(Lundberg et al. 2020) before calibration, which keeps their order and their signs.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import Field

from capflow_assets.contract import Gate, Model, Needs, Params
from capflow_assets.errors import ModelError
from capflow_assets.learning.metrics import roc_auc

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import xgboost
    from matplotlib.figure import Figure
    from pyspark.sql import DataFrame

    from capflow_assets.learning.calibration import Calibrator

WORDS = {
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
    "gap_days_avg": "{:.1f} days between visits on average",
    "gap_days_std": "gaps between visits vary by {:.1f} days",
    "gap_days_last": "{:.0f} days between the last two visits",
    "gap_days_recent_avg": "{:.1f} days between the latest visits",
    "gap_change_pct": "gaps between visits changed by {:+.0f} %",
    "overdue_ratio": "waiting {:.1f} times the usual gap",
}
COLUMNS = tuple(WORDS)
HELD_OUT_SHARE = 0.2
ROWS_AT_ONCE = 100_000


class PurchasePropensityParams(Params):
    """What a person or the tuner may set for the propensity to buy."""

    moments: int = Field(8, ge=2, le=24, description="How many past as-of moments make the examples.")
    learning_rate: float = Field(
        0.05, gt=0, le=1, description="Step of each tree.", json_schema_extra={"search": [0.01, 0.3]}
    )
    rounds: int = Field(200, ge=1, le=5000, description="How many trees.", json_schema_extra={"search": [50, 600]})
    max_depth: int = Field(4, ge=1, le=12, description="Depth of each tree.", json_schema_extra={"search": [2, 8]})
    min_child_weight: float = Field(
        20.0, ge=0, le=1000, description="Least weight of a leaf.", json_schema_extra={"search": [1.0, 100.0]}
    )
    subsample: float = Field(
        0.8, gt=0, le=1, description="Share of examples per tree.", json_schema_extra={"search": [0.5, 1.0]}
    )
    colsample: float = Field(
        0.8, gt=0, le=1, description="Share of features per tree.", json_schema_extra={"search": [0.4, 1.0]}
    )
    l2: float = Field(1.0, ge=0, le=1000, description="Shrinkage of leaves.", json_schema_extra={"search": [0.1, 30.0]})
    threads: int = Field(2, ge=1, le=64, description="Threads; change it and scores may differ in the last digits.")


class PurchasePropensity:
    """Trees that order users by their chance to buy, and the calibrator that makes the order a chance."""

    saved_types = ("xgboost.core.Booster", "capflow_assets.learning.calibration.Calibrator")

    def __init__(self, params: PurchasePropensityParams) -> None:
        self.params = params
        self.trees: xgboost.Booster | None = None
        self.calibrator: Calibrator | None = None
        self.examples: dict[str, int] = {}

    def fit(self, features: pd.DataFrame, labels: pd.DataFrame | None = None) -> PurchasePropensity:
        """Grow the trees on the older moments and calibrate on the newest.

        Without a column ``moment``, or with one moment only, a fifth of the examples is held out by the seed.

        Raises ``ModelError`` without labels, or when all users bought or none did.
        """
        import xgboost

        from capflow_assets.learning.calibration import fit_calibrator
        from capflow_assets.learning.frames import matrix

        bought = _outcomes(features, labels)
        held_out = _held_out(features, self.params.seed)
        _require_both(bought[~held_out], "training")
        examples = matrix(features, COLUMNS)
        training = xgboost.DMatrix(
            examples[~held_out], label=bought[~held_out].astype(float), nthread=self.params.threads
        )
        self.trees = xgboost.train(self._settings(), training, num_boost_round=self.params.rounds)
        self.calibrator = fit_calibrator(bought[held_out], self._raw(examples[held_out]))
        self.examples = {"training": int((~held_out).sum()), "calibration": int(held_out.sum())}
        return self

    def predict(self, features: pd.DataFrame) -> pd.DataFrame:
        """``score``: the chance to buy within the horizon."""
        import numpy as np
        import pandas as pd

        from capflow_assets.learning.explanations import reasons
        from capflow_assets.learning.frames import fitted, matrix

        calibrator = fitted(self.calibrator, "purchase_propensity")
        state = matrix(features, COLUMNS)
        scores, texts = np.empty(len(state)), []
        for first in range(0, len(state), ROWS_AT_ONCE):
            part = state.iloc[first : first + ROWS_AT_ONCE]
            scores[first : first + ROWS_AT_ONCE] = calibrator.apply(self._raw(part))
            texts += reasons(part, self._contributions(part), WORDS)
        return pd.DataFrame({"score": scores, "reasons": pd.Series(texts, index=state.index, dtype=object)})

    def parameters(self) -> dict[str, Any]:
        """The chosen parameters, the calibrator, how many examples each saw, and each feature's share of the gain."""
        gain: dict[str, Any] = dict(self.trees.get_score(importance_type="total_gain")) if self.trees else {}
        total = sum(gain.values()) or 1.0
        return {
            **self.params.model_dump(),
            "calibrator": self.calibrator.describe() if self.calibrator else None,
            "examples": self.examples,
            "gain_share": {name: round(gain.get(name, 0.0) / total, 4) for name in COLUMNS},
        }

    def _settings(self) -> dict[str, Any]:
        params = self.params
        return {
            "objective": "binary:logistic",
            "tree_method": "hist",
            "learning_rate": params.learning_rate,
            "max_depth": params.max_depth,
            "min_child_weight": params.min_child_weight,
            "subsample": params.subsample,
            "colsample_bytree": params.colsample,
            "lambda": params.l2,
            "seed": params.seed,
            "nthread": params.threads,
        }

    def _raw(self, state: pd.DataFrame) -> np.ndarray:
        import xgboost

        from capflow_assets.learning.frames import fitted

        trees = fitted(self.trees, "purchase_propensity")
        return trees.predict(xgboost.DMatrix(state, nthread=self.params.threads)).astype(float)

    def _contributions(self, state: pd.DataFrame) -> np.ndarray:
        import xgboost

        from capflow_assets.learning.frames import fitted

        trees = fitted(self.trees, "purchase_propensity")
        found = trees.predict(xgboost.DMatrix(state, nthread=self.params.threads), pred_contribs=True)
        return found[:, :-1]  # the last is everybody's average


class RecencyRule:
    """The baseline: the share of buyers by days since the last visit, never growing with them."""

    def __init__(self, params: PurchasePropensityParams) -> None:
        self.params = params
        self.days: np.ndarray | None = None
        self.share: np.ndarray | None = None
        self.overall = 0.0

    def fit(self, features: pd.DataFrame, labels: pd.DataFrame | None = None) -> RecencyRule:
        """Isotonic regression of the outcome on ``recency_days``."""
        from sklearn.isotonic import IsotonicRegression

        from capflow_assets.learning.frames import matrix

        bought = _outcomes(features, labels).astype(float)
        days = matrix(features, ("recency_days",))["recency_days"].to_numpy()
        known = days == days
        if not known.any():
            raise ModelError("The recency rule cannot be fitted", expected="users with a visit", came="none")
        curve = IsotonicRegression(increasing=False, out_of_bounds="clip").fit(days[known], bought[known])
        self.days, self.share, self.overall = curve.X_thresholds_, curve.y_thresholds_, float(bought.mean())
        return self

    def predict(self, features: pd.DataFrame) -> pd.DataFrame:
        """``score``: the share of buyers among users as recent; everybody's where the last visit is unknown."""
        import numpy as np
        import pandas as pd

        from capflow_assets.learning.frames import fitted, matrix

        corners, share = fitted(self.days, "recency rule"), fitted(self.share, "recency rule")
        days = matrix(features, ("recency_days",))["recency_days"].to_numpy()
        score = np.where(np.isnan(days), self.overall, np.interp(np.nan_to_num(days), corners, share))
        return pd.DataFrame({"score": score, "reasons": "days since the last visit"}, index=features.index)

    def parameters(self) -> dict[str, Any]:
        """The curve's corners."""
        if self.days is None or self.share is None:
            return {}
        return {"recency_days": self.days.tolist(), "share": self.share.tolist()}


def label(bills: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """Who bought in the horizon.

    One row per known user with a visit in ``(start, end]``: ``user_id``, ``bought`` (always 1).
    """
    import pyspark.sql.functions as F

    from capflow_assets.learning.outcomes import example_key, visits_within

    return visits_within(bills, start, end).select(*example_key(bills)).distinct().withColumn("bought", F.lit(1))


def calibration(labels: pd.DataFrame, predictions: pd.DataFrame) -> float:
    """Expected calibration error of the chances beyond what chance alone would show, ten bins of equal mass.

    Without taking chance off, no customer of a few hundred users could ever pass.
    """
    from capflow_assets.learning.calibration import calibration_error_by_chance, expected_calibration_error

    outcome, chances = labels["bought"], predictions["score"]
    return max(0.0, expected_calibration_error(outcome, chances) - calibration_error_by_chance(outcome, chances))


def plot(labels: pd.DataFrame, predictions: pd.DataFrame) -> Figure:
    """The chance that was predicted against the share that bought, in ten groups of users; the diagonal is perfect."""
    from matplotlib.figure import Figure

    from capflow_assets.learning.calibration import calibration_table

    table = calibration_table(labels["bought"], predictions["score"])
    most = max(float(table[["predicted_mean", "observed_mean"]].max().max()), 0.01) * 1.05
    figure = Figure(figsize=(5, 3.8), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.plot([0, most], [0, most], color="black", linestyle=":", linewidth=1)
    axes.plot(table["predicted_mean"], table["observed_mean"], marker="o")
    axes.set_xlabel("predicted chance to buy, mean of each tenth of users")
    axes.set_ylabel("share that bought")
    axes.set_title(f"Mean distance from the diagonal, beyond chance: {calibration(labels, predictions):.3f}")
    return figure


def _outcomes(features: pd.DataFrame, labels: pd.DataFrame | None) -> np.ndarray:
    if labels is None or len(labels) != len(features):
        came = "no labels" if labels is None else f"{len(labels)} labels for {len(features)} examples"
        raise ModelError("purchase_propensity cannot be fitted", expected="one label per example", came=came)
    found: np.ndarray = labels["bought"].to_numpy(dtype=float) > 0
    return found


def _held_out(features: pd.DataFrame, seed: int) -> np.ndarray:
    import numpy as np

    if "moment" in features.columns and features["moment"].nunique() > 1:
        found: np.ndarray = (features["moment"] == features["moment"].max()).to_numpy()
        return found
    return np.random.default_rng(seed).random(len(features)) < HELD_OUT_SHARE


def _require_both(bought: np.ndarray, where: str) -> None:
    if bought.all() or not bought.any():
        raise ModelError(
            "purchase_propensity cannot be fitted",
            expected="users who bought and users who did not",
            came=f"{int(bought.sum())} buyers of {bought.size}",
            where=f"{where} examples",
            do="wait for more history or choose another horizon",
        )


MODEL = Model(
    question="Who buys within the next thirty days?",
    family="propensity",
    needs=Needs(tables=("clean/bills",), history_days=90, users=100, positives=50, evidence={"negatives": 30}),
    features=("rfm", "rhythm"),
    columns=COLUMNS,
    label=label,
    label_columns=("bought",),
    params=PurchasePropensityParams,
    estimator=PurchasePropensity,  # type: ignore[arg-type]
    baseline=RecencyRule,  # type: ignore[arg-type]
    baseline_name="recency alone",
    metric=roc_auc("bought"),
    gate=Gate(calibration=calibration, at_most=0.05),
    plot=plot,
)
