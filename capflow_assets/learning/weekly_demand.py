"""Pieces sold week by week, of each store and category.

Weeks are seven local days and count back from the moment's own (``features/demand_weeks``). Frames in, arrays out; no
customer, no engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from capflow_assets.expressions.days import local_day_of

WEEK_DAYS = 7
YEAR_WEEKS = 52
LEVEL_WEEKS = 13


@dataclass(frozen=True, slots=True)
class Demand:
    """``pieces`` sold (series, weeks), the oldest week first, and the ``price`` paid a piece (NaN: none was sold).

    ``stores`` and ``categories`` name the series, sorted by both. Weeks before the first with a purchase are left out.
    """

    stores: np.ndarray
    categories: np.ndarray
    pieces: np.ndarray
    price: np.ndarray
    today: np.datetime64

    def __len__(self) -> int:
        return len(self.stores)

    @property
    def weeks(self) -> int:
        """How many there are."""
        return int(self.pieces.shape[1])

    def until(self, weeks_ago: int) -> Demand:
        """The same as it was so many weeks ago."""
        weeks, day = self.weeks - weeks_ago, self.today - np.timedelta64(WEEK_DAYS * weeks_ago, "D")
        return Demand(self.stores, self.categories, self.pieces[:, :weeks], self.price[:, :weeks], day)

    @property
    def names(self) -> np.ndarray:
        """A text for each series, of its store and category, that no other has."""
        return np.array([str(pair) for pair in zip(self.stores, self.categories, strict=True)], dtype=object)


def demand_of(rows: pd.DataFrame, moment: datetime, zone: str) -> Demand:
    """The series in rows of ``features/demand_weeks``: ``store_id category week pieces price_avg``, in any order.

    A week without a row sold nothing. No series where there is no row.
    """
    store, stores = pd.factorize(rows["store_id"], sort=True)
    kind, kinds = pd.factorize(rows["category"], sort=True)
    pair, series = np.unique(store.astype("int64") * max(1, len(kinds)) + kind, return_inverse=True)
    back = rows["week"].to_numpy(dtype="int64")
    weeks = int(back.max(initial=-1)) + 1
    pieces, price = np.zeros((len(pair), weeks)), np.full((len(pair), weeks), np.nan)
    pieces[series, weeks - 1 - back] = rows["pieces"].to_numpy(dtype=float)
    price[series, weeks - 1 - back] = rows["price_avg"].to_numpy(dtype=float)
    first, second = np.divmod(pair, max(1, len(kinds)))
    names = np.asarray(stores, dtype=object)[first], np.asarray(kinds, dtype=object)[second]
    return Demand(*names, pieces, price, np.datetime64(local_day_of(moment, zone), "D"))


def level(demand: Demand) -> np.ndarray:
    """The mean week of each series over the last quarter, at least a piece in a year."""
    return np.maximum(demand.pieces[:, -LEVEL_WEEKS:].mean(axis=1), 1 / YEAR_WEEKS)


def naive_lag(demand: Demand, ahead: int) -> int:
    """The lag of the naive forecast: a year where the history has it and that was nearer lately, else a week.

    Nearer in the last ``ahead`` weeks, each forecast from before them.
    """
    if demand.weeks < YEAR_WEEKS + ahead:
        return 1
    before, observed = demand.until(ahead), demand.pieces[:, -ahead:]
    errors = {lag: float(np.abs(naive(before, lag, ahead) - observed).sum()) for lag in (1, YEAR_WEEKS)}
    return YEAR_WEEKS if errors[YEAR_WEEKS] < errors[1] else 1


def naive(demand: Demand, lag: int, ahead: int) -> np.ndarray:
    """The coming weeks as those of so many weeks before, (series, ahead); the last week again where the lag is 1."""
    weeks = [demand.pieces[:, -lag + (number % lag)] for number in range(ahead)]
    return np.stack(weeks, axis=1)


def naive_error(demand: Demand) -> np.ndarray:
    """The mean absolute change of each series from one week to the next, over a year; its level where none was."""
    change = np.abs(np.diff(demand.pieces[:, -YEAR_WEEKS - 1 :], axis=1))
    mean = change.mean(axis=1) if change.shape[1] else np.zeros(len(demand))
    return np.where(mean > 0, mean, level(demand))


def week_ends(demand: Demand, ahead: int) -> list[object]:
    """The last days of the coming weeks."""
    days = demand.today + WEEK_DAYS * np.arange(1, ahead + 1)
    return list(days.astype(object))
