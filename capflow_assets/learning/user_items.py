"""What each user bought of each item, for recommenders: sparse matrices of one moment of ``features/user_item``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from capflow_assets.learning.remembered import remembered

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_matrix

COLUMNS = ("user_id", "item_id", "purchases", "decayed_purchases", "last_bought_days")
# A buyer counts half for an item's popularity for every so many days since.
HALF_LIFE_DAYS = 30
# Beyond so many of the items that are popular lately nothing new is recommended: they sell a few pieces a month.
MOST_ITEMS = 10_000


@dataclass(frozen=True, slots=True, weakref_slot=True)
class UserItems:
    """Purchases of known users: ids of ``users`` and ``items``, both sorted, are the rows and columns of ``purchases``.

    ``decayed`` are purchases that count less the older they are, entry by entry beside those of ``purchases``. Of each
    item, ``buyers`` says how many users ever bought it, and ``recent`` the same, where each counts half for every
    ``HALF_LIFE_DAYS`` since.
    """

    users: np.ndarray
    items: np.ndarray
    purchases: csr_matrix
    decayed: np.ndarray
    buyers: np.ndarray
    recent: np.ndarray

    def user_numbers(self, ids: np.ndarray) -> np.ndarray:
        """The row of each user id; -1 where it bought nothing."""
        return _places(self.users, ids)

    def item_numbers(self, ids: np.ndarray) -> np.ndarray:
        """The column of each item id; -1 where nobody bought it."""
        return _places(self.items, ids)

    def shelf(self, most: int = MOST_ITEMS) -> np.ndarray:
        """The columns of items that may be recommended: the most popular lately first, of equal ones by id."""
        return np.argsort(-self.recent, kind="stable")[:most]


@remembered
def user_items_of(rows: pd.DataFrame) -> UserItems:
    """The rows of one moment of ``features/user_item``, those without a purchase left out; their order is irrelevant.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"user_id": ["b", "a", "b"], "item_id": ["x", "y", "y"], "purchases": [2, 1, 3]})
    >>> read = user_items_of(frame.assign(decayed_purchases=1.0, last_bought_days=[0, 0, 30]))
    >>> read.purchases.toarray().tolist(), read.buyers.tolist(), read.recent.tolist()
    ([[0.0, 1.0], [2.0, 3.0]], [1, 2], [1.0, 1.5])
    """
    import pandas as pd
    from scipy.sparse import csr_matrix

    rows = rows[rows["purchases"].to_numpy(dtype=float) > 0]
    user, users = pd.factorize(rows["user_id"].astype(object), sort=True)
    item, items = pd.factorize(rows["item_id"].astype(object), sort=True)
    order = np.lexsort([item, user])
    user, item = user[order], item[order]
    purchases, decayed, days = (rows[name].to_numpy(dtype=float)[order] for name in COLUMNS[2:])
    begins = np.searchsorted(user, np.arange(len(users) + 1))
    weights = np.exp2(-np.nan_to_num(days, nan=0.0) / HALF_LIFE_DAYS)
    return UserItems(
        users=np.asarray(users, dtype=object),
        items=np.asarray(items, dtype=object),
        purchases=csr_matrix((purchases.astype("float32"), item.astype("int32"), begins), (len(users), len(items))),
        decayed=decayed,
        buyers=np.bincount(item, minlength=len(items)),
        # Rounded, so that equal popularity is equal whatever the order of the sum.
        recent=np.bincount(item, weights, len(items)).round(6),
    )


def _places(known: np.ndarray, ids: np.ndarray) -> np.ndarray:
    import pandas as pd

    return pd.Index(known).get_indexer(pd.Index(ids)).astype("int64")
