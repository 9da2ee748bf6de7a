"""What items have to do with each other: which are bought by the same users, and factors that users and items share.

Both are learned from at most ``MOST_USERS`` users, evenly drawn, and from items that several of these bought, so that
their cost and size grow no further with the customer. Arrays in, arrays out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from capflow_assets.learning.remembered import remembered
from capflow_assets.learning.user_items import MOST_ITEMS, UserItems, user_items_of

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_matrix

MOST_USERS = 20_000
LEAST_BUYERS = 3
# Of heavy users so many items, those bought most, say what goes together.
MOST_OF_A_USER = 300
NEIGHBOURS = 50
# More factors learn customers of a few hundred items by heart, and gain nothing where there are ten thousand.
FACTORS, ITERATIONS, REGULARIZATION = 8, 8, 0.1


@dataclass(frozen=True, slots=True)
class ItemSpace:
    """What was learned of ``items`` (ids, sorted): the similarities of each with some others, and its factors."""

    items: np.ndarray
    similar: csr_matrix
    factors: np.ndarray

    def numbers(self, ids: np.ndarray) -> np.ndarray:
        """The place of each item id; -1 where nothing was learned of it."""
        import pandas as pd

        return pd.Index(self.items).get_indexer(pd.Index(ids)).astype("int64")

    def arrays(self) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
        """The same as arrays alone, to be saved."""
        similar = {"data": self.similar.data, "indices": self.similar.indices, "indptr": self.similar.indptr}
        return self.items.astype(str), similar, self.factors

    @classmethod
    def of(cls, items: np.ndarray, similar: dict[str, np.ndarray], factors: np.ndarray) -> ItemSpace:
        """What ``arrays`` gave."""
        from scipy.sparse import csr_matrix

        parts = (similar["data"], similar["indices"], similar["indptr"])
        return cls(items.astype(object), csr_matrix(parts, shape=(len(items), len(items))), factors)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class LearnedItems:
    """The ids of the items that something was learned of, sorted, and the purchases by users of them."""

    items: np.ndarray
    purchases: csr_matrix


def item_space(
    table: pd.DataFrame, seed: int, threads: int = 1, *, is_similar: bool = True, has_factors: bool = True
) -> ItemSpace:
    """What rows of ``features/user_item`` say of how items go together; of what is not wanted, nothing."""
    learned = learned_items(user_items_of(table))
    nothing = LearnedItems(learned.items, learned.purchases[:0])
    similar = similarities(learned if is_similar else nothing, threads)
    return ItemSpace(learned.items, similar, item_factors(learned if has_factors else nothing, seed))


@remembered
def learned_items(known: UserItems) -> LearnedItems:
    """The items of several buyers, the most bought ones, and log(1 + purchases) of some users."""
    chosen = np.sort(np.argsort(-known.buyers, kind="stable")[:MOST_ITEMS])
    chosen = chosen[known.buyers[chosen] >= LEAST_BUYERS]
    rows = np.arange(0, len(known.users), -(-max(1, len(known.users)) // MOST_USERS))
    purchases = known.purchases[rows][:, chosen].tocsr()
    return LearnedItems(known.items[chosen], _dampened(purchases))


@remembered
def similarities(learned: LearnedItems, threads: int = 1) -> csr_matrix:
    """Of each item the ``NEIGHBOURS`` items with the greatest cosine of their weighted buyers; items by items.

    The weight of a buyer of n of N items is log(1 + N / n): one who buys everything says little of what goes together
    (B. Sarwar et al., "Item-based Collaborative Filtering Recommendation Algorithms", WWW 2001).
    """
    from implicit.nearest_neighbours import all_pairs_knn
    from scipy.sparse import csr_matrix

    size, purchases = len(learned.items), _trimmed(learned.purchases).astype("float64")
    if not purchases.nnz:
        return csr_matrix((size, size), dtype="float32")
    bought = np.diff(purchases.indptr)
    purchases.data = purchases.data * np.repeat(np.log1p(size / np.maximum(1, bought)), bought).astype("float32")
    squares = np.bincount(purchases.indices, purchases.data.astype("float64") ** 2, size)
    purchases.data = purchases.data / np.sqrt(squares).astype("float32")[purchases.indices]
    near = all_pairs_knn(purchases, NEIGHBOURS + 1, show_progress=False, num_threads=threads).tocsr()
    near.setdiag(0)
    near.eliminate_zeros()
    near.sort_indices()
    return near.astype("float32")


@remembered
def item_factors(learned: LearnedItems, seed: int) -> np.ndarray:
    """The items' factors by alternating least squares: float32, (items, factors).

    Y. Hu, Y. Koren, C. Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM (2008). On one thread,
    so that the same seed gives the same factors.
    """
    size = len(learned.items)
    if not learned.purchases.nnz:
        return np.zeros((size, FACTORS), dtype="float32")
    with _one_thread():
        model = _als(seed)
        model.fit(learned.purchases, show_progress=False)
    factors: np.ndarray = model.item_factors
    return factors


def user_factors(purchases: csr_matrix, factors: np.ndarray) -> np.ndarray:
    """The factors of users by what they bought of the items, log(1 + purchases), that the ``factors`` are of."""
    if not factors.size or not purchases.shape[0]:
        return np.zeros((purchases.shape[0], FACTORS), dtype="float32")
    with _one_thread():
        model = _als(0)
        model.item_factors = factors
        users: np.ndarray = model.recalculate_user(np.arange(purchases.shape[0]), purchases)
    return users


def in_learned_items(purchases: csr_matrix, numbers: np.ndarray, size: int) -> csr_matrix:
    """log(1 + purchases) of users by the learned items; ``numbers`` are those of each column, -1 for others."""
    from scipy.sparse import csr_matrix

    known = np.flatnonzero(numbers >= 0)
    chosen = purchases[:, known]
    moved = csr_matrix((chosen.data, numbers[known][chosen.indices], chosen.indptr), (purchases.shape[0], size))
    moved.sort_indices()
    return _dampened(moved)


def _dampened(purchases: csr_matrix) -> csr_matrix:
    dampened = purchases.astype("float32")
    dampened.data = np.log1p(dampened.data)
    return dampened


def _trimmed(purchases: csr_matrix) -> csr_matrix:
    """Without the items that a heavy user bought least."""
    from scipy.sparse import csr_matrix

    counts = np.diff(purchases.indptr)
    user = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort([purchases.indices, -purchases.data, user])
    place = np.arange(len(user)) - np.repeat(purchases.indptr[:-1], counts)
    kept = order[place < MOST_OF_A_USER]
    return csr_matrix((purchases.data[kept], (user[kept], purchases.indices[kept])), purchases.shape)


def _als(seed: int):  # type: ignore[no-untyped-def]
    from implicit.cpu.als import AlternatingLeastSquares

    return AlternatingLeastSquares(
        FACTORS, regularization=REGULARIZATION, iterations=ITERATIONS, num_threads=1, random_state=seed
    )


def _one_thread():  # type: ignore[no-untyped-def]
    """implicit's own loops and the linear algebra below them, on one thread."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, "blas")
