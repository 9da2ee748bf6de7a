"""How far predictions are from what was observed: by bins of chances, by totals, by the order of groups."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from capflow_assets.learning.example_weights import mean_weights

BINS = 10

Numbers = npt.ArrayLike


def calibration_table(
    labels: Numbers, predictions: Numbers, bins: int = BINS, weights: np.ndarray | None = None
) -> pd.DataFrame:
    """Predicted against observed, in bins of as equal a number of users as can be.

    One row per bin, from low to high: ``predicted_mean``, ``observed_mean``, ``users``. Predictions that are not
    finite are left out. Rows count as many users as their ``weights`` say.

    >>> calibration_table([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], bins=2)
       predicted_mean  observed_mean  users
    0            0.15            0.0      2
    1            0.85            1.0      2
    """
    actual, forecast = np.asarray(labels, dtype=float), np.asarray(predictions, dtype=float)
    finite = np.isfinite(forecast)
    mass = np.ones(actual.size) if weights is None else weights
    actual, forecast, mass = actual[finite], forecast[finite], mass[finite]
    order = np.argsort(forecast, kind="stable")
    parts = [part for part in _split(order, mass, bins) if part.size]
    return pd.DataFrame(
        {
            "predicted_mean": [float(np.average(forecast[part], weights=mass[part])) for part in parts],
            "observed_mean": [float(np.average(actual[part], weights=mass[part])) for part in parts],
            "users": [round(mass[part].sum()) for part in parts],
        }
    )


def _split(order: np.ndarray, mass: np.ndarray, bins: int) -> list[np.ndarray]:
    """The rows in their order, in bins of as equal a mass as can be."""
    if not mass.size or mass.min() == mass.max():
        return np.array_split(order, bins)
    before = np.cumsum(mass[order]) - mass[order] / 2
    return np.split(order, np.searchsorted(before, mass.sum() * np.arange(1, bins) / bins))


def expected_calibration_error(
    labels: Numbers, predictions: Numbers, bins: int = BINS, weights: np.ndarray | None = None
) -> float:
    """The mean distance of predicted from observed over bins of equal mass; 0 is perfect.

    ``ECE = sum_b n_b / n * |observed_b - predicted_b|`` (Naeini, Cooper & Hauskrecht 2015), with bins that hold
    equally many users (Nixon et al. 2019), since scores of rare events crowd near 0. NaN where nothing was scored.
    """
    table = calibration_table(labels, predictions, bins, weights)
    if table.empty:
        return float("nan")
    distance = (table["observed_mean"] - table["predicted_mean"]).abs()
    return float((distance * table["users"]).sum() / table["users"].sum())


def calibration_error_by_chance(
    labels: Numbers, predictions: Numbers, bins: int = BINS, weights: np.ndarray | None = None
) -> float:
    """The expected calibration error that perfectly calibrated chances would show, by chance alone.

    In a bin of ``n`` users with the mean chance ``p`` the observed share has the standard error ``sqrt(p(1-p)/n)``, and
    a normal error's mean distance is ``sqrt(2/pi)`` of it. Few users in a bin: much of an error is chance. Where a row
    with the outcome stands for ``v`` users and one without for ``w``, its share strays as if there were
    ``n / ((1-p) v + p w)`` (the variance of its log-odds is that of both counts: ``1/rows with + 1/rows without``).

    >>> round(calibration_error_by_chance([0, 1] * 50, [0.5] * 100, bins=1), 4)
    0.0399
    """
    table = calibration_table(labels, predictions, bins, weights)
    if table.empty:
        return float("nan")
    chance = table["predicted_mean"].clip(0, 1)
    of_positives, of_negatives = mean_weights(weights, np.asarray(labels, dtype=float) > 0)
    users = table["users"] / ((1 - chance) * of_positives + chance * of_negatives)
    spread = np.sqrt(2 / np.pi * chance * (1 - chance) / users)
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
