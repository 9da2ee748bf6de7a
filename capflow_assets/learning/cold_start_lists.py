"""Lists of new items for users, as rows with reasons in words: those of a net, and popularity by category.

New is an item that is listed and stands on no bill yet, whoever bought.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from capflow_assets.learning.baskets import Baskets, baskets_of, distinct
from capflow_assets.learning.cold_start import (
    USERS_AT_ONCE,
    FirstPurchases,
    NewItems,
    best_items,
    equal_before,
    top_places,
)
from capflow_assets.learning.item_content import ITEM, Content, is_goods

if TYPE_CHECKING:
    from capflow_assets.contract import Examples

LINES, ITEMS, TEXTS, PICTURES = "clean/line_items", "clean/items", "features/text", "features/item_pictures"
CATEGORY, BRAND = "category", "brand"
LOOKS, POPULAR = "by what it is like", "popular with all shoppers"
# Of a mark that the user's items have hardly more often than others' nothing is said.
LEAST_LIFT, MOST_MARKS_SAID = 0.02, 2
# Within a category what sells better comes first, by less than any difference between categories.
WITHIN = 1e-6


@dataclass(frozen=True, slots=True)
class Shelf:
    """The list of items of a moment, by id, what users bought of it, and which items (places) are ``new``."""

    items: pd.DataFrame
    baskets: Baskets
    bought: FirstPurchases
    new: np.ndarray

    @classmethod
    def of(cls, items: pd.DataFrame, lines: pd.DataFrame) -> Shelf:
        """From rows of clean/items and clean/line_items."""
        listed = items.sort_values(ITEM, ignore_index=True)
        baskets = baskets_of(lines)
        is_sold = listed[ITEM].isin(lines[ITEM].unique()).to_numpy()
        new = np.flatnonzero(is_goods(listed) & ~is_sold)
        return cls(listed, baskets, FirstPurchases.of(baskets, listed[ITEM].to_numpy()), new)

    @classmethod
    def newest(cls, examples: Examples) -> Shelf:
        """That of the newest moment of examples."""
        return cls.of(examples.table(ITEMS), examples.table(LINES))

    def outcomes(self, rows: pd.DataFrame | None) -> NewItems | None:
        """What users bought of the new items: index ``user_id``, column ``item_id``; None where it is nothing."""
        if rows is None or rows.empty:
            return None
        place = pd.Index(self.items[ITEM].to_numpy()[self.new]).get_indexer(rows[ITEM])
        rows, place = rows[place >= 0], place[place >= 0]
        ids = np.sort(rows.index.unique().to_numpy())
        if not len(ids):
            return None
        return NewItems(self.new, self.baskets.numbers(ids), pd.Index(ids).get_indexer(rows.index), place)


def numbers_of(content: Content, shelf: Shelf, examples: Examples) -> np.ndarray:
    """What the items of a shelf are like, by the texts and pictures of the newest moment."""
    return content.numbers(shelf.items, examples.table(TEXTS), examples.table(PICTURES))


def liked_rows(
    weights: bytes, shape: tuple[int, float], content: Content, examples: Examples, size: int
) -> pd.DataFrame:
    """The new items that each user is to like most: ``item_id``, ``score``, ``reasons``, the index repeated."""
    from capflow_assets.learning.nets.devices import repeatable
    from capflow_assets.learning.nets.two_towers import TwoTowers
    from capflow_assets.learning.nets.weights import with_weights

    shelf = Shelf.newest(examples)
    numbers = numbers_of(content, shelf, examples)
    net = with_weights(TwoTowers(content.size, *shape), weights)
    users, index = _in_order(shelf, examples.columns.index)
    with repeatable(1):
        best, scores = best_items(net, shelf.bought, numbers, users, shelf.new, size)
    return _rows(shelf, index, best, scores, _reasons(content, shelf, users, best))


def popular_rows(examples: Examples, size: int) -> pd.DataFrame:
    """The new items of the categories that each user buys most, as ``liked_rows``.

    The score is the share of the category in what the user bought first, to which everybody counts as one purchase.
    Within a category items come first whose brand sells most in it, of equal ones in an order drawn by their ids.
    """
    shelf = Shelf.newest(examples)
    users, index = _in_order(shelf, examples.columns.index)
    category, names = _coded(shelf.items, CATEGORY)
    sold = np.bincount(category[shelf.bought.item], minlength=len(names)) if len(shelf.bought.item) else np.ones(1)
    everybody = np.ones(len(names)) / len(names) if sold.sum() == 0 else sold / sold.sum()
    within = _within(shelf, category)
    first_ones = _first_of_categories(category[shelf.new], within, size)
    new, within = shelf.new[first_ones], within[first_ones]
    best, scores = np.full((len(users), size), -1, dtype="int64"), np.full((len(users), size), np.nan)
    for first in range(0, len(users) if len(new) else 0, USERS_AT_ONCE):
        some = users[first : first + USERS_AT_ONCE]
        counts = _counts(shelf.bought, some, category, len(names))
        shares = (counts + everybody) / (counts.sum(axis=1, keepdims=True) + 1)
        values = shares[:, category[new]] + WITHIN * within
        order = top_places(values, size)
        best[first : first + len(some), : order.shape[1]] = first_ones[order]
        scores[first : first + len(some), : order.shape[1]] = np.take_along_axis(values, order, axis=1)
    listed = category[shelf.new][best] if len(shelf.new) else best
    has_bought = _bought_of(shelf.bought, users, category, listed)
    texts = np.array([f"{CATEGORY} {name}, as the user buys" if name else POPULAR for name in names], dtype=object)
    reasons = np.where(has_bought, texts[listed], POPULAR)
    return _rows(shelf, index, best, scores, reasons)


def _in_order(shelf: Shelf, index: pd.Index) -> tuple[np.ndarray, pd.Index]:
    """The users' numbers, sorted, and the index in that order, so that the order asked in changes no sum."""
    numbers = shelf.baskets.numbers(index.to_numpy())
    order = np.argsort(numbers, kind="stable")
    return numbers[order], index.take(order)


