"""How often users will buy again who may leave at any time: the Pareto/NBD model, by maximum likelihood.

Schmittlein, Morrison & Colombo (1987), "Counting Your Customers: Who Are They and What Will They Do Next?", Management
Science 33(1), 1-24; as in Fader & Hardie (2005), "A Note on Deriving the Pareto/NBD Model and Related Expressions"
(brucehardie.com/notes/009). A user buys at a rate drawn from Gamma(r, alpha) and leaves at a rate drawn from
Gamma(s, beta):

    L = Gamma(r + x) / Gamma(r) alpha^r beta^s (active + left)
    active = (alpha + T)^-(r + x) (beta + T)^-s
    left = integral from t_x to T of s (alpha + u)^-(r + x) (beta + u)^-(s + 1) du

The note has ``left`` as a difference of hypergeometric functions, which loses its digits and has no cheap gradient.
With ``c = r + s + x`` and ``v = ((alpha + u) / (alpha + t_x))^-c`` it is ``s / c (alpha + t_x)^-c`` times the integral
of ``((alpha + u) / (beta + u))^(s + 1)`` over v, which is bounded and smooth: a few Gauss-Legendre nodes do.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy.special import digamma, expit, gammaln

from capflow_assets.learning.purchase_histories import Numbers, floats, most_likely, patterns, typical_time

NODES = 24
STARTS = (np.zeros(4), np.array([-0.5, 0.0, -0.5, 0.0]))


@dataclass(frozen=True)
class ParetoNbd:
    """A fitted Pareto/NBD model: rate of buying Gamma(``r``, ``alpha``), of leaving Gamma(``s``, ``beta``)."""

    r: float
    alpha: float
    s: float
    beta: float
    log_likelihood: float

    def p_alive(self, x: Numbers, t_x: Numbers, T: Numbers) -> np.ndarray:
        """The chance that a user is still active at ``T``: ``active / (active + left)``."""
        repeats, last, watched = floats(x, t_x, T)
        active = -(self.r + repeats) * np.log(self.alpha + watched) - self.s * np.log(self.beta + watched)
        left, _ = _left(self.r, self.alpha, self.s, self.beta, repeats, last, watched)
        return np.asarray(expit(active - left))

    def expected_purchases(self, x: Numbers, t_x: Numbers, T: Numbers, horizon: float) -> np.ndarray:
        """The purchases to expect in ``(T, T + horizon]``, given the history: eq. (41) of the note."""
        repeats, last, watched = floats(x, t_x, T)
        # A step aside from s = 1, where the mean time that is stayed is a logarithm.
        power = self.s - 1 if abs(self.s - 1) > 1e-9 else 1e-9
        stayed = (self.beta + watched) / power * -np.expm1(-power * np.log1p(horizon / (self.beta + watched)))
        rate = (self.r + repeats) / (self.alpha + watched)
        return np.asarray(rate * stayed * self.p_alive(repeats, last, watched))

    def parameters(self) -> dict[str, float]:
        """The four parameters and the log-likelihood."""
        return asdict(self)


def fit_pareto_nbd(x: Numbers, t_x: Numbers, T: Numbers, weights: Numbers | None = None) -> ParetoNbd:
    """Fit Pareto/NBD to histories by maximum likelihood.

    Raises ``EvidenceError`` when nobody bought twice, and ``ModelError`` when a history is impossible or the search
    does not end.
    """
    histories = patterns("Pareto/NBD", x, t_x, T, weights)
    likelihood = _Likelihood(histories, typical_time(histories))
    best = most_likely("Pareto/NBD", likelihood, STARTS)
    r, alpha, s, beta = (float(value) for value in np.exp(best.x))
    total = -float(best.fun) * likelihood.users - likelihood.offset
    return ParetoNbd(r, alpha * likelihood.unit, s, beta * likelihood.unit, total)


class _Likelihood:
    """The negative mean log-likelihood and its gradient, over patterns of histories in units of ``unit``."""

    def __init__(self, histories: pd.DataFrame, unit: float) -> None:
        self.unit = unit
        self.x, self.weight = histories["x"].to_numpy(), histories["weight"].to_numpy()
        self.t_x, self.T = histories["t_x"].to_numpy() / unit, histories["T"].to_numpy() / unit
        self.users = float(self.weight.sum())
        self.repeats, place = np.unique(self.x, return_inverse=True)
        self.mass = np.bincount(place, weights=self.weight)
        self.offset = float(np.sum(self.weight * self.x) * np.log(unit))

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        r, alpha, s, beta = np.exp(theta)
        log_buying, log_leaving = np.log(alpha + self.T), np.log(beta + self.T)
        active = -(r + self.x) * log_buying - s * log_leaving
        left, slopes = _left(r, alpha, s, beta, self.x, self.t_x, self.T)
        either = np.logaddexp(active, left)
        shared = gammaln(r + self.repeats) - gammaln(r) + r * np.log(alpha) + s * np.log(beta)
        value = np.dot(self.weight, either) + np.dot(self.mass, shared)
        p_left = np.exp(left - either)
        staying = (log_buying, (r + self.x) / (alpha + self.T), log_leaving, s / (beta + self.T))
        gradient = np.array(
            [
                np.dot(self.weight, p_left * leaving - (1 - p_left) * stays)
                for leaving, stays in zip(slopes, staying, strict=True)
            ]
        )
        gradient[0] += np.dot(self.mass, digamma(r + self.repeats) - digamma(r) + np.log(alpha))
        gradient[1:] += self.users * np.array([r / alpha, np.log(beta), s / beta])
        return -value / self.users, -gradient * np.exp(theta) / self.users


def _left(
    r: float, alpha: float, s: float, beta: float, x: np.ndarray, t_x: np.ndarray, T: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """The logarithm of ``left`` and its derivatives by r, alpha, s and beta.

    Those are means over the integral of the derivatives of the integrand's logarithm. Minus infinity and 0 where no
    time has passed since the last purchase.
    """
    c, log_last = r + s + x, np.log(alpha + t_x)
    # v runs from low to 1; width is 1 - low without the loss of digits.
    low = np.exp(-c * (np.log(alpha + T) - log_last))
    width = -np.expm1(-c * (np.log(alpha + T) - log_last))
    total, by_r, by_alpha, by_s, by_beta = (np.zeros(x.shape) for _ in range(5))
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        log_buying = log_last - np.log(low + width * node) / c
        buying = np.exp(log_buying)
        leaving = np.maximum(buying - alpha, 0.0) + beta
        log_leaving = np.log(leaving)
        mass = weight * np.exp((s + 1) * (log_buying - log_leaving))
        total += mass
        by_r -= mass * log_buying
        by_alpha -= mass / buying
        by_s -= mass * log_leaving
        by_beta -= mass / leaving
    with np.errstate(divide="ignore"):
        left = np.log(s / c) - c * log_last + np.log(width) + np.log(total)
    slopes = (by_r / total, (r + x) * by_alpha / total, 1 / s + by_s / total, (s + 1) * by_beta / total)
    return left, slopes
