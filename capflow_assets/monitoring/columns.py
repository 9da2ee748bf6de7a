"""One scoring column by column: measures of drift, fill, the level that a season is told by, and faults of fill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from capflow_assets.monitoring import skew
from capflow_assets.monitoring.drift import EPSILON, THRESHOLD, Placed, Reference, psi

if TYPE_CHECKING:
    import pandas as pd

# Points by which a column's fill falls that say its feed is broken, where the model reads it.
BROKEN_FILL_POINTS = 25.0
# Standard deviations within which two seasons are alike.
ALIKE = 0.25
MEASURES = ("psi", "is_over", "p_value", "js", "ks", "fill_then_pct", "fill_now_pct", "mean", "deviation", "importance")


def measured(
    then: Reference,
    frame: pd.DataFrame,
    threshold: float = THRESHOLD,
    importance: Mapping[str, float] | None = None,
    fill_before_pct: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Every column of a reference in a frame: one row each, the largest index first, those over before all others.

    ``column`` and ``MEASURES``: the population stability index and whether it is over (``monitoring.drift``), the
    p-value of the chi-squared test, corrected by Holm for the number of columns, the Jensen-Shannon divergence in bits
    of the values that there are, the Kolmogorov-Smirnov distance at the edges of the bins, the fill then and now in
    per cent, mean and standard deviation now, and the column's share in the model's weight (null where unknown, 0 of
    the score). ``fault`` says in words that the feed of the column is broken: its fill is far below that of the
    training and, all of a sudden, below ``fill_before_pct``, that of the last scoring that was sound.
    """
    import pandas as pd

    by_bins = Placed.of(then, frame)
    drift = psi(then, by_bins, threshold, EPSILON).rename(columns={"over": "is_over"}).set_index("column")
    differences = skew.compare(then, by_bins).set_index("column").loc[drift.index]
    drift[["js", "fill_then_pct", "fill_now_pct"]] = differences[["js", "fill_then_pct", "fill_now_pct"]]
    drift["ks"] = [_distance(by_bins, str(name)) for name in drift.index]
    # One column after the other, so that no second frame is held.
    levels = [_level(frame, str(name)) for name in drift.index]
    drift["mean"], drift["deviation"] = zip(*levels, strict=True)
    drift["importance"] = pd.Series(_importance(drift.index, importance), index=drift.index, dtype=float)
    is_read = drift["importance"].fillna(1.0) > 0
    before = pd.Series(dict(fill_before_pct or {}), dtype=float).reindex(drift.index)
    fell = (differences["fill_points"] < -BROKEN_FILL_POINTS) & (drift["fill_now_pct"] - before < -BROKEN_FILL_POINTS)
    is_broken = is_read & fell & (differences["fill_points"].abs() > differences["fill_noise"])
    drift["fault"] = [
        f"{name} is filled in {now:.0f} % of the rows, lately in {lately:.0f} %" if is_fault else ""
        for name, now, lately, is_fault in zip(drift.index, drift["fill_now_pct"], before, is_broken, strict=True)
    ]
    rows = drift.reset_index()[["column", *MEASURES, "fault"]]
    return rows.sort_values(["is_over", "psi", "column"], ascending=[False, False, True], ignore_index=True)


def moved_importance(rows: pd.DataFrame) -> float:
    """The share of the model's weight in the columns that are over; 1 where it is not known and any is.

    Where only the score is over, all of the model has moved.
    """
    over = rows[rows["is_over"].astype(bool)]
    if over.empty:
        return 0.0
    if over["importance"].isna().any() or (over["column"] == "score").any():
        return 1.0
    return float(over["importance"].sum())


def is_seasonal(rows: pd.DataFrame, year_before: pd.DataFrame) -> bool | None:
    """Whether all columns that are over had the same level at this season of a year before; None where none is known.

    Levels are the same where their means lie within a quarter of a standard deviation.
    """
    over = rows[rows["is_over"].astype(bool) & (rows["column"] != "score")].set_index("column")
    before = year_before.drop_duplicates("column", keep="last").set_index("column").reindex(over.index)
    if over.empty or before["mean"].isna().any():
        return None
    apart = (over["mean"] - before["mean"]).abs()
    return bool((apart <= ALIKE * over["deviation"].fillna(0.0)).all())


def importance_of(parameters: Mapping[str, Any]) -> dict[str, float] | None:
    """Each column's share in a model's weight, from its parameters: of one estimator, or of several by their weights.

    >>> one, two = {"gain_share": {"visits": 1.0}}, {"gain_share": {"visits": 0.5, "spend": 0.5}}
    >>> importance_of({"parts": {"one": one, "two": two}, "weights": {"one": 0.5, "two": 0.5}})
    {'visits': 0.75, 'spend': 0.25}
    """
    if isinstance(parameters.get("gain_share"), Mapping):
        return {str(name): float(share) for name, share in parameters["gain_share"].items()}
    shares: dict[str, float] = {}
    parts, weights = parameters.get("parts"), parameters.get("weights")
    if not isinstance(parts, Mapping) or not isinstance(weights, Mapping):
        return None  # of a model's own, which may be called so
    for name, part in parts.items():
        own = importance_of(part)
        if own is None:
            return None
        for column, share in own.items():
            shares[column] = shares.get(column, 0.0) + share * float(weights[name])
    return shares or None


def _level(frame: pd.DataFrame, name: str) -> tuple[float, float]:
    """Mean and standard deviation of a column; unknown where it did not come."""
    if name not in frame.columns:
        return float("nan"), float("nan")
    values = frame[name].astype(float)
    return float(values.mean()), float(values.std())


def _importance(columns: pd.Index, importance: Mapping[str, float] | None) -> list[float | None]:
    shares = importance or {}
    return [
        0.0 if name == "score" else (shares.get(str(name), 0.0) if sum(shares.values()) > 0 else None)
        for name in columns
    ]


def _distance(by_bins: Placed, name: str) -> float:
    """The largest distance of the two cumulative shares of the values that there are, at the edges of the bins."""
    import numpy as np

    before, _, now, _ = by_bins.columns[name]
    if not before.sum() or not now.sum():
        return 0.0
    return float(np.abs(np.cumsum(before / before.sum()) - np.cumsum(now / now.sum())).max())
