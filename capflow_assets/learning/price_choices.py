"""Line items as choices at a price: how far each was above or below what is usual of the item and of the week.

Whoever buys an item buys it at some price of those that it has had. Taking the item's own mean, that of the category's
week and that of the store out of the logarithm of the price leaves what a reaction to the price can be seen by: neither
does a dear item look raised, nor a week in which all is reduced, nor a store that is cheap. Arrays in, arrays out; no
customer, no engine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

# A price further from the usual one than by a factor of e says something of the record rather than of the price.
FURTHEST = 1.0
# More pieces than these, and weights and volumes, count as one choice.
MOST_PIECES = 12
SWEEPS = 12


def pieces_of(quantity: np.ndarray) -> np.ndarray:
    """How many choices each row is: its pieces where they are a whole number up to 12, else one.

    >>> pieces_of(np.array([1.0, 3.0, 0.475, 40.0, np.nan])).tolist()
    [1.0, 3.0, 1.0, 1.0, 1.0]
    """
    is_count = (quantity >= 1) & (quantity <= MOST_PIECES) & (quantity == np.floor(quantity))
    return np.where(is_count, quantity, 1.0)


def unit_prices(amount: np.ndarray, quantity: np.ndarray) -> np.ndarray:
    """What was paid a piece (or litre, or kilo): NaN where nothing was paid or brought back; no quantity is one."""
    units = np.where(np.isnan(quantity), 1.0, quantity)
    with np.errstate(divide="ignore", invalid="ignore"):
        prices = amount / units
    return np.where((amount > 0) & (units > 0) & np.isfinite(prices), prices, np.nan)


@dataclass(frozen=True, slots=True)
class Choices:
    """Rows of line items with a price.

    ``users``, ``items`` and ``categories`` are names, sorted. ``user`` (-1 where unknown) and ``item`` number them row
    by row; ``category`` does item by item. ``week`` counts back from 0, the newest. ``level`` is the logarithm of what
    was paid a piece less the item's mean, and ``price`` that less what is usual of the week, see the module.
    """

    users: np.ndarray
    items: np.ndarray
    categories: np.ndarray
    category: np.ndarray
    user: np.ndarray
    item: np.ndarray
    week: np.ndarray
    level: np.ndarray
    price: np.ndarray
    pieces: np.ndarray

    def by_user(self, values: np.ndarray) -> np.ndarray:
        """Sums of the rows' values by user, those of unknown users left out."""
        is_known = self.user >= 0
        return np.bincount(self.user[is_known], values[is_known], len(self.users))


def choices_of(lines: pd.DataFrame, categories: pd.Series, week: np.ndarray) -> Choices:
    """The choices of line items: ``user_id``, ``item_id``, ``store_id``, ``quantity``, ``amount``; those with a price.

    ``categories`` are the items' by item id; an item without one is of the category "other". ``week`` is the week of
    each row, 0 the newest.
    """
    quantity = lines["quantity"].to_numpy(dtype=float, na_value=np.nan)
    paid = unit_prices(lines["amount"].to_numpy(dtype=float, na_value=np.nan), quantity)
    has_price = np.isfinite(paid)
    user, users = pd.factorize(lines["user_id"].to_numpy(dtype=object)[has_price], sort=True)
    item, items = pd.factorize(lines["item_id"].to_numpy(dtype=object)[has_price], sort=True)
    listed = categories[~categories.index.duplicated()].reindex(items).fillna("other").to_numpy(dtype=object)
    category, names = pd.factorize(listed, sort=True)
    weeks, pieces = week[has_price], pieces_of(quantity[has_price])
    level = within(np.log(paid[has_price]), pieces, item)
    store = pd.factorize(lines["store_id"].to_numpy(dtype=object)[has_price], sort=True)[0] + 1
    price = centred(level, pieces, item, _pairs(category[item], weeks), store)
    return Choices(users, items, np.asarray(names), category, user, item, weeks, level, price, pieces)


def within(values: np.ndarray, weight: np.ndarray, item: np.ndarray) -> np.ndarray:
    """The values less the mean of their item, cut to ``FURTHEST`` from it."""
    return np.clip(values - _means(values, weight, item), -FURTHEST, FURTHEST)


def centred(values: np.ndarray, weight: np.ndarray, item: np.ndarray, *others: np.ndarray) -> np.ndarray:
    """The values less the means of their item and of other groups, by alternate projections (Guimarães, Portugal 2010).

    >>> centred(np.array([1.0, 3.0, 5.0, 7.0]), np.ones(4), np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])).tolist()
    [0.0, 0.0, 0.0, 0.0]
    """
    left = values - _means(values, weight, item)
    for _ in range(SWEEPS):
        for group in (*others, item):
            left = left - _means(left, weight, group)
    return left


def _means(values: np.ndarray, weight: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The weighted mean of each row's group."""
    sums, weights = np.bincount(group, weight * values), np.bincount(group, weight)
    means: np.ndarray = sums / np.where(weights > 0, weights, 1.0)
    return means[group]


def _pairs(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The same number for rows of the same pair, from 0 on without gaps."""
    width = int(other.max(initial=0)) + 1
    return np.unique(one.astype(np.int64) * width + other, return_inverse=True)[1]
