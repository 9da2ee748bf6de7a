"""Times until something comes, some of which are not over: how well they are ordered, and how they spread.

Days are whole: the event of day ``d`` came between ``d - 1`` and ``d`` days after the moment. A time that was not over
at the end of its horizon is censored there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from capflow_assets.errors import EvidenceError

LEAST = 1e-12


def concordance(is_event: np.ndarray, days: np.ndarray, score: np.ndarray) -> Callable[[np.ndarray], float]:
    """Harrell's C as a function of how often each row counts: of two rows, is the one that came first scored higher?

    Pairs count where it is known who came first: the earlier time is over. Ties of the score count half (Harrell, Lee &
    Mark 1996). Ranks of time are taken bit by bit: two rows differ first at one bit, so each pair is counted at that
    bit alone, among rows that share the bits above it. ``O(n log n)`` to prepare and ``O(n log times)`` a call.

    >>> of_counts = concordance(np.array([1, 1, 0]), np.array([3, 9, 30]), np.array([0.9, 0.2, 0.4]))
    >>> round(of_counts(np.ones(3)), 4)
    0.6667
    """
    # Who did not come by the day at which another came, did so later: censored rows follow those of the same day.
    _, rank = np.unique(2 * days + (is_event <= 0), return_inverse=True)
    is_over = is_event > 0
    levels = [_level(rank, score, is_over, bit) for bit in range(int(rank.max(initial=0)).bit_length())]

    def of_counts(counts: np.ndarray) -> float:
        right = pairs = 0.0
        for order, is_first, is_later, ties, groups, group_of_tie in levels:
            drawn = counts[order]
            first, later = (np.add.reduceat(drawn * side, ties) for side in (is_first, is_later))
            below = np.cumsum(later) - later / 2
            in_group = np.add.reduceat(later, groups)
            before_group = np.cumsum(in_group) - in_group
            right += float(np.dot(first, below - before_group[group_of_tie]))
            pairs += float(np.dot(first, in_group[group_of_tie]))
        if not pairs:
            raise EvidenceError(
                "The order of times cannot be judged",
                expected="two subjects of whom one is known to have come first",
                came=f"{int(counts[is_over].sum())} who came, of {int(counts.sum())}",
                do="wait for more history or choose a longer horizon",
            )
        return right / pairs

    return of_counts


def _level(
    rank: np.ndarray, score: np.ndarray, is_over: np.ndarray, bit: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows by the bits above one and then by score: who may be the first of a pair, who the later, ties and groups."""
    above = rank >> (bit + 1)
    order = np.lexsort([score, above])
    is_new_group = np.diff(above[order], prepend=-1) != 0
    is_new_tie = is_new_group | (np.diff(score[order], prepend=np.nan) != 0)
    ties = np.flatnonzero(is_new_tie)
    is_group_of_tie = is_new_group[ties]
    is_set = (rank[order] >> bit) & 1 == 1
    first, later = ~is_set & is_over[order], is_set
    return order, first, later, ties, np.flatnonzero(is_group_of_tie), np.cumsum(is_group_of_tie) - 1


def log_likelihood(survival: Callable[[np.ndarray], np.ndarray], is_event: np.ndarray, days: np.ndarray) -> float:
    """The mean log-likelihood of times by what is left of a distribution after so many days.

    ``days`` of rows that did not come are those of the horizon.
    """
    at = survival(days)
    chance = np.where(is_event > 0, survival(days - 1) - at, at)
    return float(np.mean(np.log(np.maximum(chance, LEAST))))


@dataclass(frozen=True)
class LogLogistic:
    """The spread of times around forecasts: ``S(t) = 1 / (1 + (t / e^m)^(1/s))`` with ``log s = spread + slope f``.

    ``f`` is the logarithm of the forecast days and ``m = level + scale f`` that of the median.
    """

    level: float
    scale: float
    spread: float
    slope: float

    def survival(self, log_days: np.ndarray, days: np.ndarray | float) -> np.ndarray:
        """The chance that it takes longer than so many days."""
        from scipy.special import expit

        median, spread = self._of(log_days)
        with np.errstate(divide="ignore"):
            return np.asarray(expit((median - np.log(days)) / spread))

    def quantile(self, log_days: np.ndarray, share: float) -> np.ndarray:
        """The days after which so large a share has come."""
        median, spread = self._of(log_days)
        return np.asarray(np.exp(np.minimum(median + spread * np.log(share / (1 - share)), 700.0)))

    def _of(self, log_days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        spread = np.exp(np.clip(self.spread + self.slope * log_days, -4.0, 3.0))
        return self.level + self.scale * log_days, spread


def fit_log_logistic(
    is_event: np.ndarray, days: np.ndarray, log_days: np.ndarray, *, has_slope: bool = True
) -> LogLogistic:
    """The spread of greatest likelihood, on examples that the forecasts were not learned from.

    Without ``has_slope`` times spread alike around all forecasts, so they keep their order at every horizon.

    Raises ``EvidenceError`` where nobody came.
    """
    from scipy.optimize import minimize

    if not (is_event > 0).any():
        raise EvidenceError(
            "Times cannot be learned",
            expected="subjects who came within a past horizon",
            came=f"none of {is_event.size}",
            do="wait for more history or choose a longer horizon",
        )
    centre = float(log_days.mean())

    def loss(theta: np.ndarray) -> float:
        return -log_likelihood(lambda t: LogLogistic(*theta).survival(log_days - centre, t), is_event, days)

    slope = (-1.0, 1.0) if has_slope else (0.0, 0.0)
    bounds = [(-5.0, 12.0), (0.1, 3.0), (-3.0, 2.0), slope]
    start = np.array([float(np.clip(centre, -5, 12)), 1.0, 0.0, 0.0])
    level, scale, spread, slope_by = minimize(loss, start, method="L-BFGS-B", bounds=bounds).x.tolist()
    return LogLogistic(level - scale * centre, scale, spread - slope_by * centre, slope_by)


def coverage_beyond_promise(
    is_event: np.ndarray, days: np.ndarray, low: np.ndarray, high: np.ndarray, chance: np.ndarray, horizon: np.ndarray
) -> float:
    """The share of times inside their 80 % intervals less the share that the intervals promise, as far as can be seen.

    What happens after the horizon is not seen, so times and intervals end there. An interval whose upper end lies
    beyond it then holds nine times of ten, and one that begins beyond it those that have not come.
    """
    seen = np.where(is_event > 0, days - 0.5, horizon)  # the event of a day came in the middle of it, on average
    is_inside = (seen >= np.minimum(low, horizon)) & ((seen <= high) | (high >= horizon))
    promised = np.where(high < horizon, 0.8, np.where(low < horizon, 0.9, 1 - chance))
    is_inside = np.where(low >= horizon, is_event <= 0, is_inside)
    return float(np.mean(is_inside) - np.mean(promised))
