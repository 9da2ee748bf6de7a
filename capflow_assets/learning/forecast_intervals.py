"""Intervals of forecast counts and amounts, as wide as the errors that the same forecasts made out of time.

Split conformal prediction with errors scaled by their law (Lei, G'Sell, Rinaldo, Tibshirani & Wasserman 2018, section
5.2). Of a series with forecast ``f`` of a day and ``m`` a day on average, the error's variance is taken as

    dispersion^2 (f + m) / 2,

that of a Poisson count where the dispersion is 1 (quasi-Poisson; McCullagh & Nelder 1989, section 6.2.3): busy days
err more, and a day for which nothing is forecast may err too. Each series has its own dispersion, shrunk to that of all
by ``PRIOR_BILLS``; the quantiles of the errors, so scaled, are those of all series together, each weighing as much as
its ``m``. So lower and upper ends need not be alike. Amounts are taken in average bills, which makes counts of them.
The errors are those on which the methods were chosen, which flatters the intervals a little.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

LEVELS = (80, 95)
# The ends of both intervals, from low to high.
TAILS = (0.025, 0.1, 0.9, 0.975)
NORMAL = (-1.959964, -1.281552, 1.281552, 1.959964)
PRIOR_BILLS = 10.0


@dataclass(frozen=True, slots=True)
class Errors:
    """Past forecasts of one series and what came, flat arrays of one length, with the series' average of a day."""

    forecast: np.ndarray
    actual: np.ndarray
    level: float


@dataclass(frozen=True, slots=True)
class Widths:
    """What intervals are made of: the dispersion of each series and of all, and the scaled errors' ``TAILS``."""

    dispersions: dict[str, float]
    pooled: float
    quantiles: np.ndarray

    def ends(self, series: str, forecast: np.ndarray, level: float) -> np.ndarray:
        """The ends of the intervals of each day, of shape (4, days) as ``TAILS``; none below 0."""
        spread = self.dispersions.get(series, self.pooled) * np.sqrt((forecast + level) / 2)
        return np.maximum(forecast + self.quantiles[:, None] * spread, 0.0)


def widths(errors: Mapping[str, Errors]) -> Widths:
    """The widths that past errors call for; without any, those of Poisson counts."""
    used = {name: one for name, one in errors.items() if one.level > 0 and len(one.forecast)}
    if not used:
        return Widths({}, 1.0, np.array(NORMAL))
    squares = {name: float(((one.actual - one.forecast) ** 2).sum()) for name, one in used.items()}
    variances = {name: float(_variance(one).sum()) for name, one in used.items()}
    pooled = sum(squares.values()) / sum(variances.values())
    dispersions = {
        name: float(np.sqrt((squares[name] + PRIOR_BILLS * pooled) / (variances[name] + PRIOR_BILLS))) for name in used
    }
    if pooled == 0:
        return Widths(dispersions, 0.0, np.array(NORMAL))
    scaled = [(one.actual - one.forecast) / (dispersions[name] * np.sqrt(_variance(one))) for name, one in used.items()]
    weights = [np.full(len(one.forecast), one.level) for one in used.values()]
    quantiles = weighted_quantiles(np.concatenate(scaled), np.concatenate(weights), TAILS)
    # An interval has the forecast in it, whichever way the past erred.
    return Widths(
        dispersions, float(np.sqrt(pooled)), np.array([*np.minimum(quantiles[:2], 0), *np.maximum(quantiles[2:], 0)])
    )


def weighted_quantiles(values: np.ndarray, weights: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    """For each share the least value that has at least this share of the weight at or below it.

    >>> weighted_quantiles(np.array([3.0, 1.0, 2.0]), np.array([2.0, 1.0, 1.0]), (0.25, 0.5, 0.75)).tolist()
    [1.0, 2.0, 3.0]
    """
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    places = np.searchsorted(reached, np.array(shares) - 1e-12)
    quantiles: np.ndarray = values[order][np.minimum(places, len(values) - 1)]
    return quantiles


def _variance(errors: Errors) -> np.ndarray:
    return (errors.forecast + errors.level) / 2
