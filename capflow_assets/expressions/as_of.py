"""The as-of moment: how a person writes it, and what it is when nobody does."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from capflow_assets.errors import CapflowError, TableError
from capflow_assets.expressions.days import end_of_day, local_day_of, moment_showing
from capflow_assets.expressions.micros import moment_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def parse_moment(text: str, zone: str, now: datetime | None = None) -> datetime:
    """An as-of moment in UTC. A date means the end of that day in the customer's zone; a naive time is local there.

    It may be ahead of now by the rest of today, see ``as_of_moment``.

    Raises:
        CapflowError: it is no date and no time, or after today, of which nothing can be known yet.

    >>> parse_moment("2024-06-30", "Europe/Madrid").isoformat()
    '2024-06-30T21:59:59.999999+00:00'
    >>> parse_moment("2024-06-30T12:00", "Europe/Madrid").isoformat()
    '2024-06-30T10:00:00+00:00'
    """
    today = end_of_day(local_day_of(now or datetime.now(UTC), zone), zone)
    try:
        moment = _moment(text.strip(), zone)
    except (ValueError, OverflowError):  # the first and the last day of the calendar have no UTC everywhere
        raise CapflowError(
            "The as-of moment cannot be read",
            expected="a date (2024-06-30) or an ISO 8601 time (2024-06-30T12:00:00+02:00)",
            came=repr(text),
        ) from None
    if moment > today:
        raise CapflowError(
            "The as-of moment is ahead of now: what will be known then is not known yet",
            expected="a moment up to the end of today; left out, it is that of the newest bill",
            came=repr(text),
        )
    return moment


def _moment(text: str, zone: str) -> datetime:
    if len(text) <= len("2024-06-30"):
        day = date.fromisoformat(text)
        return datetime.max.replace(tzinfo=UTC) if day.year == date.max.year else end_of_day(day, zone)
    moment = datetime.fromisoformat(text)
    if moment.year == date.max.year:
        return datetime.max.replace(tzinfo=UTC)
    return moment.astimezone(UTC) if moment.tzinfo else moment_showing(moment, zone)


def past(moment: datetime, now: datetime | None = None) -> datetime:
    """The moment, or now where it has not passed yet.

    >>> past(datetime(2024, 6, 30, 23, tzinfo=UTC), datetime(2024, 6, 30, 11, tzinfo=UTC)).isoformat()
    '2024-06-30T11:00:00+00:00'
    """
    return min(moment, now or datetime.now(UTC))


def as_of_moment(bills: DataFrame, requested: datetime | None, now: datetime | None = None) -> datetime:
    """The requested moment, else that of the newest bill; and that of the newest bill where it has not passed yet.

    Today is such a moment until it is over. What is recorded as of its end would be the newest until then, whatever
    comes after it, and two runs of today would know different things as of the same moment.

    Raises:
        TableError: there is no bill up to then, so nothing can be known as of it.
    """
    has_passed = requested is not None and past(requested, now) == requested
    last = newest(bills, requested if has_passed else now)
    return requested if requested is not None and has_passed else last


def newest(bills: DataFrame, until: datetime | None = None) -> datetime:
    """The moment of the newest bill up to ``until``, or up to now: a mistyped year must not move the as-of moment.

    Raises:
        TableError: there is no such bill.
    """
    from pyspark.sql import functions as F

    end = until or datetime.now(UTC)
    micros = bills.filter(F.col("billed_at") <= F.lit(end)).agg(F.unix_micros(F.max("billed_at"))).collect()[0][0]
    if micros is None:
        raise TableError(
            "There is no bill that the as-of moment could know of",
            expected=f"at least one bill up to {end:%Y-%m-%d %H:%M} UTC in clean/bills",
            do="name a later moment (--as-of), or check the source of the bills",
        )
    return moment_of(micros)
