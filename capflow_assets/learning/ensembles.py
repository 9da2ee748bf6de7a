"""Several estimators that answer as one, where that is surely better than the best of them alone.

Scores are averaged, or stacked: weighted by what each would have contributed on folds in time that it was not fitted on
(Wolpert 1992). Lists are fused by rank. What is chosen is judged on the newest fold, by weights that the older ones
gave; only if the whole interval of its gain over the best single estimator lies above zero is it worth its cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from capflow_assets.contract import Estimator, Examples, Horizon, Metric, ReadsColumns, Recalibrates, Refits
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.combining import Kind, combined, stacking_weights
from capflow_assets.learning.example_weights import example_weights
from capflow_assets.learning.folds import Fold
from capflow_assets.learning.intervals import Interval, difference_with_interval
from capflow_assets.learning.permutation import figures_of

if TYPE_CHECKING:
    import pandas as pd


class Ensemble:
    """Several estimators by name, and how their answers are combined; itself an estimator.

    Its reasons are those of the part that weighs most. Parts of weight 0 are not kept.
    """

    saved_types: ClassVar[tuple[str, ...]] = ("capflow_assets.learning.ensembles.Ensemble",)

    def __init__(
        self,
        params: Horizon,
        parts: Mapping[str, Estimator],
        kind: Kind,
        weights: Sequence[float] = (),
        per: tuple[str, ...] = (),
    ) -> None:
        shares = list(weights) or [1 / len(parts)] * len(parts)
        # The heaviest first: it gives the texts.
        order = [place for place in np.argsort(-np.asarray(shares), kind="stable") if shares[place] > 0]
        names = list(parts)
        self.params, self.kind, self.per = params, kind, per
        self.parts = {names[place]: parts[names[place]] for place in order}
        self.weights = [float(shares[place]) for place in order]
        self.seen: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that its parts read; all that it was fitted with, where a part does not say."""
        read = [part.columns for part in self.parts.values() if isinstance(part, ReadsColumns)]
        if len(read) < len(self.parts):
            return self.seen
        return tuple(dict.fromkeys(name for names in read for name in names))

    def using(self, columns: tuple[str, ...]) -> Ensemble:
        """The same, not fitted, whose parts read these columns only, where they can do with some."""
        return self._of(
            {
                name: part.using(columns) if isinstance(part, ReadsColumns) else deepcopy(part)
                for name, part in self.parts.items()
            }
        )

    def fit(self, examples: Examples) -> Ensemble:
        """Fit each part; the weights stay."""
        self.parts = {name: part.fit(examples) for name, part in self.parts.items()}
        self.seen = _names(examples)
        return self

    def refit(self, examples: Examples) -> Ensemble:
        """Another, of which each part is fitted again on all of the examples, in its own way where it has one."""
        newer = self._of(
            {
                name: part.refit(examples) if isinstance(part, Refits) else deepcopy(part).fit(examples)
                for name, part in self.parts.items()
            }
        )
        newer.seen = _names(examples)
        return newer

    def recalibrated(self, examples: Examples) -> Ensemble:
        """Another whose parts have their chances fitted to the examples, those of them that answer with chances."""
        newer = self._of(
            {
                name: part.recalibrated(examples) if isinstance(part, Recalibrates) else part
                for name, part in self.parts.items()
            }
        )
        newer.seen = self.seen
        return newer

    def predict(self, examples: Examples) -> pd.DataFrame:
        """The combined answers, with the heaviest part's reasons."""
        first, *others = self.parts.values()
        # Of a list an item may be on another part's alone, and have its reason from there.
        answer = (lambda part: part.predict(examples)) if self.per else (lambda part: figures_of(part, examples))
        answers = [first.predict(examples), *map(answer, others)]
        return combined(self.kind, answers, self.weights, self.per)

    def figures(self, examples: Examples) -> pd.DataFrame:
        """The combined answers without reasons."""
        answers = [figures_of(part, examples) for part in self.parts.values()]
        fused = combined(self.kind, answers, self.weights, self.per)
        return fused.drop(columns=[name for name in ("reasons",) if name in fused.columns])

    def parameters(self) -> dict[str, Any]:
        """How answers are combined, the weights, and the parameters of each part."""
        return {
            "combined_by": self.kind,
            "weights": dict(zip(self.parts, self.weights, strict=True)),
            "parts": {name: part.parameters() for name, part in self.parts.items()},
        }

    def _of(self, parts: Mapping[str, Estimator]) -> Ensemble:
        return Ensemble(self.params, parts, self.kind, self.weights, self.per)


@dataclass(frozen=True, slots=True)
class FoldAnswers:
    """What came of the subjects of one fold, and what each candidate, fitted before, answered of them."""

    outcomes: pd.DataFrame
    answers: Mapping[str, pd.DataFrame]


