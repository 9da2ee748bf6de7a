"""Making scores mean what they say, and measuring how far they are from it.

Isotonic calibration bends freely and needs many outcomes; Platt's needs two numbers. The rule of thumb that
separates them, about a thousand of the rarer outcome, is Niculescu-Mizil & Caruana (2005), figure 6.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from capflow_assets.errors import EvidenceError

LEAST_FOR_ISOTONIC = 1_000
BINS = 10

Numbers = npt.ArrayLike


@dataclass(frozen=True)
class Calibrator:
    """A growing map from scores in [0, 1] to probabilities; made by ``fit_calibrator``.

    ``kind`` is ``"isotonic"`` (straight lines between ``knots``) or ``"platt"`` (a logistic curve over the score's
    log-odds with ``slope`` and ``intercept``). ``rows`` and ``positives`` say what it was learned from.
    """

    kind: str
    rows: int
    positives: int
    slope: float = 1.0
    intercept: float = 0.0
    knots: tuple[np.ndarray, np.ndarray] = field(default_factory=lambda: (np.empty(0), np.empty(0)))

    def apply(self, scores: Numbers) -> np.ndarray:
        """The probability for each score."""
        values = np.asarray(scores, dtype=float)
        if self.kind == "isotonic":
            return np.asarray(np.interp(values, *self.knots))
        from scipy.special import expit

        return np.asarray(expit(self.slope * _log_odds(values) + self.intercept))

    def describe(self) -> dict[str, Any]:
        """The calibrator for people."""
        description: dict[str, Any] = {"kind": self.kind, "rows": self.rows, "positives": self.positives}
        return (
            description
            if self.kind == "isotonic"
            else {**description, "slope": self.slope, "intercept": self.intercept}
        )


def fit_calibrator(labels: Numbers, scores: Numbers, least_for_isotonic: int = LEAST_FOR_ISOTONIC) -> Calibrator:
    """Learn the calibrator from 0/1 outcomes and scores in [0, 1] that were not fitted on these rows.

    Isotonic where the rarer outcome came at least ``least_for_isotonic`` times, Platt otherwise.

    Raises ``EvidenceError`` when only one outcome occurs.
    """
    actual = np.asarray(labels, dtype=float) > 0
    values = np.asarray(scores, dtype=float)
    positives = int(actual.sum())
    if positives == 0 or positives == actual.size:
        raise EvidenceError(
            "The scores cannot be calibrated",
            expected="both outcomes among the calibration rows",
            came=f"{positives} positives of {actual.size}",
            do="wait for more history or choose another horizon",
        )
    if min(positives, actual.size - positives) >= least_for_isotonic:
        return Calibrator("isotonic", actual.size, positives, knots=_centred_isotonic(actual, values))
    slope, intercept = _platt(actual, values)
    return Calibrator("platt", actual.size, positives, slope, intercept)


def calibration_table(labels: Numbers, predictions: Numbers, bins: int = BINS) -> pd.DataFrame:
    """Predicted against observed, in bins of as equal a number of users as can be.

    One row per bin, from low to high: ``predicted_mean``, ``observed_mean``, ``users``. Predictions that are not
    finite are left out.

    >>> calibration_table([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], bins=2)
       predicted_mean  observed_mean  users
    0            0.15            0.0      2
    1            0.85            1.0      2
    """
    actual, forecast = np.asarray(labels, dtype=float), np.asarray(predictions, dtype=float)
    finite = np.isfinite(forecast)
    actual, forecast = actual[finite], forecast[finite]
    order = np.argsort(forecast, kind="stable")
    parts = [part for part in np.array_split(order, bins) if part.size]
    return pd.DataFrame(
        {
            "predicted_mean": [float(forecast[part].mean()) for part in parts],
            "observed_mean": [float(actual[part].mean()) for part in parts],
            "users": [int(part.size) for part in parts],
        }
    )


def expected_calibration_error(labels: Numbers, predictions: Numbers, bins: int = BINS) -> float:
    """The mean distance of predicted from observed over bins of equal mass; 0 is perfect.

    ``ECE = sum_b n_b / n * |observed_b - predicted_b|`` (Naeini, Cooper & Hauskrecht 2015), with bins that hold
    equally many users (Nixon et al. 2019), since scores of rare events crowd near 0. NaN where nothing was scored.
    """
    table = calibration_table(labels, predictions, bins)
    if table.empty:
        return float("nan")
    distance = (table["observed_mean"] - table["predicted_mean"]).abs()
    return float((distance * table["users"]).sum() / table["users"].sum())


def calibration_error_by_chance(labels: Numbers, predictions: Numbers, bins: int = BINS) -> float:
    """The expected calibration error that perfectly calibrated chances would show, by chance alone.

    In a bin of ``n`` users with the mean chance ``p`` the observed share has the standard error ``sqrt(p(1-p)/n)``, and
    a normal error's mean distance is ``sqrt(2/pi)`` of it. Few users in a bin: much of an error is chance.

    >>> round(calibration_error_by_chance([0, 1] * 50, [0.5] * 100, bins=1), 4)
    0.0399
    """
    table = calibration_table(labels, predictions, bins)
    if table.empty:
        return float("nan")
    chance = table["predicted_mean"].clip(0, 1)
    spread = np.sqrt(2 / np.pi * chance * (1 - chance) / table["users"])
    return float((spread * table["users"]).sum() / table["users"].sum())


def ratio_error(actual: Numbers, predicted: Numbers) -> float:
    """How far the predicted total is from the actual one, as a share of it: ``|predicted / actual - 1|``.

    0 where both are 0, infinite where only the actual one is.

    >>> round(ratio_error([1, 0, 3], [1.0, 1.0, 1.0]), 2)
    0.25
    """
    total, forecast = float(np.nansum(np.asarray(actual, dtype=float))), float(np.nansum(np.asarray(predicted)))
    if total == 0:
        return 0.0 if forecast == 0 else float("inf")
    return abs(forecast / total - 1)


def order_error(values: Numbers, weights: Numbers) -> float:
    """How much of a weighted total stands out of order, for groups that should grow from first to last; 0 is none.

    The least share that has to move between groups to make their means grow:
    ``sum w |v - iso(v)| / (2 sum w |v|)`` with ``iso`` the isotonic regression. A small inversion between nearly
    equal or tiny groups, which is noise, then counts for little.

    >>> order_error([1.0, 2.0, 5.0], [10, 10, 10])
    0.0
    >>> order_error([3.0, 1.0], [1, 1])
    0.25
    """
    from sklearn.isotonic import isotonic_regression

    means, mass = np.asarray(values, dtype=float), np.asarray(weights, dtype=float)
    total = float(np.sum(mass * np.abs(means)))
    if means.size < 2 or total == 0:
        return 0.0
    nearest = isotonic_regression(means, sample_weight=mass)
    return float(np.sum(mass * np.abs(means - nearest)) / (2 * total))


def _centred_isotonic(actual: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # A plain isotonic fit is a staircase: it ties users whom the model told apart. Straight lines between the middles
    # of its steps keep their order (centred isotonic regression, Oron & Flournoy 2017).
    from sklearn.isotonic import isotonic_regression

    unique, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    rate = np.bincount(place, weights=actual) / count
    fitted = isotonic_regression(rate, sample_weight=count.astype(float))
    step = np.concatenate([[0], np.cumsum(np.diff(fitted) > 0)])
    mass = np.bincount(step, weights=count)
    middle = np.bincount(step, weights=count * unique) / mass
    height = np.bincount(step, weights=count * fitted) / mass
    edge = 0.5 / actual.size
    height = np.clip(height, edge, 1 - edge)
    return np.concatenate([[0.0], middle, [1.0]]), np.concatenate([[edge / 2], height, [1 - edge / 2]])


def _platt(actual: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    from scipy.optimize import minimize
    from scipy.special import expit

    positives, negatives = int(actual.sum()), int((~actual).sum())
    # Platt (1999), section 2.2: targets a little inside 0 and 1, so that separable scores keep a finite slope.
    target = np.where(actual, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    odds = _log_odds(scores)

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        margin = theta[0] * odds + theta[1]
        residual = expit(margin) - target
        value = np.mean(np.logaddexp(0, margin) - target * margin)
        return float(value), np.array([np.mean(residual * odds), np.mean(residual)])

    # A falling calibrator would turn the model's order round, so the slope stays at 0 or above.
    best = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)])
    return float(best.x[0]), float(best.x[1])


def _log_odds(scores: np.ndarray) -> np.ndarray:
    inside = np.clip(scores, 1e-9, 1 - 1e-9)
    return np.asarray(np.log(inside) - np.log1p(-inside))
