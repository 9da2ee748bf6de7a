"""Restricted cubic splines: curves of a column that are straight lines beyond its outer knots.

F. E. Harrell, "Regression Modeling Strategies", 2nd edition (2015), section 2.4.5, equations 2.25 to 2.27.
"""

from __future__ import annotations

import numpy as np

# Harrell's table 2.3 for five knots.
KNOTS_AT = (0.05, 0.275, 0.5, 0.725, 0.95)


def squeezed(values: np.ndarray) -> np.ndarray:
    """``sign(x) log(1 + |x|)``: a day or a euro more counts the less, the more there are."""
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)))


def knots_of(values: np.ndarray) -> np.ndarray:
    """Where the curve of a column bends: quantiles of what is known, each once; none where nothing varies.

    >>> knots_of(np.array([0.0, 0.0, 0.0, 0.0, np.nan])).tolist()
    []
    """
    known = values[~np.isnan(values)]
    if not known.size or known.min() == known.max():
        return np.empty(0)
    knots = np.unique(np.quantile(known, KNOTS_AT))
    return knots if knots.size > 1 else np.array([known.min(), known.max()])


def basis(values: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """One row per value: the value itself, then one bend for each knot but the last two; then whether it is unknown.

    An unknown value has the middle knot's. Where there are fewer than two knots, only whether it is unknown.

    >>> basis(np.array([0.0, 2.0, np.nan]), np.array([0.0, 1.0, 2.0])).tolist()
    [[0.0, 0.0, 0.0], [2.0, 1.5, 0.0], [1.0, 0.25, 1.0]]
    """
    is_unknown = np.isnan(values)
    if knots.size < 2:
        return is_unknown.astype(float)[:, None]
    known = np.where(is_unknown, knots[knots.size // 2], values)
    *inner, before, last = knots
    cubes = [np.maximum(known - knot, 0.0) ** 3 for knot in knots]
    width = last - before
    bends = [
        (cubes[place] - cubes[-2] * (last - knot) / width + cubes[-1] * (before - knot) / width)
        / (last - knots[0]) ** 2
        for place, knot in enumerate(inner)
    ]
    return np.column_stack([known, *bends, is_unknown.astype(float)])