@dataclass(frozen=True, slots=True)
class TriedEnsemble:
    """One way of combining, its weights by candidate, and its gain over the best single one on the newest fold."""

    kind: Kind
    weights: Mapping[str, float]
    gain: Interval

    @property
    def is_surely_better(self) -> bool:
        """Whether the whole interval of the gain lies above zero."""
        return self.gain.low > 0


@dataclass(frozen=True, slots=True)
class EnsembleChoice:
    """The best ``single`` candidate over all folds, the combinations ``tried``, and the chosen one, if any."""

    single: str
    tried: tuple[TriedEnsemble, ...]
    chosen: TriedEnsemble | None

    def rows(self) -> list[dict[str, Any]]:
        """What was tried as plain values, ready for JSON."""
        return [
            {
                "kind": tried.kind,
                "weights": dict(tried.weights),
                "gain": [float(end) for end in tried.gain],
                "against": self.single,
                "chosen": tried is self.chosen,
            }
            for tried in self.tried
        ]


def out_of_fold(makers: Mapping[str, Callable[[], Estimator]], folds: Sequence[Fold]) -> tuple[FoldAnswers, ...]:
    """What each candidate answers of each fold when it has learned from what is older.

    Candidates that cannot learn from some fold for want of evidence are left out of all of them.
    """
    answers: list[dict[str, pd.DataFrame]] = [{} for _ in folds]
    for name, make in makers.items():
        try:
            given = [figures_of(make().fit(fold.train), fold.validation) for fold in folds]
        except EvidenceError:
            continue
        for place, frame in enumerate(given):
            answers[place][name] = frame
    outcomes = [fold.validation.outcomes for fold in folds]
    return tuple(
        FoldAnswers(observed, given) for observed, given in zip(outcomes, answers, strict=True) if observed is not None
    )


def best_ensemble(
    folds: Sequence[FoldAnswers], metric: Metric, outcome: str = "", per: tuple[str, ...] = (), seed: int = 0
) -> EnsembleChoice:
    """Whether some combination of the candidates is surely better than the best of them.

    ``outcome`` is the column that stacked scores are to be near to; without one, or with one fold only, nothing is
    stacked. ``per`` makes the answers lists, which are fused. The chosen combination's weights are of all folds.

    Raises:
        EvidenceError: no candidate could be judged on any fold.
    """
    single = _best_single(folds, metric)
    names, newest = list(folds[-1].answers), folds[-1]
    if len(names) < 2:
        return EnsembleChoice(single, (), None)
    tried = []
    for kind, learn in _ways(outcome if len(folds) > 1 else "", per).items():
        answers = combined(kind, list(newest.answers.values()), learn(folds[:-1], names), per)
        try:
            gain = difference_with_interval(metric, newest.outcomes, answers, newest.answers[single], seed)
        except EvidenceError:
            continue
        tried.append(TriedEnsemble(kind, dict(zip(names, learn(folds, names), strict=True)), gain))
    sure = [one for one in tried if one.is_surely_better]
    return EnsembleChoice(single, tuple(tried), max(sure, key=lambda one: one.gain.value, default=None))


Learn = Callable[[Sequence[FoldAnswers], list[str]], tuple[float, ...]]


def _ways(outcome: str, per: tuple[str, ...]) -> dict[Kind, Learn]:
    """The ways to combine, and how each learns its weights."""

    def equal(_: Sequence[FoldAnswers], names: list[str]) -> tuple[float, ...]:
        return (1 / len(names),) * len(names)

    def stacked(folds: Sequence[FoldAnswers], names: list[str]) -> tuple[float, ...]:
        scores = [np.stack([fold.answers[name]["score"].to_numpy(dtype=float) for name in names], 1) for fold in folds]
        outcomes = [fold.outcomes[outcome].to_numpy(dtype=float) for fold in folds]
        mass = [weights for fold in folds if (weights := example_weights(fold.outcomes)) is not None]
        return stacking_weights(
            np.concatenate(outcomes), np.concatenate(scores), np.concatenate(mass) if mass else None
        )

    if per:
        return {"rank fusion": equal}
    return {"average": equal, "stack": stacked} if outcome else {"average": equal}


def _best_single(folds: Sequence[FoldAnswers], metric: Metric) -> str:
    sign = 1.0 if metric.higher_is_better else -1.0
    means: dict[str, float] = {}
    for name in folds[-1].answers if folds else ():
        values = []
        for fold in folds:
            try:
                values.append(sign * metric.compute(fold.outcomes, fold.answers[name]))
            except EvidenceError:
                continue
        if values:
            means[name] = float(np.mean(values))
    if not means:
        raise EvidenceError(
            "No candidate can be judged",
            expected="a fold on which the metric has a value",
            came=f"{len(folds)} folds",
            do="wait for more subjects with an outcome",
        )
    return max(means, key=lambda name: means[name])


def _names(examples: Examples) -> tuple[str, ...]:
    return tuple(name for name in examples.columns.columns if name != "moment")
