"""The fingerprint of a bag of rows: their number and the sum of their hashes, whatever their order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

LOWER_HALF = 0xFFFFFFFF
NESTED = ("array", "map", "struct")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What tells a bag of rows from another one.

    ``hashes`` is None until a bag of as many rows makes it worth the look: most that land are of another number.
    """

    rows: int
    hashes: int | None = None

    def plus(self, other: Fingerprint) -> Fingerprint:
        """The fingerprint of both bags together."""
        is_known = self.hashes is not None and other.hashes is not None
        return Fingerprint(self.rows + other.rows, (self.hashes or 0) + (other.hashes or 0) if is_known else None)


def fingerprint(frame: DataFrame) -> Fingerprint:
    """The fingerprint of the frame's rows, in one look at them."""
    from pyspark.sql import functions as F

    low, high = halves(row_hash(frame.dtypes))
    return fingerprint_of(frame.agg(F.count(F.lit(1)), F.sum(low), F.sum(high)).collect()[0])


def fingerprint_of(sums: Sequence[int | None]) -> Fingerprint:
    """The fingerprint of so many rows whose hashes' lower and upper halves have these sums."""
    rows, low, high = (int(number or 0) for number in sums)
    return Fingerprint(rows, low + (high << 32))


def row_hash(columns: Iterable[tuple[str, str]]) -> Expression:
    """64 bits of a row's values, of columns by name and Spark type; which of them are null counts as well."""
    from pyspark.sql import functions as F

    columns = list(columns)
    marks = [F.when(F.col(name).isNull(), F.lit(place)) for place, (name, _) in enumerate(columns)]
    return F.xxhash64(*(_hashable(name, kind) for name, kind in columns), *marks)


def halves(hashed: Expression) -> tuple[Expression, Expression]:
    """The lower and the upper 32 bits of a hash: sums of them overflow only beyond two billion rows."""
    from pyspark.sql import functions as F

    return hashed.bitwiseAND(F.lit(LOWER_HALF)), F.shiftright(hashed, 32)


def _hashable(name: str, kind: str) -> Any:
    from pyspark.sql import functions as F

    return F.col(name).cast("string") if kind.startswith(NESTED) else F.col(name)
