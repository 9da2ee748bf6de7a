"""A chance of buying from the law of buy-till-you-die, fitted to what came (``learning.chances``).

In BG/NBD (Fader, Hardie & Lee 2005) a user of ``x`` repeat visits, the last ``t_x`` after the first, watched for ``T``,
is still there with the chance ``p = 1 / (1 + a / (b + x - 1) ((alpha + T) / (alpha + t_x)) ** (r + x))``, 1 where ``x``
is 0, and one who is comes within ``h`` with the chance ``1 - ((alpha + T) / (alpha + T + h)) ** (r + x)``. The four
numbers are usually those of the likeliest histories (``learning.btyd``); here they are those of the likeliest outcomes,
so that users may be chosen by their histories, as the active ones or the lapsed ones are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from capflow_assets.contract import Horizon
from capflow_assets.learning.chances import ChanceEstimator
from capflow_assets.learning.spline_logistic import MOST_ROWS, drawn

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

VISITS, RECENCY, TENURE = "visits", "recency_days", "tenure_days"
HISTORY = (VISITS, RECENCY, TENURE)
WEEK_DAYS = 7.0
# The weight of the prior that holds the four logarithms near 0, in outcomes.
PRIOR = 1.0
LOG_BOUND = 9.0
SMALLEST = 1e-9


class BuyingChance(ChanceEstimator[Horizon]):
    """BG/NBD's chance of a visit within the horizon; or of none, and a silence of more than ``lapsed_after`` gaps.

    It reads the three columns of a history, whichever others have ``words``.
    """

    def __init__(self, params: Horizon, outcome: str, words: Mapping[str, str], lapsed_after: float = 0.0) -> None:
        super().__init__(params, outcome, {name: words[name] for name in HISTORY})
        self.lapsed_after = lapsed_after
        self.logs: np.ndarray | None = None
        self.usual: np.ndarray | None = None
        self.spread: dict[str, float] = {}

    def using(self, columns: tuple[str, ...]) -> Self:
        """Another of the same recipe, not fitted; it needs its three columns, and no others."""
        return self._another(self.words)

    def _another(self, words: Mapping[str, str]) -> Self:
        return type(self)(self.params, self.outcome, words, self.lapsed_after)

    def _learn(self, state: pd.DataFrame, is_positive: np.ndarray, weights: np.ndarray | None) -> None:
        import numpy as np
        from scipy.optimize import minimize

        chosen = drawn(len(state), MOST_ROWS, self.params.seed)
        histories, observed = state.to_numpy()[chosen], is_positive[chosen]
        mass = np.ones(observed.size) if weights is None else weights[chosen]
        self.usual = np.nanmedian(histories, axis=0)

        def loss(logs: np.ndarray) -> float:
            chance = self._chance(histories, logs)
            return (
                float(-(mass * np.log(np.where(observed, chance, 1 - chance))).sum() + PRIOR * logs @ logs) / mass.sum()
            )

        start, bounds = np.array([0.0, 1.0, 0.0, 1.0]), [(-LOG_BOUND, LOG_BOUND)] * 4
        self.logs = np.asarray(minimize(loss, start, method="L-BFGS-B", bounds=bounds).x)
        self.spread = dict(zip(HISTORY, self._contributions(state).std(axis=0).tolist(), strict=True))

    def _raw(self, state: pd.DataFrame) -> np.ndarray:
        return self._chance(state.to_numpy(), self._fitted(self.logs))

    def _contributions(self, state: pd.DataFrame) -> np.ndarray:
        """What the log-odds lose where one column is the usual one's instead."""
        import numpy as np
        from scipy.special import logit

        histories, logs, usual = state.to_numpy(), self._fitted(self.logs), self._fitted(self.usual)
        own, parts = logit(self._chance(histories, logs)), []
        for place in range(len(HISTORY)):
            other = histories.copy()
            other[:, place] = usual[place]
            parts.append(own - logit(self._chance(other, logs)))
        return np.column_stack(parts)

    def _shares(self) -> dict[str, float]:
        total = sum(self.spread.values()) or 1.0
        return {name: value / total for name, value in self.spread.items()}

    def _chance(self, histories: np.ndarray, logs: np.ndarray) -> np.ndarray:
        import numpy as np
        from scipy.special import expit

        visits, recency, tenure = np.where(np.isnan(histories), self._fitted(self.usual), histories).T
        x, watched, horizon = np.maximum(visits - 1, 0.0), np.maximum(tenure, recency) / WEEK_DAYS, self._weeks
        last, (r, alpha, a, b) = np.maximum(watched - recency / WEEK_DAYS, 0.0), np.exp(logs)
        left = np.log(a / (b + np.maximum(x, 1) - 1)) + (r + x) * np.log((alpha + watched) / (alpha + last))
        here = np.where(x > 0, expit(-left), 1.0)
        comes = here * -np.expm1((r + x) * np.log((alpha + watched) / (alpha + watched + horizon)))
        if not self.lapsed_after:
            return np.asarray(comes.clip(SMALLEST, 1 - SMALLEST))
        may_lapse = (recency / WEEK_DAYS + horizon) * x > self.lapsed_after * last
        return np.asarray(np.where(may_lapse, 1 - comes, 0.0).clip(SMALLEST, 1 - SMALLEST))

    @property
    def _weeks(self) -> float:
        return self.params.horizon_days / WEEK_DAYS

    def _fitted(self, state: np.ndarray | None) -> np.ndarray:
        from capflow_assets.learning.frames import fitted

        return fitted(state, type(self).__name__)
