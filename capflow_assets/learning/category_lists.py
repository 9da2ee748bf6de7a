"""Ranked lists of categories: the recipe that served best in the past, and lists with their reasons in words."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from capflow_assets.errors import EvidenceError
from capflow_assets.expressions.days import local_day_of
from capflow_assets.learning.category_habits import (
    CategoryRecipe,
    CategoryTastes,
    CategoryVisits,
    category_visits,
    in_blocks,
)

if TYPE_CHECKING:
    from capflow_assets.contract import Examples

# The plainest comes first: of recipes that served equally well it is chosen.
HALF_LIVES, SEASONS, EVERYBODY = (0.0, 240.0, 120.0, 60.0), (0.0, 0.5, 1.0), (1.0, 0.3, 3.0, 10.0)
MOST_USERS = 1_500
POPULAR, IN_SEASON = "popular with all shoppers now", "all shoppers buy it {:.1f} times as often as usual now"
LEAST_LIFT = 1.25
LINES, ITEMS = "clean/line_items", "clean/items"


def visits_at(examples: Examples, place: int) -> CategoryVisits:
    """The visits known at the moment of a number, of examples that read line items and items as frames."""
    today = np.datetime64(local_day_of(examples.moments[place], examples.zone), "D")
    return category_visits(examples.tables[LINES][place], examples.tables[ITEMS][place], today)


def best_recipe(examples: Examples, column: str, top: int, seed: int) -> tuple[CategoryRecipe, dict[str, float]]:
    """The recipe whose lists had the highest NDCG of the first ``top`` at the past moments, and what each season gave.

    Some ``MOST_USERS`` users of each moment, drawn by the seed, are enough to choose by.

    Raises:
        EvidenceError: nothing came of anybody.
    """
    pasts = [_past(examples, place, column, seed) for place in range(len(examples.moments))]
    if not sum(len(users) for _, users, _ in pasts):
        raise EvidenceError(
            "Which category comes next cannot be learned", expected="users who came again and bought", came="none"
        )
    values: dict[tuple[float, float, float], float] = {}
    for half_life, season in product(HALF_LIVES, SEASONS):
        tastes = [(CategoryTastes.of(visits, half_life, season), users, observed) for visits, users, observed in pasts]
        for everybody in EVERYBODY:
            gains = [ndcg(of.chances(users, everybody), observed, top) for of, users, observed in tastes if len(users)]
            values[half_life, everybody, season] = float(np.concatenate(gains).mean())
    best = max(values, key=lambda recipe: round(values[recipe], 9))
    by_season = {str(season): max(value for (*_, of), value in values.items() if of == season) for season in SEASONS}
    return CategoryRecipe(*best), by_season


def _past(examples: Examples, place: int, column: str, seed: int) -> tuple[CategoryVisits, np.ndarray, np.ndarray]:
    """Of a past moment: the visits, the users who came afterwards by number, and what they bought of, (users,
    categories).
    """
    visits, outcomes = visits_at(examples, place), examples.outcomes
    assert outcomes is not None  # noqa: S101  (asked for by a fit)
    rows = outcomes[(outcomes["moment"] == place).to_numpy()] if "moment" in outcomes.columns else outcomes
    rows = rows[rows[column].to_numpy(dtype=float) > 0]
    ids = rows.index.unique().sort_values()
    if len(ids) > MOST_USERS:
        ids = ids[np.sort(np.random.default_rng([seed, place]).choice(len(ids), MOST_USERS, replace=False))]
    user, category = ids.get_indexer(rows.index), pd.Index(visits.categories).get_indexer(pd.Index(rows["category"]))
    is_listed = (user >= 0) & (category >= 0)
    observed = np.zeros((len(ids), len(visits.categories)), dtype=bool)
    observed[user[is_listed], category[is_listed]] = True
    some = observed.any(axis=1)
    return visits, visits.numbers(ids)[some], observed[some]


def ndcg(scores: np.ndarray, observed: np.ndarray, top: int) -> np.ndarray:
    """The normalised discounted cumulative gain of the ``top`` of each row (see ``learning.ranking``).

    >>> ndcg(np.array([[0.5, 0.3, 0.2]]), np.array([[False, True, False]]), top=2).round(3).tolist()
    [0.631]
    """
    first = firsts(scores, top)
    gains = 1 / np.log2(2 + np.arange(first.shape[1]))
    best = np.cumsum(gains)[np.minimum(observed.sum(axis=1), first.shape[1]) - 1]
    value: np.ndarray = (np.take_along_axis(observed, first, axis=1) * gains).sum(axis=1) / best
    return value


def firsts(scores: np.ndarray, top: int) -> np.ndarray:
    """The columns of the ``top`` highest scores of each row, the highest first; of equal ones the first column."""
    left, rows, size = scores.copy(), np.arange(len(scores)), min(top, scores.shape[1])
    order = np.empty((len(scores), size), dtype="int64")
    for place in range(size):  # few are wanted of many: to look for each of them beats to sort them all
        order[:, place] = left.argmax(axis=1)
        left[rows, order[:, place]] = -np.inf
    return order


def frequent_chances(visits: CategoryVisits) -> Callable[[np.ndarray], np.ndarray]:
    """How many visits each user had with each category, and half of its popularity, which settles ties."""
    counts, popularity = visits.counts(), visits.popularity

    def of_users(users: np.ndarray) -> np.ndarray:
        scores = np.tile(popularity / 2, (len(users), 1))
        known = np.flatnonzero(users >= 0)
        scores[known] += counts[users[known]].toarray()
        return scores

    return of_users


def category_rows(
    visits: CategoryVisits, scores_of: Callable[[np.ndarray], np.ndarray], index: pd.Index, size: int, lift: np.ndarray
) -> pd.DataFrame:
    """Lists as rows: ``category``, ``score`` and ``reasons``, the index repeated for each category of a list.

    ``lift`` says how many times as often as usual everybody buys of each category now.
    """
    users = visits.numbers(index)
    places, scores = [np.empty((0, min(size, visits.shape[1])), dtype="int64")], []
    for block in in_blocks(users):
        of_block = scores_of(block)
        places.append(firsts(of_block, size))
        scores.append(np.take_along_axis(of_block, places[-1], axis=1))
    category = np.concatenate(places)
    user = np.repeat(np.arange(len(users)), category.shape[1])
    columns = {
        "category": visits.categories[category.ravel()],
        "score": np.concatenate(scores).ravel() if scores else np.empty(0),
        "reasons": _reasons(visits, users[user], category.ravel(), lift),
    }
    return pd.DataFrame(columns, index=index.take(user))


def _reasons(visits: CategoryVisits, user: np.ndarray, category: np.ndarray, lift: np.ndarray) -> np.ndarray:
    width = max(1, visits.shape[1])
    pairs, first, count = np.unique(visits.user * width + visits.category, return_index=True, return_counts=True)
    sought = user * width + category
    at = np.minimum(np.searchsorted(pairs, sought), max(0, len(pairs) - 1))
    is_own = (user >= 0) & (pairs[at] == sought) if len(pairs) else np.zeros(len(user), dtype=bool)
    texts = np.full(len(user), POPULAR, dtype=object)
    total = np.bincount(visits.visit_user, minlength=len(visits.users))[user[is_own]]
    facts = np.stack([count[at[is_own]], total, visits.age_days[first[at[is_own]]]])
    distinct, place = np.unique(facts, axis=1, return_inverse=True)
    words = np.array([_bought(*(int(fact) for fact in one)) for one in distinct.T], dtype=object)
    texts[is_own] = words[place.ravel()] if len(words) else words
    return texts + _seasons(lift)[category] if len(texts) else texts


def _seasons(lift: np.ndarray) -> np.ndarray:
    return np.array(["; " + IN_SEASON.format(value) if value >= LEAST_LIFT else "" for value in lift], dtype=object)


def _bought(visits: int, of: int, days: int) -> str:
    """Say on how many of a user's visits it was bought, and how lately.

    >>> _bought(5, 12, 9)
    'bought on 5 of 12 visits, last 9 days ago'
    """
    when = "today" if days <= 0 else "1 day ago" if days == 1 else f"{days:,} days ago"
    return f"bought on {visits:,} of {of:,} visits, last {when}"


def lifts(visits: CategoryVisits, season: float) -> np.ndarray:
    """How many times as often as usual everybody buys of each category now, as far as the recipe's season counts."""
    return visits.shares(season)[0] / visits.popularity if len(visits.categories) else np.empty(0)
