"""The moments that make examples, and what each of them is for. Always in time, never at random.

A model that will be used on tomorrow's users has to be judged on a later time than it learned from: users of one
moment look alike in ways that a random split hides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from capflow_assets.errors import ModelError


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """What each moment is for, and a sentence that says so where history was too short for all three roles."""

    training: tuple[datetime, ...]
    calibration: datetime | None
    test: datetime | None
    note: str

    @property
    def fitting(self) -> tuple[datetime, ...]:
        """The moments that ``fit`` may see, oldest first; the last is the one to calibrate on, if there is one."""
        return self.training if self.calibration is None else (*self.training, self.calibration)


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


def time_split(past: Sequence[datetime]) -> TimeSplit:
    """Give each moment its role: test = newest, calibration = the one before, training = the rest.

    With two moments there is none to calibrate on: the estimator holds out a share of its users instead. With one
    there is none to test on: a model fitted on it has no score, so only a person may promote it. With none, nothing
    can be learned from outcomes.

    >>> from datetime import timezone
    >>> t = [datetime(2020, month, 1, tzinfo=timezone.utc) for month in (1, 2, 3, 4)]
    >>> split = time_split(t)
    >>> [moment.month for moment in split.training], split.calibration.month, split.test.month
    ([1, 2], 3, 4)
    >>> time_split(t[:2]).note
    'Two moments: trained on the older, tested on the newer; calibrated on held-out users of the older one.'
    """
    ordered = tuple(sorted(past))
    if len(ordered) >= 3:
        return TimeSplit(
            ordered[:-2],
            ordered[-2],
            ordered[-1],
            f"{len(ordered)} moments: trained on the oldest {len(ordered) - 2}, calibrated on the next, "
            "tested on the newest.",
        )
    if len(ordered) == 2:
        return TimeSplit(
            ordered[:1],
            None,
            ordered[1],
            "Two moments: trained on the older, tested on the newer; calibrated on held-out users of the older one.",
        )
    if len(ordered) == 1:
        return TimeSplit(ordered, None, None, "One moment: trained on it; there is no later one to test on.")
    return TimeSplit((), None, None, "No moment with enough history: nothing to learn from yet.")


def _require_moments(as_of: datetime, horizon_days: int, count: int, first: datetime | None) -> None:
    for name, moment in (("as_of", as_of), ("first", first)):
        if moment is not None and moment.tzinfo is None:
            raise ModelError(
                f"{name} has no time zone", expected="an aware datetime in UTC", came=str(moment), where="moments"
            )
    for name, number in (("horizon_days", horizon_days), ("count", count)):
        if number < 1:
            raise ModelError(f"{name} must be positive", expected="1 or more", came=str(number), where="moments")
