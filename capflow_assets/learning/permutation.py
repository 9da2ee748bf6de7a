"""How much of a model's score hangs on a column: what is lost where its values are dealt out anew (Breiman 2001).

The estimator is fitted once per fold and never again: the columns are permuted in what it validates on. What it loses
without a column is measured on several groups of the subjects of each fold, so that a loss has an interval. It takes in
both how subjects differ and how the folds do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from capflow_assets.contract import Estimator, Examples, GivesFigures, Metric
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.intervals import CONFIDENCE, Interval
from capflow_assets.learning.moments import some_rows

# Enough for the spread of a mean, and few enough for each to have both kinds of outcomes.
GROUPS = 5


def figures_of(estimator: Estimator, examples: Examples) -> pd.DataFrame:
    """The answers to be judged by, without reasons where the estimator can leave them out."""
    return estimator.figures(examples) if isinstance(estimator, GivesFigures) else estimator.predict(examples)


@dataclass(frozen=True, slots=True)
class Probe:
    """A fitted estimator and the examples that it is probed on: of one moment, in groups by number."""

    estimator: Estimator
    examples: Examples
    groups: np.ndarray
    metric: Metric

    @classmethod
    def of(cls, estimator: Estimator, examples: Examples, metric: Metric, rows: int, seed: int) -> Probe:
        """A probe of at most ``rows`` of the examples; all subjects of one unit of the metric are of one group."""
        random = np.random.default_rng(seed)
        if len(examples) > rows:
            is_drawn = np.zeros(len(examples), dtype=bool)
            is_drawn[random.choice(len(examples), rows, replace=False)] = True
            examples = some_rows(examples, is_drawn)
        index = examples.columns.index
        names = [name for name in metric.unit if name in index.names]
        units = index.to_frame(index=False).groupby(names, sort=True).ngroup() if names else np.arange(len(index))
        deal = random.permutation(int(units.max()) + 1 if len(index) else 0) % GROUPS
        return cls(estimator, examples, deal[np.asarray(units)], metric)

    def scores(self, columns: pd.DataFrame | None = None) -> np.ndarray:
        """The metric in each group, more being better, NaN where it is undefined; with other ``columns`` if given."""
        asked = self.examples if columns is None else replace(self.examples, columns=columns)
        outcomes, answers = self.examples.outcomes, figures_of(self.estimator, asked)
        assert outcomes is not None  # noqa: S101  (folds have outcomes)
        of_outcomes, of_answers = self._groups_of(outcomes), self._groups_of(answers)
        sign = 1.0 if self.metric.higher_is_better else -1.0
        values = np.full(GROUPS, np.nan)
        for group in range(GROUPS):
            try:
                value = self.metric.compute(outcomes[of_outcomes == group], answers[of_answers == group])
            except EvidenceError:
                continue
            values[group] = sign * value
        return values

    def without(self, names: Sequence[str], seed: int) -> np.ndarray:
        """``scores`` where the named columns are those of other subjects, all of one subject's together."""
        order = np.random.default_rng(seed).permutation(len(self.examples))
        columns = self.examples.columns
        dealt = columns[list(names)].iloc[order].set_axis(columns.index)
        return self.scores(columns.assign(**{name: dealt[name] for name in names}))

    def _groups_of(self, frame: pd.DataFrame) -> np.ndarray:
        index = self.examples.columns.index
        if frame.index.equals(index):
            return self.groups
        place = index.get_indexer(frame.index)
        return np.where(place >= 0, self.groups[place], -1)


@dataclass(frozen=True, slots=True)
class Loss:
    """What is lost without a column: the mean with its interval, and the mean of each fold, the oldest first.

    ``but_best`` is the mean with its 90 % interval, the fold left out that loses most.
    """

    interval: Interval
    by_fold: tuple[float, ...]
    but_best: Interval

    @property
    def is_stable(self) -> bool:
        """Whether something is surely lost, and not in one fold alone."""
        return self.interval.low > 0 and self.but_best.low > 0


def losses(
    probes: Sequence[Probe], names: Sequence[str], seed: int, is_over: Callable[[], bool] = lambda: False
) -> dict[str, Loss]:
    """What each column is worth to the probes' estimators; those not measured before time ``is_over`` are left out.

    Two runs of the same seed permute alike, whichever other columns are asked about.
    """
    full = [probe.scores() for probe in probes]
    measured: dict[str, Loss] = {}
    for name in names:
        if is_over():
            break
        measured[name] = loss_of([base - probe.without([name], seed) for base, probe in zip(full, probes, strict=True)])
    return measured


def loss_of(by_group: Sequence[np.ndarray]) -> Loss:
    """The loss from that in each group of each fold.

    >>> loss = loss_of([np.array([0.2, 0.3, 0.25]), np.array([0.1, 0.2, 0.15])])
    >>> print(loss.interval, np.round(loss.by_fold, 3).tolist(), loss.is_stable)
    0.2000 [0.1258, 0.2742] [0.25, 0.15] True
    """
    known = [values[np.isfinite(values)] for values in by_group]
    means = [float(values.mean()) if values.size else float("nan") for values in known]
    best = int(np.argmax(np.nan_to_num(means, nan=-np.inf)))
    others = [values for place, values in enumerate(known) if place != best] or known
    return Loss(_mean_with_interval(known, CONFIDENCE), tuple(means), _mean_with_interval(others, 0.9))


def _mean_with_interval(by_group: Sequence[np.ndarray], confidence: float) -> Interval:
    from scipy.stats import t

    values = np.concatenate(by_group)
    mean, error = float(values.mean()) if values.size else 0.0, standard_error(by_group)
    reach = float(t.ppf((1 + confidence) / 2, values.size - 1)) * error if values.size > 1 else np.inf
    return Interval(mean, mean - reach, mean + reach)


def standard_error(by_group: Sequence[np.ndarray]) -> float:
    """The standard error of a mean over the groups of all folds; not a number where there are fewer than two."""
    known = np.concatenate([values[np.isfinite(values)] for values in by_group])
    return float(known.std(ddof=1)) / known.size**0.5 if known.size > 1 else float("nan")
