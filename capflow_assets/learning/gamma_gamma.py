"""What a user spends on a visit: the Gamma-Gamma model, by maximum likelihood.

Fader & Hardie (2013), "The Gamma-Gamma Model of Monetary Value" (brucehardie.com/notes/025); equation numbers below
are that note's. A user's spend varies around an own mean as Gamma(p, nu), and nu varies over users as
Gamma(q, gamma), whatever the user's rate of buying.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import digamma, gammaln

from capflow_assets.errors import EvidenceError

LOG_BOUND = 12.0
LEAST_USERS = 30
Numbers = npt.ArrayLike


@dataclass(frozen=True)
class GammaGamma:
    """A fitted Gamma-Gamma model. ``users`` is how many it was fitted on."""

    p: float
    q: float
    gamma: float
    log_likelihood: float
    users: int

    @property
    def mean_spend(self) -> float:
        """The mean spend per visit of a user of whom nothing is known: eq. (3), ``gamma p / (q - 1)``."""
        return self.gamma * self.p / (self.q - 1)

    def expected_spend(self, x: Numbers, average: Numbers) -> np.ndarray:
        """The mean spend per visit to expect after ``x`` visits of that ``average`` spend: eq. (5).

        Between the user's own average and everybody's mean, nearer to the own the more visits there were. Everybody's
        mean where ``x`` is 0 or the average is null or not positive.
        """
        visits, spend = np.asarray(x, dtype=float), np.asarray(average, dtype=float)
        known = (visits > 0) & (spend > 0)
        visits, spend = np.where(known, visits, 0.0), np.where(known, spend, 0.0)
        return self.p * (self.gamma + visits * spend) / (self.p * visits + self.q - 1)

    def parameters(self) -> dict[str, float]:
        """The three parameters, the log-likelihood and the number of users."""
        return asdict(self)


def fit_gamma_gamma(x: Numbers, average: Numbers) -> GammaGamma:
    """Fit Gamma-Gamma to users' visits ``x`` and ``average`` spend per visit by maximising the likelihood of eq. (1a).

    Users without visits or without a positive average are left out.

    Raises ``EvidenceError`` with fewer than ``LEAST_USERS`` users left, or when users differ so much that everybody's
    mean does not exist (``q`` at 1 or below).
    """
    visits, spend = np.asarray(x, dtype=float), np.asarray(average, dtype=float)
    usable = (visits > 0) & (spend > 0) & np.isfinite(spend)
    visits, spend = visits[usable], spend[usable]
    if visits.size < LEAST_USERS:
        raise EvidenceError(
            "Gamma-Gamma cannot be fitted",
            expected=f"{LEAST_USERS} users with repeat visits of a positive amount",
            came=str(visits.size),
        )
    unit = float(spend.mean())
    best = minimize(
        _likelihood,
        np.log([2.0, 3.0, 2.0]),
        args=(visits, spend / unit),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-LOG_BOUND, LOG_BOUND)] * 3,
        options={"maxiter": 500, "ftol": 1e-14, "gtol": 1e-8},
    )
    p, q, gamma = (float(value) for value in np.exp(best.x))
    if not np.isfinite(best.fun) or q <= 1:
        raise EvidenceError("Gamma-Gamma has no mean spend", expected="q above 1", came=f"p={p:.3f}, q={q:.3f}")
    # A density of the spend carries 1 / unit for each user.
    log_likelihood = -float(best.fun) * visits.size - visits.size * np.log(unit)
    return GammaGamma(p, q, gamma * unit, float(log_likelihood), int(visits.size))


def _likelihood(theta: np.ndarray, x: np.ndarray, z: np.ndarray) -> tuple[float, np.ndarray]:
    p, q, gamma = np.exp(theta)
    log_total, log_sum = np.log(x * z), np.log(gamma + x * z)
    # Eq. (1a), with x z for the total spend.
    value = gammaln(p * x + q) - gammaln(p * x) - gammaln(q) + q * np.log(gamma)
    value += p * x * log_total - np.log(z) - (p * x + q) * log_sum
    by_p = x * (digamma(p * x + q) - digamma(p * x) + log_total - log_sum)
    by_q = digamma(p * x + q) - digamma(q) + np.log(gamma) - log_sum
    by_gamma = q / gamma - (p * x + q) / (gamma + x * z)
    gradient = np.array([by_p.mean(), by_q.mean(), by_gamma.mean()])
    return -float(value.mean()), -gradient * np.exp(theta)
