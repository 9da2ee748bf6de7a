"""How often users will buy again, and whether they still do: the BG/NBD model, by maximum likelihood.

Fader, Hardie & Lee (2005), "Counting Your Customers the Easy Way: An Alternative to the Pareto/NBD Model",
Marketing Science 24(2), 275-284; equation numbers below are that paper's. While active, a user buys at a rate drawn
from Gamma(r, alpha), and after each purchase leaves for good with a chance drawn from Beta(a, b).

A user's history is three numbers: ``x`` repeat purchases, the last of them ``t_x`` after the first purchase, watched
until ``T`` after it (same unit of time for both and for alpha; weeks by custom). Users with the same three numbers
count as one pattern with a weight, which makes a fit of a million users cost what its distinct patterns cost.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize
from scipy.special import betaincinv, betaln, digamma, expit, gammaln, hyp2f1

from capflow_assets.errors import EvidenceError, ModelError

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

# The far ends of exp(±9) stand for "all users alike" and "nobody leaves"; beyond them the likelihood is flat.
LOG_BOUND = 9.0
# Found against 40-digit arithmetic: within these the closed form of eq. (10) is right to 1e-4 at worst, mostly 1e-10.
CLOSED_A, CLOSED_B = 20.0, 1_000.0
NODES = 128
Numbers = npt.ArrayLike


@dataclass(frozen=True)
class BgNbd:
    """A fitted BG/NBD model: rate Gamma(``r``, ``alpha``), chance to leave after a purchase Beta(``a``, ``b``)."""

    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float

    def p_alive(self, x: Numbers, t_x: Numbers, T: Numbers) -> np.ndarray:
        """The chance that a user is still active at ``T``.

        Fader, Hardie & Lee (2008), "Computing P(alive) Using the BG/NBD Model". It is 1 where ``x`` is 0: in this
        model nobody leaves before a first repeat purchase.
        """
        repeats, last, watched = _floats(x, t_x, T)
        return np.where(repeats > 0, expit(-self._log_odds_left(repeats, last, watched)), 1.0)

    def expected_purchases(self, x: Numbers, t_x: Numbers, T: Numbers, horizon: float) -> np.ndarray:
        """The purchases to expect in ``(T, T + horizon]``, given the history: eq. (10)."""
        repeats, last, watched = np.broadcast_arrays(*_floats(x, t_x, T))
        return self._purchases_if_active(repeats, watched, horizon) * self.p_alive(repeats, last, watched)

    def parameters(self) -> dict[str, float]:
        """The four parameters and the log-likelihood."""
        return asdict(self)

    def _log_odds_left(self, x: np.ndarray, t_x: np.ndarray, T: np.ndarray) -> np.ndarray:
        log_ratio = np.log(self.alpha + T) - np.log(self.alpha + t_x)
        return np.log(self.a) - np.log(self.b + np.maximum(x, 1) - 1) + (self.r + x) * log_ratio

    def _purchases_if_active(self, x: np.ndarray, T: np.ndarray, horizon: float) -> np.ndarray:
        """Eq. (10) over P(alive): in closed form, or as an integral where the closed form loses its digits."""
        if self.a > CLOSED_A or self.b > CLOSED_B:
            return self._purchases_by_integral(x, T, horizon)
        with np.errstate(all="ignore"):
            purchases = self._purchases_in_closed_form(x, T, horizon)
        ceiling = (self.r + x) * horizon / (self.alpha + T)
        lost = ~((purchases >= 0) & (purchases <= ceiling * (1 + 1e-9)))
        if lost.any():
            purchases[lost] = self._purchases_by_integral(x[lost], T[lost], horizon)
        return purchases

    def _purchases_in_closed_form(self, x: np.ndarray, T: np.ndarray, horizon: float) -> np.ndarray:
        # Written with Euler's transformation of the hypergeometric function,
        #   F(r+x, b+x; a+b+x-1; z) = (1-z)^(a-1-r-x) F(a+b-1-r, a-1; a+b+x-1; z).
        # As eq. (10) has it, three parameters grow with x and overflow for users of some hundred purchases; so only
        # the third grows, where it does no harm. The steps aside avoid the removable 0/0 at a = 1 and a+b+x = 1.
        a = self.a if abs(self.a - 1) > 1e-6 else 1 + 1e-6
        third = a + self.b + x - 1
        third = np.where(np.abs(third) > 1e-9, third, 1e-9)
        z = horizon / (self.alpha + T + horizon)
        still = np.exp((a - 1) * np.log1p(-z)) * hyp2f1(a + self.b - 1 - self.r, a - 1, third, z)
        return np.asarray(third / (a - 1) * (1 - still))

    def _purchases_by_integral(self, x: np.ndarray, T: np.ndarray, horizon: float) -> np.ndarray:
        # An active user's p is Beta(a, b + x) and rate Gamma(r + x, alpha + T) by now; eq. (5) averaged over both is
        # the mean over p of (1 - (1 + p t / (alpha + T))^-(r + x)) / p. Gauss-Legendre over the quantiles of p.
        node, weight = np.polynomial.legendre.leggauss(NODES)
        distinct_x, place = np.unique(x, return_inverse=True)
        leaving = np.maximum(betaincinv(self.a, self.b + distinct_x[:, None], (node + 1) / 2), 1e-300)
        total = np.zeros(x.shape)
        for p, share in zip(leaving.T, weight / 2, strict=True):
            mine = p[place]
            total -= share * np.expm1(-(self.r + x) * np.log1p(mine * horizon / (self.alpha + T))) / mine
        return total


def fit_bg_nbd(x: Numbers, t_x: Numbers, T: Numbers, weights: Numbers | None = None) -> BgNbd:
    """Fit BG/NBD to histories by maximising the likelihood of eq. (7).

    ``weights`` says how many users share a history (1 each by default). No penalty: the estimates are the paper's.

    Raises ``EvidenceError`` when nobody bought twice (a rate cannot be told from a departure then), and ``ModelError``
    when a history is impossible or the search does not end.
    """
    patterns = _patterns(x, t_x, T, weights)
    # The likelihood only knows alpha relative to time; a typical T as the unit keeps all four logarithms near 0.
    unit = float(np.average(patterns["T"], weights=patterns["weight"]))
    search = _Likelihood(patterns, unit)
    best = min((search.minimise(start) for start in ((0.0, 0.0, 0.0, 0.0), (-1.0, -1.0, 0.0, 1.0))), key=_value)
    if not np.isfinite(best.fun):
        raise ModelError("BG/NBD found no best parameters", expected="a finite likelihood", came=str(best.message))
    r, alpha, a, b = np.exp(best.x)
    return BgNbd(float(r), float(alpha * unit), float(a), float(b), -float(best.fun) * search.users - search.offset)


class _Likelihood:
    """The negative mean log-likelihood of eq. (7) and its gradient, over patterns in units of ``unit``."""

    def __init__(self, patterns: pd.DataFrame, unit: float) -> None:
        self.t_x = patterns["t_x"].to_numpy() / unit
        self.T = patterns["T"].to_numpy() / unit
        self.x = patterns["x"].to_numpy()
        self.weight = patterns["weight"].to_numpy()
        self.users = float(self.weight.sum())
        # Gamma functions depend on x alone, of which there are few different values.
        self.repeats, self.place = np.unique(self.x, return_inverse=True)
        self.mass = np.bincount(self.place, weights=self.weight)
        self.again = self.x > 0
        # Densities of x purchases carry 1 / unit^x; this brings the likelihood back to the caller's unit of time.
        self.offset = float(np.sum(self.weight * self.x) * np.log(unit))

    def minimise(self, start: tuple[float, ...]) -> OptimizeResult:
        return minimize(
            self,
            np.array(start),
            jac=True,
            method="L-BFGS-B",
            bounds=[(-LOG_BOUND, LOG_BOUND)] * 4,
            options={"maxiter": 500, "ftol": 1e-14, "gtol": 1e-8},
        )

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        r, alpha, a, b = np.exp(theta)
        log_watched, log_last = np.log(alpha + self.T), np.log(alpha + self.t_x)
        # Eq. (6): both terms share the Gamma and Beta factors of the first; what is left of the second is
        # a / (b + x - 1) * ((alpha + T) / (alpha + t_x))^(r + x).
        active = -(r + self.x) * log_watched
        left = np.where(
            self.again, np.log(a) - np.log(b + np.maximum(self.x, 1) - 1) - (r + self.x) * log_last, -np.inf
        )
        either = np.logaddexp(active, left)
        value = np.dot(self.weight, either) + np.dot(self.mass, self._shared(r, alpha, a, b))
        p_left = np.exp(left - either)
        return -value / self.users, -self._gradient(r, alpha, a, b, p_left) * np.exp(theta) / self.users

    def _shared(self, r: float, alpha: float, a: float, b: float) -> np.ndarray:
        k = self.repeats
        return gammaln(r + k) - gammaln(r) + r * np.log(alpha) + betaln(a, b + k) - betaln(a, b)

    def _gradient(self, r: float, alpha: float, a: float, b: float, p_left: np.ndarray) -> np.ndarray:
        k, weight, p_active = self.repeats, self.weight, 1 - p_left
        watched, last = alpha + self.T, alpha + self.t_x
        both = digamma(a + b) - digamma(a + b + k)
        leaving = weight * p_left
        by_r = np.dot(self.mass, digamma(r + k) - digamma(r) + np.log(alpha))
        by_r -= np.dot(weight, p_active * np.log(watched) + p_left * np.log(last))
        by_alpha = self.users * r / alpha - np.dot(weight, (r + self.x) * (p_active / watched + p_left / last))
        by_a = np.dot(self.mass, both) + leaving.sum() / a
        by_b = np.dot(self.mass, both + digamma(b + k) - digamma(b))
        by_b -= np.sum(leaving / (b + np.maximum(self.x, 1) - 1))
        return np.array([by_r, by_alpha, by_a, by_b])


def _patterns(x: Numbers, t_x: Numbers, T: Numbers, weights: Numbers | None) -> pd.DataFrame:
    repeats, last, watched = _floats(x, t_x, T)
    frame = pd.DataFrame({"x": repeats, "t_x": last, "T": watched})
    frame["weight"] = 1.0 if weights is None else np.asarray(weights, dtype=float)
    possible = np.isfinite(frame).all(axis=1) & (repeats >= 0) & (last >= 0) & (last <= watched)
    if not possible.all():
        row = frame[~possible].iloc[0]
        raise ModelError(
            "A purchase history is impossible",
            expected="0 <= x and 0 <= t_x <= T",
            came=f"x={row['x']:g}, t_x={row['t_x']:g}, T={row['T']:g} ({int((~possible).sum())} such rows)",
        )
    if not ((repeats > 0) & (frame["weight"] > 0)).any():
        raise EvidenceError(
            "BG/NBD cannot be fitted",
            expected="users who bought more than once",
            came=f"{len(frame)} users, none with a second purchase day",
            do="wait for more history",
        )
    return frame.groupby(["x", "t_x", "T"], sort=True)["weight"].sum().reset_index()


def _floats(x: Numbers, t_x: Numbers, T: Numbers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.asarray(x, dtype=float), np.asarray(t_x, dtype=float), np.asarray(T, dtype=float)


def _value(search: OptimizeResult) -> float:
    return float(search.fun) if np.isfinite(search.fun) else float("inf")
