"""Which columns of a menu a model shall read: those that help it, time after time, and no more than it needs.

Constant and leaking columns go first; of columns that say the same one is kept (``learning.redundancy``). The others
are weighed by what is lost without them (``learning.permutation``), with one fit per fold in time: a column whose loss
is not surely above zero is unstable. Of the stable ones the fewest are chosen whose score is within one standard error
of that of all (the rule of Breiman et al. 1984, section 3.4.3): first by permuting all others together, which needs no
fit, then by a fit per fold that reads the chosen alone; where that loses more, twice as many are tried, and then all.

Cost: two fits per fold, rarely three, each of at most ``Budget.rows``; the rest is predictions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal

import numpy as np
import pandas as pd

from capflow_assets.contract import Estimator, Examples, Metric
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.example_weights import WEIGHT
from capflow_assets.learning.folds import Fold
from capflow_assets.learning.intervals import Interval
from capflow_assets.learning.leakage import leaking, leaks
from capflow_assets.learning.moments import some_rows
from capflow_assets.learning.permutation import Loss, Probe, losses, standard_error
from capflow_assets.learning.redundancy import constant_columns, stand_ins

Verdict = Literal["chosen", "leaking", "no number", "constant", "redundant", "unstable", "unneeded"]
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Budget:
    """What a selection may take: seconds, after which what is known so far decides, and rows of each fit and probe."""

    seconds: float = 60.0
    rows: int = 12_000
    probed_rows: int = 2_000


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a column, why, and what the metric loses without it, where that was measured."""

    column: str
    verdict: Verdict
    reason: str
    importance: Interval | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """The chosen columns, and the fate of all columns of the menu; both in the menu's order.

    ``with_all`` and ``with_chosen`` are the mean of the metric over the folds, more being better, where it is known.
    """

    columns: tuple[str, ...]
    fates: tuple[Fate, ...]
    with_all: float | None = None
    with_chosen: float | None = None

    def rows(self) -> list[dict[str, Any]]:
        """The fates as plain values, ready for JSON: ``column``, ``verdict``, ``reason``, ``importance``."""
        return [
            {
                "column": fate.column,
                "verdict": fate.verdict,
                "reason": fate.reason,
                "importance": _ends(fate.importance),
            }
            for fate in self.fates
        ]


@dataclass
class _Course:
    """A selection under way."""

    make: Callable[[tuple[str, ...]], Estimator]
    metric: Metric
    folds: Sequence[Fold]
    seed: int
    budget: Budget
    is_over: Callable[[], bool]
    fates: dict[str, Fate] = field(default_factory=dict)

    def probes(self, columns: Sequence[str]) -> list[Probe]:
        """One per fold: the estimator that reads the columns, fitted; none of folds that cannot be learned from."""
        probes = []
        for place, fold in enumerate(self.folds):
            if self.is_over():
                break
            try:
                estimator = self.make(tuple(columns)).fit(_sampled(fold.train, self.budget.rows, self.seed))
            except EvidenceError:
                continue
            rows, seed = self.budget.probed_rows, self.seed * 1000 + place
            probes.append(Probe.of(estimator, fold.validation, self.metric, rows, seed))
        return [probe for probe in probes if np.isfinite(probe.scores()).any()]


def select(
    examples: Examples,
    make: Callable[[tuple[str, ...]], Estimator],
    metric: Metric,
    folds: Sequence[Fold],
    menu: Sequence[str],
    outcome: str,
    *,
    treatment: str = "",
    leak_bounds: Mapping[str, float] | None = None,
    seed: int = 0,
    budget: Budget = Budget(),
    clock: Clock = time.monotonic,
) -> Selection:
    """Choose from the ``menu`` of joined columns.

    ``examples`` are those of the ``folds`` together, ``outcome`` the column of their outcomes that is above 0 where it
    came. ``make`` gives an estimator that reads some columns only. ``leak_bounds`` are those of ``leakage.judge``.
    The same seed and data choose the same, unless time runs out; then, or where no fold can be learned from, every
    column stays that nothing speaks against yet.

    Raises:
        EvidenceError: no column of the menu is left.
    """
    begun = clock()
    course = _Course(make, metric, folds, seed, budget, lambda: clock() - begun >= budget.seconds)
    distinct = _screened(course, examples, list(menu), outcome, treatment, dict(leak_bounds or {}))
    if not distinct:
        raise EvidenceError(
            "No column is left to learn from",
            expected="one that varies and does not leak",
            came="; ".join(f"{fate.column}: {fate.reason}" for fate in course.fates.values()) or "an empty menu",
        )
    return _weighed(course, distinct, list(menu))


