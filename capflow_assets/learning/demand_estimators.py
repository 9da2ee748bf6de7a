"""Forecasts of weekly demand (``learning.weekly_demand``): one set of trees for all series, smoothing, and naive.

The trees are global: they learn from past weeks of the largest series, and of the sums over stores and categories, what
the weeks ahead were in units of the series' smoothed level (P. Montero-Manso & R. Hyndman, Principles and Algorithms
for Forecasting Groups of Time Series, 2021). They see the calendar, the own past, the price against that of the
quarter, and how store and category go everywhere. What they say of the sums is reconciled with what they say of the
series (``learning.reconciliation``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from capflow_assets.learning.reconciliation import Hierarchy, together
from capflow_assets.learning.weekly_demand import LEVEL_WEEKS, YEAR_WEEKS, Demand, naive

if TYPE_CHECKING:
    import xgboost

LAGS = 8
# Past weeks from which trees learn, and rows of them: a bound on time and memory, however many series there are.
ORIGINS, YEARS = 40, 2
MOST_ROWS = 60_000
ALPHAS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8)
LARGEST_RATIO = 8.0
# Price and demand of now are those of the last four weeks.
NOW = 4
OWN = (*(f"week_{lag}_ago" for lag in range(1, LAGS + 1)), "month", "quarter", "year_ago", "empty_share", "log_level")
AROUND = ("price_ratio", "category_month", "store_month")
AHEAD = ("year_ago_next", "category_year_ago", "ahead", "season_sin", "season_cos")
NAMES = (*OWN, *AROUND, *AHEAD)


class Method(Protocol):
    """A way to forecast: fitted to a demand, it says the coming weeks of another as of a later week."""

    def forecast(self, demand: Demand, ahead: int) -> np.ndarray:
        """Pieces, (series, ahead)."""


class Naive:
    """The week before again, or the same week of the year before."""

    def __init__(self, lag: int) -> None:
        self.lag = lag

    def forecast(self, demand: Demand, ahead: int) -> np.ndarray:
        """As ``weekly_demand.naive``, by the week before where there is no year."""
        return naive(demand, self.lag if demand.weeks >= self.lag else 1, ahead)


class Smoothing:
    """Simple exponential smoothing, ETS(A, N, N): each series by the rate that erred least in its own history."""

    def forecast(self, demand: Demand, ahead: int) -> np.ndarray:
        """The last level of each series, for all weeks alike."""
        return np.repeat(smoothed(demand.pieces)[:, -1:], ahead, axis=1)


def smoothed(pieces: np.ndarray) -> np.ndarray:
    """The smoothed level after each week, (series, weeks), by the rate of ``ALPHAS`` that had erred least until then.

    It begins with the first week (R. Hyndman & G. Athanasopoulos, Forecasting: Principles and Practice, section 8.1).
    """
    best, least = pieces.astype(float), np.full(pieces.shape, np.inf)
    for alpha in ALPHAS:
        levels, errors = pieces.astype(float), np.zeros(pieces.shape)
        for week in range(1, pieces.shape[1]):
            step = pieces[:, week] - levels[:, week - 1]
            errors[:, week] = errors[:, week - 1] + step**2
            levels[:, week] = levels[:, week - 1] + alpha * step
        is_better = errors < least - 1e-9
        best, least = np.where(is_better, levels, best), np.where(is_better, errors, least)
    return best


class GlobalTrees:
    """Boosted trees over all series and their sums, reconciled."""

    def __init__(self, trees: xgboost.Booster) -> None:
        self.trees = trees

    @classmethod
    def fitted(cls, demand: Demand, ahead: int, settings: dict[str, Any], rounds: int) -> GlobalTrees:
        """Learn from the weeks ahead of up to ``ORIGINS`` past ones; of many series those with most pieces."""
        import xgboost

        past = _Past(demand)
        # Of a long history every second or fifth week, so that a whole year is seen.
        oldest = max(ahead, min(demand.weeks - LAGS, ahead + YEARS * YEAR_WEEKS))
        origins = np.unique(np.linspace(ahead, oldest, ORIGINS).round().astype(int)).tolist()
        most = max(1, MOST_ROWS // (len(origins) * ahead))
        largest = np.sort(np.argsort(-past.all.pieces.sum(axis=1), kind="stable")[:most])
        rows, ratios = [], []
        for back in origins:
            first = demand.weeks - back
            actual = past.all.pieces[largest, first : first + ahead]
            rows.append(past.features(back, ahead, largest))
            ratios.append((actual / past.scale(back)[largest, None]).clip(0, LARGEST_RATIO).ravel())
        settings = {**settings, "base_score": 1.0}
        columns = {"nthread": settings["nthread"], "feature_names": list(NAMES)}
        training = xgboost.DMatrix(np.concatenate(rows), label=np.concatenate(ratios), **columns)
        return cls(xgboost.train(settings, training, num_boost_round=rounds))

    def forecast(self, demand: Demand, ahead: int) -> np.ndarray:
        """The reconciled pieces of the series."""
        import xgboost

        past = _Past(demand)
        rows = past.features(0, ahead, np.arange(len(past.all)))
        ratio = self.trees.predict(xgboost.DMatrix(rows, feature_names=list(NAMES))).astype(float)
        pieces = ratio.reshape(-1, ahead).clip(min=0) * past.scale(0)[:, None]
        return past.hierarchy.reconciled(pieces[: len(demand)], pieces[len(demand) :])


class _Past:
    """The series and their sums, as they were at any past week."""

    def __init__(self, demand: Demand) -> None:
        self.hierarchy = Hierarchy.of(demand)
        self.all = together(demand, self.hierarchy)
        self.levels = smoothed(self.all.pieces)

    def scale(self, back: int) -> np.ndarray:
        """The unit of each series so many weeks ago: its smoothed level, at least a piece in a year."""
        return np.maximum(self.levels[:, self.all.weeks - 1 - back], 1 / YEAR_WEEKS)

    def features(self, back: int, ahead: int, chosen: np.ndarray) -> np.ndarray:
        """What trees read of some series so many weeks ago: a row per series and week ahead, columns ``NAMES``."""
        demand, scale = self.all.until(back), self.scale(back)
        store, category = (rows[chosen] for rows in self.hierarchy.store_and_category)
        pieces, own = demand.pieces[chosen], scale[chosen]
        month, quarter = (demand.pieces[:, -weeks:].mean(axis=1) for weeks in (NOW, LEVEL_WEEKS))
        year_ago = _span(demand.pieces, YEAR_WEEKS + LEVEL_WEEKS, YEAR_WEEKS)
        steady = (
            *(_week(pieces, -lag) / own for lag in range(1, LAGS + 1)),
            *(values[chosen] / own for values in (month, quarter, year_ago)),
            (pieces[:, -LEVEL_WEEKS:] == 0).mean(axis=1),
            np.log(own),
            _price_ratio(demand.price[chosen]),
            (month / scale)[category],
            (month / scale)[store],
        )
        parts = []
        for week in range(ahead):
            turn = 2 * np.pi * _day_of_year(demand.today, 7 * week + 3) / 365.25
            then = _around(demand.pieces, week - YEAR_WEEKS)
            everywhere = then / np.where(year_ago > 0, year_ago, np.nan)
            calendar = (then[chosen] / own, everywhere[category], week + 1.0, np.sin(turn), np.cos(turn))
            parts.append(np.column_stack([np.broadcast_to(part, len(chosen)) for part in (*steady, *calendar)]))
        return np.stack(parts, axis=1).reshape(-1, len(NAMES))


def _day_of_year(today: np.datetime64, ahead: int) -> int:
    day = today + np.timedelta64(ahead, "D")
    return int((day - day.astype("datetime64[Y]")).astype(int))


def _week(pieces: np.ndarray, place: int) -> np.ndarray:
    """The pieces of a week by its place from the end, NaN where the history is shorter."""
    return pieces[:, place] if -place <= pieces.shape[1] else np.full(len(pieces), np.nan)


def _span(pieces: np.ndarray, since: int, until: int) -> np.ndarray:
    """The mean week from so many weeks ago until so many, NaN where the history has none of them."""
    part = pieces[:, max(0, pieces.shape[1] - since) : max(0, pieces.shape[1] - until)]
    return part.mean(axis=1) if part.shape[1] else np.full(len(pieces), np.nan)


def _around(pieces: np.ndarray, place: int) -> np.ndarray:
    """The mean of a week by its place from the end and of those beside it, NaN where the history is shorter."""
    first, last = pieces.shape[1] + place - 1, min(pieces.shape[1] + place + 2, pieces.shape[1])
    return pieces[:, first:last].mean(axis=1) if 0 <= first < last else np.full(len(pieces), np.nan)


def _price_ratio(price: np.ndarray) -> np.ndarray:
    """The price of the last weeks over that of the quarter, NaN where nothing was sold in either."""
    quarter = _mean_known(price[:, -LEVEL_WEEKS:])
    return np.asarray(_mean_known(price[:, -NOW:]) / np.where(quarter > 0, quarter, np.nan))


def _mean_known(values: np.ndarray) -> np.ndarray:
    """The mean of each row's values that are not NaN; NaN where all are."""
    is_known = np.isfinite(values)
    count = is_known.sum(axis=1)
    return np.where(count > 0, np.where(is_known, values, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)