def _rows(shelf: Shelf, index: pd.Index, best: np.ndarray, scores: np.ndarray, reasons: np.ndarray) -> pd.DataFrame:
    user, rank = np.nonzero(best >= 0)
    ids = shelf.items[ITEM].to_numpy(dtype=object)[shelf.new]
    columns = {
        ITEM: ids[best[user, rank]] if len(ids) else np.empty(0, dtype=object),
        "score": scores[user, rank].astype("float64"),
        "reasons": reasons[user, rank],
    }
    return pd.DataFrame(columns, index=index.take(user))


def _reasons(content: Content, shelf: Shelf, users: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Of each listed item the marks that the user's items have more often than all that is sold."""
    words = np.full(best.shape, LOOKS, dtype=object)
    marks = content.marks_of(shelf.items)
    if not len(shelf.new) or not marks.shape[1]:
        return words
    usual = marks[shelf.bought.item].mean(axis=0) if len(shelf.bought.item) else marks.mean(axis=0)
    names = np.array([f"{column} {value}" for column, value in content.marks], dtype=object)
    of_new = marks[shelf.new]
    for first in range(0, len(users), USERS_AT_ONCE):
        some = slice(first, first + USERS_AT_ONCE)
        lift = shelf.bought.of_users(users[some], marks)[0] - usual
        for row, places in enumerate(best[some]):
            gains = of_new[places] * lift[row]
            top = np.argsort(-gains, axis=1, kind="stable")[:, :MOST_MARKS_SAID]
            said = np.take_along_axis(gains, top, axis=1) > LEAST_LIFT
            for rank in np.flatnonzero(said[:, 0] & (places >= 0)):
                words[first + row, rank] = f"{', '.join(names[top[rank][said[rank]]])}: as the user buys"
    return words


def _first_of_categories(category: np.ndarray, within: np.ndarray, size: int) -> np.ndarray:
    """Of new items, in order, those that stand among the first ``size`` of their category: no list has others.

    >>> _first_of_categories(np.array([0, 0, 1, 0]), np.array([0.1, 0.9, 0.2, 0.5]), 2).tolist()
    [1, 2, 3]
    """
    order = np.argsort(-within, kind="stable")
    return np.sort(order[equal_before(category[order]) < size])


def _coded(items: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
    """The number of each item's value, and the values, sorted; the empty one where an item has none."""
    values = items[column].fillna("").astype(str) if column in items.columns else pd.Series([""] * len(items))
    number, names = pd.factorize(values.to_numpy(dtype=object), sort=True)
    return number.astype("int64"), np.asarray(names if len(names) else [""], dtype=object)


def _within(shelf: Shelf, category: np.ndarray) -> np.ndarray:
    """Of each new item, between 0 and 1, its place among those of its category by what its brand sells in it."""
    from zlib import crc32

    brand, names = _coded(shelf.items, BRAND)
    pair = category * len(names) + brand
    sold = np.bincount(pair[shelf.bought.item], minlength=int(pair.max(initial=0)) + 1)
    lots = np.array([crc32(str(item).encode()) for item in shelf.items[ITEM].to_numpy()[shelf.new]], dtype="int64")
    place = np.empty(len(shelf.new))
    place[np.lexsort([lots, sold[pair[shelf.new]]])] = np.arange(len(shelf.new))
    return place / max(1, len(place))


def _counts(bought: FirstPurchases, users: np.ndarray, category: np.ndarray, size: int) -> np.ndarray:
    """How many items of each category each user bought: (users, categories)."""
    known = np.maximum(users, 0)
    begins, ends = (bought.begins[known], bought.begins[known + 1]) if len(bought.users) else (known * 0, known * 0)
    lengths = np.where(users >= 0, ends - begins, 0)
    places = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths) + np.repeat(begins, lengths)
    rows = np.repeat(np.arange(len(users)), lengths)
    cells = np.bincount(rows * size + category[bought.item[places]], minlength=len(users) * size)
    return cells.reshape(len(users), size).astype(float)


def _bought_of(bought: FirstPurchases, users: np.ndarray, category: np.ndarray, listed: np.ndarray) -> np.ndarray:
    """Whether each user bought something of the category (number) at each place of the list."""
    size = int(category.max(initial=0)) + 1
    owner = np.repeat(np.arange(len(bought.users)), np.diff(bought.begins))
    pairs = distinct(owner * size + category[bought.item])
    return np.isin(users[:, None] * size + listed, pairs) & (users >= 0)[:, None]
