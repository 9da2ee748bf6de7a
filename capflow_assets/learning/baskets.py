"""Baskets: who bought what on which visit, read from line items. Arrays in, arrays out; no customer, no engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from capflow_assets.errors import ModelError
from capflow_assets.learning.remembered import remembered

if TYPE_CHECKING:
    import pandas as pd

# What is read of clean/line_items.
LINE_COLUMNS = ("user_id", "item_id", "billed_on", "is_return", "flags")


@dataclass(frozen=True, slots=True)
class Baskets:
    """The baskets of known users. A basket is all that a user bought on one local day, each item once.

    ``users`` are ids, sorted; ``items`` are ids, those in most baskets first, then by id, so that what is read most
    lies together. A user's or item's number is its place among them. ``days`` are the local days with a basket, sorted.

    A *pair* is a user and an item that the user bought: pairs are sorted by user, then item, and those of user u are
    ``begins[u]:begins[u + 1]``. Of each pair, ``item`` is the item's number, ``visits`` the baskets that it was in, and
    ``last`` the place in ``days`` of the newest. Of each of those baskets, pair by pair and oldest first, ``age`` is
    how many baskets the user had since; 0 is the newest. ``baskets`` (users,) is how many each user has. Memory: 4
    bytes for each item of each basket, 12 for each pair.
    """

    users: np.ndarray
    items: np.ndarray
    days: np.ndarray
    begins: np.ndarray
    item: np.ndarray
    visits: np.ndarray
    last: np.ndarray
    age: np.ndarray
    baskets: np.ndarray

    @property
    def popularity(self) -> np.ndarray:
        """Of each item, the share of all baskets that it was in; float64, from 0 to 1."""
        return np.bincount(self.item, self.visits, len(self.items)) / max(1, int(self.baskets.sum()))

    def numbers(self, users: np.ndarray) -> np.ndarray:
        """The number of each user id; -1 where it has no basket."""
        import pandas as pd

        return pd.Index(self.users).get_indexer(pd.Index(users)).astype("int64")


@remembered
def baskets_of(lines: pd.DataFrame) -> Baskets:
    """The baskets in rows of clean/line_items: those of known users, without returns and what is no item.

    The order of the rows is irrelevant, and so is how many rows of one day name an item.

    Raises:
        ModelError: a column is absent.

    >>> import pandas as pd
    >>> days = pd.to_datetime(["2024-05-01", "2024-05-01", "2024-05-09"])
    >>> lines = pd.DataFrame({"user_id": "ana", "item_id": ["tea", "jam", "tea"], "billed_on": days})
    >>> read = baskets_of(lines.assign(is_return=False, flags=""))
    >>> list(read.items), read.visits.tolist(), read.age.tolist(), read.baskets.tolist()
    (['tea', 'jam'], [2, 1], [1, 0, 1], [2])
    """
    user, users, item, items, day, days = bought_lines(lines)
    # One number for user, item and day, so that one sort brings pairs together, the oldest basket first.
    entries = distinct((user * len(items) + item) * len(days) + day)
    entries, items = _by_popularity(entries, items, len(days))
    pair, day = np.divmod(entries, max(1, len(days)))
    starts = np.flatnonzero(np.diff(pair, prepend=-1))
    visits = np.diff(starts, append=len(pair)).astype("int32")
    user = pair // max(1, len(items))
    baskets, place = np.unique(user * len(days) + day, return_inverse=True)
    counts = np.bincount(baskets // max(1, len(days)), minlength=len(users))
    ends = np.cumsum(counts)
    return Baskets(
        users=users,
        items=items,
        days=days,
        begins=np.searchsorted(user[starts], np.arange(len(users) + 1)),
        item=(pair[starts] % max(1, len(items))).astype("int32"),
        visits=visits,
        last=day[starts + visits - 1].astype("int32"),
        age=(ends[user] - 1 - place).astype("int32"),
        baskets=counts.astype("int32"),
    )


def _by_popularity(entries: np.ndarray, items: np.ndarray, days: int) -> tuple[np.ndarray, np.ndarray]:
    """The entries with the items numbered anew, those in most baskets first; and the items in that order."""
    pair, day = np.divmod(entries, max(1, days))
    user, item = np.divmod(pair, max(1, len(items)))
    order = np.argsort(-np.bincount(item, minlength=len(items)), kind="stable")
    number = np.empty(len(items), dtype="int64")
    number[order] = np.arange(len(items))
    return np.sort((user * len(items) + number[item]) * days + day), items[order]


def distinct(numbers: np.ndarray) -> np.ndarray:
    """Each number once, in order; many times faster than ``np.unique``, which looks into a hash table first.

    The numbers are not negative.

    >>> distinct(np.array([3, 0, 3])).tolist()
    [0, 3]
    """
    numbers = np.sort(numbers)
    return numbers[np.flatnonzero(np.diff(numbers, prepend=-1))]


@remembered
def bought_lines(lines: pd.DataFrame) -> tuple[np.ndarray, ...]:
    """Of each line that is bought goods, the numbers of user, item and day, each followed by what they number.

    Raises ``ModelError`` where a column of ``LINE_COLUMNS`` is absent.
    """
    import pandas as pd

    absent = [name for name in LINE_COLUMNS if name not in lines.columns]
    if absent:
        raise ModelError(
            "Line items cannot be read as baskets",
            expected=f"columns {', '.join(LINE_COLUMNS)}",
            came=f"a frame without {', '.join(absent)}",
            do="read clean/line_items",
        )
    # Flags are few, whatever the number of rows.
    flag, flags = pd.factorize(lines["flags"])
    is_good = np.array(["not_an_item" not in str(text) for text in flags] + [True])[flag]
    is_bought = is_good & lines["user_id"].notna().to_numpy() & ~lines["is_return"].to_numpy(dtype=bool)
    rows = lines.loc[is_bought, ["user_id", "item_id", "billed_on"]]
    numbers: list[np.ndarray] = []
    for name in rows.columns:
        values = rows[name].astype(object) if isinstance(rows[name].dtype, pd.CategoricalDtype) else rows[name]
        number, distinct = pd.factorize(values, sort=True)
        kind = "datetime64[D]" if name == "billed_on" else object
        numbers += [number.astype("int64"), np.asarray(distinct).astype(kind)]
    return tuple(numbers)
