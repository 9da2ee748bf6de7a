"""Habits: which of a customer's things (stores, hours of the week) each user chose on which days, and how firmly.

A user's share of a thing is the user's own faded count of it shrunk to what is usual, the mean of a Dirichlet
posterior ``(n_uk + c q_uk) / (n_u + c)``, where ``q_u`` is the prior and the concentration ``c`` says how many choices
it is worth (A. Gelman et al., Bayesian Data Analysis, 3rd edition, section 3.4). How fast counts fade and ``c`` are
those under which what came after past moments was likeliest. Arrays in, arrays out; no customer, no engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from capflow_assets.errors import EvidenceError
from capflow_assets.expressions.days import local_day_of
from capflow_assets.learning.baskets import distinct

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from capflow_assets.contract import Examples

CONCENTRATIONS = np.geomspace(0.05, 500.0, 41)
# Half-lives in days that are tried; with the last nothing fades.
HALF_LIVES = (45.0, 91.0, 182.0, 365.0, 0.0)


@dataclass(frozen=True, slots=True)
class Habits:
    """What users chose: each user, thing and day once.

    ``users`` and ``things`` are ids, sorted; ``user`` and ``thing`` number them, row by row, and ``age_days`` says how
    many days ago it was. Rows are sorted by user, thing and day.
    """

    users: np.ndarray
    things: np.ndarray
    user: np.ndarray
    thing: np.ndarray
    age_days: np.ndarray

    def counts(self, half_life_days: float) -> csr_matrix:
        """How often each user chose each thing, (users, things) float64; a choice counts half after a half-life."""
        from scipy.sparse import csr_matrix

        weight = 0.5 ** (self.age_days / half_life_days) if half_life_days else np.ones(len(self.user))
        return csr_matrix((weight, (self.user, self.thing)), shape=(len(self.users), len(self.things)))

    def numbers(self, users: pd.Index) -> np.ndarray:
        """The number of each user id; -1 where it chose nothing yet."""
        return pd.Index(self.users).get_indexer(users)


def habits_of(users: pd.Series, things: pd.Series, days: np.ndarray, today: np.datetime64) -> Habits:
    """Habits of rows that each say who chose what on which local day; rows without a user or a thing are left out.

    >>> days = np.array(["2024-05-01", "2024-05-01", "2024-05-09"], dtype="datetime64[D]")
    >>> read = habits_of(pd.Series(["ana"] * 3), pd.Series(["old", "old", "new"]), days, np.datetime64("2024-05-10"))
    >>> read.things.tolist(), read.thing.tolist(), read.age_days.tolist()
    (['new', 'old'], [0, 1], [1.0, 9.0])
    """
    is_known = users.notna().to_numpy() & things.notna().to_numpy() & ~np.isnat(days)
    user, user_ids = pd.factorize(users[is_known], sort=True)
    thing, thing_ids = pd.factorize(things[is_known], sort=True)
    age = np.maximum((today - days[is_known]).astype("int64"), 0)
    oldest = int(age.max(initial=0)) + 1
    width = max(1, len(thing_ids))
    rows = distinct((user.astype("int64") * width + thing) * oldest + (oldest - 1 - age))
    pair, day = np.divmod(rows, oldest)
    ages = (oldest - 1 - day).astype(float)
    return Habits(np.asarray(user_ids), np.asarray(thing_ids), pair // width, pair % width, ages)


@dataclass(frozen=True, slots=True)
class Past:
    """A past moment: the ``habits`` known then, and what was chosen in the horizon after it.

    Of each choice the ``user`` and the ``thing`` by number, and how often it came, ``weight``. Users who had chosen
    nothing before, and things that nobody had, are left out.
    """

    habits: Habits
    user: np.ndarray
    thing: np.ndarray
    weight: np.ndarray


def pasts_of(
    examples: Examples,
    read: Callable[[int], Habits],
    per: str,
    column: str,
    names: Callable[[np.ndarray], np.ndarray] | None = None,
) -> list[Past]:
    """The past moments of examples: ``read`` gives the habits as of the moment of a number.

    Outcomes have rows by ``per``, by what ``names`` call the things (else as they are), and say in ``column`` how often
    it came.

    Raises:
        EvidenceError: nothing came of anybody who was known.
    """
    rows, pasts = examples.outcomes, []
    if rows is not None and len(rows):
        # Outcomes say of which moment they are; where each user has one row, their examples do.
        numbered = next((frame for frame in (rows, examples.columns) if "moment" in frame.columns), None)
        for place in range(len(examples.moments)):
            of_moment = rows if numbered is None else rows[(numbered["moment"] == place).to_numpy()]
            pasts.append(_past_of(read(place), of_moment, per, column, names))
    if not sum(len(past.user) for past in pasts):
        raise EvidenceError(
            "Habits cannot be learned", expected="users who were known before and came again", came="none"
        )
    return pasts


def _past_of(
    habits: Habits,
    outcomes: pd.DataFrame,
    per: str,
    column: str,
    names: Callable[[np.ndarray], np.ndarray] | None,
) -> Past:
    user = habits.numbers(outcomes.index)
    things = names(habits.things) if names else habits.things
    thing = pd.Index(things).get_indexer(pd.Index(outcomes[per]))
    weight = outcomes[column].to_numpy(dtype=float)
    order = np.lexsort((thing, user))
    order = order[((user >= 0) & (thing >= 0) & (weight > 0))[order]]
    return Past(habits, user[order], thing[order], weight[order])


def today_of(examples: Examples, place: int) -> np.datetime64:
    """The local day of the moment of a number."""
    return np.datetime64(local_day_of(examples.moments[place], examples.zone), "D")


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Of what came: the own faded count of it, the user's count in all, what the prior gives it, how often it came."""

    own: np.ndarray
    total: np.ndarray
    prior: np.ndarray
    weight: np.ndarray

    def best(self) -> tuple[float, float]:
        """The concentration under which what came was likeliest, and the mean logarithm of its chance."""
        least = np.finfo(float).tiny
        values = [self._mean(np.maximum((self.own + c * self.prior) / (self.total + c), least)) for c in CONCENTRATIONS]
        place = int(np.argmax(values))
        return float(CONCENTRATIONS[place]), values[place]

    def _mean(self, chances: np.ndarray) -> float:
        return float(np.average(np.log(chances), weights=self.weight))


def joined(parts: Iterable[Likelihood]) -> Likelihood:
    """What came at several moments."""
    rows = list(parts)
    return Likelihood(
        *(np.concatenate([getattr(part, name) for part in rows]) for name in ("own", "total", "prior", "weight"))
    )


def is_better(value: float, than: float | None) -> bool:
    """Whether a mean log-likelihood is better than the best before by more than rounding."""
    return value > (-inf if than is None else than + 1e-9)
