"""What all estimators of a chance share: they learn on past moments and calibrate on a newer one.

The newest moment of the examples is held out of the learning and calibrates the scores, so that of subjects scored 0.3
three in ten have the outcome. Reasons are contributions before calibration, which keeps their order and their signs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from capflow_assets.contract import Examples, Horizon
from capflow_assets.errors import EvidenceError, ModelError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from capflow_assets.learning.calibration import Calibrator

HELD_OUT_SHARE = 0.2
ROWS_AT_ONCE = 100_000
CALIBRATOR = "capflow_assets.learning.calibration.Calibrator"
# What a number of 32 bits can hold; trees read no larger ones.
LARGEST = 3e38
P = TypeVar("P", bound=Horizon)


class ChanceEstimator(Generic[P]):
    """The chance of an outcome: what orders subjects by it, and the calibrator that makes the order a chance.

    ``outcome`` is the column of the outcomes that is above 0 where it came. ``words`` are the columns that are read,
    each with a text that has a place for its value. A kind of estimator says how it learns (``_learn``), how it scores
    from 0 to 1 (``_raw``), and what each column contributed, in log-odds (``_contributions``).
    """

    saved_types: ClassVar[tuple[str, ...]] = (CALIBRATOR,)

    def __init__(self, params: P, outcome: str, words: Mapping[str, str]) -> None:
        self.params = params
        self.outcome = outcome
        self.words = dict(words)
        self.calibrator: Calibrator | None = None
        self.examples: dict[str, int] = {}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return tuple(self.words)

    def using(self, columns: tuple[str, ...]) -> Self:
        """Another of the same recipe, not fitted, that reads these columns only."""
        return self._another({name: self.words[name] for name in columns})

    def _another(self, words: Mapping[str, str]) -> Self:
        """Another of the same recipe, not fitted, that reads the columns of these words."""
        return type(self)(self.params, self.outcome, words)

    def fit(self, examples: Examples) -> Self:
        """Learn on the older moments and calibrate on the newest.

        With one moment only, a fifth of the examples is held out by the seed.

        Raises:
            EvidenceError: all subjects had the outcome, or none did.
            ModelError: there are no outcomes.
        """
        from capflow_assets.learning.calibration import fit_calibrator
        from capflow_assets.learning.example_weights import example_weights
        from capflow_assets.learning.frames import in_order

        examples = in_order(examples)  # subsamples are drawn by place
        is_positive = positives(examples, self.outcome)
        is_held_out = held_out(examples.columns, self.params.seed)
        _require_both(is_positive[~is_held_out], self.outcome)
        state, weights = self._matrix(examples), example_weights(examples.outcomes)
        older, newest = (None, None) if weights is None else (weights[~is_held_out], weights[is_held_out])
        self._learn(state[~is_held_out], is_positive[~is_held_out], older)
        raw = self._raw(state[is_held_out])
        self.calibrator = fit_calibrator(is_positive[is_held_out], raw, weights=newest)
        self.examples = {"training": int((~is_held_out).sum()), "calibration": int(is_held_out.sum())}
        return self

    def refit(self, examples: Examples) -> Self:
        """The same recipe learned on all that is known, the newest moment too, and the calibrator as it is.

        A calibrator has to be fitted on examples that the estimator has not seen; after this there are none.
        """
        from capflow_assets.learning.example_weights import example_weights
        from capflow_assets.learning.frames import in_order

        examples = in_order(examples)
        newer = self._another(self.words)
        weights = example_weights(examples.outcomes)
        newer._learn(newer._matrix(examples), positives(examples, self.outcome), weights)
        newer.calibrator = self.calibrator
        newer.examples = {**self.examples, "training": len(examples)}
        return newer

    def recalibrated(self, examples: Examples) -> Self:
        """Another that orders subjects alike, its calibrator fitted to examples that neither has learned from.

        Raises:
            EvidenceError: all subjects had the outcome, or none did.
            ModelError: there are no outcomes.
        """
        from copy import copy

        from capflow_assets.learning.calibration import fit_calibrator
        from capflow_assets.learning.example_weights import example_weights
        from capflow_assets.learning.frames import fitted

        fitted(self.calibrator, type(self).__name__)
        newer = copy(self)
        raw, weights = self._raw(self._matrix(examples)), example_weights(examples.outcomes)
        newer.calibrator = fit_calibrator(positives(examples, self.outcome), raw, weights=weights)
        newer.examples = {**self.examples, "calibration": len(examples)}
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
        import numpy as np
        import pandas as pd

        from capflow_assets.learning.frames import fitted

        calibrator, state = fitted(self.calibrator, type(self).__name__), self._matrix(examples)
        scores = calibrator.apply(self._raw(state)) if len(state) else np.empty(0)
        return pd.DataFrame({"score": scores}, index=state.index)

    def parameters(self) -> dict[str, Any]:
        """The chosen parameters, the calibrator, how many examples each saw, and each column's share in the scores."""
        shares = self._shares() if self.calibrator else {}
        return {
            **self.params.model_dump(),
            "calibrator": self.calibrator.describe() if self.calibrator else None,
            "examples": self.examples,
            "gain_share": {name: round(shares.get(name, 0.0), 4) for name in self.words},
        }

    def _matrix(self, examples: Examples) -> pd.DataFrame:
        from capflow_assets.learning.frames import matrix

        return matrix(examples.columns, tuple(self.words)).clip(-LARGEST, LARGEST)

    def _learn(self, state: pd.DataFrame, is_positive: np.ndarray, weights: np.ndarray | None) -> None:
        """Learn to order; ``weights`` say how many examples each stands for, None where each stands for itself."""
        raise NotImplementedError

    def _raw(self, state: pd.DataFrame) -> np.ndarray:
        """Uncalibrated scores from 0 to 1."""
        raise NotImplementedError

    def _contributions(self, state: pd.DataFrame) -> np.ndarray:
        """What each column of each row adds to the log-odds of an average subject."""
        raise NotImplementedError

    def _shares(self) -> dict[str, float]:
        """Each column's share in what tells subjects apart."""
        raise NotImplementedError


def positives(examples: Examples, outcome: str) -> np.ndarray:
    """Which examples have the outcome: a column of ``examples.outcomes`` above 0.

    Raises:
        ModelError: there is not one outcome per example.
    """
    outcomes = examples.outcomes
    if outcomes is None or len(outcomes) != len(examples):
        received = "no outcomes" if outcomes is None else f"{len(outcomes)} outcomes for {len(examples)} examples"
        raise ModelError(f"{outcome} cannot be learned", expected="one outcome per example", came=received)
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
