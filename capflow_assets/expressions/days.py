"""Days of a customer's own calendar: which day a time falls on, how long ago that is, and the time so many days off.

A day is one of the calendar, be it 23, 24 or 25 hours long. So many days before or after a moment is the time at which
the clocks of the customer's zone show what they show at the moment, on the day that is so many days off. Where they
change on that day,

- of a time that they show twice it is the later;
- of a time that they skip it is the last moment before the skip, and where they skip the beginning of the day, the
  first moment of the day; so it is never of another day;
- of a day that a zone left out (30 December 2011 in Apia) it is the last moment before.

So a row of that day whose clock shows no later time is known, and one who comes every day at the same hour has come as
often before each of the moments.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from capflow_assets.expressions.micros import A_DAY, micros_of, moment_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import Column as Expression

# A quarter of a year in whole weeks, so that every quarter has as many Saturdays.
QUARTER_DAYS = 91
MICROSECOND = timedelta(microseconds=1)
# The years whose changes of clocks the engine knows; no zone changed its clocks twice within days.
FIRST_DAY, LAST_DAY = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
STEP_DAYS = 5


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


def moment_showing(shown: datetime, zone: str) -> datetime:
    """The moment at which calendar and clock show a naive time, in UTC; see above for one shown twice or never.

    >>> showings = (datetime(2024, 10, 27, 2, 30), datetime(2024, 3, 31, 2, 30))  # shown twice in Madrid; never
    >>> [moment_showing(shown, "Europe/Madrid").isoformat() for shown in showings]
    ['2024-10-27T01:30:00+00:00', '2024-03-31T00:59:59.999999+00:00']
    """
    local = ZoneInfo(zone)
    # Of a skipped time the first is after the skip and the second before it; of any other they are in order.
    first, second = (shown.replace(tzinfo=local, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first <= second:
        return second
    skip = _change(second, first, local)
    is_at_its_beginning = _shown(skip - MICROSECOND, zone).date() < shown.date() == _shown(skip, zone).date()
    return skip if is_at_its_beginning else skip - MICROSECOND


def within(day: str, days: int) -> Expression:
    """Whether a day is one of the last so many, ``today`` among them."""
    from pyspark.sql import functions as F

    return F.datediff(F.col("today"), F.col(day)) < days


def days_after(moment: datetime, days: int, zone: str) -> datetime:
    """The moment so many local days later, at the same time by the customer's clock; in UTC.

    >>> noon = datetime(2024, 3, 30, 11, tzinfo=UTC)  # 12:00 in Madrid, where the clocks change in the night to come
    >>> [days_after(noon, days, "Europe/Madrid").isoformat() for days in (0, 1)]
    ['2024-03-30T11:00:00+00:00', '2024-03-31T10:00:00+00:00']
    """
    if not days:
        return moment.astimezone(UTC)
    return moment_showing(_shown(moment, zone) + timedelta(days=days), zone)


def days_before(moment: datetime, days: int, zone: str) -> datetime:
    """The moment so many local days earlier, at the same time by the customer's clock; in UTC.

    >>> noon = datetime(2024, 3, 31, 10, tzinfo=UTC)
    >>> days_before(noon, 1, "Europe/Madrid").isoformat(), days_before(noon, 1, "UTC").isoformat()
    ('2024-03-30T11:00:00+00:00', '2024-03-30T10:00:00+00:00')
    """
    return days_after(moment, -days, zone)


def end_of_day(day: date, zone: str) -> datetime:
    """The last microsecond of a local day, in UTC.

    >>> end_of_day(date(2024, 6, 30), "Europe/Madrid").isoformat()
    '2024-06-30T21:59:59.999999+00:00'
    """
    return moment_showing(datetime.combine(day, time.max), zone)


def local_span(start: datetime, end: datetime, zone: str) -> timedelta:
    """How far the customer's calendar and clock went from one moment to a later one; its ``days`` are local days.

    Never less than nothing, though clocks that are set back may show an earlier time.

    >>> midnights = [datetime(2024, 3, day, 23, tzinfo=UTC) for day in (30, 31)]  # the second is 1:00 in Madrid
    >>> str(local_span(*midnights, "Europe/Madrid"))
    '1 day, 1:00:00'
    """
    return max(timedelta(), _shown(end, zone) - _shown(start, zone))


def days_after_each(time: Expression | str, days: int, zone: str) -> Expression:
    """The timestamp so many local days later: ``days_after`` for every row, for the years from 1970 to 2100."""
    from pyspark.sql import functions as F

    offsets, skips = _clock_of(zone)
    if not days or len(offsets) == 1:
        return F.timestamp_micros(F.unix_micros(time) + F.lit(days * A_DAY))
    shown = F.unix_micros(local_time(time, zone)) + F.lit(days * A_DAY)

    def where_shown(instant: Expression) -> Expression:
        return F.when(F.unix_micros(local_time(F.timestamp_micros(instant), zone)) == shown, instant)

    latest = F.greatest(*(where_shown(shown - F.lit(offset)) for offset in offsets))
    skipped = F.when(F.lit(False), F.lit(0).cast("bigint"))
    for first, end, instant in skips:
        skipped = skipped.when((shown >= F.lit(first)) & (shown < F.lit(end)), F.lit(instant))
    return F.timestamp_micros(F.coalesce(latest, skipped))


def _shown(moment: datetime, zone: str) -> datetime:
    """What the calendar and the clock show at a moment."""
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def _change(before: datetime, after: datetime, local: ZoneInfo) -> datetime:
    """The first moment with the later of two offsets from UTC, between two moments between which it changes once."""
    low, high = micros_of(before), micros_of(after)
    offset = after.astimezone(local).utcoffset()
    while low + 1 < high:
        middle = (low + high) // 2
        if moment_of(middle).astimezone(local).utcoffset() == offset:
            high = middle
        else:
            low = middle
    return moment_of(high)


@lru_cache(maxsize=512)
def _clock_of(zone: str) -> tuple[tuple[int, ...], tuple[tuple[int, int, int], ...]]:
    """A zone's offsets from UTC, and the times that its clocks skip: from which one, until which, and the moment that
    stands for them. All in microseconds.
    """
    local, changes = ZoneInfo(zone), list(_changes(zone))
    offsets = {_offset(moment, local) for moment in (FIRST_DAY, *changes)}
    skips = []
    for change in changes:
        first, end = _shown(change - MICROSECOND, zone) + MICROSECOND, _shown(change, zone)
        while first < end:
            midnight = datetime.combine(first.date() + timedelta(days=1), time())
            until = min(end, midnight)
            skips.append((_as_micros(first), _as_micros(until), micros_of(moment_showing(first, zone))))
            first = until
    return tuple(sorted(offsets)), tuple(skips)


def _changes(zone: str) -> Iterator[datetime]:
    """The moments at which a zone's offset from UTC changes."""
    local, day = ZoneInfo(zone), FIRST_DAY
    offset = _offset(day, local)
    while day < LAST_DAY:
        following = day + timedelta(days=STEP_DAYS)
        later = _offset(following, local)
        if later != offset:
            yield _change(day, following, local)
        day, offset = following, later


def _as_micros(shown: datetime) -> int:
    return micros_of(shown.replace(tzinfo=UTC))


def _offset(moment: datetime, local: ZoneInfo) -> int:
    return (moment.astimezone(local).utcoffset() or timedelta()) // MICROSECOND
