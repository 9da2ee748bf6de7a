"""How sure a score is: bootstrap intervals over subjects, and paired ones for two models on the same subjects.

Efron & Tibshirani (1993), chapters 13 (percentile interval) and 16 (paired comparison). A difference is always
oriented so that positive means the first model is better, whichever way the metric points.

A resample draws the metric's units: each subject by itself, or all rows of a user at once.

Cost: a resample draws at most ``MOST_ROWS`` of them, and the spread is scaled by ``sqrt(drawn / all)``, since the
spread of these metrics falls with the root of the sample (the m-out-of-n bootstrap; Bickel, Götze & van Zwet 1997). A
million users then cost as much as fifty thousand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from capflow_assets.contract import Metric
from capflow_assets.errors import EvidenceError, ModelError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MOST_ROWS = 50_000
CONFIDENCE = 0.95
# Narrower than this is no width, but an error of rounding.
NO_WIDTH = 1e-12


class Interval(NamedTuple):
    """A figure and the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"

    @property
    def has_width(self) -> bool:
        """Whether resamples differ; where they do not, all units are alike, and nothing says what chance would do."""
        return self.high - self.low > NO_WIDTH * max(1.0, abs(self.value))


class JudgedUnits(NamedTuple):
    """How many ``units`` a score rests on, and the columns that name one."""

    units: int
    columns: tuple[str, ...]


def judged_units(metric: Metric, outcomes: pd.DataFrame, answers: pd.DataFrame) -> JudgedUnits:
    """What a resample draws from: the units with an outcome and an answer that count in the metric.

    >>> import pandas as pd
    >>> from capflow_assets.learning.metrics import roc_auc
    >>> users = pd.Index(["a", "b", "c"], name="user_id")
    >>> answers = pd.DataFrame({"score": [0.1, 0.2, None]}, users)
    >>> judged_units(roc_auc("bought"), pd.DataFrame({"bought": [0, 1, 1]}, users), answers)
    JudgedUnits(units=2, columns=('user_id',))
    """
    import numpy as np

    if metric.by_subject is not None:
        values = metric.by_subject(outcomes, answers)
        weight = values["weight"] if "weight" in values.columns else values["value"] * 0.0 + 1.0
        counts = np.isfinite(values["value"].to_numpy(dtype=float)) & (weight.to_numpy(dtype=float) > 0)
    else:
        values, counts = outcomes, np.ones(len(outcomes), dtype=bool)
        if "score" in answers.columns and len(answers) == len(outcomes):
            counts = np.isfinite(answers["score"].to_numpy(dtype=float, na_value=np.nan))
    columns = tuple(metric.unit) or tuple(str(name) for name in values.index.names)
    index = values.index[counts]
    if metric.unit:
        index = index.droplevel([name for name in index.names if name not in metric.unit])
    return JudgedUnits(int(index.nunique()), columns)


def score_with_interval(
    metric: Metric, outcomes: pd.DataFrame, answers: pd.DataFrame, seed: int, replicates: int = 200
) -> Interval:
    """The metric on all rows, with its 95 % interval over the metric's units.

    Raises ``EvidenceError`` when the metric is undefined on the rows, or on most resamples of them.
    """
    if metric.by_subject is not None:
        return _mean_with_interval(_by_unit(metric, metric.by_subject(outcomes, answers)), 1.0, seed, replicates)
    figures = _numbers(answers)
    statistic = _statistic(metric, outcomes, figures)
    return _bootstrap(metric.compute(outcomes, figures), statistic, _units(metric, outcomes), seed, replicates)


def difference_with_interval(
    metric: Metric, outcomes: pd.DataFrame, a: pd.DataFrame, b: pd.DataFrame, seed: int, replicates: int = 200
) -> Interval:
    """How much better ``a`` is than ``b`` on the same subjects, with its 95 % interval; positive means ``a`` is better.

    Both are scored on each resample, so the luck of the draw, which they share, cancels out. A subject that either did
    not answer for is left out for both.

    Raises ``EvidenceError`` like ``score_with_interval``, and ``ModelError`` when the answers are of other rows.
    """
    import numpy as np

    sign = 1.0 if metric.higher_is_better else -1.0
    if metric.by_subject is not None:
        first, second = (metric.by_subject(outcomes, answers) for answers in (a, b))
        both = first.index.intersection(second.index)
        gain = first.loc[both].assign(value=first.loc[both, "value"] - second.loc[both, "value"])
        return _mean_with_interval(_by_unit(metric, gain), sign, seed, replicates)
    if not len(outcomes) == len(a) == len(b):
        raise ModelError(
            "The two models were not scored on the same rows",
            expected=f"{len(outcomes)} answers each",
            came=f"{len(a)} and {len(b)}",
        )
    is_scored = np.isfinite(a["score"].to_numpy(dtype=float)) & np.isfinite(b["score"].to_numpy(dtype=float))
    actual, ours, theirs = outcomes[is_scored], _numbers(a)[is_scored], _numbers(b)[is_scored]
    of_ours, of_theirs = (_statistic(metric, actual, figures) for figures in (ours, theirs))

    def statistic(rows: np.ndarray) -> float:
        return sign * (of_ours(rows) - of_theirs(rows))

    # Adding 0 turns a minus 0 into one that reads well.
    point = sign * (metric.compute(actual, ours) - metric.compute(actual, theirs)) + 0.0
    return _bootstrap(point, statistic, _units(metric, actual), seed, replicates)


