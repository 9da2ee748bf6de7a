"""Amounts that are mostly nothing and seldom large: how far forecasts are off, and what makes them right on average.

The deviance is that of the Tweedie distribution with the power 1.5, a number of visits with an amount each (Jørgensen
1987; Dunn & Smyth 2005, equation 4). It is least for the mean, as the squared error is, and is moved less by the few
largest amounts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from capflow_assets.learning.calibration_errors import BINS, Numbers

POWER = 1.5
# A forecast of nothing would be infinitely wrong of whoever spends; it counts as this share of the mean.
LEAST_SHARE = 1e-3
LEAST_PER_BAND = 50


def tweedie_deviance(actual: Numbers, forecast: Numbers, power: float = POWER) -> np.ndarray:
    """The unit deviance of each amount, at least 0: ``2 (y^(2-p)/((1-p)(2-p)) - y m^(1-p)/(1-p) + m^(2-p)/(2-p))``.

    ``forecast`` is above 0, and ``power`` between 1 and 2.

    >>> tweedie_deviance([0.0, 4.0, 4.0], [1.0, 4.0, 1.0]).tolist()
    [4.0, 0.0, 4.0]
    """
    y, m = np.maximum(np.asarray(actual, dtype=float), 0.0), np.asarray(forecast, dtype=float)
    one, two = 1 - power, 2 - power
    return np.asarray(2 * (y**two / (one * two) - y * m**one / one + m**two / two))


def deviance_saved(actual: Numbers, forecast: Numbers) -> np.ndarray:
    """Of each subject one minus its deviance over the mean one of saying everybody's mean; NaN where none differ.

    The mean of these is the share of the deviance that the forecasts explain: 1 is perfect, 0 no better than the mean.
    """
    y, m = np.maximum(np.asarray(actual, dtype=float), 0.0), np.asarray(forecast, dtype=float)
    mean = float(y.mean()) if y.size else 0.0
    if mean <= 0:
        return np.full(y.shape, np.nan)
    of_mean = float(tweedie_deviance(y, np.full(y.shape, mean)).mean())
    if of_mean <= 0:
        return np.full(y.shape, np.nan)
    return np.asarray(1 - tweedie_deviance(y, np.maximum(m, LEAST_SHARE * mean)) / of_mean)


def total_error_by_tenths(actual: Numbers, forecast: Numbers, bins: int = BINS) -> float:
    """How far forecast totals are off in tenths of the subjects by forecast, beyond chance, as a share of the total.

    The tenths' distances are summed, less what their subjects' own spread would make of them were all means right
    (``sqrt(2/pi)`` of a total's standard error each). Never below 0; infinite where only the actual total is 0.

    >>> total_error_by_tenths([1.0, 1.0, 3.0, 3.0], [2.0, 2.0, 4.0, 4.0], bins=2)
    0.5
    """
    y, m = np.asarray(actual, dtype=float), np.asarray(forecast, dtype=float)
    is_finite = np.isfinite(m)
    y, m = y[is_finite], m[is_finite]
    total = float(y.sum())
    if total <= 0:
        return 0.0 if not m.sum() else float("inf")
    parts = [part for part in np.array_split(np.argsort(m, kind="stable"), bins) if part.size]
    off = sum(abs(float(m[part].sum() - y[part].sum())) for part in parts)
    chance = sum(float(np.std(m[part] - y[part]) * part.size**0.5) for part in parts)
    return max(0.0, off - (2 / np.pi) ** 0.5 * chance) / total


@dataclass(frozen=True)
class AmountCalibrator:
    """Makes forecasts right on average: ``log m' = intercept + slope log m``, which keeps their order.

    What Platt's two numbers are to chances: the first mends the level, the second forecasts that differ too much or too
    little.
    """

    intercept: float
    slope: float

    def apply(self, forecast: Numbers) -> np.ndarray:
        """The calibrated forecasts; all are above 0."""
        return np.asarray(np.exp(self.intercept + self.slope * np.log(np.asarray(forecast, dtype=float))))


def fit_amount_calibrator(actual: Numbers, forecast: Numbers) -> AmountCalibrator:
    """The calibrator of least Tweedie deviance on examples that the forecasts were not learned from.

    Where nobody spent, forecasts stay as they are.
    """
    from scipy.optimize import minimize

    y, m = np.maximum(np.asarray(actual, dtype=float), 0.0), np.asarray(forecast, dtype=float)
    mean = float(y.mean()) if y.size else 0.0
    if mean <= 0:
        return AmountCalibrator(0.0, 1.0)
    y, x = y / mean, np.log(m)
    centre = float(x.mean())

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        root = np.exp((theta[0] + theta[1] * (x - centre)) / 2)
        slope = root - y / root
        return float(np.mean(2 * root + 2 * y / root)), np.array([np.mean(slope), np.mean(slope * (x - centre))])

    best = minimize(loss, np.array([0.0, 1.0]), jac=True, method="L-BFGS-B", bounds=[(-20, 20), (0.05, 5)])
    slope = float(best.x[1])
    return AmountCalibrator(float(best.x[0]) + float(np.log(mean)) - slope * centre, slope)


@dataclass(frozen=True)
class AmountBands:
    """Where four amounts of five lie, as multiples of the forecast, by how high it is.

    The tenth and the ninetieth percentile of actual over forecast, in groups of equally many examples by forecast
    (split conformal prediction within groups; Vovk, Gammerman & Shafer 2005, chapter 4). ``edges`` part the groups.
    """

    edges: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def of(self, forecast: Numbers) -> tuple[np.ndarray, np.ndarray]:
        """The ends of the 80 % interval of each forecast."""
        m = np.asarray(forecast, dtype=float)
        group = np.searchsorted(self.edges, m, side="right")
        return m * self.low[group], m * self.high[group]

    def describe(self) -> dict[str, Any]:
        """The multiples, for people."""
        return {"low": self.low.round(3).tolist(), "high": self.high.round(3).tolist()}


def fit_amount_bands(actual: Numbers, forecast: Numbers, bins: int = BINS) -> AmountBands:
    """The bands of examples that the forecasts were not learned from; at least fifty of them make a group."""
    y, m = np.asarray(actual, dtype=float), np.asarray(forecast, dtype=float)
    order = np.argsort(m, kind="stable")
    parts = np.array_split(order, max(1, min(bins, y.size // LEAST_PER_BAND)))
    ratios = [y[part] / m[part] for part in parts]
    low = np.array([float(np.quantile(ratio, 0.1, method="lower")) for ratio in ratios])
    high = np.array([float(np.quantile(ratio, 0.9, method="higher")) for ratio in ratios])
    return AmountBands(np.array([m[part[0]] for part in parts[1:]]), low, high)


def totals_in_words(actual: Numbers, predicted: Numbers, noun: str) -> str:
    """The totals that were expected and came, and by how much the first is off.

    >>> totals_in_words([1_700, 1_006], [1_000.4, 897.0], "purchases")
    'expected 1,897 purchases, 2,706 came, 30 % too low'
    >>> totals_in_words([0.0], [12.0], "of value")
    'expected 12 of value, 0 came'
    """
    total, forecast = float(np.nansum(np.asarray(actual, dtype=float))), float(np.nansum(np.asarray(predicted)))
    words = f"expected {forecast:,.0f} {noun}, {total:,.0f} came"
    if total <= 0:
        return words
    off = abs(forecast / total - 1)
    return f"{words}, {off:.0%} too {'low' if forecast < total else 'high'}".replace("%", " %")
