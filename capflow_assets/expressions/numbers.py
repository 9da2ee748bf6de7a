"""Numbers that are too large to be amounts or quantities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column

# One amount or quantity is smaller: a price in any currency is, a barcode of 13 digits is not. In ten-thousandths it is
# exact as a double, and as a long integer 9,000 of them can be summed; as decimals, all of them can.
LARGEST = 1e11
# A bill that is summed up of its lines is smaller. decimal(18,4) ends here, and Sail refuses to cast anything beyond.
LARGEST_TOTAL = 1e14


def number(name: str) -> Column:
    """A finite number that is no larger than numbers may be (``implausible``); null where it is none."""
    from pyspark.sql import functions as F

    return F.when(F.abs(F.col(name)) < LARGEST, F.col(name)).alias(name)


def implausible(names: Sequence[str], largest: float = LARGEST) -> Column:
    """The reason of the first of the columns that is a number too large to be one; null where none is."""
    from pyspark.sql import functions as F

    def is_too_large(name: str) -> Column:
        size = F.abs(F.col(name))
        return (size >= largest) & (size < F.lit(float("inf")))

    return F.coalesce(*(F.when(is_too_large(name), F.lit(f"implausible_{name}")) for name in names))
