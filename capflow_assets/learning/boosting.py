"""Gradient-boosted trees that give a chance: grown on past moments, calibrated on a newer one, explained.

XGBoost (Chen & Guestrin 2016) on examples of several past moments; the newest of them is held out of the trees and
calibrates their scores, so that of subjects scored 0.3 three in ten have the outcome. Reasons are SHAP contributions of
the trees (Lundberg et al. 2020) before calibration, which keeps their order and their signs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from capflow_assets.contract import Examples, Horizon, Search
from capflow_assets.errors import EvidenceError, ModelError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import xgboost

    from capflow_assets.learning.calibration import Calibrator

HELD_OUT_SHARE = 0.2
ROWS_AT_ONCE = 100_000


class BoostingParams(Horizon):
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


class BoostedChance:
    """Trees that order subjects by their chance of an outcome, and the calibrator that makes the order a chance.

    A model derives from it and says which ``outcome`` and, by its ``words``, which columns; the word of a column is a
    text with a place for its value.
    """

    saved_types: ClassVar[tuple[str, ...]] = (
        "xgboost.core.Booster",
        "capflow_assets.learning.calibration.Calibrator",
    )
    outcome: ClassVar[str]
    words: ClassVar[Mapping[str, str]]

    def __init__(self, params: BoostingParams) -> None:
        self.params = params
        self.trees: xgboost.Booster | None = None
        self.calibrator: Calibrator | None = None
        self.examples: dict[str, int] = {}

    def fit(self, examples: Examples) -> BoostedChance:
        """Grow the trees on the older moments and calibrate on the newest.

        With one moment only, a fifth of the examples is held out by the seed.

        Raises:
            EvidenceError: all subjects had the outcome, or none did.
            ModelError: there are no outcomes.
        """
        from capflow_assets.learning.calibration import fit_calibrator
        from capflow_assets.learning.frames import in_order

        examples = in_order(examples)  # subsamples are drawn by place
        is_positive = positives(examples, self.outcome)
        is_held_out = held_out(examples.columns, self.params.seed)
        _require_both(is_positive[~is_held_out], self.outcome)
        state = self._matrix(examples)
        self.trees = self._grown(state[~is_held_out], is_positive[~is_held_out])
        self.calibrator = fit_calibrator(is_positive[is_held_out], self._raw(state[is_held_out]))
        self.examples = {"training": int((~is_held_out).sum()), "calibration": int(is_held_out.sum())}
        return self

    def refit(self, examples: Examples) -> BoostedChance:
        """The same recipe on all that is known: trees of every moment, the newest too, and the calibrator as it is.

        A calibrator has to be fitted on examples that the trees have not seen; after this there are none.
        """
        from capflow_assets.learning.frames import in_order

        examples = in_order(examples)
        newer = type(self)(self.params)
        newer.trees = self._grown(self._matrix(examples), positives(examples, self.outcome))
        newer.calibrator = self.calibrator
        newer.examples = {**self.examples, "training": len(examples)}
        return newer

    def predict(self, examples: Examples) -> pd.DataFrame:
        """``score``: the chance of the outcome within the horizon; ``reasons``: what moved it most."""
        import numpy as np
        import pandas as pd

        from capflow_assets.learning.explanations import reasons
        from capflow_assets.learning.frames import fitted

        calibrator = fitted(self.calibrator, type(self).__name__)
        state = self._matrix(examples)
        scores, texts = np.empty(len(state)), []
        for first in range(0, len(state), ROWS_AT_ONCE):
            part = state.iloc[first : first + ROWS_AT_ONCE]
            scores[first : first + ROWS_AT_ONCE] = calibrator.apply(self._raw(part))
            texts += reasons(part, self._contributions(part), self.words)
        return pd.DataFrame({"score": scores, "reasons": pd.Series(texts, index=state.index, dtype=object)})

    def figures(self, examples: Examples) -> pd.DataFrame:
        """``score`` as of ``predict``, without the columns' contributions, which take longer than all the rest."""
        import pandas as pd

        from capflow_assets.learning.frames import fitted

        state = self._matrix(examples)
        scores = fitted(self.calibrator, type(self).__name__).apply(self._raw(state))
        return pd.DataFrame({"score": scores}, index=state.index)

    def parameters(self) -> dict[str, Any]:
        """The chosen parameters, the calibrator, how many examples each saw, and each feature's share of the gain."""
        gain: dict[str, Any] = dict(self.trees.get_score(importance_type="total_gain")) if self.trees else {}
        total = sum(gain.values()) or 1.0
        return {
            **self.params.model_dump(),
            "calibrator": self.calibrator.describe() if self.calibrator else None,
            "examples": self.examples,
            "gain_share": {name: round(gain.get(name, 0.0) / total, 4) for name in self.words},
        }

    def _matrix(self, examples: Examples) -> pd.DataFrame:
        from capflow_assets.learning.frames import matrix

        return matrix(examples.columns, tuple(self.words))

    def _grown(self, state: pd.DataFrame, is_positive: np.ndarray) -> xgboost.Booster:
        import xgboost

        training = xgboost.DMatrix(state, label=is_positive.astype(float), nthread=self.params.threads)
        settings = self.params.settings("binary:logistic")
        return xgboost.train(settings, training, num_boost_round=self.params.rounds)

    def _raw(self, state: pd.DataFrame) -> np.ndarray:
        import xgboost

        from capflow_assets.learning.frames import fitted

        trees = fitted(self.trees, type(self).__name__)
        return trees.predict(xgboost.DMatrix(state, nthread=self.params.threads)).astype(float)

    def _contributions(self, state: pd.DataFrame) -> np.ndarray:
        import xgboost

        from capflow_assets.learning.frames import fitted

        trees = fitted(self.trees, type(self).__name__)
        contributions = trees.predict(xgboost.DMatrix(state, nthread=self.params.threads), pred_contribs=True)
        return contributions[:, :-1]  # the last is everybody's average


def positives(examples: Examples, outcome: str) -> np.ndarray:
    """Which examples have the outcome: a column of ``examples.outcomes`` above 0.

    Raises:
        ModelError: there is not one outcome per example.
    """
    outcomes = examples.outcomes
    if outcomes is None or len(outcomes) != len(examples):
        came = "no outcomes" if outcomes is None else f"{len(outcomes)} outcomes for {len(examples)} examples"
        raise ModelError(f"{outcome} cannot be learned", expected="one outcome per example", came=came)
    is_positive: np.ndarray = outcomes[outcome].to_numpy(dtype=float) > 0
    return is_positive


def held_out(columns: pd.DataFrame, seed: int) -> np.ndarray:
    """Which examples calibrate: those of the newest moment, or a fifth by the seed where there is one moment only."""
    import numpy as np

    if "moment" in columns.columns and columns["moment"].nunique() > 1:
        is_newest: np.ndarray = (columns["moment"] == columns["moment"].max()).to_numpy()
        return is_newest
    return np.random.default_rng(seed).random(len(columns)) < HELD_OUT_SHARE


def _require_both(is_positive: np.ndarray, outcome: str) -> None:
    if is_positive.all() or not is_positive.any():
        raise EvidenceError(
            f"{outcome} cannot be learned",
            expected="subjects with the outcome and subjects without it",
            came=f"{int(is_positive.sum())} with it of {is_positive.size}",
            where="training examples",
            do="wait for more history or choose another horizon",
        )
