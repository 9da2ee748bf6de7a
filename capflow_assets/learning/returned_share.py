"""What share of what a user buys comes back: a Beta over users, by maximum likelihood.

A user's share is drawn from Beta(``returned``, ``kept``), and each visit brings so much of its amount back; so the
share of a user of n visits is the beta-binomial's with ``n share`` successes of n, which need not be whole (Skellam
1948, "A Probability Distribution Derived from the Binomial Distribution", J. R. Statist. Soc. B 10(2), 257-261).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, digamma

Numbers = npt.ArrayLike
LOG_BOUND = 9.0


@dataclass(frozen=True)
class ReturnedShare:
    """A fitted Beta(``returned``, ``kept``) of the share that users bring back; ``returned`` is 0 where nobody does."""

    returned: float
    kept: float

    @property
    def mean(self) -> float:
        """The share to expect of a user of whom nothing is known."""
        return self.returned / (self.returned + self.kept)

    def expected(self, visits: Numbers, share: Numbers) -> np.ndarray:
        """The share to expect after so many ``visits`` of which that ``share`` came back, both of the past.

        Between the user's own share and everybody's mean, nearer to the own the more visits there were. Everybody's
        mean where there were no visits or the share is null.

        >>> ReturnedShare(1.0, 3.0).expected([0, 4, 12], [None, 1.0, 0.0]).tolist()
        [0.25, 0.625, 0.0625]
        """
        count, back = np.asarray(visits, dtype=float), np.asarray(share, dtype=float)
        is_known = (count > 0) & np.isfinite(back)
        count, back = np.where(is_known, count, 0.0), np.where(is_known, np.clip(back, 0.0, 1.0), 0.0)
        return np.asarray((self.returned + count * back) / (self.returned + self.kept + count))


def fit_returned_share(visits: Numbers, share: Numbers) -> ReturnedShare:
    """Fit the Beta to users' ``visits`` and the ``share`` of what they bought that came back, above 1 counting as 1.

    Users without visits or whose share is null are left out.
    """
    from scipy.optimize import minimize

    count, back = np.asarray(visits, dtype=float), np.asarray(share, dtype=float)
    is_known = (count > 0) & np.isfinite(back)
    count, back = count[is_known], np.clip(back[is_known], 0.0, 1.0)
    if not (back > 0).any():
        return ReturnedShare(0.0, 1.0)
    mean = float(np.clip(np.average(back, weights=count), 1e-3, 1 - 1e-3))
    best = minimize(
        _likelihood,
        np.log([mean, 1 - mean]),
        args=(count * back, count * (1 - back)),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-LOG_BOUND, LOG_BOUND)] * 2,
    )
    returned, kept = (float(value) for value in np.exp(best.x))
    return ReturnedShare(returned, kept)


def _likelihood(theta: np.ndarray, back: np.ndarray, kept: np.ndarray) -> tuple[float, np.ndarray]:
    a, b = np.exp(theta)
    value = betaln(a + back, b + kept) - betaln(a, b)
    both = digamma(a + b) - digamma(a + b + back + kept)
    by_a, by_b = digamma(a + back) - digamma(a) + both, digamma(b + kept) - digamma(b) + both
    return -float(value.mean()), -np.array([a * by_a.mean(), b * by_b.mean()])
