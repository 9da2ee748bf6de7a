"""The past moments that make examples, and their horizons. A split is always in time, never at random.

A model that will be used on tomorrow's users has to be judged on a later time than it learned from: users of one
moment look alike in ways that a random split hides.
"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

from capflow_assets.contract import Window
from capflow_assets.errors import ModelError
from capflow_assets.expressions.days import days_after, days_before


def windows(
    as_of: datetime,
    horizon_days: int,
    count: int,
    zone: str,
    first: datetime | None = None,
    min_history_days: int | None = None,
) -> list[Window]:
    """Past horizons that are over by ``as_of``, oldest first; each begins at the moment that it makes examples of.

    The j-th of ``count`` reaches from ``count - j + 1`` horizons of local days before ``as_of`` to ``count - j``
    before it (``expressions.days``), the beginning exclusive and the end inclusive. So one ends where the next begins:
    no outcome is counted twice, and none reaches past ``as_of``. Horizons whose moment has less than
    ``min_history_days`` of history after the ``first`` bill are left out; by default a moment needs as long a past as
    its horizon is. So is a horizon of one day on a day that the zone left out.

    Raises ``ModelError`` when a moment has no time zone or a number is not positive.

    >>> from datetime import timezone
    >>> as_of = datetime(2017, 12, 31, tzinfo=timezone.utc)
    >>> [str(window.start.date()) for window in windows(as_of, 30, 3, "UTC")]
    ['2017-10-02', '2017-11-01', '2017-12-01']
    >>> start = datetime(2017, 10, 20, tzinfo=timezone.utc)
    >>> [str(window.start.date()) for window in windows(as_of, 30, 3, "UTC", first=start, min_history_days=10)]
    ['2017-11-01', '2017-12-01']
    """
    _require_moments(as_of, horizon_days, count, first)
    ends = [days_before(as_of, horizon_days * back, zone) for back in range(count, -1, -1)]
    past = [Window(start, end) for start, end in pairwise(ends) if start < end]
    if first is None:
        return past
    earliest = days_after(first, horizon_days if min_history_days is None else min_history_days, zone)
    return [window for window in past if window.start >= earliest]


def moments(
    as_of: datetime,
    horizon_days: int,
    count: int,
    zone: str,
    first: datetime | None = None,
    min_history_days: int | None = None,
) -> list[datetime]:
    """The moments at which ``windows`` begin, oldest first."""
    return [window.start for window in windows(as_of, horizon_days, count, zone, first, min_history_days)]


def _require_moments(as_of: datetime, horizon_days: int, count: int, first: datetime | None) -> None:
    for name, moment in (("as_of", as_of), ("first", first)):
        if moment is not None and moment.tzinfo is None:
            raise ModelError(
                f"{name} has no time zone", expected="an aware datetime in UTC", came=str(moment), where="windows"
            )
    for name, number in (("horizon_days", horizon_days), ("count", count)):
        if number < 1:
            raise ModelError(f"{name} must be positive", expected="1 or more", came=str(number), where="windows")
