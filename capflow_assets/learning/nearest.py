"""The nearest of many vectors by cosine, where comparing each with each would take too long.

An inverted file (J. Sivic, A. Zisserman, "Video Google", ICCV 2003): vectors lie in lists around centres, and a query
is compared with those of the nearest lists only. Memory is that of the vectors and of one block of queries.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# So many numbers are compared at once.
CELLS = 4_000_000
# Of sqrt(n) lists so many are looked into: the greater, the nearer to exact.
LEAST_PROBES, PROBED_SHARE = 8, 0.08


@dataclass(frozen=True, slots=True)
class CosineIndex:
    """``vectors`` (rows of length 1 or 0) by lists: ``members`` in the order of ``starts``, and each list's centre."""

    vectors: np.ndarray
    centres: np.ndarray
    members: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, vectors: np.ndarray, seed: int) -> CosineIndex:
        """Lists around sqrt(n) centres: vectors drawn by the seed, moved to the middle of their lists once."""
        import numpy as np

        count = max(1, int(np.sqrt(len(vectors))))
        drawn = np.random.default_rng(seed).choice(len(vectors), count, replace=False)
        centres = vectors[np.sort(drawn)]
        place = _closest(vectors, centres)
        sums = np.zeros((count, vectors.shape[1]))
        np.add.at(sums, place, vectors)
        centres = unit_rows(sums).astype("float32")
        place = _closest(vectors, centres)
        starts = np.searchsorted(np.sort(place), np.arange(count + 1))
        return cls(vectors, centres, np.argsort(place, kind="stable"), starts)

    def nearest(self, rows: np.ndarray, size: int) -> Iterator[tuple[int, np.ndarray]]:
        """Of each vector, by its row, the rows of about the ``size`` nearest others, in no order."""
        import numpy as np

        probes = min(len(self.centres), max(LEAST_PROBES, int(PROBED_SHARE * len(self.centres))))
        for block in blocks(rows, len(self.centres)):
            similar = self.vectors[block] @ self.centres.T
            lists = np.argpartition(-similar, probes - 1, axis=1)[:, :probes]
            for row, chosen in zip(block, lists, strict=True):
                parts = [self.members[self.starts[one] : self.starts[one + 1]] for one in np.sort(chosen)]
                others = np.concatenate(parts)
                others = others[others != row]
                if len(others) > size:
                    cosines = self.vectors[others] @ self.vectors[row]
                    others = others[np.argpartition(-cosines, size - 1)[:size]]
                yield int(row), others


def blocks(rows: np.ndarray, width: int, cells: int = CELLS) -> Iterator[np.ndarray]:
    """The rows in blocks that make at most so many cells of a table that is ``width`` wide; at least one a block."""
    size = max(1, cells // max(1, width))
    for first in range(0, len(rows), size):
        yield rows[first : first + size]


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """The rows at length 1; rows of 0 stay."""
    import numpy as np

    lengths = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 1e-6)


def _closest(vectors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.concatenate(
        [(vectors[block] @ centres.T).argmax(axis=1) for block in blocks(np.arange(len(vectors)), len(centres))]
    )
