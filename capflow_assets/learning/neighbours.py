"""TIFU-kNN: lists of items from a user's own frequencies and those of the users nearest to them.

H. Hu, X. He, J. Gao, Z.-L. Zhang, "Modeling Personalized Item Frequency Information for Next-basket Recommendation",
SIGIR (2020), section 4.2; neighbours by the cosine, where the paper has Euclid's distance: that takes users with little
for neighbours of everybody. Arrays in, arrays out.

Cost: of each item, its users squared; a column that many users have is held dense, and its products are as fast as
memory. From ``MOST_OTHERS`` users on neighbours are sought among so many, so that the cost grows no faster than the
users. Memory: the vectors twice, the dense columns, and what is asked for; users times items is never held.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# To add a dense column up costs a sixth per row of what a sparse one does per entry.
DENSE_SHARE = 1 / 6
# The dense columns take no more than this; of more, those that most users have are dense.
DENSE_BYTES = 256 * 2**20


# Who is among that many is as near as one needs: more neighbours change a mean of some hundred by little.
MOST_OTHERS = 100_000


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """Vectors of users, and those of the ``others`` (their numbers, sorted) who may be neighbours, ready to search.

    The others' are of length 1 and by items: ``item_begins``, ``rows``, ``values``. An item that many of them have is
    a row of ``dense`` (items, others) besides, by ``dense_place``, which is -1 for all that are not.
    """

    vectors: csr_matrix
    others: np.ndarray
    item_begins: np.ndarray
    rows: np.ndarray
    values: np.ndarray
    dense_place: np.ndarray
    dense: np.ndarray

    @classmethod
    def of(cls, vectors: csr_matrix) -> Neighbourhood:
        """Lay the vectors out for the search: users by items, float32, no entry below 0.

        Of more than ``MOST_OTHERS`` users every so many may be a neighbour.
        """
        others = np.arange(0, vectors.shape[0], -(-max(1, vectors.shape[0]) // MOST_OTHERS))
        columns = (vectors if len(others) == vectors.shape[0] else vectors[others]).tocsc()
        squares = np.bincount(columns.indices, columns.data.astype("float64") ** 2, len(others))
        columns.data = (columns.data / np.sqrt(squares)[columns.indices]).astype("float32")
        held = np.diff(columns.indptr)
        most = int(min((held > DENSE_SHARE * len(others)).sum(), DENSE_BYTES // (4 * max(1, len(others)))))
        often = np.sort(np.argsort(-held, kind="stable")[:most])
        place = np.full(vectors.shape[1], -1, dtype="int32")
        place[often] = np.arange(most, dtype="int32")
        return cls(
            vectors=vectors,
            others=others,
            item_begins=columns.indptr.astype("int64"),
            rows=columns.indices.astype("int32"),
            values=columns.data,
            dense_place=place,
            dense=np.ascontiguousarray(columns[:, often].toarray().T, dtype="float32"),
        )

    def nearest(self, asked: np.ndarray, count: int) -> np.ndarray:
        """The ``count`` users nearest to each user asked about (numbers, or -1: of nobody), the nearest first.

        (asked, count) int32, -1 where there are no more: only users who share an item are near. Of equally near ones
        the lower number comes first.
        """
        from capflow_assets.learning.neighbour_loops import nearest

        near = np.full((len(asked), max(0, min(count, len(self.others) - 1))), -1, dtype="int32")
        known = np.flatnonzero(asked >= 0)
        if near.size and len(known):
            chosen, users = np.empty((len(known), near.shape[1]), dtype="int32"), asked[known].astype("int64")
            place = np.minimum(np.searchsorted(self.others, users), len(self.others) - 1)
            own = np.where(self.others[place] == users, place, -1)
            by_items = (self.item_begins, self.rows, self.values, self.dense_place, self.dense)
            nearest(*_by_users(self.vectors), *by_items, users, own, chosen)
            near[known] = np.where(chosen >= 0, self.others[chosen], -1)
        return near


@dataclass(frozen=True, slots=True)
class Popular:
    """Each item's ``popularity`` (items,), from 0 to 1, and the items in ``order``, the most popular first."""

    popularity: np.ndarray
    order: np.ndarray

    @classmethod
    def of(cls, popularity: np.ndarray) -> Popular:
        """Order the items; of equally popular ones the lower number comes first."""
        order = np.argsort(-popularity, kind="stable").astype("int32")
        return cls(popularity.astype("float32"), order)


def ranked_items(
    vectors: csr_matrix, asked: np.ndarray, near: np.ndarray, popular: Popular, own_share: float, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ``size`` best items of each user asked about (numbers, or -1: nobody knows), the best first, with scores.

    The score of an item is ``own_share`` times the user's own frequency and ``1 - own_share`` times the mean of the
    neighbours' (equation 5). Where fewer items score, the most popular of the others follow below them. Of equal scores
    the lower number comes first. Returned are items (asked, size) int32, -1 where there are no more; their scores
    (asked, size) float32, NaN; and how many of each list scored (asked,) int32.
    """
    from capflow_assets.learning.neighbour_loops import ranked

    items = np.empty((len(asked), size), dtype="int32")
    scores = np.empty((len(asked), size), dtype="float32")
    scored = np.empty(len(asked), dtype="int32")
    neighbours = np.ascontiguousarray(near)
    popularity = (popular.order, popular.popularity)
    ranked(*_by_users(vectors), asked.astype("int64"), neighbours, *popularity, own_share, items, scores, scored)
    return items, scores, scored


def _by_users(vectors: csr_matrix) -> tuple[np.ndarray, ...]:
    return vectors.indptr.astype("int64"), vectors.indices.astype("int32", copy=False), vectors.data
