"""How like each other items are, part by part: bought on one bill, by the same users, described alike, looking alike.

Each part is a vector per item, and two items are as alike as the cosine of theirs. Bills and users weigh less the more
items they have (B. Sarwar et al., "Item-based Collaborative Filtering Recommendation Algorithms", WWW 2001). Texts and
pictures are centred first, since what all items share tells none apart: where all have one picture it says nothing.
A part that an item does not have says nothing of it. ``popular`` is no likeness; it is the share of bills, on a scale
of logarithms, by which one of two alike items is the likelier one. Arrays in, arrays out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from capflow_assets.learning.nearest import CosineIndex, blocks, unit_rows
from capflow_assets.learning.remembered import remembered

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from scipy.sparse import csr_matrix

BOUGHT, LIKE, POPULAR = ("bills", "users"), ("text", "pictures"), "popular"
PARTS = (*BOUGHT, *LIKE, POPULAR)
LINE_COLUMNS = ("bill_id", "user_id", "item_id", "is_return", "flags")
# Up to so many items each is compared with each.
EXACT_ITEMS = 50_000
# Beyond that, so many of each part are compared in all parts.
POOL = 100
# Of more users and bills a share, evenly drawn, says what goes together.
MOST_USERS, MOST_BILLS = 20_000, 500_000


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Purchases:
    """The ``items`` (ids, sorted) of bills, on how many ``counts`` each stands, and items by bills and by users."""

    items: np.ndarray
    counts: np.ndarray
    bills: csr_matrix
    users: csr_matrix


@dataclass(frozen=True, slots=True)
class ItemParts:
    """The ``items`` (ids, sorted) that may be like each other, their bills, and a matrix of one row each by part."""

    items: np.ndarray
    counts: np.ndarray
    bought: Mapping[str, csr_matrix]
    like: Mapping[str, np.ndarray]
    popular: np.ndarray

    def cosines(self, part: str, rows: np.ndarray) -> np.ndarray:
        """How like the items of the rows all items are by one part: float32, (rows, items)."""
        import numpy as np

        if part == POPULAR:
            return np.broadcast_to(self.popular, (len(rows), len(self.items)))
        if part in self.like:
            return self.like[part][rows] @ self.like[part].T
        matrix = self.bought[part]
        return (matrix[rows] @ matrix.T).toarray()


class Listed(NamedTuple):
    """Pairs of the rows of an item and of one like it, the best first, with the score and the cosine by part."""

    item: np.ndarray
    other: np.ndarray
    score: np.ndarray
    cosines: Mapping[str, np.ndarray]


@remembered
def purchases_of(lines: pd.DataFrame) -> Purchases:
    """What rows of clean/line_items say of items that are bought together, without returns and what is no item."""
    import numpy as np
    import pandas as pd

    flag, flags = pd.factorize(lines["flags"])
    is_good = np.array(["not_an_item" not in str(text) for text in flags] + [True])[flag]
    rows = lines[is_good & ~lines["is_return"].to_numpy(dtype=bool)]
    item, items = pd.factorize(rows["item_id"].astype(object), sort=True)
    bill, bills = pd.factorize(rows["bill_id"].astype(object), sort=True)
    user, users = pd.factorize(rows["user_id"].astype(object), sort=True)
    by_bill = _incidence(item, bill, (len(items), len(bills)))
    counts = np.diff(by_bill.indptr)
    by_user = _incidence(item[user >= 0], user[user >= 0], (len(items), len(users)))
    weighed = [_weighed(matrix, most) for matrix, most in ((by_bill, MOST_BILLS), (by_user, MOST_USERS))]
    return Purchases(np.asarray(items, dtype=object), counts, *weighed)


def item_parts(bought: Purchases, listed: Sequence[str], vectors: Mapping[str, pd.DataFrame], most: int) -> ItemParts:
    """The parts of the items that were ever bought or are ``listed``: of more than ``most`` those on most bills.

    ``vectors`` by part have ``item_id`` and ``embedding``, several rows an item where it has several.
    """
    import numpy as np
    import pandas as pd

    ordered = bought.items[np.argsort(-bought.counts, kind="stable")]
    unsold = np.asarray(sorted({*listed}.difference(bought.items)), dtype=object)
    items = np.sort(np.concatenate([ordered, unsold])[:most])
    index = pd.Index(items)
    place = index.get_indexer(pd.Index(bought.items))
    kept = np.flatnonzero(place >= 0)
    place = place[kept]
    counts = np.zeros(len(items), dtype="int64")
    counts[place] = bought.counts[kept]
    popular = np.log1p(counts) / max(1e-9, float(np.log1p(counts.max(initial=0))))
    return ItemParts(
        items,
        counts,
        {
            "bills": _spread(bought.bills[kept], place, len(items)),
            "users": _spread(bought.users[kept], place, len(items)),
        },
        {part: _centred(frame, index) for part, frame in vectors.items()},
        popular.astype("float32"),
    )


def nearest(
    parts: ItemParts, rows: np.ndarray, weights: Mapping[str, float], size: int, exact: int = EXACT_ITEMS
) -> Listed:
    """The ``size`` items with the highest weighted sum of cosines, for the items of ``rows``; ties by the ids.

    Each is compared with each up to ``exact`` items. Beyond that what is bought together is, and of texts and
    pictures an index names those that are compared (``nearest.CosineIndex``).
    """
    import numpy as np

    used = {part: weight for part, weight in weights.items() if weight > 0}
    of_rows = _exact if len(parts.items) <= exact else _by_index
    size = min(size, max(0, len(parts.items) - 1))
    parts_listed = list(of_rows(parts, rows, used, size)) if size else []
    if not parts_listed:
        nothing = np.empty(0, dtype="int64")
        return Listed(nothing, nothing, np.empty(0), {part: np.empty(0) for part in PARTS})
    item, other, score = (np.concatenate([block[place] for block in parts_listed]) for place in range(3))
    cosines = {part: np.concatenate([block[3].get(part, 0 * block[2]) for block in parts_listed]) for part in PARTS}
    return Listed(item, other, score, cosines)


Block = tuple["np.ndarray", "np.ndarray", "np.ndarray", "Mapping[str, np.ndarray]"]


def _exact(parts: ItemParts, rows: np.ndarray, weights: Mapping[str, float], size: int) -> Iterator[Block]:
    import numpy as np

    for block in blocks(rows, len(parts.items)):
        cosines = {part: parts.cosines(part, block) for part in weights}
        total = _total(cosines, weights, (len(block), len(parts.items)))
        total[np.arange(len(block)), block] = -np.inf
        other = top_columns(total, size)
        gathered = {part: np.take_along_axis(values, other, axis=1).ravel() for part, values in cosines.items()}
        yield np.repeat(block, size), other.ravel(), np.take_along_axis(total, other, axis=1).ravel(), gathered


def _by_index(parts: ItemParts, rows: np.ndarray, weights: Mapping[str, float], size: int) -> Iterator[Block]:
    import numpy as np

    like = [part for part in LIKE if part in weights]
    joined = [parts.like[part] * np.float32(np.sqrt(weights[part])) for part in like]
    index = CosineIndex.of(unit_rows(np.hstack(joined)), seed=0) if joined else None
    plain = {part: weight for part, weight in weights.items() if part not in like}
    for block in blocks(rows, len(parts.items)):
        dense = {part: parts.cosines(part, block) for part in plain}
        total = _total(dense, plain, (len(block), len(parts.items)))
        total[np.arange(len(block)), block] = -np.inf
        first = top_columns(total, min(POOL, total.shape[1] - 1))
        near = dict(index.nearest(block, POOL)) if index else {}
        for place, row in enumerate(block):
            pool = np.union1d(first[place], near.get(int(row), first[place][:0]))
            cosines = {part: values[place, pool] for part, values in dense.items()}
            cosines |= {part: parts.like[part][pool] @ parts.like[part][row] for part in like}
            score = sum((weights[part] * values for part, values in cosines.items()), np.zeros(len(pool)))
            best = np.argsort(-score, kind="stable")[:size]
            chosen = {part: values[best] for part, values in cosines.items()}
            yield np.full(len(best), row), pool[best], score[best], chosen


def top_columns(values: np.ndarray, size: int) -> np.ndarray:
    """The columns of the ``size`` highest values of each row, the highest first; of equal ones the first."""
    import numpy as np

    if size < values.shape[1]:
        chosen = np.sort(np.argpartition(-values, size, axis=1)[:, :size], axis=1)
    else:
        chosen = np.tile(np.arange(values.shape[1]), (len(values), 1))
    order = np.argsort(-np.take_along_axis(values, chosen, axis=1), axis=1, kind="stable")
    return np.take_along_axis(chosen, order, axis=1)


def _total(cosines: Mapping[str, np.ndarray], weights: Mapping[str, float], shape: tuple[int, int]) -> np.ndarray:
    import numpy as np

    total = np.zeros(shape, dtype="float32")
    for part, values in cosines.items():
        total += np.float32(weights[part]) * values
    return total


def _incidence(item: np.ndarray, group: np.ndarray, shape: tuple[int, int]) -> csr_matrix:
    import numpy as np
    from scipy.sparse import csr_matrix

    matrix = csr_matrix((np.ones(len(item), dtype="float32"), (item, group)), shape=shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def _weighed(matrix: csr_matrix, most: int) -> csr_matrix:
    """Groups with several items, those of few counting more; rows of length 1."""
    import numpy as np
    from scipy.sparse import diags

    sizes = np.bincount(matrix.indices, minlength=matrix.shape[1])
    several = np.flatnonzero(sizes > 1)
    several = several[:: -(-max(1, len(several)) // most)]
    chosen = matrix[:, several] @ diags(np.log1p(matrix.shape[0] / sizes[several]).astype("float32"))
    chosen = chosen.tocsr()
    lengths = np.sqrt(np.asarray(chosen.multiply(chosen).sum(axis=1)).ravel())
    scaled = (diags((1 / np.where(lengths > 0, lengths, 1)).astype("float32")) @ chosen).tocsr()
    scaled.sort_indices()
    return scaled.astype("float32")


def _spread(matrix: csr_matrix, place: np.ndarray, count: int) -> csr_matrix:
    """The rows at their places among more items, of which the others have nothing."""
    import numpy as np
    from scipy.sparse import csr_matrix

    sizes = np.zeros(count + 1, dtype="int64")
    sizes[place + 1] = np.diff(matrix.indptr)
    # Both are in the order of the ids.
    return csr_matrix((matrix.data, matrix.indices, np.cumsum(sizes)), shape=(count, matrix.shape[1]))


def mean_vectors(frame: pd.DataFrame, index: pd.Index) -> np.ndarray:
    """One row per item of the index: the mean of its vectors, at length 1; 0 where it has none.

    ``frame`` has ``item_id`` and ``embedding``. No columns where no item of the index has a vector.
    """
    import numpy as np
    import pandas as pd

    place = index.get_indexer(pd.Index(frame["item_id"]))
    rows = np.flatnonzero(place >= 0)
    if not len(rows):
        return np.zeros((len(index), 0))
    vectors = np.stack(frame["embedding"].iloc[rows].to_list()).astype("float32")
    sums = np.zeros((len(index), vectors.shape[1]))
    # In the same order, whatever that of the rows: sums in another one differ in their last digits.
    order = np.lexsort([vectors[:, 0], place[rows]])
    np.add.at(sums, place[rows][order], vectors[order])
    return unit_rows(sums)


def _centred(frame: pd.DataFrame, index: pd.Index) -> np.ndarray:
    """The mean vector of each item less that of all items, at length 1."""
    import numpy as np

    means = mean_vectors(frame, index)
    is_known = np.abs(means).sum(axis=1) > 0
    if is_known.any():
        means[is_known] -= means[is_known].mean(axis=0)
    return unit_rows(means).astype("float32")
