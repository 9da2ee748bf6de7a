"""How often users will buy again who may leave at any time: the Pareto/NBD model, by maximum likelihood.

Schmittlein, Morrison & Colombo (1987), "Counting Your Customers: Who Are They and What Will They Do Next?", Management
Science 33(1), 1-24; as in Fader & Hardie (2005), "A Note on Deriving the Pareto/NBD Model and Related Expressions"
(brucehardie.com/notes/009). A user buys at a rate drawn from Gamma(r, alpha) and leaves at a rate drawn from
Gamma(s, beta):

    L = Gamma(r + x) / Gamma(r) alpha^r beta^s (active + left)
    active = (alpha + T)^-(r + x) (beta + T)^-s
    left = integral from t_x to T of s (alpha + u)^-(r + x) (beta + u)^-(s + 1) du

The note has ``left`` as a difference of hypergeometric functions, which loses its digits and has no cheap gradient.
Here it is a sum over Gauss-Legendre nodes of ``v = ((m + u) / (m + t_x))^-fall``, with ``m`` the lesser of alpha and
beta, and ``fall`` that of the integrand over the logarithm of ``m + u``: what is left to integrate is bounded, smooth.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy.special import digamma, expit, gammaln

from capflow_assets.learning.purchase_histories import Numbers, floats, most_likely, patterns, typical_time

NODES = 24
LEAST_FALL = 1e-3
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
    unit = typical_time(histories)
    likelihood_of = partial(_Likelihood, unit=unit)
    best = most_likely("Pareto/NBD", likelihood_of, histories, STARTS)
    r, alpha, s, beta = (float(value) for value in np.exp(best.x))
    return ParetoNbd(r, alpha * unit, s, beta * unit, likelihood_of(histories).total(float(best.fun)))


class _Likelihood:
    """The negative mean log-likelihood and its gradient, over patterns of histories in units of ``unit``."""

    def __init__(self, histories: pd.DataFrame, unit: float) -> None:
        self.x, self.weight = histories["x"].to_numpy(), histories["weight"].to_numpy()
        self.t_x, self.T = histories["t_x"].to_numpy() / unit, histories["T"].to_numpy() / unit
        self.users = float(self.weight.sum())
        self.repeats, place = np.unique(self.x, return_inverse=True)
        self.mass = np.bincount(place, weights=self.weight)
        self.offset = float(np.sum(self.weight * self.x) * np.log(unit))

    def total(self, value: float) -> float:
        """The log-likelihood of all users in the caller's unit of time, of what a call returned."""
        return -value * self.users - self.offset

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
    # Of the two factors, that of the lesser parameter is the steeper in u: the sum is over its logarithm.
    (near, power), (far, other) = sorted(
        ((alpha, r + x), (beta, np.full(x.shape, s + 1))), key=lambda factor: float(factor[0])
    )
    log_last = np.log(near + t_x)
    fall = np.maximum(power - 1 + other * (near + t_x) / (far + t_x), LEAST_FALL)
    # v runs from 1 - width to 1.
    width = -np.expm1(-fall * (np.log(near + T) - log_last))
    start = (power - 1) * log_last + other * np.log(far + t_x)
    total, by_r, by_alpha, by_s, by_beta = (np.zeros(x.shape) for _ in range(5))
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        log_v = np.log1p(-width * node)
        log_near = log_last - log_v / fall
        time = np.maximum(np.exp(log_near) - near, t_x)
        log_far = np.log(far + time)
        mass = weight * np.exp(start - (power - 1) * log_near - other * log_far - log_v)
        log_buying, log_leaving = (log_near, log_far) if alpha <= beta else (log_far, log_near)
        total += mass
        by_r -= mass * log_buying
        by_alpha -= mass / (alpha + time)
        by_s -= mass * log_leaving
        by_beta -= mass / (beta + time)
    with np.errstate(divide="ignore"):
        left = np.log(s / fall) - start + np.log(width) + np.log(total)
    slopes = (by_r / total, (r + x) * by_alpha / total, 1 / s + by_s / total, (s + 1) * by_beta / total)
    return left, slopes