def _screened(
    course: _Course, examples: Examples, menu: list[str], outcome: str, treatment: str, leak_bounds: dict[str, float]
) -> list[str]:
    """The columns that vary, do not leak and say something of their own; the fates of the others are noted."""
    sample = _sampled(examples, course.budget.rows, course.seed)
    observed = _came(sample, outcome)
    labels = _labels(examples, observed, treatment)
    for name in constant_columns(sample.columns[menu]):
        course.fates[name] = Fate(name, "constant", "it is the same for all")
    left = [name for name in menu if name not in course.fates]
    every = sample if labels is None else examples
    labelled = leaks(every.columns, pd.DataFrame({outcome: observed}) if labels is None else labels, left)
    for name, leak in leaking(labelled, **leak_bounds).items():
        course.fates[name] = Fate(name, "leaking", str(leak).removeprefix(f"{name} "))
    for name in left:
        if not pd.api.types.is_numeric_dtype(sample.columns[name]):
            course.fates.setdefault(name, Fate(name, "no number", f"it is of type {sample.columns[name].dtype}"))
    left = [name for name in menu if name not in course.fates]
    for name, other in stand_ins(sample.columns[left], observed).items():
        reason = f"it goes with {other.column} (rank correlation {other.correlation:.2f}), which tells more"
        course.fates[name] = Fate(name, "redundant", reason)
    return [name for name in menu if name not in course.fates]


def _weighed(course: _Course, distinct: list[str], menu: list[str]) -> Selection:
    """Weigh the columns on the folds and choose the fewest that lose nothing."""
    probes = course.probes(distinct)
    worth = losses(probes, distinct, course.seed, course.is_over) if probes else {}
    if len(worth) < len(distinct):
        why = "there was no time to weigh it" if course.is_over() else "no past moment can be learned from to weigh it"
        return _selection(course, distinct, menu, worth, dict.fromkeys(distinct, f"nothing speaks against it; {why}"))
    stable = [name for name in distinct if worth[name].is_stable]
    ranked = sorted(stable or distinct, key=lambda name: -worth[name].interval.value)
    full = [probe.scores() for probe in probes]
    chosen, score = _fewest(course, probes, full, ranked, distinct)
    for name in distinct:
        if name not in chosen:
            course.fates[name] = _spared(name, worth[name], course.metric.name, len(chosen))
    why = f"without it {course.metric.name} is worse by {{:.4f}}"
    reasons = {name: why.format(worth[name].interval.value) for name in chosen}
    if not stable or len(chosen) == len(distinct):
        reasons = {name: f"{reason}; with fewer columns it would be lost" for name, reason in reasons.items()}
    return _selection(course, list(chosen), menu, worth, reasons, _mean(full), score)


