"""How sure a score is: bootstrap intervals over users, and paired ones for two models on the same users.

Efron & Tibshirani (1993), chapters 13 (percentile interval) and 16 (paired comparison). A difference is always
oriented so that positive means the first model is better, whichever way the metric points.

Cost: a resample draws at most ``MOST_ROWS`` users, not all of them, and the spread is scaled by
``sqrt(drawn / all)``, since the spread of these metrics falls with the root of the sample (the m-out-of-n bootstrap;
Bickel, Götze & van Zwet 1997). A million users then cost as much as fifty thousand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from capflow_assets.contract import Metric
from capflow_assets.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MOST_ROWS = 50_000
CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A figure and the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


def score_with_interval(
    metric: Metric, labels: pd.DataFrame, predictions: pd.DataFrame, seed: int, replicates: int = 200
) -> Interval:
    """The metric on all rows, with its 95 % interval over users.

    Raises ``ModelError`` when the metric is undefined on the rows, or on most resamples of them.
    """
    forecast = _numbers(predictions)

    def statistic(rows: np.ndarray) -> float:
        return metric.compute(labels.iloc[rows], forecast.iloc[rows])

    return _bootstrap(metric.compute(labels, forecast), statistic, len(labels), seed, replicates)


def difference_with_interval(
    metric: Metric, labels: pd.DataFrame, a: pd.DataFrame, b: pd.DataFrame, seed: int, replicates: int = 200
) -> Interval:
    """How much better ``a`` is than ``b`` on the same rows, with its 95 % interval; positive means ``a`` is better.

    Both are scored on each resample, so the luck of the draw, which they share, cancels out. A row that either did
    not score is left out for both.

    Raises ``ModelError`` like ``score_with_interval``, and when the three frames differ in length.
    """
    if not len(labels) == len(a) == len(b):
        raise ModelError(
            "The two models were not scored on the same rows",
            expected=f"{len(labels)} predictions each",
            came=f"{len(a)} and {len(b)}",
        )
    import numpy as np

    sign = 1.0 if metric.higher_is_better else -1.0
    both = np.isfinite(a["score"].to_numpy(dtype=float)) & np.isfinite(b["score"].to_numpy(dtype=float))
    outcomes, first, second = labels[both], _numbers(a)[both], _numbers(b)[both]

    def statistic(rows: np.ndarray) -> float:
        actual = outcomes.iloc[rows]
        return sign * (metric.compute(actual, first.iloc[rows]) - metric.compute(actual, second.iloc[rows]))

    # Adding 0 turns a minus 0 into one that reads well.
    point = sign * (metric.compute(outcomes, first) - metric.compute(outcomes, second)) + 0.0
    return _bootstrap(point, statistic, len(outcomes), seed, replicates)


def _bootstrap(
    point: float, statistic: Callable[[np.ndarray], float], size: int, seed: int, replicates: int
) -> Interval:
    import numpy as np

    drawn = min(size, MOST_ROWS)
    random = np.random.default_rng(seed)
    values = []
    for _ in range(replicates):
        try:
            values.append(statistic(random.integers(0, size, drawn)))
        except ModelError:
            continue
    if len(values) * 2 < replicates:
        raise ModelError(
            "The score has no interval",
            expected="a metric that is defined on most resamples of the users",
            came=f"defined on {len(values)} of {replicates} resamples of {size} users",
            do="wait for more users with an outcome",
        )
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    shrink = (drawn / size) ** 0.5
    centre = point if drawn == size else float(np.mean(values))
    return Interval(float(point), float(point + shrink * (low - centre)), float(point + shrink * (high - centre)))


def _numbers(predictions: pd.DataFrame) -> pd.DataFrame:
    # Texts are the dear part of drawing rows, and no metric reads them.
    return predictions.select_dtypes(["number", "bool"])
