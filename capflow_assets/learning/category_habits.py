"""Which categories users buy from: own visits, faded, held against what all users bought on the same days.

A user's relative taste for a category is a Gamma posterior mean, ``(n + c q) / (e + c q)``: ``n`` are the faded visits
on which the user bought of it, ``e`` those to expect of the user's visits if the user bought like everybody of the same
weeks, ``q`` everybody's share of visits with the category, and ``c`` how many visits everybody is worth (empirical
Bayes as for relative risks: D. Clayton and J. Kaldor, Biometrics 43, 1987). The chance that the next visit has the
category is the taste times everybody's share of now. Where everybody's shares are taken to be the same all year round,
that is the mean of a Dirichlet posterior, the own share shrunk to everybody's. Arrays in, arrays out; no customer, no
engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# Everybody's shares are those of so many days, and are shrunk to those of all time as if by so many visits.
PERIOD_DAYS, PERIOD_PRIOR_VISITS = 28, 20.0
USERS_AT_ONCE = 4_096


@dataclass(frozen=True, slots=True)
class CategoryRecipe:
    """How tastes are read.

    After how many days a visit counts half (0: never), how many visits ``everybody`` is worth, and how much of the
    change of everybody's shares over time counts, ``season`` (0: nothing, 1: all of it).
    """

    half_life_days: float
    everybody: float
    season: float

    def describe(self) -> dict[str, Any]:
        """The same as plain values, to be saved."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class CategoryVisits:
    """On which visits known users bought of which categories; a visit is a local day on which a user bought of any.

    ``users`` are ids, sorted; ``categories`` are names, those on most visits first, then by name. Rows say that on the
    visit of ``user`` so many days ago, ``age_days``, something of ``category`` was bought: each once, sorted by user,
    category and age. ``visit_user`` and ``visit_age`` are the visits, each once.
    """

    users: np.ndarray
    categories: np.ndarray
    user: np.ndarray
    category: np.ndarray
    age_days: np.ndarray
    visit_user: np.ndarray
    visit_age: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """How many users and categories."""
        return len(self.users), len(self.categories)

    @property
    def popularity(self) -> np.ndarray:
        """Everybody's share of visits with each category, over all time."""
        return np.bincount(self.category, minlength=len(self.categories)) / max(1, len(self.visit_user))

    def numbers(self, users: pd.Index) -> np.ndarray:
        """The number of each user id; -1 where the user has no visit."""
        return pd.Index(self.users).get_indexer(users)

    def counts(self, half_life_days: float = 0.0) -> csr_matrix:
        """The visits of each user with each category, (users, categories), faded."""
        from scipy.sparse import csr_matrix

        weight = _faded(self.age_days, half_life_days)
        return csr_matrix((weight, (self.user, self.category)), shape=self.shape)

    def visits(self, half_life_days: float) -> csr_matrix:
        """The visits of each user in each period back from now, (users, periods), faded."""
        from scipy.sparse import csr_matrix

        weight, period = _faded(self.visit_age, half_life_days), self.visit_age // PERIOD_DAYS
        return csr_matrix((weight, (self.visit_user, period)), shape=(len(self.users), self.periods))

    @property
    def periods(self) -> int:
        """How many periods back the visits reach."""
        return int(self.visit_age.max(initial=0)) // PERIOD_DAYS + 1

    def shares(self, season: float) -> np.ndarray:
        """Everybody's share of visits with each category by period back from now, (periods, categories).

        ``season`` tempers how far those of a period are from those of all time.
        """
        period, width = self.age_days // PERIOD_DAYS, len(self.categories)
        with_it = np.bincount(period * width + self.category, minlength=self.periods * width)
        visits = np.bincount(self.visit_age // PERIOD_DAYS, minlength=self.periods)
        usual = self.popularity
        shares = with_it.reshape(self.periods, width) + PERIOD_PRIOR_VISITS * usual
        relative = shares / (visits[:, None] + PERIOD_PRIOR_VISITS) / usual
        tempered: np.ndarray = usual * relative**season
        return tempered


def category_visits(lines: pd.DataFrame, items: pd.DataFrame, today: np.datetime64) -> CategoryVisits:
    """The visits in rows of clean/line_items, by the categories of clean/items.

    Returns, what is no item, unknown users and items without a category are left out. ``lines`` has ``user_id``,
    ``item_id``, ``billed_on``, ``is_return`` and ``flags``, ``items`` has ``item_id`` and ``category``.

    >>> days = pd.to_datetime(["2024-05-01", "2024-05-01", "2024-05-09"])
    >>> lines = pd.DataFrame({"user_id": "ana", "item_id": ["tea", "jam", "tea"], "billed_on": days})
    >>> items = pd.DataFrame({"item_id": ["jam", "tea"], "category": ["spreads", "drinks"]})
    >>> read = category_visits(lines.assign(is_return=False, flags=""), items, np.datetime64("2024-05-10"))
    >>> read.categories.tolist(), read.category.tolist(), read.age_days.tolist()
    (['drinks', 'spreads'], [0, 0, 1], [1, 9, 9])
    """
    rows = lines.loc[_is_bought(lines), ["user_id", "item_id", "billed_on"]]
    known = items.dropna(subset=["item_id", "category"]).drop_duplicates("item_id")
    number, names = pd.factorize(known["category"].astype(object), sort=True)
    item, ids = pd.factorize(rows["item_id"].astype(object))
    place = pd.Index(known["item_id"]).get_indexer(pd.Index(ids))
    category = np.append(number, -1)[place][item] if len(ids) else np.empty(0, dtype="int64")
    has_category = category >= 0
    user, users = pd.factorize(rows["user_id"].astype(object)[has_category], sort=True)
    days = pd.to_datetime(rows["billed_on"][has_category]).to_numpy().astype("datetime64[D]")
    age = np.maximum((today - days).astype("int64"), 0)
    return _distinct(np.asarray(users), np.asarray(names), user.astype("int64"), category[has_category], age)


def _is_bought(lines: pd.DataFrame) -> np.ndarray:
    flag, flags = pd.factorize(lines["flags"])  # flags are few, whatever the number of rows
    is_good = np.array(["not_an_item" not in str(text) for text in flags] + [True])[flag]
    is_bought: np.ndarray = is_good & lines["user_id"].notna().to_numpy() & ~lines["is_return"].to_numpy(dtype=bool)
    return is_bought


def _distinct(
    users: np.ndarray, names: np.ndarray, user: np.ndarray, category: np.ndarray, age: np.ndarray
) -> CategoryVisits:
    """Each user, category and day once, the categories numbered anew by how many visits they were on."""
    oldest, width = int(age.max(initial=0)) + 1, max(1, len(names))
    pair, age = np.divmod(_once((user * width + category) * oldest + age), oldest)
    user, category = np.divmod(pair, width)
    visits = np.bincount(category, minlength=len(names))
    order = np.argsort(-visits, kind="stable")[: int((visits > 0).sum())]
    place = np.empty(len(names), dtype="int64")
    place[order] = np.arange(len(order))
    visit_user, visit_age = np.divmod(_once(user * oldest + age), oldest)
    pair, age = np.divmod(np.sort((user * width + place[category]) * oldest + age), oldest)
    return CategoryVisits(users, names[order], pair // width, pair % width, age, visit_user, visit_age)


def _once(numbers: np.ndarray) -> np.ndarray:
    """Each number once, in order; many times faster than ``np.unique``, which looks into a hash table first."""
    numbers = np.sort(numbers)
    return numbers[np.flatnonzero(np.diff(numbers, prepend=-1))]


def _faded(age: np.ndarray, half_life_days: float) -> np.ndarray:
    weight: np.ndarray = 0.5 ** (age / half_life_days) if half_life_days else np.ones(len(age))
    return weight


@dataclass(frozen=True, slots=True)
class CategoryTastes:
    """What a recipe's half-life and season make of visits; ``everybody`` may differ from one look to the next."""

    counts: csr_matrix
    visits: csr_matrix
    shares: np.ndarray
    usual: np.ndarray

    @classmethod
    def of(cls, visits: CategoryVisits, half_life_days: float, season: float) -> CategoryTastes:
        """The tastes of all users, as of the moment of the visits."""
        counts, by_period = visits.counts(half_life_days), visits.visits(half_life_days)
        return cls(counts, by_period, visits.shares(season), visits.popularity)

    def chances(self, users: np.ndarray, everybody: float) -> np.ndarray:
        """How likely the next visit has each category, (users, categories); -1 is a user without a visit."""
        prior, known = everybody * self.usual, np.flatnonzero(users >= 0)
        chances = np.tile(self.shares[0], (len(users), 1))
        expected = self.visits[users[known]] @ self.shares
        chances[known] *= (self.counts[users[known]].toarray() + prior) / (expected + prior)
        return chances


def in_blocks(users: np.ndarray) -> Iterator[np.ndarray]:
    """Some thousand users at a time, so that no matrix of all users and categories is ever dense."""
    for first in range(0, len(users), USERS_AT_ONCE):
        yield users[first : first + USERS_AT_ONCE]
