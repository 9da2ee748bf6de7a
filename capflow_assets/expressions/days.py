"""Days of a customer's own calendar: which day a time falls on in the customer's zone, and how long ago that is."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression

# A quarter of a year in whole weeks, so that every quarter has as many Saturdays.
QUARTER_DAYS = 91


def local_time(time: Expression | str, zone: str) -> Expression:
    """What the clock shows in the customer's zone at a timestamp."""
    from pyspark.sql import functions as F

    return F.from_utc_timestamp(time, zone)


def local_day(time: Expression | str, zone: str) -> Expression:
    """The calendar day of a timestamp in the customer's zone."""
    from pyspark.sql import functions as F

    return F.to_date(local_time(time, zone))


def local_day_of(moment: datetime, zone: str) -> date:
    """The calendar day of a moment in the customer's zone.

    >>> from datetime import UTC, datetime
    >>> local_day_of(datetime(2024, 6, 30, 22, 30, tzinfo=UTC), "Europe/Madrid").isoformat()
    '2024-07-01'
    """
    return moment.astimezone(ZoneInfo(zone)).date()


def within(day: str, days: int) -> Expression:
    """Whether a day is one of the last so many, ``today`` among them."""
    from pyspark.sql import functions as F

    return F.datediff(F.col("today"), F.col(day)) < days
