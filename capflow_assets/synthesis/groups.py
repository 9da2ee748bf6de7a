"""Groups of rows, and the figures of the values of each group. Pure.

A group's figures depend on its own rows and their order alone, never on what lies beside it. Figures are in ticks
(``figures``), those that count in ones; NaN where there is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from capflow_assets.synthesis.figures import FIGURES, NO_HASH

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]
    Whole = NDArray[np.int64]
    Truths = NDArray[np.bool_]
else:
    Numbers = Whole = Truths = Any


def transformed(transform: Callable[..., float], *inputs: Any) -> Numbers:
    """A transform, which numba can compile, of the numbers of each row; unknown is NaN."""
    import numpy as np

    from capflow_assets.synthesis.kernels import array_transform

    with np.errstate(all="ignore"):
        return array_transform(transform, len(inputs))(*inputs, out=room(len(inputs[0])))


def room(*shape: int, kind: str = "f8") -> Any:
    """An array that is yet to be filled.

    It lies in Arrow's memory, which keeps what is given back for the next one. The C library returns memory of this
    size to the system, and to get it anew takes as long as to fill it.
    """
    import numpy as np
    import pyarrow as pa

    dtype = np.dtype(kind)
    return np.frombuffer(pa.allocate_buffer(math.prod(shape) * dtype.itemsize), dtype).reshape(shape)


@dataclass(frozen=True)
class Groups:
    """Which rows each group has, in which order, some having none: group g ``rows[begins[g]:ends[g]]``."""

    rows: Any
    begins: Whole
    ends: Whole

    @classmethod
    def of(cls, group: Any, place: Whole, count: int) -> Groups:
        """``count`` groups of rows, in the order of ``place``; ``group`` is that of each row, negative for none."""
        import numpy as np

        from capflow_assets.synthesis.kernels import by_group

        rows, bounds = room(len(group), kind="u4"), np.zeros(count + 1, np.int64)
        by_group(group, place, rows, bounds)
        return cls(rows[: bounds[-1]], bounds[:-1], bounds[1:])

    def __len__(self) -> int:
        """How many groups there are."""
        return len(self.begins)

    @property
    def sizes(self) -> Whole:
        """How many rows each has."""
        return self.ends - self.begins

    def some(self, groups: Any) -> Groups:
        """Some of the groups, and no other rows."""
        import numpy as np

        sizes = self.sizes[groups]
        ends = np.cumsum(sizes)
        rows = self.rows[np.repeat(self.begins[groups] - ends + sizes, sizes) + np.arange(sizes.sum())]
        return Groups(rows, ends - sizes, ends)

    def where(self, chosen: Truths) -> Groups:
        """The groups of the chosen rows alone."""
        import numpy as np

        is_chosen = chosen[self.rows]
        before = np.concatenate([[0], np.cumsum(is_chosen)])
        return Groups(self.rows[is_chosen], before[self.begins], before[self.ends])

    def counted(self) -> Numbers:
        """How many rows each has, (1, groups)."""
        return self.sizes[None].astype(float)

    def summed(self, values: Numbers, one: float = 1, figures: int = len(FIGURES)) -> Numbers:
        """The first of ``FIGURES`` of variables of rows (variables, rows): (variables, figures, groups).

        ``one`` of the values is so many ticks; of each its whole ones are taken (``whole_ticks``).
        """
        from capflow_assets.synthesis.kernels import summed

        sums = room(len(values), figures, len(self))
        summed(values, float(one), self.rows, self.begins, self.ends, sums)
        return sums

    def merged(self, parts: Numbers) -> Numbers:
        """``FIGURES`` but for the newest, (1, figures, groups), of rows that are groups: ``parts`` (figures, rows)."""
        from capflow_assets.synthesis.kernels import merged

        sums = room(1, len(FIGURES), len(self))
        merged(parts, self.rows, self.begins, self.ends, sums)
        return sums

    def different(self, hashes: Whole) -> Numbers:
        """How many different categories each has, (1, groups)."""
        from capflow_assets.synthesis.kernels import different

        return different(hashes, NO_HASH, self.rows, self.begins, self.ends)[None]


def in_ticks(parts: Numbers, figures: tuple[str, ...]) -> Numbers:
    """Figures of groups in whole ticks, (figures, groups), of the stored ones (``STORED``, groups)."""
    import numpy as np

    from capflow_assets.synthesis import kernels

    ticks = room(len(figures), parts.shape[1])
    kernels.in_ticks(parts, np.array([FIGURES.index(figure) for figure in figures]), ticks)
    return ticks
