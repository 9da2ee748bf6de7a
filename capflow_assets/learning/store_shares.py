"""Which stores users go to: own visits shrunk to those of users who go to the same stores, and these to everybody's.

The prior of a user is ``q_u = (1 - a) m + a sum_j w_uj A_j``: everybody's shares ``m``, and for the stores that the
user goes to, where those who go there go, ``A_j``, itself shrunk to ``m``. The weights are the user's shares of the
stores to a power, ``w_uj ~ s_uj ** focus``: of a high one the home store says nearly all. Stores that the same users
visit lie near each other, so that towns need not be known. Cost: products of sparse matrices, no loop over users.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from capflow_assets.learning.habits import HALF_LIVES, Habits, Likelihood, Past, is_better, joined

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# Shares of those alike in the prior, and the powers; without those alike there is nothing to weigh.
PRIORS = ((0.0, 1.0), (0.5, 1.0), (0.95, 1.0), (0.5, 3.0), (0.95, 3.0))
# How many visits everybody's shares are worth beside those of the users of one store.
EVERYBODY_VISITS = 5.0
USERS_AT_ONCE = 2_048


@dataclass(frozen=True, slots=True)
class StoreRecipe:
    """How lists are made.

    After how many days a visit counts half (0: never), how many visits the prior is worth, the share in it of where
    those go who are ``alike``, and the ``focus`` on the user's first stores.
    """

    half_life_days: float
    concentration: float
    alike: float
    focus: float

    def describe(self) -> dict[str, Any]:
        """The same as plain values, to be saved."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class StoreShares:
    """Faded counts (users, stores), everybody's ``shares`` of the stores, and of each user where those alike go.

    ``alike`` (users, stores) is sparse and lacks what everybody's shares add to it, which are worth ``rest`` (users,).
    """

    counts: csr_matrix
    totals: np.ndarray
    shares: np.ndarray
    alike: csr_matrix
    rest: np.ndarray

    @classmethod
    def of(cls, habits: Habits, half_life_days: float, focus: float) -> StoreShares:
        """The shares of all users, as of the moment of the habits."""
        from scipy.sparse import diags

        counts = habits.counts(half_life_days)
        totals = np.asarray(counts.sum(axis=1)).ravel()
        everybody = np.asarray(counts.sum(axis=0)).ravel()
        own = _shares(_shares(counts).power(focus))
        together = (own.T @ counts).tocsr()
        weight = np.asarray(together.sum(axis=1)).ravel() + EVERYBODY_VISITS
        alike = (own @ (diags(1 / weight) @ together)).tocsr()
        return cls(counts, totals, everybody / max(everybody.sum(), 1e-300), alike, own @ (EVERYBODY_VISITS / weight))

    def of_past(self, past: Past, alike: float) -> Likelihood:
        """What came after a past moment, beside the counts and the priors."""
        user, store = past.user, past.thing
        everybody = self.shares[store]
        near = np.asarray(self.alike[user, store]).ravel() + self.rest[user] * everybody
        prior = (1 - alike) * everybody + alike * near
        return Likelihood(np.asarray(self.counts[user, store]).ravel(), self.totals[user], prior, past.weight)

    def chances(self, users: np.ndarray, recipe: StoreRecipe) -> np.ndarray:
        """The chance of each store, (users, stores); -1 is a user without a visit, who gets everybody's shares."""
        chances = np.tile(self.shares, (len(users), 1))
        known = np.flatnonzero(users >= 0)
        of = users[known]
        near = self.alike[of].toarray() + self.rest[of, None] * self.shares
        prior = (1 - recipe.alike) * self.shares + recipe.alike * near
        concentration = recipe.concentration
        chances[known] = (self.counts[of].toarray() + concentration * prior) / (self.totals[of, None] + concentration)
        return chances


