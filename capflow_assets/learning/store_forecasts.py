"""Bills and amounts of many stores carried forward: each by its best method, with intervals from past errors.

A store's amount is forecast as its bills times its average bill of the last 13 weeks. Rows in, rows out; the methods
are those of ``forecasting``, the intervals those of ``forecast_intervals``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from capflow_assets.expressions.days import local_day_of
from capflow_assets.learning.forecast_intervals import LEVELS, Errors, Widths, widths
from capflow_assets.learning.forecasting import WEEK, PastErrors, best_method, forecast, naive_error, stretches

LEVEL_DAYS = 13 * WEEK
YEAR_DAYS = 52 * WEEK
# Below it smoothing has nothing to smooth: most days are empty.
LEAST_BILLS_A_DAY = 1.0
# A day counts as over in its last hour. A day that is not would pull every method down, a day left out costs nothing.
LAST_HOUR = 23
UNTRIED = "weekday_mean"


@dataclass(frozen=True, slots=True)
class History:
    """One store's ``bills`` and ``amount`` of consecutive days, the last of which is ``last``; today is ``today``."""

    bills: np.ndarray
    amount: np.ndarray
    last: date
    today: date

    @property
    def level(self) -> float:
        """Bills of a day on average, over the last 13 weeks."""
        return float(self.bills[-LEVEL_DAYS:].mean())

    def until(self, days: int) -> History:
        """The history of the first so many days."""
        end = self.last - timedelta(days=len(self.bills) - days)
        return History(self.bills[:days], self.amount[:days], end, end)


@dataclass(frozen=True, slots=True)
class StoreMethods:
    """The method of each store, and how wide the intervals of bills and of amounts are."""

    methods: dict[str, str]
    bills: Widths
    amount: Widths

    def summary(self) -> dict[str, float | int]:
        """How many stores go by each method, and the dispersion over all of them."""
        counts = {
            f"stores_by_{name}": list(self.methods.values()).count(name) for name in sorted({*self.methods.values()})
        }
        return {**counts, "bills_dispersion": self.bills.pooled, "amount_dispersion": self.amount.pooled}


def histories(rows: pd.DataFrame, moment: datetime, zone: str) -> dict[str, History]:
    """The history of each store from rows of ``store_id``, ``day``, ``bills``, ``amount``, in any order.

    Days without a row count 0. All end on the same day: the last that any has, or the one before where that is the
    moment's own and not over. A store that opened on that day keeps it.
    """
    today = local_day_of(moment, zone)
    if rows.empty:
        return {}
    days = (pd.to_datetime(rows["day"]) - pd.Timestamp(date(1970, 1, 1))).dt.days.to_numpy()
    number = (today - date(1970, 1, 1)).days
    is_over = moment.astimezone(ZoneInfo(zone)).hour >= LAST_HOUR
    last = int(days[days < number + is_over].max(initial=days.min()))
    bills, amount = (rows[name].to_numpy(dtype=float) for name in ("bills", "amount"))
    places = rows.groupby("store_id", sort=True).indices
    return {str(store): _history(days[at], bills[at], amount[at], last, today) for store, at in places.items()}


def _history(days: np.ndarray, bills: np.ndarray, amount: np.ndarray, last: int, today: date) -> History:
    first, end = int(days.min()), max(last, int(days.min()))
    series = np.zeros((2, end - first + 1))
    is_used = days <= end
    series[:, days[is_used] - first] = bills[is_used], amount[is_used]
    return History(series[0], series[1], date(1970, 1, 1) + timedelta(days=end), today)


def choose_methods(
    stores: Mapping[str, History], days: int, count: int, methods: Sequence[str], most_compared: int
) -> StoreMethods:
    """The best method of each store on up to ``count`` past stretches of ``days``, and the intervals by its errors.

    Methods are compared for those of the ``most_compared`` stores with most bills that have a bill a day or more. All
    others go by the means of their weekdays, or by the only method: of a store that is empty on most days, the least
    absolute error is that of no bills at all, which would not add up.
    """
    largest = sorted(stores, key=lambda store: (-stores[store].level, store))[:most_compared]
    busy = {store for store in largest if stores[store].level >= LEAST_BILLS_A_DAY}
    untried = UNTRIED if UNTRIED in methods else methods[0]
    tried = {
        store: best_method(history.bills, days, count, methods if store in busy else (untried,))
        for store, history in stores.items()
    }
    errors = {store: _errors(stores[store], past) for store, past in tried.items() if past is not None}
    return StoreMethods(
        {store: untried if past is None else past.method for store, past in tried.items()},
        widths({store: bills for store, (bills, _) in errors.items()}),
        widths({store: amount for store, (_, amount) in errors.items()}),
    )


def _errors(history: History, past: PastErrors) -> tuple[Errors, Errors]:
    """The errors of a store's past forecasts of bills, and of amounts in average bills as they were known then."""
    count, days = past.forecasts.shape
    starts = stretches(len(history.bills), days, count)
    amounts = np.stack([history.amount[start : start + days] / average_bill(history.until(start)) for start in starts])
    forecasts = past.forecasts.ravel()
    return Errors(forecasts, past.actual.ravel(), history.level), Errors(forecasts, amounts.ravel(), history.level)


def average_bill(history: History) -> float:
    """The amount of a bill on average over the last 13 weeks, else over the whole history, else 1."""
    for days in (LEVEL_DAYS, len(history.bills)):
        bills, amount = history.bills[-days:].sum(), history.amount[-days:].sum()
        if bills > 0 and amount > 0:
            return float(amount / bills)
    return 1.0


def forecast_stores(
    stores: Mapping[str, History], asked: pd.Index, chosen: StoreMethods, days: int, columns: Sequence[str]
) -> pd.DataFrame:
    """The days after the moment's own of each store that is asked for and has a history, indexed by ``store_id``."""
    frames = [_forecast(store, stores[store], chosen, days) for store in asked if store in stores]
    frame = pd.concat(frames) if frames else pd.DataFrame(columns=["store_id", *columns])
    return frame.set_index("store_id")[list(columns)]


def _forecast(store: str, history: History, chosen: StoreMethods, days: int) -> pd.DataFrame:
    """The days after the moment's own, one row each: mean, intervals, method, and the history's own error and mean.

    A store of which nothing was known when the methods were chosen goes by the means of its weekdays, or by the
    method of all others where they have but one.
    """
    known = sorted({*chosen.methods.values()})
    method = chosen.methods.get(store, known[0] if len(known) == 1 else UNTRIED)
    ahead = (history.today - history.last).days
    bills = forecast(method, history.bills, ahead + days)[ahead:]
    level, value = history.level, average_bill(history)
    columns: dict[str, object] = {
        "day": [history.today + timedelta(days=number + 1) for number in range(days)],
        "bills": bills,
        "amount": bills * value,
    }
    for name, wide, unit in (("bills", chosen.bills, 1.0), ("amount", chosen.amount, value)):
        ends = wide.ends(store, bills, level) * unit
        columns |= {f"{name}_low_{LEVELS[0]}": ends[1], f"{name}_high_{LEVELS[0]}": ends[2]}
        columns |= {f"{name}_low_{LEVELS[1]}": ends[0], f"{name}_high_{LEVELS[1]}": ends[3]}
    year = {"bills": history.bills[-YEAR_DAYS:], "amount": history.amount[-YEAR_DAYS:]}
    columns |= {f"{name}_naive_error": naive_error(values) for name, values in year.items()}
    columns |= {"bills_day_avg": float(year["bills"].mean()), "method": method}
    return pd.DataFrame(columns).assign(store_id=store)
