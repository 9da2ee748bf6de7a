"""How often users will buy again who buy in a rhythm: the MBG/CNBD-k model, by maximum likelihood.

Platzer & Reutterer (2016), see ``dropout_likelihood``; with ``k = 1`` it is MBG/NBD (Batislam, Denizel & Filiztekin
2007, International Journal of Research in Marketing 24(3), 201-209). It differs from BG/NBD twice: the gap between two
purchases is Erlang-k, more even the larger k is, and a user may leave at the first purchase already.

Their expected purchases are an approximation for k above 1; here they are the exact sum. A user who is active at ``T``
has seen ``j < k`` events since the last purchase with chances that go as the terms of ``active``, and then a rate of
Gamma(s + j, alpha + T) and a chance to leave of Beta(a, b + x + 1). The n-th purchase in a horizon ``t`` comes if the
n - 1 before it did not end it and ``n k - j`` events occur, whose number is negative binomial:

    sum over n of E[(1 - p)^(n - 1)] I_z(n k - j, s + j), z = t / (alpha + T + t), I the regularised incomplete beta
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy.special import betainc, expit, gammaln

from capflow_assets.learning.btyd import STARTS, BgNbd
from capflow_assets.learning.dropout_likelihood import DropoutLikelihood, open_gap
from capflow_assets.learning.purchase_histories import Numbers, floats, most_likely, patterns, typical_time

MOST_REGULAR = 6
# Further purchases are left out once their expectation is this small; and after so many in any case.
NEGLIGIBLE, MOST_PURCHASES = 1e-9, 5_000


@dataclass(frozen=True)
class MbgCnbd:
    """A fitted MBG/CNBD-k model: gaps Erlang(``k``), rate Gamma(``r``, ``alpha``), leaving Beta(``a``, ``b``)."""

    k: int
    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float

    def p_alive(self, x: Numbers, t_x: Numbers, T: Numbers) -> np.ndarray:
        """The chance that a user is still active at ``T``: ``active / (active + left)``."""
        repeats, last, watched = floats(x, t_x, T)
        events = self.r + self.k * repeats
        waiting, _, _ = open_gap(self.k, events, (watched - last) / (self.alpha + watched))
        log_ratio = np.log(self.alpha + watched) - np.log(self.alpha + last)
        log_odds_left = np.log(self.a) - np.log(self.b + repeats) + events * log_ratio - np.log(waiting)
        return np.asarray(expit(-log_odds_left))

    def expected_purchases(self, x: Numbers, t_x: Numbers, T: Numbers, horizon: float) -> np.ndarray:
        """The purchases to expect in ``(T, T + horizon]``, given the history."""
        repeats, last, watched = floats(x, t_x, T)
        return self._purchases_if_active(repeats, last, watched, horizon) * self.p_alive(repeats, last, watched)

    def parameters(self) -> dict[str, float]:
        """k, the four other parameters and the log-likelihood."""
        return asdict(self)

    def _purchases_if_active(self, x: np.ndarray, t_x: np.ndarray, T: np.ndarray, horizon: float) -> np.ndarray:
        if self.k == 1:
            # A user who did not leave at the first purchase is one of BG/NBD who has refused to leave once more.
            return BgNbd(self.r, self.alpha, self.a, self.b + 1, 0.0).purchases_if_active(x, T, horizon)
        events, share = self.r + self.k * x, (T - t_x) / (self.alpha + T)
        waiting, _, _ = open_gap(self.k, events, share)
        chance, total = 1 / waiting, np.zeros(x.shape)
        for j in range(self.k):
            total += chance * self._purchases_after(x, T, horizon, j)
            chance = chance * (events + j) * share / (j + 1)
        return total

    def _purchases_after(self, x: np.ndarray, T: np.ndarray, horizon: float, j: int) -> np.ndarray:
        """The sum over n for active users who have seen j events since their last purchase."""
        events = self.r + self.k * x.ravel() + j
        share = (horizon / (self.alpha + T + horizon)).ravel()
        total, here, stays = np.zeros(x.size), np.arange(x.size), np.ones(x.size)
        for n in range(1, MOST_PURCHASES + 1):
            more = stays * betainc(n * self.k - j, events[here], share[here])
            total[here] += more
            is_large = more > NEGLIGIBLE
            here, stays = here[is_large], stays[is_large]
            if not here.size:
                break
            stays = stays * (self.b + x.flat[here] + n) / (self.a + self.b + x.flat[here] + n)
        return total.reshape(x.shape)


def fit_mbg_cnbd(
    x: Numbers,
    t_x: Numbers,
    T: Numbers,
    log_gaps: float,
    weights: Numbers | None = None,
    most_regular: int | None = None,
) -> MbgCnbd:
    """Fit MBG/CNBD-k to histories by maximum likelihood, k among 1 to ``most_regular``.

    ``log_gaps`` is the sum, over the repeat purchases of all users, of the logarithm of the time since the purchase
    before, in the unit of ``T``: how even the gaps are shows there, and nowhere in the histories. k grows as long as
    the likelihood does.

    Raises ``EvidenceError`` when nobody bought twice, and ``ModelError`` when a history is impossible or the search
    does not end.
    """
    histories = patterns("MBG/CNBD-k", x, t_x, T, weights)
    best: MbgCnbd | None = None
    for model in _of_each_k(histories, log_gaps, most_regular or MOST_REGULAR):
        if best is not None and model.log_likelihood <= best.log_likelihood:
            break
        best = model
    assert best is not None  # noqa: S101  (there is a k of 1)
    return best


def _of_each_k(histories: pd.DataFrame, log_gaps: float, most_regular: int) -> Iterator[MbgCnbd]:
    unit = typical_time(histories)
    starts: tuple[np.ndarray, ...] = STARTS
    repeats = float(np.dot(histories["weight"], histories["x"]))
    for k in range(1, most_regular + 1):
        likelihood_of = partial(DropoutLikelihood, unit=unit, k=k, leaves_at_first=True)
        search = most_likely("MBG/CNBD-k", likelihood_of, histories, starts)
        r, alpha, a, b = (float(value) for value in np.exp(search.x))
        total = likelihood_of(histories).total(float(search.fun)) + (k - 1) * log_gaps - repeats * float(gammaln(k))
        yield MbgCnbd(k, r, alpha * unit, a, b, total)
        # The next model has more events for the same purchases, at a rate that is as much higher.
        starts = (search.x - np.array([0.0, np.log((k + 1) / k), 0.0, 0.0]),)
