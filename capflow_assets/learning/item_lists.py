"""Ranked lists of items for users, from their baskets and those of users alike, with the reasons in words.

Lists are computed for some thousand users at a time, on several threads; what a user gets depends neither on who else
is asked about nor on the threads.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from capflow_assets.learning.item_frequency import Decay, item_frequencies
from capflow_assets.learning.neighbours import Neighbourhood, ranked_items

if TYPE_CHECKING:
    import pandas as pd

    from capflow_assets.learning.baskets import Baskets

USERS_AT_ONCE = 2_048
ALIKE, POPULAR = "bought by shoppers alike", "popular with all shoppers"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How lists are made: how baskets fade (see ``Decay``), how many ``neighbours``, and the user's ``own_share``."""

    groups: int
    within: float
    between: float
    neighbours: int
    own_share: float

    @property
    def decay(self) -> Decay:
        """How baskets fade."""
        return Decay(self.groups, self.within, self.between)

    def __str__(self) -> str:
        fading = f"{self.groups} groups, {self.within:g} and {self.between:g}"
        return f"{fading}; {self.neighbours} alike; own share {self.own_share:g}"

    def describe(self) -> dict[str, Any]:
        """The same as plain values, to be saved."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Lists:
    """``items`` (users, size) int32, the best first, -1 where there are no more; ``scores`` float32 beside them, NaN.

    Of each list the first ``scored`` (users,) items are the user's own or those of users alike; popular ones follow.
    """

    items: np.ndarray
    scores: np.ndarray
    scored: np.ndarray


def alike_lists(baskets: Baskets, asked: np.ndarray, recipe: Recipe, size: int, threads: int = 1) -> Lists:
    """Lists by TIFU-kNN for users by their numbers; -1 is a user without a basket, who gets what is popular."""
    vectors = item_frequencies(baskets, recipe.decay)
    neighbourhood, popularity = Neighbourhood.of(vectors), baskets.popularity

    def of_some(some: np.ndarray) -> Lists:
        near = neighbourhood.nearest(some, recipe.neighbours)
        return Lists(*ranked_items(vectors, some, near, popularity, recipe.own_share, size))

    blocks = [asked[first : first + USERS_AT_ONCE] for first in range(0, max(1, len(asked)), USERS_AT_ONCE)]
    with ThreadPoolExecutor(threads) as pool:
        lists = list(pool.map(of_some, blocks))
    return Lists(*(np.concatenate([getattr(one, name) for one in lists]) for name in ("items", "scores", "scored")))


def frequent_lists(baskets: Baskets, asked: np.ndarray, size: int) -> Lists:
    """The items that each user bought on most visits, filled up with those that all users did.

    Of items bought equally often the more popular one comes first; the score is the number of visits, and half the
    popularity above it.
    """
    from scipy.sparse import csr_matrix

    popularity = baskets.popularity
    counts = (baskets.visits + popularity[baskets.item] / 2).astype("float32")
    vectors = csr_matrix((counts, baskets.item, baskets.begins), shape=(len(baskets.users), len(baskets.items)))
    nobody = np.empty((len(asked), 0), dtype="int32")
    return Lists(*ranked_items(vectors, asked, nobody, popularity, 1.0, size))


def list_rows(baskets: Baskets, lists: Lists, asked: np.ndarray, index: pd.Index, today: date) -> pd.DataFrame:
    """The lists as rows: ``item_id``, ``score`` and ``reasons``, the index repeated for each item of a list.

    ``asked`` are the users' numbers in the order of the ``index``; ``today`` is the day that days ago are counted from.
    """
    import pandas as pd

    user, place = np.nonzero(lists.items >= 0)
    item = lists.items[user, place]
    ids = baskets.items[item] if len(baskets.items) else np.empty(0, dtype=object)
    columns = {
        "item_id": ids,
        "score": lists.scores[user, place].astype("float64"),
        "reasons": _reasons(baskets, asked[user], item, place < lists.scored[user], today),
    }
    return pd.DataFrame(columns, index=index.take(user))


def _reasons(baskets: Baskets, user: np.ndarray, item: np.ndarray, scored: np.ndarray, today: date) -> np.ndarray:
    texts = np.where(scored, ALIKE, POPULAR).astype(object)
    # Pairs are sorted by user, then item, so that a pair is where it would be put.
    width = max(1, len(baskets.items))
    owner = np.repeat(np.arange(len(baskets.users)), np.diff(baskets.begins))
    pairs, sought = owner * width + baskets.item, user * width + item
    at = np.minimum(np.searchsorted(pairs, sought), max(0, len(pairs) - 1))
    is_own = (user >= 0) & (pairs[at] == sought) if len(pairs) else np.zeros(len(user), dtype=bool)
    at = at[is_own]
    days = (np.datetime64(today, "D") - baskets.days[baskets.last[at]]).astype("int64")
    # Few of the counts and days differ, so that each text is written once.
    distinct, place = np.unique(np.stack([baskets.visits[at].astype("int64"), days]), axis=1, return_inverse=True)
    words = np.array([_bought(int(times), int(ago)) for times, ago in distinct.T], dtype=object)
    texts[is_own] = words[place.ravel()] if len(words) else words
    return texts


def _bought(times: int, days: int) -> str:
    """Say how often and how lately.

    >>> _bought(5, 9), _bought(1, 1), _bought(2, 0)
    ('bought 5 times, last 9 days ago', 'bought once, 1 day ago', 'bought 2 times, last today')
    """
    when = "today" if days <= 0 else "1 day ago" if days == 1 else f"{days:,} days ago"
    return f"bought once, {when}" if times == 1 else f"bought {times:,} times, last {when}"
