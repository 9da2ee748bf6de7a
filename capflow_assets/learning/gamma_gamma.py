"""What a user spends on a visit: the Gamma-Gamma model, by maximum likelihood.

Fader & Hardie (2013), "The Gamma-Gamma Model of Monetary Value" (brucehardie.com/notes/025); equation numbers below
are that note's. A user's spend varies around an own mean as Gamma(p, nu), and nu varies over users as
Gamma(q, gamma), whatever the user's rate of buying.

Where that last does not hold, and those who buy more often spend less a visit, ``gamma`` falls with the ``frequency``
of buying: ``gamma (frequency / typical frequency)^slope``, the slope fitted with the rest.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, gammaln

from capflow_assets.errors import EvidenceError

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

LOG_BOUND = 12.0
LEAST_USERS = 30
# Twice the gain in log-likelihood that a slope must bring: 1 % of samples without one show so much (chi squared, 1).
LEAST_GAIN = 6.63
# A slope is told and used where twice the frequency means at least so much less spend a visit.
LEAST_FALL = 0.03
Numbers = npt.ArrayLike


@dataclass(frozen=True)
class GammaGamma:
    """A fitted Gamma-Gamma model. ``users`` is how many it was fitted on.

    ``slope`` is 0 where spend does not fall with frequency; ``gamma`` is that of ``typical_frequency``.
    """

    p: float
    q: float
    gamma: float
    log_likelihood: float
    users: int
    slope: float = 0.0
    typical_frequency: float = 1.0

    @property
    def mean_spend(self) -> float:
        """The mean spend per visit of a user of whom nothing is known: eq. (3), ``gamma p / (q - 1)``."""
        return self.gamma * self.p / (self.q - 1)

    @property
    def fall(self) -> float:
        """The share by which spend per visit falls where the frequency doubles."""
        return float(1 - 2**self.slope)

    def expected_spend(self, x: Numbers, average: Numbers, frequency: Numbers | None = None) -> np.ndarray:
        """The mean spend per visit to expect after ``x`` visits of that ``average`` spend: eq. (5).

        Between the user's own average and everybody's mean, nearer to the own the more visits there were; an average of
        0 is one. Everybody's mean, of that ``frequency``, where ``x`` is 0 or the average is null or below 0.
        """
        visits, spend = np.asarray(x, dtype=float), np.asarray(average, dtype=float)
        is_known = (visits > 0) & (spend >= 0)
        visits, spend = np.where(is_known, visits, 0.0), np.where(is_known, spend, 0.0)
        gamma = self.gamma * _scale(self.slope, _log_ratio(frequency, self.typical_frequency))
        return np.asarray(self.p * (gamma + visits * spend) / (self.p * visits + self.q - 1))

    def parameters(self) -> dict[str, float]:
        """The parameters, the log-likelihood and the number of users."""
        return asdict(self)


def fit_gamma_gamma(x: Numbers, average: Numbers, frequency: Numbers | None = None) -> GammaGamma:
    """Fit Gamma-Gamma to users' visits ``x`` and ``average`` spend per visit by maximising the likelihood of eq. (1a).

    Users without visits or without a positive average are left out. Where ``frequency`` is given, above 0, and spend
    falls with it, so does what is expected.

    Raises ``EvidenceError`` with fewer than ``LEAST_USERS`` users left, or when users differ so much that everybody's
    mean does not exist (``q`` at 1 or below).
    """
    visits, spend = np.asarray(x, dtype=float), np.asarray(average, dtype=float)
    often = np.ones(visits.shape) if frequency is None else np.asarray(frequency, dtype=float)
    is_usable = (visits > 0) & (spend > 0) & np.isfinite(spend)
    visits, spend, often = visits[is_usable], spend[is_usable], often[is_usable]
    if visits.size < LEAST_USERS:
        raise EvidenceError(
            "Gamma-Gamma cannot be fitted",
            expected=f"{LEAST_USERS} users with repeat visits of a positive amount",
            came=str(visits.size),
        )
    unit, typical = float(spend.mean()), float(np.exp(np.log(often).mean()))
    data = visits, spend / unit, _log_ratio(often, typical)
    plain = _most_likely((*data[:2], np.zeros(visits.size)), steepest=0.0)
    best = plain if frequency is None else _most_likely(data, steepest=-1.0)
    if 2 * visits.size * (plain.fun - best.fun) < LEAST_GAIN or 1 - 2 ** best.x[3] < LEAST_FALL:
        best = plain
    p, q, gamma = (float(value) for value in np.exp(best.x[:3]))
    if not np.isfinite(best.fun) or q <= 1:
        raise EvidenceError("Gamma-Gamma has no mean spend", expected="q above 1", came=f"p={p:.3f}, q={q:.3f}")
    # A density of the spend carries 1 / unit for each user.
    log_likelihood = -float(best.fun) * visits.size - visits.size * np.log(unit)
    return GammaGamma(p, q, gamma * unit, float(log_likelihood), int(visits.size), float(best.x[3]), typical)


def _most_likely(data: tuple[np.ndarray, ...], steepest: float) -> OptimizeResult:
    """The logarithms of p, q and gamma, and the slope between ``steepest`` and 0."""
    from scipy.optimize import minimize

    start = np.r_[np.log([2.0, 3.0, 2.0]), 0.0]
    bounds = [(-LOG_BOUND, LOG_BOUND)] * 3 + [(steepest, 0.0)]
    options = {"maxiter": 500, "ftol": 1e-14, "gtol": 1e-8}
    return minimize(_likelihood, start, args=data, jac=True, method="L-BFGS-B", bounds=bounds, options=options)


def _likelihood(theta: np.ndarray, x: np.ndarray, z: np.ndarray, often: np.ndarray) -> tuple[float, np.ndarray]:
    p, q, typical = np.exp(theta[:3])
    gamma = typical * _scale(theta[3], often)
    log_total, log_sum = np.log(x * z), np.log(gamma + x * z)
    # Eq. (1a), with x z for the total spend.
    value = gammaln(p * x + q) - gammaln(p * x) - gammaln(q) + q * np.log(gamma)
    value += p * x * log_total - np.log(z) - (p * x + q) * log_sum
    by_p = x * (digamma(p * x + q) - digamma(p * x) + log_total - log_sum)
    by_q = digamma(p * x + q) - digamma(q) + np.log(gamma) - log_sum
    by_log_gamma = q - (p * x + q) * gamma / (gamma + x * z)
    gradient = np.array([p * by_p.mean(), q * by_q.mean(), by_log_gamma.mean(), (by_log_gamma * often).mean()])
    return -float(value.mean()), -gradient


def _log_ratio(frequency: Numbers | None, typical: float) -> np.ndarray:
    return np.zeros(1) if frequency is None else np.log(np.asarray(frequency, dtype=float) / typical)


def _scale(slope: float, log_ratio: np.ndarray) -> np.ndarray:
    return np.exp(slope * log_ratio)
