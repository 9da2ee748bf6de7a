"""When a user buys an item again: a hazard of each pair of user and item, shrunken over users to the item and category.

The logarithm of the days between two purchases is normal around a mean of the pair's own. Few own gaps count little
against the item's, an item's few against its category's, and those against all (empirical Bayes; Gelman et al. 2013,
section 5.4). A share of pairs is never bought again (a cure model; Boag 1949): the fewer, the more often the pair was
bought and the more users bought the item twice; the likelier, the longer it has waited. Arrays in, arrays out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from capflow_assets.learning.survival import LEAST, log_likelihood

MOST_EXAMPLES = 20_000
# As how many gaps, or buyers, the group above counts.
GROUP_WEIGHT = 10.0


@dataclass(frozen=True)
class Waits:
    """The state of pairs: so many gaps between purchases, mean and variance of their logarithm, days ``waited``.

    ``level`` is the item's mean logarithm of a gap, ``again`` the log-odds that one of its buyers buys it twice.
    """

    gaps: np.ndarray
    log_gap: np.ndarray
    log_variance: np.ndarray
    waited: np.ndarray
    level: np.ndarray
    again: np.ndarray

    def take(self, rows: np.ndarray) -> Waits:
        """Some of the pairs."""
        return Waits(*(values[rows] for values in vars(self).values()))


@dataclass(frozen=True)
class Hazard:
    """The laws of all pairs: ``exp(spread)`` is the deviation of the logarithm of a gap.

    ``exp(level_weight)`` and ``exp(spread_weight)`` say as how many of the pair's own gaps the item's count. ``gone``
    is the log-odds never to be bought again, less ``gone_slope`` for each doubling of the purchases and
    ``again_slope`` times the item's log-odds.
    """

    spread: float
    level_weight: float
    spread_weight: float
    gone: float
    gone_slope: float
    again_slope: float

    def usual(self, waits: Waits) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation of the logarithm of the next gap; the fewer are known, the less sure it is."""
        total = waits.gaps + np.exp(self.level_weight)
        mean = waits.level + waits.gaps / total * (waits.log_gap - waits.level)
        known, weight = np.maximum(waits.gaps - 1, 0.0), np.exp(self.spread_weight)
        variance = (known * waits.log_variance + weight * np.exp(2 * self.spread)) / (known + weight)
        return mean, np.sqrt(np.maximum(variance, 1e-4) * (1 + 1 / total))

    def survival(self, waits: Waits, days: np.ndarray | float) -> np.ndarray:
        """The chance that it takes longer than so many further days."""
        from scipy.special import expit

        now = np.maximum(self._left(waits, waits.waited), LEAST)
        odds = self.gone - self.gone_slope * np.log2(1 + waits.gaps) - self.again_slope * waits.again
        before = expit(odds)
        gone = before / (before + (1 - before) * now)
        return np.asarray(gone + (1 - gone) * self._left(waits, waits.waited + days) / now)

    def due(self, waits: Waits) -> np.ndarray:
        """The further days after which half of the pairs that are bought again are."""
        from scipy.special import ndtri

        mean, spread = self.usual(waits)
        half = np.maximum(self._left(waits, waits.waited), LEAST) / 2
        return np.asarray(np.maximum(np.exp(mean - spread * ndtri(half)) - waits.waited, 0.0))

    def describe(self) -> dict[str, float]:
        """The laws as plain values, to be saved."""
        return asdict(self)

    def _left(self, waits: Waits, days: np.ndarray) -> np.ndarray:
        from scipy.special import ndtr

        mean, spread = self.usual(waits)
        with np.errstate(divide="ignore"):
            return np.asarray(ndtr((mean - np.log(days)) / spread))


def fit_hazard(waits: Waits, is_event: np.ndarray, days: np.ndarray, seed: int) -> Hazard:
    """The laws of greatest likelihood, of at most twenty thousand of the pairs.

    ``days`` of pairs that were not bought again are those of the horizon.
    """
    from scipy.optimize import minimize

    rows = np.arange(is_event.size)
    if rows.size > MOST_EXAMPLES:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_EXAMPLES, replace=False))
    known, is_event, days = waits.take(rows), is_event[rows], days[rows]

    def loss(theta: np.ndarray) -> float:
        return -log_likelihood(lambda time: Hazard(*theta).survival(known, time), is_event, days)

    start = np.array([0.0, 0.0, 1.0, 0.0, 0.5, 0.5])
    bounds = [(-2.0, 1.5), (-3.0, 5.0), (-3.0, 5.0), (-8.0, 5.0), (-1.0, 3.0), (-1.0, 3.0)]
    best = minimize(loss, start, method="L-BFGS-B", bounds=bounds, options={"maxiter": 60})
    return Hazard(*best.x.tolist())


def shrunken(sums: np.ndarray, counts: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The mean of each item, drawn to that of its ``group`` (a number from 0) and this to that of all.

    A group counts as ``GROUP_WEIGHT`` of what is counted; where nothing is counted at all, 0.

    >>> shrunken(np.array([30.0, 0.0]), np.array([10.0, 0.0]), np.array([0, 0])).tolist()
    [3.0, 3.0]
    """
    everything = sums.sum() / max(counts.sum(), 1.0)
    groups = int(group.max(initial=-1)) + 1
    of_groups, in_groups = np.bincount(group, sums, groups), np.bincount(group, counts, groups)
    mean = (of_groups + GROUP_WEIGHT * everything) / (in_groups + GROUP_WEIGHT)
    return np.asarray((sums + GROUP_WEIGHT * mean[group]) / (counts + GROUP_WEIGHT))
