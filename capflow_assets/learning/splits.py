"""The past moments that make examples. A split is always in time, never at random.

A model that will be used on tomorrow's users has to be judged on a later time than it learned from: users of one
moment look alike in ways that a random split hides.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from capflow_assets.errors import ModelError


def moments(
    as_of: datetime,
    horizon_days: int,
    count: int,
    first: datetime | None = None,
    min_history_days: int | None = None,
) -> list[datetime]:
    """Past as-of moments whose horizons are over by ``as_of``, oldest first.

    The j-th of ``count`` moments is ``as_of - (count - j + 1) * horizon``, so the label of one, which looks at
    ``(t_j, t_j + horizon]``, ends where the next begins: no outcome is counted twice, and none reaches past
    ``as_of``. Moments with less than ``min_history_days`` of history after the ``first`` bill are left out; by default
    a moment needs as long a past as its horizon is.

    Raises ``ModelError`` when a moment has no time zone or a number is not positive.

    >>> from datetime import timezone
    >>> as_of = datetime(2017, 12, 31, tzinfo=timezone.utc)
    >>> [str(moment.date()) for moment in moments(as_of, 30, 3)]
    ['2017-10-02', '2017-11-01', '2017-12-01']
    >>> start = datetime(2017, 10, 20, tzinfo=timezone.utc)
    >>> [str(moment.date()) for moment in moments(as_of, 30, 3, first=start, min_history_days=10)]
    ['2017-11-01', '2017-12-01']
    """
    _require_moments(as_of, horizon_days, count, first)
    past = [as_of - timedelta(days=horizon_days * back) for back in range(count, 0, -1)]
    if first is None:
        return past
    earliest = first + timedelta(days=horizon_days if min_history_days is None else min_history_days)
    return [moment for moment in past if moment >= earliest]


def _require_moments(as_of: datetime, horizon_days: int, count: int, first: datetime | None) -> None:
    for name, moment in (("as_of", as_of), ("first", first)):
        if moment is not None and moment.tzinfo is None:
            raise ModelError(
                f"{name} has no time zone", expected="an aware datetime in UTC", came=str(moment), where="moments"
            )
    for name, number in (("horizon_days", horizon_days), ("count", count)):
        if number < 1:
            raise ModelError(f"{name} must be positive", expected="1 or more", came=str(number), where="moments")
