"""Quiet hours in the user's own time zone. Pure."""

from __future__ import annotations

from datetime import datetime, time
from zoneinfo import ZoneInfo


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
