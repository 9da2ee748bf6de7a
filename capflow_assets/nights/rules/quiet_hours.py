"""Quiet hours in the user's own time zone. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)


def is_quiet(now: datetime, zone: str, hours: tuple[str, str]) -> bool:
    """Whether a moment falls in the hours, the first included and the last not; they may pass midnight.

    >>> from datetime import UTC
    >>> evening = datetime(2026, 3, 1, 20, 30, tzinfo=UTC)
    >>> [is_quiet(evening, zone, ("21:00", "08:00")) for zone in ("UTC", "Europe/Berlin", "America/New_York")]
    [False, True, False]
    """
    first, last = (time.fromisoformat(text) for text in hours)
    local = now.astimezone(ZoneInfo(zone)).time()
    return first <= local < last if first < last else local >= first or local < last


def quiet_until(now: datetime, zone: str, hours: tuple[str, str]) -> datetime:
    """The first moment from ``now`` on at which it is not quiet, in UTC; ``now`` itself where it is not.

    It looks minute by minute, so that clocks which are put forward or back on that day count as they will be.

    >>> from datetime import UTC
    >>> evening = datetime(2026, 3, 1, 20, 30, tzinfo=UTC)
    >>> quiet_until(evening, "Europe/Berlin", ("21:00", "08:00")).isoformat()
    '2026-03-02T07:00:00+00:00'
    """
    moment = now.astimezone(UTC)
    while is_quiet(moment, zone, hours):
        moment = moment.replace(second=0, microsecond=0) + MINUTE
    return moment
