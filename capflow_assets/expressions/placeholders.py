"""Days that programs write where they know none.

A placeholder is the zero of somebody's calendar or its end: 1 January 1900 (Excel, Access, SQL Server), 1904 (Excel on
a Mac), 1970 (Unix), 31 December 2099 and 2199. A moment is one within a day of them, for zones put them a day off.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression

PLACEHOLDERS = (
    date(1899, 12, 30),
    date(1900, 1, 1),
    date(1904, 1, 1),
    date(1970, 1, 1),
    date(2099, 12, 31),
    date(2199, 12, 31),
)


def is_placeholder(moment: Expression) -> Expression:
    """Whether a timestamp is within a day of a placeholder; null where it is null."""
    from functools import reduce
    from operator import or_

    from pyspark.sql import functions as F

    def near(day: date) -> Expression:
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return (moment >= F.lit(start - timedelta(days=1))) & (moment < F.lit(start + timedelta(days=2)))

    return reduce(or_, (near(day) for day in PLACEHOLDERS))
