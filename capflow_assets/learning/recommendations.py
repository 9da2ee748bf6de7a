"""Lists of items that are new to each user, by several parts and fused by the reciprocals of their ranks.

The parts: items *similar* to the user's own, items that the user's *factors* point to, and items that are *recent*, so
popular lately; of the baseline, items that are *popular* since ever. Users are taken some at a time, so that users by
items is never held.

G. V. Cormack, C. L. A. Clarke, S. Buettcher, "Reciprocal Rank Fusion Outperforms Condorcet and Individual Rank Learning
Methods", SIGIR (2009).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from capflow_assets.learning.item_space import ItemSpace, in_learned_items, user_factors
from capflow_assets.learning.user_items import UserItems

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

SIMILAR, FACTORS, RECENT, POPULAR = "similar", "factors", "recent", "popular"
# Places of a part's list that are fused, and the constant of the paper.
DEPTH, RRF_K = 100, 60
SCORES_AT_ONCE = 2**22


@dataclass(frozen=True, slots=True)
class Ranking:
    """Of some users by their numbers: the lists of each part, as places on the ``shelf``, -1 where there are no more.

    ``shelf`` are columns of what is known; ``own`` are the users' purchases of the learned items, dampened.
    """

    users: np.ndarray
    shelf: np.ndarray
    own: csr_matrix
    on_shelf: csr_matrix
    lists: dict[str, np.ndarray]

    def fused(self, parts: Sequence[str], size: int) -> tuple[np.ndarray, np.ndarray]:
        """The best ``size`` places by the sum of 1 / (60 + rank) over the parts, with scores; 1 is first in all."""
        scores = np.zeros((len(self.users), len(self.shelf)), dtype="float32")
        for part in parts:
            row, rank = np.nonzero(self.lists[part] >= 0)
            scores[row, self.lists[part][row, rank]] += ((RRF_K + 1) / (RRF_K + 1 + rank) / len(parts)).astype("f4")
        return _best(scores, self.on_shelf, size)

    def leading_part(self, parts: Sequence[str], places: np.ndarray) -> np.ndarray:
        """Which of the parts (its number) has each listed place highest; the first of equal ones."""
        ranks = np.stack([_rank_in(self.lists[part], places) for part in parts])
        leading: np.ndarray = ranks.argmin(axis=0)
        return leading


def rankings(known: UserItems, space: ItemSpace, users: np.ndarray, parts: Sequence[str]) -> Iterator[Ranking]:
    """The lists of each part for users by their numbers (-1 bought nothing), some users at a time, in their order."""
    from scipy.sparse import csr_matrix, vstack

    shelf = known.shelf()
    numbers = space.numbers(known.items)
    # The last row is of those who bought nothing, whose number is -1.
    nobody = csr_matrix((1, known.purchases.shape[1]), dtype="float32")
    purchases = vstack([known.purchases, nobody], format="csr")
    at_once = max(1, SCORES_AT_ONCE // max(1, len(shelf)))
    for first in range(0, len(users), at_once):
        some = users[first : first + at_once]
        rows = purchases[some]
        own = in_learned_items(rows, numbers, len(space.items))
        on_shelf = rows[:, shelf].tocsr()
        lists = {
            part: _best(_scores(part, known, space, own, shelf, numbers), on_shelf, min(DEPTH, max(1, len(shelf))))[0]
            for part in parts
        }
        yield Ranking(some, shelf, own, on_shelf, lists)


def _scores(
    part: str, known: UserItems, space: ItemSpace, own: csr_matrix, shelf: np.ndarray, numbers: np.ndarray
) -> np.ndarray:
    """Of each of the users and each item of the shelf, what the part says; 0 and less is nothing."""
    if part in (RECENT, POPULAR):
        popularity = known.recent if part == RECENT else known.buyers
        return np.tile(popularity[shelf].astype("float32"), (own.shape[0], 1))
    is_similar = part == SIMILAR
    scores = (own @ space.similar).toarray() if is_similar else user_factors(own, space.factors) @ space.factors.T
    learned = numbers[shelf] >= 0
    on_shelf = np.zeros((len(scores), len(shelf)), dtype="float32")
    on_shelf[:, learned] = scores[:, numbers[shelf][learned]]
    return on_shelf


def _best(scores: np.ndarray, left_out: csr_matrix, size: int) -> tuple[np.ndarray, np.ndarray]:
    from capflow_assets.learning.neighbour_loops import best

    places = np.full((len(scores), size), -1, dtype="int32")
    values = np.full((len(scores), size), np.nan, dtype="float32")
    if size and len(scores):
        best(scores, left_out.indptr.astype("int64"), left_out.indices.astype("int32"), places, values)
    return places, values


def _rank_in(lists: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The rank of each place in the list of its row, from 0; more than any where it is not listed."""
    is_same = places[:, :, None] == lists[:, None, :]
    ranks: np.ndarray = np.where(is_same.any(axis=2), is_same.argmax(axis=2), lists.shape[1])
    return ranks
