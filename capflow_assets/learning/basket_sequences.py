"""Baskets in their order, as arrays that a net reads: the last visits of each user, a set of items each.

Items are numbered from 1, those in most baskets first; 0 is no item. Arrays in, arrays out; no torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from capflow_assets.learning.baskets import Baskets

# Of a larger basket the most popular items count; of items bought seldom nothing can be learned.
WIDTH = 24
MOST_ITEMS, LEAST_BASKETS = 20_000, 2
# Of a user with a long past the newest stretches are learned from.
MOST_STRETCHES = 8
# So many items, drawn by lot, stand in a step for those that are none of a row's own.
DRAWN = 256


@dataclass(frozen=True, slots=True)
class BasketRows:
    """All baskets of known users, a row each, by user and then by day.

    ``items`` are the ids that are numbered 1 and on. ``baskets`` (baskets, WIDTH) int32 are numbers, filled up with 0;
    those of user u of ``users`` (ids, sorted) are rows ``begins[u]:begins[u + 1]``.
    """

    users: np.ndarray
    items: np.ndarray
    begins: np.ndarray
    baskets: np.ndarray

    @property
    def log_shares(self) -> np.ndarray:
        """Of each item the logarithm of the share of all that is in baskets; float32."""
        counts = np.bincount(self.baskets.ravel(), minlength=len(self.items) + 1)[1:]
        shares: np.ndarray = np.log((counts + 1) / (counts.sum() + len(counts))).astype("float32")
        return shares

    def numbers(self, users: np.ndarray) -> np.ndarray:
        """The number of each user id; -1 where it has no basket."""
        import pandas as pd

        return pd.Index(self.users).get_indexer(pd.Index(users)).astype("int64")

    def newest(self, users: np.ndarray, visits: int) -> np.ndarray:
        """The last ``visits`` baskets of users by their numbers, the newest last: (users, visits, WIDTH) int64."""
        known = np.maximum(users, 0)
        ends = self.begins[known + 1] if len(self.users) else np.zeros(len(users), dtype="int64")
        begins = self.begins[known] if len(self.users) else ends
        return self._stretch(np.where(users >= 0, begins, ends), ends, visits)

    def stretches(self, visits: int) -> tuple[np.ndarray, np.ndarray]:
        """Where each stretch of up to ``visits`` + 1 baskets of one user begins and ends, the newest of a user first.

        The last basket of a stretch only follows; the next older stretch ends with the first one of it.
        """
        begins, ends = [], []
        first, end = self.begins[:-1], self.begins[1:].copy()
        for _ in range(MOST_STRETCHES):
            begin = np.maximum(first, end - visits - 1)
            is_stretch = end - begin > 1
            begins.append(begin[is_stretch])
            ends.append(end[is_stretch])
            end = np.where(is_stretch, begin + 1, first)
        return np.concatenate(begins), np.concatenate(ends)

    def _stretch(self, begins: np.ndarray, ends: np.ndarray, visits: int) -> np.ndarray:
        places = ends[:, None] - np.arange(visits, 0, -1)[None, :]
        is_own = places >= begins[:, None]
        if not len(self.baskets):
            return np.zeros((*places.shape, WIDTH), dtype="int64")
        rows = self.baskets[np.where(is_own, places, 0)].astype("int64")
        return rows * is_own[:, :, None]

    def batches(
        self, stretches: tuple[np.ndarray, np.ndarray], visits: int, random: np.random.Generator, size: int
    ) -> Iterator[tuple[np.ndarray, ...]]:
        """All stretches in some order, ``size`` at a time, as ``nets.basket_attention.next_basket_loss`` takes them."""
        order = random.permutation(len(stretches[0]))
        for first in range(0, len(order), size):
            some = order[first : first + size]
            rows = self._stretch(stretches[0][some], stretches[1][some], visits + 1)
            rows = rows[:, :, : max(1, int((rows > 0).sum(axis=2).max()))]
            own, slots = distinct(rows)
            # The oldest basket of a row follows on nothing that is in the row.
            has_past = (rows[:, :-1] > 0).any(axis=2, keepdims=True)
            following = np.where(has_past, slots[:, 1:], own.shape[1])
            others = random.choice(len(self.items), min(DRAWN, len(self.items)), replace=False) + 1
            yield np.ascontiguousarray(rows[:, :-1]), own, np.ascontiguousarray(slots[:, :-1]), following, others


def distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct numbers above 0 of each row, sorted and filled up with 0, and the place there of each number.

    The place of a 0 is beyond the last one.

    >>> own, slots = distinct(np.array([[[7, 2], [7, 0]], [[3, 0], [0, 0]]]))
    >>> own.tolist(), slots.tolist()
    ([[2, 7], [3, 0]], [[[1, 0], [1, 2]], [[0, 2], [2, 2]]])
    """
    flat = rows.reshape(len(rows), -1)
    order = np.argsort(flat, axis=1, kind="stable")
    numbers = np.take_along_axis(flat, order, axis=1)
    is_first = (np.diff(numbers, axis=1, prepend=0) > 0) & (numbers > 0)
    rank = np.cumsum(is_first, axis=1) - 1
    own = np.zeros((len(rows), max(1, int(is_first.sum(axis=1).max(initial=0)))), dtype="int64")
    row, place = np.nonzero(is_first)
    own[row, rank[row, place]] = numbers[row, place]
    slots = np.empty_like(flat)
    np.put_along_axis(slots, order, np.where(numbers > 0, rank, own.shape[1]), axis=1)
    return own, slots.reshape(rows.shape)


def learned_items(known: Baskets) -> np.ndarray:
    """The ids of the items that something can be learned of, those in most baskets first."""
    in_baskets = np.bincount(known.item, known.visits, len(known.items))
    items: np.ndarray = known.items[: min(MOST_ITEMS, int((in_baskets >= LEAST_BASKETS).sum()))]
    return items


def basket_rows(known: Baskets, items: np.ndarray) -> BasketRows:
    """The baskets in their order, of these items (ids) alone; a basket of others is an empty one."""
    import pandas as pd

    number = pd.Index(items).get_indexer(pd.Index(known.items)) + 1
    begins = np.concatenate([[0], np.cumsum(known.baskets)]).astype("int64")
    owner = np.repeat(np.arange(len(known.users)), np.diff(known.begins))
    user, item = np.repeat(owner, known.visits), np.repeat(number[known.item], known.visits)
    row = begins[user + 1] - 1 - known.age
    row, item = row[item > 0], item[item > 0]
    order = np.lexsort([item, row])
    row, item = row[order], item[order]
    firsts = np.flatnonzero(np.diff(row, prepend=-1))
    place = np.arange(len(row)) - np.repeat(firsts, np.diff(firsts, append=len(row)))
    baskets = np.zeros((int(begins[-1]), WIDTH), dtype="int32")
    fits = place < WIDTH
    baskets[row[fits], place[fits]] = item[fits]
    return BasketRows(known.users, items, begins, baskets)
