"""Days on which a customer's feed fell silent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from capflow_assets.contract import Finding
from capflow_assets.expressions.days import local_day_of
from capflow_assets.expressions.history import first_day

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# A shop that sells to ten users on such a weekday has a day without any once in 22,000 (Poisson: exp(-10)).
USUAL_BILLS = 10


def feed_gaps(
    bills: DataFrame,
    as_of: datetime,
    zone: str,
    *,
    at_most_days: int = 2,
    window_days: int = 91,
    usual_bills: int = USUAL_BILLS,
) -> Finding:
    """Whether, in the last 91 days, more than two days have no bill at all though their weekday usually has ten.

    Those are ``window_days``, ``at_most_days`` and ``usual_bills``.

    Weekdays are held against themselves, so that a shop may be closed on Sundays; a small customer, for whom an empty
    day is no surprise, is left alone. One or two silent days may be holidays, and no calendar is at hand: they are
    named, and pass. Silence up to the as-of moment counts; the day of the moment itself does not, for it may not be
    over.
    """
    from pyspark.sql import functions as F

    today = local_day_of(as_of, zone)
    start = today - timedelta(days=window_days)
    days = bills.filter(F.col("billed_on") < F.lit(today)).groupBy("billed_on").count().collect()
    first = first_day(row[0] for row in days)
    counted = {row[0]: int(row[1]) for row in days if row[0] >= start}
    silent = silent_days(counted, max(start, first or today), today, usual_bills)
    newest = max(counted, default=None)
    return Finding(
        check="feed_gaps",
        passed=len(silent) <= at_most_days,
        message=(
            f"{len(silent)} of the last {window_days} days have no bill, though their weekday usually has at least "
            f"{usual_bills}; the first is {silent[0]}"
            if silent
            else f"no day of the last {window_days} is silent against its weekday's habit"
        ),
        found={"silent_days": len(silent), "newest_day": newest.isoformat() if newest else None},
        sample=tuple({"billed_on": day.isoformat()} for day in silent[:10]),
    )


def silent_days(bills_on: Mapping[date, int], start: date, end: date, usual_bills: int = USUAL_BILLS) -> list[date]:
    """The days from ``start`` until before ``end`` without bills whose weekday has ``usual_bills`` or more on average.

    >>> mondays = [date(2024, 1, 1) + timedelta(weeks=n) for n in range(4)]
    >>> [str(day) for day in silent_days({day: 40 for day in mondays[:3]}, mondays[0], mondays[3] + timedelta(days=1))]
    ['2024-01-22']
    """
    days = [start + timedelta(days=n) for n in range((end - start).days)]
    by_weekday: dict[int, list[int]] = defaultdict(list)
    for day in days:
        by_weekday[day.weekday()].append(bills_on.get(day, 0))
    usual = {weekday: sum(counts) / len(counts) for weekday, counts in by_weekday.items()}
    return [day for day in days if day not in bills_on and usual[day.weekday()] >= usual_bills]
