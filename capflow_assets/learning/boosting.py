"""Gradient-boosted trees that give a chance (``learning.chances``), and what may be set of boosted trees.

XGBoost (Chen & Guestrin 2016); reasons are SHAP contributions of the trees (Lundberg et al. 2020).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from capflow_assets.contract import Chosen, Search
from capflow_assets.learning.chances import ChanceEstimator

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import xgboost

BOOSTER = "xgboost.core.Booster"


class BoostingParams(Chosen):
    """What a person or the tuner may set for boosted trees."""

    learning_rate: Annotated[float, Search(0.01, 0.3, log=True)] = Field(
        0.05, gt=0, le=1, description="Step of each tree."
    )
    rounds: Annotated[int, Search(50, 600)] = Field(200, ge=1, le=5000, description="How many trees.")
    max_depth: Annotated[int, Search(2, 8)] = Field(4, ge=1, le=12, description="Depth of each tree.")
    min_child_weight: Annotated[float, Search(1.0, 100.0, log=True)] = Field(
        20.0, ge=0, le=1000, description="Least weight of a leaf."
    )
    subsample: Annotated[float, Search(0.5, 1.0)] = Field(0.8, gt=0, le=1, description="Share of examples per tree.")
    colsample: Annotated[float, Search(0.4, 1.0)] = Field(0.8, gt=0, le=1, description="Share of features per tree.")
    l2: Annotated[float, Search(0.1, 30.0, log=True)] = Field(1.0, ge=0, le=1000, description="Shrinkage of leaves.")
    threads: int = Field(2, ge=1, le=64, description="Threads; change it and scores may differ in the last digits.")

    def settings(self, objective: str) -> dict[str, Any]:
        """The parameters as XGBoost names them."""
        return {
            "objective": objective,
            "tree_method": "hist",
            "learning_rate": self.learning_rate,
            "max_depth": self.max_depth,
            "min_child_weight": self.min_child_weight,
            "subsample": self.subsample,
            "colsample_bytree": self.colsample,
            "lambda": self.l2,
            "seed": self.seed,
            "nthread": self.threads,
        }


class BoostedChance(ChanceEstimator[BoostingParams]):
    """Trees that order subjects by their chance of an outcome."""

    saved_types: ClassVar[tuple[str, ...]] = (BOOSTER, *ChanceEstimator.saved_types)

    def __init__(self, params: BoostingParams, outcome: str, words: Mapping[str, str]) -> None:
        super().__init__(params, outcome, words)
        self.trees: xgboost.Booster | None = None

    def _learn(self, state: pd.DataFrame, is_positive: np.ndarray, weights: np.ndarray | None) -> None:
        import xgboost

        label, threads = is_positive.astype(float), self.params.threads
        training = xgboost.DMatrix(state, label=label, weight=weights, nthread=threads)
        settings = self.params.settings("binary:logistic")
        self.trees = xgboost.train(settings, training, num_boost_round=self.params.rounds)

    def _raw(self, state: pd.DataFrame) -> np.ndarray:
        import xgboost

        from capflow_assets.learning.frames import fitted

        trees = fitted(self.trees, type(self).__name__)
        if trees.feature_names != list(state.columns):  # XGBoost says what it lacks
            return trees.predict(xgboost.DMatrix(state, nthread=self.params.threads)).astype(float)
        # The same numbers as by a matrix of XGBoost's own, which takes as long to fill as the trees take to answer.
        return trees.inplace_predict(state.to_numpy()).astype(float)

    def _contributions(self, state: pd.DataFrame) -> np.ndarray:
        from capflow_assets.learning.frames import fitted
        from capflow_assets.learning.tree_shap import contributions

        return contributions(fitted(self.trees, type(self).__name__), state, self.params.threads)

    def _shares(self) -> dict[str, float]:
        gain: dict[str, Any] = dict(self.trees.get_score(importance_type="total_gain")) if self.trees else {}
        total = sum(gain.values()) or 1.0
        return {name: value / total for name, value in gain.items()}
