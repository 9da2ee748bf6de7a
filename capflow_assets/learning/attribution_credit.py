"""Which messages the bills are credited to: by Shapley values, by removal from a Markov chain, or to the last touch.

A **ratio** is bills over those to expect without a message (``learning.attribution_paths``): 1 where messages bring
nothing. Ratios of few bills are shrunk to that of all, as Gamma posterior means (D. Clayton, J. Kaldor, Biometrics 43,
1987). What all the messages of a stretch bring, ``expected x (ratio - 1)``, is shared among them:

- Shapley: what a message adds to what works besides, averaged over all orders in which they may have come (L. Shapley,
  1953; for advertising: B. Dalessandro, C. Perlich, O. Stitelman, F. Provost, "Causally motivated attribution for
  online advertising", ADKDD 2012, eq. 4). The worth of a set is its own ratio.
- Markov: a chain whose state is the newest message that works (E. Anderl, I. Becker, F. v. Wangenheim, J. Schumann,
  "Mapping the customer journey", IJRM 33, 2016). Who is not sent it stays in the state before, rather than being lost
  to the shop as there: most would have come anyway. Messages are removed one after the other, the newest first, so
  that removal effects add up.
- Last touch: all bills while a message works go to the newest one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from math import factorial

import numpy as np

from capflow_assets.learning.attribution_paths import Stretches

# Beyond so many expected bills nothing but what all messages bring together is believed.
MOST_PRIOR = 1e6
LEAST_RATIO = 0.05
# Of fewer stretches it cannot be seen how much users differ.
LEAST_STRETCHES = 50

Coalition = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Law:
    """How the ratios of messages are spread: about ``mean``, which is worth ``prior`` expected bills."""

    mean: float
    prior: float

    def shrunk(self, bills: np.ndarray, expected: np.ndarray, towards: np.ndarray | float | None = None) -> np.ndarray:
        """The ratios of sums of bills, shrunk to the mean or to others."""
        mean = self.mean if towards is None else towards
        return np.asarray((bills + self.prior * mean) / (expected + self.prior))


def law_of(stretches: Stretches, players: int) -> Law:
    """The law of the ratios of the newest messages, by moments (R. Paule, J. Mandel, J. Res. NBS 87, 1982).

    Bills vary more than by chance, since users do: what they vary beside those to expect says by how much.

    >>> stretches = Stretches(np.array([[0], [1]]), np.array([30.0, 10.0]), np.array([10.0, 10.0]))
    >>> law = law_of(stretches, players=2)
    >>> round(law.mean, 2), round(law.prior, 2)
    (2.0, 1.11)
    """
    bills, expected = _sums(stretches, players)
    bills, expected = bills[expected > 0], expected[expected > 0]
    if not len(expected):
        return Law(1.0, MOST_PRIOR)
    known = stretches.expected > 0
    ratio = bills / expected
    usual = stretches.expected[known] * (bills.sum() / expected.sum())
    dispersion = float(((stretches.bills[known] - usual) ** 2).sum() / max(usual.sum(), 1e-9))
    noise = (dispersion if len(usual) >= LEAST_STRETCHES else 1.0) * max(usual.sum() / expected.sum(), LEAST_RATIO)
    least, most = 0.0, float(((ratio - ratio.mean()) ** 2).sum()) + 1e-12
    for _ in range(40):
        between = (least + most) / 2
        weight = 1 / (between + noise / expected)
        mean = float(np.average(ratio, weights=weight))
        is_more = float((weight * (ratio - mean) ** 2).sum()) > len(ratio) - 1
        least, most = (between, most) if is_more else (least, between)
    return Law(mean, float(min(MOST_PRIOR, noise / between)))


def last_touch_credit(stretches: Stretches, players: int, law: Law) -> np.ndarray:
    """The bills of each player whose message is the newest."""
    return np.bincount(stretches.touched[:, 0], stretches.bills, players)


def markov_credit(stretches: Stretches, players: int, law: Law) -> np.ndarray:
    """The bills that each player's messages bring, by removal from the chain."""
    ratio = np.append(law.shrunk(*_sums(stretches, players)), 1.0)
    known = np.isfinite(stretches.expected)
    credit = np.zeros(players)
    touched, expected = stretches.touched[known], stretches.expected[known]
    for place in range(touched.shape[1]):
        works = touched[:, place] >= 0
        player = touched[works, place]
        before = touched[works, place + 1] if place + 1 < touched.shape[1] else np.full(len(player), -1)
        credit += np.bincount(player, expected[works] * (ratio[player] - ratio[before]), players)
    return credit


def shapley_credit(stretches: Stretches, players: int, law: Law) -> np.ndarray:
    """The bills that each player's messages bring, by Shapley values."""
    known = np.isfinite(stretches.expected)
    sets, of = np.unique(np.sort(stretches.touched[known], axis=1), axis=0, return_inverse=True)
    bills, expected = (
        np.bincount(of.ravel(), values[known], len(sets)) for values in (stretches.bills, stretches.expected)
    )
    worth = _worth(sets, bills, expected, law)
    credit = np.zeros(players)
    for row, amount in zip(sets, expected, strict=True):
        coalition = _coalition(row)
        for player, value in shapley_values(coalition, worth).items():
            credit[player] += amount * value
    return credit


def shapley_values(coalition: Coalition, worth: Callable[[Coalition], float]) -> dict[int, float]:
    """What each player adds to the worth of a set, averaged over all orders; they add up to that of the set.

    >>> worth = {(): 0.0, (1,): 1.0, (2,): 2.0, (1, 2): 4.0}
    >>> shapley_values((1, 2), lambda players: worth[players])
    {1: 1.5, 2: 2.5}
    """
    count = len(coalition)
    values = {}
    for player in coalition:
        others = [other for other in coalition if other != player]
        values[player] = sum(
            factorial(size)
            * factorial(count - size - 1)
            / factorial(count)
            * (worth(tuple(sorted((*some, player)))) - worth(some))
            for size in range(count)
            for some in combinations(others, size)
        )
    return values


def _worth(sets: np.ndarray, bills: np.ndarray, expected: np.ndarray, law: Law) -> Callable[[Coalition], float]:
    """The ratio of a set of players less 1; of one that was never seen as if each added what it brings alone."""
    totals: dict[Coalition, tuple[float, float]] = {}
    for row, observed, usual in zip(sets, bills, expected, strict=True):
        coalition = _coalition(row)
        before = totals.get(coalition, (0.0, 0.0))
        totals[coalition] = (before[0] + float(observed), before[1] + float(usual))
    memory: dict[Coalition, float] = {(): 0.0}

    def worth(coalition: Coalition) -> float:
        if coalition not in memory:
            observed, usual = totals.get(coalition, (0.0, 0.0))
            alone = law.mean if len(coalition) == 1 else 1 + sum(worth((player,)) for player in coalition)
            memory[coalition] = float(law.shrunk(observed, usual, max(alone, LEAST_RATIO))) - 1  # type: ignore[arg-type]
        return memory[coalition]

    return worth


def _coalition(row: np.ndarray) -> Coalition:
    return tuple(sorted({int(player) for player in row if player >= 0}))


def _sums(stretches: Stretches, players: int) -> tuple[np.ndarray, np.ndarray]:
    """Bills, and those to expect, while each player's message is the newest."""
    known = np.isfinite(stretches.expected)
    newest = stretches.touched[known, 0]
    bills, expected = (np.bincount(newest, of[known], players) for of in (stretches.bills, stretches.expected))
    return bills, expected
