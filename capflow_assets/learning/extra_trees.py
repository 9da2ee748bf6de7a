"""Extremely randomised trees that give a chance (``learning.chances``).

Grown by scikit-learn (P. Geurts, D. Ernst, L. Wehenkel, "Extremely randomized trees", Machine Learning 63, 2006), each
on all examples and split at random; then carried by XGBoost, which answers faster and is saved without pickle
(``learning.forests``). Deep trees have no cheap SHAP values: reasons follow each row's way down the trees instead and
take what each split changed in the mean (A. Saabas, "Interpreting random forests", 2014).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from capflow_assets.learning.boosting import BOOSTER, BoostingParams
from capflow_assets.learning.chances import ChanceEstimator
from capflow_assets.learning.spline_logistic import drawn

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import xgboost

MOST_ROWS = 20_000
TREES = 120
DEPTH = 8
LEAST_IN_A_LEAF = 10


class ExtraTrees(ChanceEstimator[BoostingParams]):
    """The mean of trees whose splits are drawn at random."""

    saved_types: ClassVar[tuple[str, ...]] = (BOOSTER, *ChanceEstimator.saved_types)

    def __init__(self, params: BoostingParams, outcome: str, words: Mapping[str, str]) -> None:
        super().__init__(params, outcome, words)
        self.trees: xgboost.Booster | None = None
        self.importances: dict[str, float] = {}

    def _learn(self, state: pd.DataFrame, is_positive: np.ndarray, weights: np.ndarray | None) -> None:
        import numpy as np
        from sklearn.ensemble import ExtraTreesClassifier

        from capflow_assets.learning.forests import booster_of

        chosen = drawn(len(state), MOST_ROWS, self.params.seed)
        forest = ExtraTreesClassifier(
            TREES,
            max_depth=DEPTH,
            min_samples_leaf=LEAST_IN_A_LEAF,
            max_features=0.5,
            n_jobs=self.params.threads,
            random_state=self.params.seed,
        )
        mass = None if weights is None else weights[chosen]
        forest.fit(state.to_numpy(dtype=np.float32)[chosen], is_positive[chosen], sample_weight=mass)
        self.trees = booster_of(forest, list(self.words))
        self.importances = dict(zip(self.words, forest.feature_importances_.tolist(), strict=True))

    def _raw(self, state: pd.DataFrame) -> np.ndarray:
        return self._answered(state).clip(0.0, 1.0)

    def _contributions(self, state: pd.DataFrame) -> np.ndarray:
        parts = self._answered(state, pred_contribs=True, approx_contribs=True)
        # Shares become log-odds to the first order, at everybody's average.
        average = parts[:, -1:].clip(0.01, 0.99)
        return parts[:, :-1] / (average * (1 - average))

    def _answered(self, state: pd.DataFrame, **what: bool) -> np.ndarray:
        import xgboost

        from capflow_assets.learning.frames import fitted

        trees = fitted(self.trees, type(self).__name__)
        return trees.predict(xgboost.DMatrix(state, nthread=self.params.threads), **what).astype(float)

    def _shares(self) -> dict[str, float]:
        return self.importances
