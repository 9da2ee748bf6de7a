"""Which night of a customer is the newest, and when the next one begins: local days, in moments. Pure.

A night is called after the local day on which it starts. A start that the clocks leave out, when summer time begins, is
as long after midnight as it says; one that comes twice is the first.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from math import inf
from typing import NamedTuple
from zoneinfo import ZoneInfo

from capflow_assets.customers.night_settings import NightSettings


class Night(NamedTuple):
    """One night: its local day, and its start and deadline in seconds since 1970; infinity where it has no deadline."""

    day: str
    start: float
    deadline: float


def night_of(settings: NightSettings, day: date, zone: str) -> Night:
    """The night that starts on a local day; ``zone`` holds where the settings name none.

    >>> london = NightSettings(start="22:30", deadline="06:00")
    >>> night = night_of(london, date(2024, 3, 30), "Europe/London")  # the clocks go forward in that night
    >>> datetime.fromtimestamp(night.start, UTC).isoformat(), (night.deadline - night.start) / 3600
    ('2024-03-30T22:30:00+00:00', 6.5)
    """
    place = ZoneInfo(settings.zone or zone)
    start = datetime.combine(day, settings.start_time)
    begins = _moment(start, place)
    if settings.minutes is None:
        return Night(day.isoformat(), begins, inf)
    deadline = _moment(start + timedelta(minutes=settings.minutes), place)
    # Where the clocks leave out the whole night, it is as long as it would have been.
    return Night(day.isoformat(), begins, deadline if deadline > begins else begins + 60 * settings.minutes)


def newest_night(settings: NightSettings, now: float, zone: str) -> Night:
    """The newest night that has begun: all that were missed before it are made up for by this one."""
    night = night_of(settings, _today(settings, now, zone), zone)
    return night if night.start <= now else night_of(settings, _today(settings, now, zone) - timedelta(days=1), zone)


def next_night(settings: NightSettings, now: float, zone: str, after_day: str = "") -> Night:
    """The first night that begins after ``now`` and is of a later day than ``after_day``."""
    day = _today(settings, now, zone)
    while (night := night_of(settings, day, zone)).start <= now or night.day <= after_day:
        day += timedelta(days=1)
    return night


def due_night(settings: NightSettings, now: float, zone: str, last_day: str) -> Night | None:
    """The newest night that has begun, if it is of a later day than the last one that was begun.

    So no day has two nights, though the zone or the start may change between them.
    """
    night = newest_night(settings, now, zone)
    return night if night.day > last_day else None


def _today(settings: NightSettings, now: float, zone: str) -> date:
    return datetime.fromtimestamp(now, ZoneInfo(settings.zone or zone)).date()


def _moment(local: datetime, zone: ZoneInfo) -> float:
    """The moment of a local time; one that the clocks leave out is as long after midnight as it says."""
    return local.replace(tzinfo=zone).astimezone(UTC).timestamp()
