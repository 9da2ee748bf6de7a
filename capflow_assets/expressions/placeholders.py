"""Days that programs write where they know none, and how far back a history of days reaches.

A placeholder is the zero of somebody's calendar or its end: 1 January 1900 (Excel, Access, SQL Server), 1904 (Excel on
a Mac), 1970 (Unix), 31 December 2099 and 2199. A moment is one within a day of them, for zones put them a day off.

Other days may be wrong as well, as of a till whose clock began anew: a lone day years before all others. A history
reaches back to the first day after the newest gap of more than a year before which there are fewer than four weeks of
days with bills, and fewer than half as many as after it. So a shop that opens for a season, or that was closed for two
years after a year's business, keeps all of its history; a handful of days before a year of nothing is not history.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
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
GAP_DAYS = 366
FEWEST_DAYS = 28


def is_placeholder(moment: Expression) -> Expression:
    """Whether a timestamp is within a day of a placeholder; null where it is null."""
    from functools import reduce
    from operator import or_

    from pyspark.sql import functions as F

    def near(day: date) -> Expression:
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return (moment >= F.lit(start - timedelta(days=1))) & (moment < F.lit(start + timedelta(days=2)))

    return reduce(or_, (near(day) for day in PLACEHOLDERS))


def first_day(days: Sequence[date]) -> date | None:
    """The day on which the history of some days begins, whatever their order; None without any.

    >>> from datetime import date, timedelta
    >>> june = [date(2024, 6, 1) + timedelta(days=n) for n in range(50)]
    >>> str(first_day([date(2001, 1, 1), date(2003, 5, 5), *june])), str(first_day([date(2023, 7, 1), *june]))
    ('2024-06-01', '2023-07-01')
    """
    ordered = sorted(set(days))
    begin = 0
    for place, (before, after) in enumerate(pairwise(ordered), start=1):
        if (after - before).days > GAP_DAYS and place < min(FEWEST_DAYS, (len(ordered) - place) / 2):
            begin = place
    return ordered[begin] if ordered else None
