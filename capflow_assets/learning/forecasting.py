"""Counts by day carried forward: the methods, the choice among them out of time, and intervals from past errors.

Arrays in, arrays out: a history is the counts of consecutive days, the oldest first. Four methods, each a way to go on:

- ``seasonal_naive``: as on the same weekday of the last week, the baseline (Hyndman & Athanasopoulos, "Forecasting:
  Principles and Practice", 3rd ed., section 5.2);
- ``weekday_mean``: the mean of that weekday over the last eight weeks;
- ``ets``: exponential smoothing of level and week, errors additive (statsforecast's ``AutoETS``; Hyndman, Koehler,
  Snyder & Grose 2002), on the last half-year, which costs 7 ms a store;
- ``mstl``, ``mstl_year``: weekly, and yearly, seasons taken out by LOESS, the rest smoothed exponentially
  (statsforecast's ``MSTL``; Bandara, Hyndman & Bergmeir 2021). A yearly season wants two years before it.

No trend: over four weeks an extrapolated one errs more than it helps. What all methods forecast is a mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

WEEK = 7
YEAR = 365
MEAN_WEEKS = 8
ETS_DAYS = 26 * WEEK
# Four weeks are the least that a method is tried on.
LEAST_HISTORY_DAYS = 4 * WEEK

Method = Callable[[np.ndarray, int], np.ndarray]


def seasonal_naive(history: np.ndarray, days: int) -> np.ndarray:
    """The last week again and again; with less than a week, the mean of what there is.

    >>> seasonal_naive(np.arange(1.0, 9.0), 9)
    array([2., 3., 4., 5., 6., 7., 8., 2., 3.])
    """
    return np.resize(history[-WEEK:], days) if len(history) >= WEEK else _level(history, days)


def weekday_mean(history: np.ndarray, days: int) -> np.ndarray:
    """The mean of each weekday over the last eight weeks, or as many whole ones as there are."""
    weeks = min(len(history) // WEEK, MEAN_WEEKS)
    if weeks == 0:
        return _level(history, days)
    return np.resize(history[-weeks * WEEK :].reshape(weeks, WEEK).mean(axis=0), days)


def ets(history: np.ndarray, days: int) -> np.ndarray:
    """Exponential smoothing of level and weekday, of the last half-year; wants two weeks."""
    from statsforecast.models import AutoETS

    return _mean_of(AutoETS(season_length=WEEK, model="ANA"), history[-ETS_DAYS:], days)


def mstl(history: np.ndarray, days: int) -> np.ndarray:
    """The weekly season apart, the rest smoothed; wants two weeks."""
    return _seasons_apart(history[-ETS_DAYS:], days, [WEEK])


def mstl_year(history: np.ndarray, days: int) -> np.ndarray:
    """The weekly and the yearly season apart, the rest smoothed; wants two years."""
    return _seasons_apart(history, days, [WEEK, YEAR])


# The simplest first, which wins where two are as good.
METHODS: Mapping[str, Method] = {
    "seasonal_naive": seasonal_naive,
    "weekday_mean": weekday_mean,
    "ets": ets,
    "mstl": mstl,
    "mstl_year": mstl_year,
}


def forecast(method: str, history: np.ndarray, days: int) -> np.ndarray:
    """The mean of each of the next days by a method of ``METHODS``, none below 0.

    A history that a method cannot work on (too short for it, or not a finite answer) is carried forward by the means
    of its weekdays.
    """
    history = np.asarray(history, dtype=float)
    if not may_use(method, len(history)):
        method = "weekday_mean"
    ahead = METHODS[method](history, days)
    if not np.isfinite(ahead).all():
        ahead = weekday_mean(history, days)
    return np.maximum(ahead, 0.0)


def may_use(method: str, history_days: int) -> bool:
    """Whether a history is long enough for a method."""
    least = {"ets": 2 * WEEK + 1, "mstl": 2 * WEEK + 1, "mstl_year": 2 * YEAR + 1}
    return history_days >= least.get(method, 0)


@dataclass(frozen=True, slots=True)
class PastErrors:
    """How one method would have done on past stretches of a history, one row per stretch, the newest first.

    ``forecasts`` and ``actual`` are of shape (stretches, days).
    """

    method: str
    forecasts: np.ndarray
    actual: np.ndarray

    @property
    def error(self) -> float:
        """The mean absolute error."""
        return float(np.abs(self.forecasts - self.actual).mean())


def stretches(history_days: int, days: int, count: int) -> list[int]:
    """Where up to so many stretches of so many days begin, the newest first, with four weeks before each.

    >>> stretches(100, 28, 3)
    [72, 44]
    """
    starts = (history_days - days * (number + 1) for number in range(count))
    return [start for start in starts if start >= LEAST_HISTORY_DAYS]


def best_method(history: np.ndarray, days: int, count: int, methods: Sequence[str]) -> PastErrors | None:
    """The method with the least error on the last stretches, each forecast from what lies before it alone.

    Of the ``methods`` those take part that the history before the oldest stretch is long enough for. None where no
    stretch has four weeks before it.
    """
    history = np.asarray(history, dtype=float)
    starts = stretches(len(history), days, count)
    if not starts:
        return None
    usable = [method for method in methods if may_use(method, starts[-1])] or ["seasonal_naive"]
    actual = np.stack([history[start : start + days] for start in starts])
    rivals = (
        PastErrors(method, np.stack([forecast(method, history[:s], days) for s in starts]), actual) for method in usable
    )
    return min(rivals, key=lambda rival: rival.error)


def naive_error(history: np.ndarray) -> float:
    """The mean absolute error of the seasonal naive forecast inside a history: the unit of a scaled error.

    ``mean |y_t - y_(t-7)|`` (Hyndman & Koehler 2006, section 4). Where that is 0 or there is no second week, the mean
    of the history; where that is 0 too, 1.

    >>> naive_error(np.array([1.0] * 7 + [3.0] * 7))
    2.0
    """
    changes = np.abs(history[WEEK:] - history[:-WEEK])
    error = float(changes.mean()) if len(changes) else 0.0
    return error or float(np.abs(history).mean() if len(history) else 0.0) or 1.0


def _level(history: np.ndarray, days: int) -> np.ndarray:
    return np.full(days, history.mean() if len(history) else 0.0)


def _seasons_apart(history: np.ndarray, days: int, seasons: list[int]) -> np.ndarray:
    from statsforecast.models import MSTL, AutoETS

    # Smoothing at every 30th point instead of each is twenty times as fast and moves the mean by a hundredth.
    jumps = {"trend_jump": 30, "low_pass_jump": 30} if max(seasons) > WEEK else {}
    model = MSTL(season_length=seasons, trend_forecaster=AutoETS(model="ANN"), stl_kwargs=jumps)
    return _mean_of(model, history, days)


def _mean_of(model: Any, history: np.ndarray, days: int) -> np.ndarray:
    if np.ptp(history) == 0:
        return _level(history, days)
    ahead: np.ndarray = np.asarray(model.forecast(y=history, h=days)["mean"], dtype=float)
    return ahead
