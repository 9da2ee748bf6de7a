"""How much more than others each user goes by the price, from which of an item's prices the user bought at.

Of a user whose elasticity is ``d`` below the category's, a choice falls on a price with a chance that is the usual one
times ``exp(d price)``. So the mean price of the user's choices lies ``d`` times the item's step
(``category_elasticity.ItemPrices``) off the usual one, to the second order of the price's steps, and ``d`` is the sum
of what the choices lie off over the sum of the steps.

How much users differ is what a user's weeks have in common: with sums ``s`` and steps ``i`` of user and week, the
variance of ``d`` is the sum of ``s s'`` over that of ``i i'``, over all pairs of different weeks of one user. What a
week's sum varies by besides is noise. Each user is shrunk by the two. Arrays in, arrays out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from capflow_assets.learning.category_elasticity import REDUCED, ItemPrices
from capflow_assets.learning.price_choices import Choices

LEAST = 1e-9


@dataclass(frozen=True, slots=True)
class UserElasticities:
    """One entry per user of the choices; of choices of items whose weeks say enough.

    ``own``: how far the user's elasticity lies from the category's, shrunk, with its ``error``; ``unshrunk`` is what
    the user's choices say alone, NaN where they say nothing. ``step`` is by how much the mean price moves with it;
    ``pieces`` how many choices there were, ``reduced`` of them at a reduced price, where ``reduced_usual`` would have
    been usual. ``law``: see ``law_of``.
    """

    law: tuple[float, float]
    own: np.ndarray
    error: np.ndarray
    unshrunk: np.ndarray
    step: np.ndarray
    pieces: np.ndarray
    reduced: np.ndarray
    reduced_usual: np.ndarray

    @property
    def saving(self) -> np.ndarray:
        """How much less than usual each user is expected to pay for the same items, as a share of the price."""
        return -self.own * self.step


def user_elasticities(choices: Choices, prices: ItemPrices, law: tuple[float, float] | None = None) -> UserElasticities:
    """What each user's choices say of the user, under the ``law`` of ``law_of``, by default that of the choices."""
    row = np.flatnonzero((choices.user >= 0) & np.isfinite(prices.mean[choices.item]))
    user, item, pieces = choices.user[row], choices.item[row], choices.pieces[row]
    off, step = pieces * (choices.price[row] - prices.mean[item]), pieces * prices.step[item]
    count = len(choices.users)

    def by_user(values: np.ndarray) -> np.ndarray:
        return np.bincount(user, values, count)

    spread, dispersion = law or law_of(user, choices.week[row], off, step)
    steps, bought = by_user(step), by_user(pieces)
    safe = np.where(steps > LEAST, steps, np.inf)
    share = spread**2 / (spread**2 + dispersion / safe) if spread else np.zeros(count)
    unshrunk = by_user(off) / safe
    return UserElasticities(
        law=(spread, dispersion),
        own=share * unshrunk,
        error=spread * np.sqrt(1 - share),
        unshrunk=np.where(np.isfinite(safe), unshrunk, np.nan),
        step=steps / np.where(bought > 0, bought, 1.0),
        pieces=bought,
        reduced=by_user(pieces * (choices.price[row] < REDUCED)),
        reduced_usual=by_user(pieces * prices.reduced[item]),
    )


def law_of(user: np.ndarray, week: np.ndarray, off: np.ndarray, step: np.ndarray) -> tuple[float, float]:
    """The standard deviation of users' elasticities, and the variance of what a choice is off, over its step."""
    width = int(week.max(initial=0)) + 1
    pairs, place = np.unique(user * width + week, return_inverse=True)
    off_week, step_week = (np.bincount(place, values, len(pairs)) for values in (off, step))
    off_user, step_user = np.bincount(user, off), np.bincount(user, step)
    common = float((off_user**2).sum() - (off_week**2).sum())
    scale = float((step_user**2).sum() - (step_week**2).sum())
    square = max(0.0, common / scale) if scale > LEAST else 0.0
    left, total = float((off_week**2).sum()) - square * float((step_week**2).sum()), float(step_week.sum())
    return float(np.sqrt(square)), max(left / total, 0.1) if total > 0 else 1.0
