"""How often users will buy again, and whether they still do: the BG/NBD model, by maximum likelihood.

Fader, Hardie & Lee (2005), "Counting Your Customers the Easy Way: An Alternative to the Pareto/NBD Model",
Marketing Science 24(2), 275-284; equation numbers below are that paper's. While active, a user buys at a rate drawn
from Gamma(r, alpha), and after each purchase leaves for good with a chance drawn from Beta(a, b).

Histories are those of ``purchase_histories``, in the same unit of time as alpha (weeks by custom).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
from scipy.special import betaincinv, expit, hyp2f1

from capflow_assets.learning.dropout_likelihood import DropoutLikelihood
from capflow_assets.learning.purchase_histories import Numbers, floats, most_likely, patterns, typical_time

# Found against 40-digit arithmetic: within these the closed form of eq. (10) is right to 1e-4 at worst, mostly 1e-10.
CLOSED_A, CLOSED_B = 20.0, 1_000.0
NODES = 128
# Logarithms of r, alpha, a and b in units of a typical time.
STARTS = (np.zeros(4), np.array([-1.0, -1.0, 0.0, 1.0]))


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
        repeats, last, watched = floats(x, t_x, T)
        return np.where(repeats > 0, expit(-self._log_odds_left(repeats, last, watched)), 1.0)

    def expected_purchases(self, x: Numbers, t_x: Numbers, T: Numbers, horizon: float) -> np.ndarray:
        """The purchases to expect in ``(T, T + horizon]``, given the history: eq. (10)."""
        repeats, last, watched = floats(x, t_x, T)
        return self.purchases_if_active(repeats, watched, horizon) * self.p_alive(repeats, last, watched)

    def parameters(self) -> dict[str, float]:
        """The four parameters and the log-likelihood."""
        return asdict(self)

    def _log_odds_left(self, x: np.ndarray, t_x: np.ndarray, T: np.ndarray) -> np.ndarray:
        log_ratio = np.log(self.alpha + T) - np.log(self.alpha + t_x)
        return np.log(self.a) - np.log(self.b + np.maximum(x, 1) - 1) + (self.r + x) * log_ratio

    def purchases_if_active(self, x: np.ndarray, T: np.ndarray, horizon: float) -> np.ndarray:
        """The purchases to expect of a user who is active at ``T``: eq. (10) over P(alive).

        In closed form, or as an integral where the closed form loses its digits.
        """
        if self.a > CLOSED_A or self.b > CLOSED_B:
            return self.purchases_by_integral(x, T, horizon)
        with np.errstate(all="ignore"):
            purchases = self.purchases_in_closed_form(x, T, horizon)
        ceiling = (self.r + x) * horizon / (self.alpha + T)
        lost = ~((purchases >= 0) & (purchases <= ceiling * (1 + 1e-9)))
        if lost.any():
            purchases[lost] = self.purchases_by_integral(x[lost], T[lost], horizon)
        return purchases

    def purchases_in_closed_form(self, x: np.ndarray, T: np.ndarray, horizon: float) -> np.ndarray:
        """``purchases_if_active`` as eq. (10) has it; not finite or too large where its digits are lost."""
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

    def purchases_by_integral(self, x: np.ndarray, T: np.ndarray, horizon: float) -> np.ndarray:
        """``purchases_if_active`` by quadrature: slower, and good for every history."""
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
    histories = patterns("BG/NBD", x, t_x, T, weights)
    unit = typical_time(histories)
    likelihood_of = partial(DropoutLikelihood, unit=unit, leaves_at_first=False)
    best = most_likely("BG/NBD", likelihood_of, histories, STARTS)
    r, alpha, a, b = (float(value) for value in np.exp(best.x))
    return BgNbd(r, alpha * unit, a, b, likelihood_of(histories).total(float(best.fun)))
