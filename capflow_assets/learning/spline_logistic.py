"""Regularised logistic regression over splines that gives a chance (``learning.chances``).

The log-odds are a sum of one smooth curve a column (``learning.splines``), so what a column contributes is exact: its
curve's height less its mean. Where effects add up it needs fewer examples than trees, and it goes on in straight lines
where they stop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from capflow_assets.contract import Horizon
from capflow_assets.learning.chances import ChanceEstimator

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MOST_ROWS = 20_000
# How freely curves bend: the inverse weight of the squares of standardised coefficients.
FREEDOM = 0.1


class SplineLogistic(ChanceEstimator[Horizon]):
    """A logistic regression whose columns have curves; all that it learns are arrays."""

    def __init__(self, params: Horizon, outcome: str, words: Mapping[str, str]) -> None:
        super().__init__(params, outcome, words)
        self.knots: dict[str, np.ndarray] = {}
        self.centre: np.ndarray | None = None
        self.weights: np.ndarray | None = None
        self.intercept = 0.0
        self.spread: dict[str, float] = {}

    def _learn(self, state: pd.DataFrame, is_positive: np.ndarray, weights: np.ndarray | None) -> None:
        import numpy as np
        from sklearn.linear_model import LogisticRegression

        from capflow_assets.learning.splines import knots_of, squeezed

        chosen = drawn(len(state), MOST_ROWS, self.params.seed)
        state, is_positive = state.iloc[chosen], is_positive[chosen]
        mass = None if weights is None else weights[chosen]
        self.knots = {name: knots_of(squeezed(state[name].to_numpy())) for name in self.words}
        curves = self._curves(state)
        # The centre is the average subject's, from whom reasons are told.
        self.centre, scale = np.average(curves, axis=0, weights=mass), curves.std(axis=0)
        # What never varies tells nobody apart.
        inverse = (scale > 1e-9) / scale.clip(1e-9)
        fit = LogisticRegression(C=FREEDOM, solver="newton-cholesky", max_iter=100)
        fit.fit((curves - self.centre) * inverse, is_positive, sample_weight=mass)
        self.weights, self.intercept = fit.coef_[0] * inverse, float(fit.intercept_[0])
        self.spread = dict(zip(self.words, self._contributions(state).std(axis=0).tolist(), strict=True))

    def _raw(self, state: pd.DataFrame) -> np.ndarray:
        import numpy as np
        from scipy.special import expit

        return np.asarray(expit(self.intercept + self._contributions(state).sum(axis=1)))

    def _contributions(self, state: pd.DataFrame) -> np.ndarray:
        import numpy as np

        from capflow_assets.learning.frames import fitted

        centre, weights = (fitted(part, type(self).__name__) for part in (self.centre, self.weights))
        heights = (self._curves(state) - centre) * weights
        return np.asarray(np.add.reduceat(heights, self._first_places(), axis=1))

    def _shares(self) -> dict[str, float]:
        total = sum(self.spread.values()) or 1.0
        return {name: value / total for name, value in self.spread.items()}

    def _curves(self, state: pd.DataFrame) -> np.ndarray:
        import numpy as np

        from capflow_assets.learning.splines import basis, squeezed

        return np.hstack([basis(squeezed(state[name].to_numpy()), self.knots[name]) for name in self.words])

    def _first_places(self) -> list[int]:
        """At which place the curve of each column begins: it has as many parts as knots, or one."""
        import numpy as np

        widths = [max(1, self.knots[name].size) for name in self.words]
        return [0, *np.cumsum(widths)[:-1].tolist()]


def drawn(size: int, most: int, seed: int) -> np.ndarray:
    """The places of ``most`` rows drawn by the seed, in order; all where there are no more."""
    import numpy as np

    if size <= most:
        return np.arange(size)
    return np.sort(np.random.default_rng(seed).choice(size, most, replace=False))
