"""When a subject comes again, by its own gaps: log-normal, drawn towards everybody's, given how long it has waited.

The logarithm of a gap is normal around a mean of the subject's own. Mean and variance are shrunk towards those of all
subjects by how few gaps there are (normal and inverse-gamma priors; Gelman et al. 2013, section 3.3), and a
share of subjects never comes again (a cure model; Boag 1949), which is the likelier the longer one has waited.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from capflow_assets.learning.survival import LEAST, log_likelihood

MOST_EXAMPLES = 10_000


@dataclass(frozen=True)
class Gaps:
    """Of each subject: how many gaps are known, their median (days), their coefficient of variation, days waited.

    Where there is no gap, median and variation do not count; before the second gap the variation does not.
    """

    count: np.ndarray
    median: np.ndarray
    variation: np.ndarray
    waited: np.ndarray


@dataclass(frozen=True)
class Renewal:
    """The laws of all subjects: ``exp(level)`` days is the usual gap, ``exp(spread)`` the deviation of its logarithm.

    ``exp(level_weight)`` and ``exp(spread_weight)`` say as how many gaps of one's own they count. ``gone`` is the
    log-odds never to come again after a first visit, and ``gone_slope`` what each doubling of visits adds to it.
    """

    level: float
    spread: float
    level_weight: float
    spread_weight: float
    gone: float
    gone_slope: float

    def usual(self, gaps: Gaps) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation of the logarithm of each subject's next gap; the fewer are known, the less sure it is."""
        own = np.log(np.maximum(gaps.median, 1.0))
        total = gaps.count + np.exp(self.level_weight)
        mean = self.level + gaps.count / total * (own - self.level)
        known = np.maximum(gaps.count - 1, 0.0)
        weight = np.exp(self.spread_weight)
        variance = (known * np.log1p(gaps.variation**2) + weight * np.exp(2 * self.spread)) / (known + weight)
        return mean, np.sqrt(np.maximum(variance, 1e-4) * (1 + 1 / total))

    def survival(self, gaps: Gaps, days: np.ndarray | float) -> np.ndarray:
        """The chance that it takes longer than so many further days."""
        gone, waited = self._gone(gaps)
        return np.asarray(gone + (1 - gone) * self._left(gaps, gaps.waited + days) / waited)

    def quantile(self, gaps: Gaps, share: float) -> np.ndarray:
        """The further days after which so large a share has come; infinite where more than the rest never comes."""
        from scipy.special import ndtri

        gone, waited = self._gone(gaps)
        mean, spread = self.usual(gaps)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            left = waited * (1 - share - gone) / (1 - gone)
            days = np.exp(mean - spread * ndtri(left)) - gaps.waited
        return np.where(left > 0, np.maximum(days, 0.0), np.inf)

    def describe(self) -> dict[str, float]:
        """The laws, for people."""
        return {name: round(value, 6) for name, value in asdict(self).items()}

    def _left(self, gaps: Gaps, days: np.ndarray) -> np.ndarray:
        from scipy.special import ndtr

        mean, spread = self.usual(gaps)
        with np.errstate(divide="ignore"):
            return np.asarray(ndtr((mean - np.log(days)) / spread))

    def _gone(self, gaps: Gaps) -> tuple[np.ndarray, np.ndarray]:
        """The chance to be gone given the wait, and the share of those who are not that waits so long."""
        from scipy.special import expit

        waited = np.maximum(self._left(gaps, gaps.waited), LEAST)
        before = expit(self.gone + self.gone_slope * np.log2(1 + gaps.count))
        return before / (before + (1 - before) * waited), waited


def fit_renewal(gaps: Gaps, is_event: np.ndarray, days: np.ndarray, seed: int) -> Renewal:
    """The laws of greatest likelihood, of at most ten thousand of the examples."""
    from scipy.optimize import minimize

    rows = np.arange(is_event.size)
    if rows.size > MOST_EXAMPLES:
        rows = np.random.default_rng(seed).choice(rows, MOST_EXAMPLES, replace=False)
    known = Gaps(*(values[rows] for values in (gaps.count, gaps.median, gaps.variation, gaps.waited)))
    is_event, days = is_event[rows], days[rows]

    def loss(theta: np.ndarray) -> float:
        return -log_likelihood(lambda t: Renewal(*theta).survival(known, t), is_event, days)

    has_gap = known.count > 0
    usual = float(np.log(np.median(known.median[has_gap]))) if has_gap.any() else float(np.log(days.mean() + 1))
    start = np.array([usual, 0.0, 0.0, 1.0, -2.0, -0.5])
    bounds = [(-1.0, 8.0), (-2.0, 1.5), (-3.0, 5.0), (-3.0, 5.0), (-8.0, 3.0), (-3.0, 1.0)]
    return Renewal(*minimize(loss, start, method="L-BFGS-B", bounds=bounds, options={"maxiter": 60}).x.tolist())