def _fewest(
    course: _Course, probes: list[Probe], full: list[np.ndarray], ranked: list[str], distinct: list[str]
) -> tuple[list[str], float]:
    """The fewest columns, the most important first, that lose no more than one standard error; and their score.

    The error is that of the loss, group by group: what is hard for few columns in a group is hard for all columns too.
    """
    best = _mean(full)

    def is_near(scores: Sequence[np.ndarray]) -> bool:
        losses = [whole - part for whole, part in zip(full, scores, strict=True)]
        # Around the fold's own mean: how the folds differ is common to all columns.
        error = standard_error([loss - np.nanmean(loss) for loss in losses])
        return best - _mean(scores) <= error

    def is_enough(size: int) -> bool:
        others = [name for name in distinct if name not in ranked[:size]]
        scores = [probe.without(others, course.seed) for probe in probes] if others else full
        return is_near(scores)

    size = next((size for size in _sizes(len(ranked)) if is_enough(size)), len(ranked))
    while not course.is_over():
        if size == len(distinct):
            return ranked[:size], best
        probed = course.probes(ranked[:size])
        scores = [probe.scores() for probe in probed]
        if len(probed) == len(full) and is_near(scores):
            return ranked[:size], _mean(scores)
        if size == len(ranked):
            break
        size = min(2 * size, len(ranked))
    return distinct, best


def _sizes(most: int) -> list[int]:
    """Numbers of columns to try: each of the small ones, then in steps of a third."""
    sizes = [1]
    while sizes[-1] < most:
        sizes.append(min(most, max(sizes[-1] + 1, sizes[-1] * 4 // 3)))
    return sizes


def _spared(name: str, loss: Loss, metric: str, chosen: int) -> Fate:
    interval = loss.interval
    if loss.is_stable:
        reason = f"the {chosen} chosen columns are as good without it, within one standard error"
        return Fate(name, "unneeded", reason, interval)
    if interval.low > 0:
        return Fate(name, "unstable", "it surely helps at one past moment only", interval)
    reason = f"what {metric} loses without it, {interval}, is not surely above 0"
    return Fate(name, "unstable", reason, interval)


def _selection(
    course: _Course,
    chosen: list[str],
    menu: list[str],
    worth: Mapping[str, Loss],
    reasons: Mapping[str, str],
    with_all: float | None = None,
    with_chosen: float | None = None,
) -> Selection:
    for name in chosen:
        importance = worth[name].interval if name in worth else None
        course.fates[name] = Fate(name, "chosen", reasons[name], importance)
    columns = tuple(name for name in menu if name in set(chosen))
    return Selection(columns, tuple(course.fates[name] for name in menu), with_all, with_chosen)


def _sampled(examples: Examples, rows: int, seed: int) -> Examples:
    if len(examples) <= rows:
        return examples
    is_drawn = np.zeros(len(examples), dtype=bool)
    is_drawn[np.random.default_rng(seed).choice(len(examples), rows, replace=False)] = True
    return some_rows(examples, is_drawn)


def _came(examples: Examples, outcome: str) -> np.ndarray:
    """The outcome of each example; where an example has several, whether there was any."""
    outcomes, columns = examples.outcomes, examples.columns
    if outcomes is None:
        raise EvidenceError("Columns cannot be chosen", expected="examples with outcomes", came="none")
    if outcomes.index.equals(columns.index):
        return outcomes[outcome].to_numpy(dtype=float, na_value=np.nan)
    of_moment = ["moment"] if "moment" in outcomes.columns else []
    keys, observed = (
        frame.set_index(of_moment, append=True).index if of_moment else frame.index
        for frame in (columns, outcomes[(outcomes[outcome] > 0).to_numpy()])
    )
    return keys.isin(observed).astype(float)


def _labels(examples: Examples, observed: np.ndarray, treatment: str) -> pd.DataFrame | None:
    """The outcomes that a leak would tell; None where examples have several outcomes each."""
    outcomes = examples.outcomes
    if outcomes is None or not outcomes.index.equals(examples.columns.index):
        return None
    return outcomes.drop(columns=[name for name in (treatment, "moment", WEIGHT) if name in outcomes.columns])


def _mean(by_group: Sequence[np.ndarray]) -> float:
    """The mean over folds of the means over their groups."""
    means = [float(np.nanmean(values)) for values in by_group if np.isfinite(values).any()]
    return float(np.mean(means)) if means else -inf


def _ends(interval: Interval | None) -> list[float] | None:
    return [float(end) for end in interval] if interval and np.isfinite(interval).all() else None
