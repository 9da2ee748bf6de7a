"""Recommendations as rows with reasons: new items by the parts that are fused, and beside them the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from capflow_assets.learning.item_space import ItemSpace
from capflow_assets.learning.recommendations import FACTORS, POPULAR, RECENT, RRF_K, SIMILAR, Ranking, rankings
from capflow_assets.learning.user_items import UserItems, user_items_of

if TYPE_CHECKING:
    import pandas as pd

WORDS = {
    SIMILAR: "bought together with items of the user's",
    FACTORS: "bought by shoppers alike",
    RECENT: "popular lately",
    POPULAR: "popular with all shoppers",
}


def recommendation_rows(
    table: pd.DataFrame,
    index: pd.Index,
    space: ItemSpace,
    parts: Sequence[str],
    sizes: tuple[int, int],
    *,
    with_reasons: bool,
) -> pd.DataFrame:
    """The lists of the users of the ``index``: ``item_id``, ``is_new``, ``score`` and, where asked for, ``reasons``.

    ``table`` are rows of ``features/user_item``; ``sizes`` are how many new and how many known items a list has at
    most. Scores of both kinds are of one scale: 1 is the first of all parts, or the user's first item.
    """
    import pandas as pd

    known = user_items_of(table)
    # In the order of the users' numbers, so that the order in which they are asked about changes no sum.
    users = known.user_numbers(index.to_numpy())
    order = np.argsort(users, kind="stable")
    frames = [_own_rows(known, users[order], sizes[1], with_reasons=with_reasons)]
    first = 0
    for ranking in rankings(known, space, users[order], parts):
        frames.append(_new_rows(known, space, ranking, parts, sizes[0], first, with_reasons=with_reasons))
        first += len(ranking.users)
    rows = pd.concat(frames, ignore_index=True)
    rows = rows.sort_values(["user", "score"], ascending=[True, False], kind="stable", ignore_index=True)
    return rows.drop(columns="user").set_index(index.take(order[rows["user"].to_numpy(dtype="int64")]))


def _own_rows(known: UserItems, users: np.ndarray, size: int, *, with_reasons: bool) -> pd.DataFrame:
    lists = own_lists(known, users, size)
    user, rank = np.nonzero(lists >= 0)
    item = lists[user, rank]
    scores = (RRF_K + 1) / (RRF_K + 1 + rank)
    if not with_reasons:
        return _frame(user, known.items[item], scores, is_new=False)
    times = _entries(known, users[user], item)
    return _frame(user, known.items[item], scores, is_new=False, reasons=[_times(count) for count in times])


def _new_rows(
    known: UserItems,
    space: ItemSpace,
    ranking: Ranking,
    parts: Sequence[str],
    size: int,
    first: int,
    *,
    with_reasons: bool,
) -> pd.DataFrame:
    places, scores = ranking.fused(parts, size)
    user, rank = np.nonzero(places >= 0)
    item = ranking.shelf[places[user, rank]]
    values, ids = scores[user, rank].astype("float64"), known.items[item]
    if not with_reasons:
        return _frame(user + first, ids, values, is_new=True)
    leading = np.asarray(parts, dtype=object)[ranking.leading_part(parts, places)[user, rank]]
    reasons = np.array([WORDS[part] for part in leading], dtype=object)
    near = np.flatnonzero(leading == SIMILAR)
    own = closest_own(ranking, space, user[near], space.numbers(ids[near]))
    near, own = near[own >= 0], space.items[own[own >= 0]]
    times = _entries(known, ranking.users[user[near]], known.item_numbers(own))
    reasons[near] = [f"goes with {name}, {_times(count)}" for name, count in zip(own, times, strict=True)]
    return _frame(user + first, ids, values, is_new=True, reasons=reasons.tolist())


def _frame(
    user: np.ndarray,
    ids: np.ndarray,
    scores: np.ndarray,
    *,
    is_new: bool,
    reasons: Sequence[str] | np.ndarray | None = None,
) -> pd.DataFrame:
    import pandas as pd

    said = {} if reasons is None else {"reasons": np.asarray(reasons, dtype=object)}
    return pd.DataFrame({"user": user, "item_id": ids, "is_new": np.full(len(user), is_new), "score": scores, **said})


def _entries(known: UserItems, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """How often each user bought the item beside it."""
    if not len(users):
        return np.empty(0, dtype="int64")
    counts: np.ndarray = np.asarray(known.purchases[users, items]).ravel().astype("int64")
    return counts


def _times(count: int) -> str:
    """Say how often.

    >>> _times(1), _times(1200)
    ('bought once', 'bought 1,200 times')
    """
    return "bought once" if count == 1 else f"bought {count:,} times"


def own_lists(known: UserItems, users: np.ndarray, size: int) -> np.ndarray:
    """The columns of the ``size`` items that each user bought most, lately above all; -1 where there are no more."""
    counts = np.diff(known.purchases.indptr)
    owner = np.repeat(np.arange(len(known.users)), counts)
    order = np.lexsort([known.purchases.indices, -known.decayed, owner])
    place = np.arange(len(owner)) - np.repeat(known.purchases.indptr[:-1], counts)
    kept = place < size
    lists = np.full((len(known.users) + 1, size), -1, dtype="int64")
    lists[owner[kept], place[kept]] = known.purchases.indices[order][kept]
    # The last row is of those who bought nothing, whose number is -1.
    return lists[users]


def closest_own(ranking: Ranking, space: ItemSpace, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Of each pair of a row of the ranking and a learned item, the user's own item that speaks most for it; or -1."""
    parts = ranking.own[rows].multiply(space.similar.T.tocsr()[items]).tocsr()
    parts.sort_indices()
    pair = np.repeat(np.arange(len(rows)), np.diff(parts.indptr))
    order = np.lexsort([parts.indices, -parts.data, pair])
    firsts = np.flatnonzero(np.diff(pair[order], prepend=-1))
    own = np.full(len(rows), -1)
    own[pair[order][firsts]] = parts.indices[order][firsts]
    return own
