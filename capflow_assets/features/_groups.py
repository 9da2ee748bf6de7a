"""Values of rows that stand group by group, and what each group sums up to. No table of its own. Pure.

Numbers are counted in whole millionths (**ticks**) held as doubles, so that a sum is exact, and so the same in every
order, up to nine thousand million; unknown is NaN. Truths are 0 or one whole in ticks. Categories are small whole
numbers, unknown is -1. A group's figures depend on its own rows and their order alone, never on what lies beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]
    Whole = NDArray[np.int64]
else:
    Numbers = Whole = Any

TICKS = 1_000_000
# Numbers from here on are left out (null): sums of them could not be told exactly.
LARGEST = 1e10
UNKNOWN = -1


def ticks(values: Numbers) -> Numbers:
    """Numbers in whole millionths, halves upwards; unknown where they are none or too large.

    >>> import numpy as np
    >>> ticks(np.array([0.0000005, -2.5, 1e10, float("inf")])).tolist()
    [1.0, -2500000.0, nan, nan]
    """
    import numpy as np

    with np.errstate(over="ignore"):
        return whole_ticks(values * float(TICKS))


def whole_ticks(in_ticks: Numbers) -> Numbers:
    """Figures in ticks rounded to whole ones; unknown where they are too large."""
    import numpy as np

    rounded = np.floor(in_ticks + 0.5)
    with np.errstate(invalid="ignore"):
        is_fit = np.abs(in_ticks) < LARGEST * TICKS
    if not is_fit.all():
        rounded[~is_fit] = np.nan
    return rounded


@dataclass(frozen=True)
class Groups:
    """Which group each row belongs to: ``of_row``, ascending; ``count`` groups, of which some may have no row."""

    of_row: Whole
    count: int

    @cached_property
    def sizes(self) -> Whole:
        """How many rows each group has."""
        import numpy as np

        return np.bincount(self.of_row, minlength=self.count)

    @cached_property
    def filled(self) -> Whole:
        """The groups that have rows."""
        import numpy as np

        return np.flatnonzero(self.sizes)

    @cached_property
    def starts(self) -> Whole:
        """Where the rows of each filled group begin."""
        import numpy as np

        return np.concatenate([[0], np.cumsum(self.sizes[self.filled])[:-1]]).astype(np.int64)

    def reduced(self, ufunc: np.ufunc, values: Numbers, empty: float) -> Numbers:
        """The values of each group put together; ``empty`` where a group has no row."""
        import numpy as np

        if not len(values):
            return np.full(self.count, empty)
        found = ufunc.reduceat(values, self.starts)
        if len(found) == self.count:
            return found
        made = np.full(self.count, empty)
        made[self.filled] = found
        return made


@dataclass(frozen=True)
class Grouped:
    """One variable of rows in groups. Figures in ticks; unknown values are left out; NaN where there is no value."""

    values: Any
    groups: Groups

    @cached_property
    def _is_known(self) -> NDArray[np.bool_] | None:
        """Where a number is known; None where all are."""
        import numpy as np

        unknown = np.isnan(self.values)
        return ~unknown if unknown.any() else None

    @cached_property
    def known(self) -> Numbers:
        """How many values are known."""
        import numpy as np

        if self._is_known is None:
            return self.groups.sizes.astype(np.float64)
        return self.groups.reduced(np.add, self._is_known.astype(np.float64), 0.0)

    @cached_property
    def total(self) -> Numbers:
        """Their sum; 0 where there is none."""
        import numpy as np

        values = self.values if self._is_known is None else np.where(self._is_known, self.values, 0.0)
        return self.groups.reduced(np.add, values, 0.0)

    @cached_property
    def mean(self) -> Numbers:
        """Their mean."""
        import numpy as np

        with np.errstate(invalid="ignore"):
            return self.total / self.known

    @property
    def deviation(self) -> Numbers:
        """Their sample deviation; NaN below two values."""
        import numpy as np

        apart = self.values - np.repeat(self.mean, self.groups.sizes)
        apart *= apart
        if self._is_known is not None:
            apart[~self._is_known] = 0.0
        squares = self.groups.reduced(np.add, apart, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.known > 1, np.sqrt(squares / (self.known - 1)), np.nan)

    @property
    def least(self) -> Numbers:
        """The least of them."""
        import numpy as np

        return self.groups.reduced(np.minimum if self._is_known is None else np.fmin, self.values, np.nan)

    @property
    def greatest(self) -> Numbers:
        """The greatest of them."""
        import numpy as np

        return self.groups.reduced(np.maximum if self._is_known is None else np.fmax, self.values, np.nan)

    @property
    def newest(self) -> Numbers:
        """The value of the last row, known or not."""
        import numpy as np

        made = np.full(self.groups.count, np.nan)
        made[self.groups.filled] = self.values[self.groups.starts + self.groups.sizes[self.groups.filled] - 1]
        return made

    @property
    def rows(self) -> Numbers:
        """How many rows there are."""
        import numpy as np

        return self.groups.sizes.astype(np.float64)

    @property
    def different(self) -> Numbers:
        """How many different categories there are."""
        import numpy as np

        is_known = self.values != UNKNOWN
        codes, of_row = self.values, self.groups.of_row
        if not is_known.all():
            codes, of_row = codes[is_known], of_row[is_known]
        span = int(codes.max(initial=0)) + 1
        pairs = of_row.astype(np.int64) * span + codes
        pairs.sort(kind="stable")  # the groups are in order already, which this way of sorting makes use of
        is_first = np.ones(len(pairs), dtype=bool)
        np.not_equal(pairs[1:], pairs[:-1], out=is_first[1:])
        return np.bincount(pairs[is_first] // span, minlength=self.groups.count).astype(np.float64)
