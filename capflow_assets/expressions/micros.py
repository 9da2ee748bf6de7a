"""Moments as whole microseconds since 1970, in which engines hand them over without rounding or zone."""

from __future__ import annotations

from datetime import UTC, datetime

A_SECOND = 1_000_000
AN_HOUR = 3_600 * A_SECOND
A_DAY = 24 * AN_HOUR


def micros_of(moment: datetime) -> int:
    """The microseconds of a moment.

    >>> micros_of(datetime(1970, 1, 2, microsecond=7, tzinfo=UTC)) == A_DAY + 7
    True
    """
    return round(moment.timestamp() * A_SECOND)


def moment_of(micros: int) -> datetime:
    """The moment of so many microseconds, in UTC.

    >>> moment_of(A_DAY + 7).isoformat()
    '1970-01-02T00:00:00.000007+00:00'
    """
    return datetime.fromtimestamp(micros // A_SECOND, UTC).replace(microsecond=micros % A_SECOND)
