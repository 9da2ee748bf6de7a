"""Answers of demand forecasts: rows per series and week, with intervals as wide as past errors were. Arrays, frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from capflow_assets.errors import EvidenceError
from capflow_assets.learning.demand_estimators import Method
from capflow_assets.learning.forecast_intervals import Errors, Widths, widths
from capflow_assets.learning.weekly_demand import Demand, level, naive_error, week_ends

LEAST_WEEKS = 12
# Past stretches of the horizon's length whose errors make the intervals.
STRETCHES = 3
ENDS = {"low_80": 1, "high_80": 2, "low_95": 0, "high_95": 3}


def require_weeks(demand: Demand, ahead: int) -> None:
    """Raise ``EvidenceError`` where the history is shorter than three months and a horizon, or there is none."""
    if not len(demand) or demand.weeks < LEAST_WEEKS + ahead:
        raise EvidenceError(
            "There is no demand to forecast",
            expected=f"line items of {LEAST_WEEKS + ahead} weeks that name their store, of items with a category",
            came=f"{len(demand)} pairs of a store and a category over {demand.weeks} weeks",
            do="map raw/bills.store_id and raw/items.category, or wait",
        )


def past_widths(demand: Demand, ahead: int, learned: Callable[[Demand], Method]) -> Widths:
    """The widths that the errors of the last ``STRETCHES`` call for, of a method learned before all of them."""
    backs = [back for back in range(ahead, (STRETCHES + 1) * ahead, ahead) if demand.weeks - back >= LEAST_WEEKS]
    method = learned(demand.until(backs[-1]))
    forecasts = np.concatenate([method.forecast(demand.until(back), ahead) for back in backs], axis=1)
    actual = np.concatenate([demand.pieces[:, demand.weeks - back :][:, :ahead] for back in backs], axis=1)
    series = zip(demand.names, forecasts, actual, level(demand), strict=True)
    return widths({name: Errors(forecast, pieces, float(size)) for name, forecast, pieces, size in series})


def demand_rows(demand: Demand, index: pd.Index, pieces: np.ndarray, wide: Widths, size: str) -> pd.DataFrame:
    """One row per week ahead for those of the ``index`` that have a series, in its order.

    ``day`` (the week's last), ``pieces`` with the ends of its intervals, ``pieces_naive_error``, and the mean week
    under the name ``size``.
    """
    ahead = pieces.shape[1]
    known = pd.MultiIndex.from_arrays([demand.stores, demand.categories])
    place = known.get_indexer(index)
    asked = np.flatnonzero(place >= 0)
    series = place[asked]
    mean, names = level(demand), demand.names
    ends = [wide.ends(names[one], pieces[one], float(mean[one])) for one in series]
    tails = np.stack(ends, axis=1) if ends else np.empty((4, 0, ahead))
    columns: dict[str, Any] = {"day": week_ends(demand, ahead) * len(series), "pieces": pieces[series].ravel()}
    columns |= {f"pieces_{name}": tails[tail].ravel() for name, tail in ENDS.items()}
    for name, values in (("pieces_naive_error", naive_error(demand)), (size, mean)):
        columns[name] = np.repeat(values[series], ahead)
    return pd.DataFrame(columns, index=index.take(np.repeat(asked, ahead)))