def _statistic(metric: Metric, outcomes: pd.DataFrame, figures: pd.DataFrame) -> Callable[[np.ndarray], float]:
    """The metric of drawn rows, by their places."""
    import numpy as np

    size = len(outcomes)
    if metric.counted is None or size > MOST_ROWS:
        return lambda rows: metric.compute(outcomes.iloc[rows], figures.iloc[rows])
    of_counts = metric.counted(outcomes, figures)
    return lambda rows: of_counts(np.bincount(rows, minlength=size))


def _units(metric: Metric, outcomes: pd.DataFrame) -> int | list[np.ndarray]:
    """How many rows may be drawn by themselves; or the rows of each unit, where they are drawn together."""
    import numpy as np

    if not metric.unit or list(metric.unit) == list(outcomes.index.names):
        return len(outcomes)
    rows = np.arange(len(outcomes))
    return [rows[places] for places in outcomes.reset_index().groupby(list(metric.unit), sort=True).indices.values()]


def _by_unit(metric: Metric, values: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The weighted values and the weights, summed by unit."""
    import numpy as np

    weight = values["weight"] if "weight" in values.columns else values["value"] * 0.0 + 1.0
    sums = values.assign(weight=weight, weighted=values["value"] * weight)[["weighted", "weight"]]
    # Before the sums: a sum leaves a value that is unknown out and would keep its weight.
    sums = sums[np.isfinite(sums.to_numpy(dtype=float)).all(axis=1)]
    if metric.unit and list(metric.unit) != list(values.index.names):
        sums = sums.groupby(level=list(metric.unit), sort=True).sum()
    return sums["weighted"].to_numpy(dtype=float), sums["weight"].to_numpy(dtype=float)


def _mean_with_interval(sums: tuple[np.ndarray, np.ndarray], sign: float, seed: int, replicates: int) -> Interval:
    """The weighted mean with its interval, from one weighted value and one weight per unit."""
    import numpy as np

    weighted, weight = sums
    if weight.sum() <= 0:
        raise EvidenceError(
            "There is nothing to judge by",
            expected="subjects whose outcome is known",
            came=f"{weight.size}, none counts",
        )

    def statistic(rows: np.ndarray) -> float:
        total = weight[rows].sum()
        return sign * float(weighted[rows].sum() / total) if total > 0 else float(np.nan)

    return _bootstrap(sign * float(weighted.sum() / weight.sum()) + 0.0, statistic, weight.size, seed, replicates)


def _bootstrap(
    point: float,
    statistic: Callable[[np.ndarray], float],
    units: int | list[np.ndarray],
    seed: int,
    replicates: int,
) -> Interval:
    import numpy as np

    size = units if isinstance(units, int) else len(units)
    drawn = min(size, MOST_ROWS)
    random = np.random.default_rng(seed)
    values = []
    for _ in range(replicates):
        rows = random.integers(0, size, drawn)
        try:
            value = statistic(rows if isinstance(units, int) else np.concatenate([units[row] for row in rows]))
        except EvidenceError:
            continue
        values += [value] if np.isfinite(value) else []
    if len(values) * 2 < replicates:
        raise EvidenceError(
            "The score has no interval",
            expected="a metric that is defined on most resamples of the subjects",
            came=f"defined on {len(values)} of {replicates} resamples of {size} subjects",
            do="wait for more subjects with an outcome",
        )
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    shrink = (drawn / size) ** 0.5
    centre = point if drawn == size else float(np.mean(values))
    return Interval(float(point), float(point + shrink * (low - centre)), float(point + shrink * (high - centre)))


def _numbers(answers: pd.DataFrame) -> pd.DataFrame:
    # Texts are the dear part of drawing rows, and no metric reads them.
    return answers.select_dtypes(["number", "bool"])
