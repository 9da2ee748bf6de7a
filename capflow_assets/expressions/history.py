"""How far back a customer's history reaches: a span is what its days cover, not what its oldest date says.

A day may be wrong: a till whose clock was reset, a mistyped year. A history reaches back to the first day after the
newest gap of more than a year before which there are fewer than four weeks of days with bills, and fewer than half as
many as after it. So a shop that opens for a season, or that was closed for two years after a year's business, keeps all
of its history; a handful of days before a year of nothing is left out. The newest end is guarded by the clock: nothing
after the as-of moment is read, and that is never after now.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from capflow_assets.expressions.micros import moment_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

GAP_DAYS = 366
FEWEST_DAYS = 28


def first_day(days: Iterable[date]) -> date | None:
    """The day on which the history of some days with bills begins, whatever their order; None without any.

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


def first_moment(bills: DataFrame) -> datetime | None:
    """The time of the first bill (``billed_on``, ``billed_at``) of the history, in UTC; None without any."""
    from pyspark.sql import functions as F

    firsts = bills.groupBy("billed_on").agg(F.unix_micros(F.min("billed_at"))).collect()
    micros = {row[0]: row[1] for row in firsts if row[0] is not None}
    first = first_day(micros)
    if first is None:
        return None
    begin = min(moment for day, moment in micros.items() if day >= first)
    return moment_of(begin)