def best_recipe(pasts: list[Past]) -> tuple[StoreRecipe, float]:
    """The recipe under which what came after past moments was likeliest, and the mean logarithm of its chance."""
    best: tuple[StoreRecipe, float] | None = None
    for half_life in HALF_LIVES:
        shares = {focus: [StoreShares.of(past.habits, half_life, focus) for past in pasts] for _, focus in PRIORS}
        for alike, focus in PRIORS:
            parts = (of.of_past(past, alike) for of, past in zip(shares[focus], pasts, strict=True))
            concentration, value = joined(parts).best()
            if is_better(value, None if best is None else best[1]):
                best = StoreRecipe(half_life, concentration, alike, focus), value
    assert best is not None  # noqa: S101  (half-lives are tried)
    return best


def _shares(counts: csr_matrix) -> csr_matrix:
    """Each row over its sum."""
    from scipy.sparse import diags

    sums = np.asarray(counts.sum(axis=1)).ravel()
    return (diags(1 / np.maximum(sums, np.finfo(float).tiny)) @ counts).tocsr()


@dataclass(frozen=True, slots=True)
class StoreLists:
    """The rows of lists: the place of the user among those asked about, the store's number, its score, the user's
    visits to it and the days since the last of them (-1 without one), and the user's visits in all.
    """

    place: np.ndarray
    store: np.ndarray
    score: np.ndarray
    visits: np.ndarray
    age_days: np.ndarray
    all_visits: np.ndarray


def store_lists(
    habits: Habits, users: np.ndarray, size: int, scores_of: Callable[[np.ndarray], np.ndarray]
) -> StoreLists:
    """The ``size`` stores of the highest scores of each user, the first by id of equal ones; some users at a time."""
    size, blocks = min(size, len(habits.things)), range(0, len(users), USERS_AT_ONCE)
    tops, scores = [np.empty((0, size), dtype="int64")], [np.empty((0, size))]
    for first in blocks if size else ():
        values = scores_of(users[first : first + USERS_AT_ONCE])
        tops.append(np.argsort(-values, axis=1, kind="stable")[:, :size])
        scores.append(np.take_along_axis(values, tops[-1], axis=1))
    store, score = np.concatenate(tops).ravel(), np.concatenate(scores).ravel()
    place = np.repeat(np.arange(len(store) // max(1, size)), size)
    user, width = users[place], max(1, len(habits.things))
    # Rows of habits are sorted by pair, the newest last.
    pairs, sought = habits.user * width + habits.thing, user * width + store
    ends = np.searchsorted(pairs, sought, side="right")
    visits = np.where(user >= 0, ends - np.searchsorted(pairs, sought), 0)
    newest = habits.age_days[np.maximum(ends - 1, 0)] if len(pairs) else np.zeros(len(ends))
    totals = np.bincount(habits.user, minlength=len(habits.users))
    everything = np.where(user >= 0, totals[user], 0) if len(totals) else np.zeros(len(user), dtype="int64")
    return StoreLists(place, store, score, visits, np.where(visits > 0, newest, -1.0), everything)


def reasons(lists: StoreLists) -> np.ndarray:
    """Why each store is listed, in words."""
    # Few of the counts and days differ, so that each text is written once.
    figures = np.stack([lists.visits, lists.all_visits, lists.age_days.astype("int64")])
    distinct, place = np.unique(figures, axis=1, return_inverse=True)
    texts = np.array([_words(*map(int, column)) for column in distinct.T], dtype=object)
    return texts[place.ravel()] if len(texts) else texts


def _words(visits: int, all_visits: int, days: int) -> str:
    """Say how many of the user's visits went there, and how lately.

    >>> _words(6, 8, 12), _words(0, 8, -1), _words(0, 0, -1)
    ('6 of 8 visits, the last 12 days ago', 'no visit yet; others who go to the same stores go there', 'much visited')
    """
    if visits:
        when = "today" if days <= 0 else "1 day ago" if days == 1 else f"{days:,} days ago"
        return f"{visits:,} of {all_visits:,} visit{'' if all_visits == 1 else 's'}, the last {when}"
    return "no visit yet; others who go to the same stores go there" if all_visits else "much visited"
