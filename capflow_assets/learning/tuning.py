"""The parameters of an estimator, searched for on folds in time within a budget.

The first trial is the parameters as they are, so that the search begins where it would end without a budget. Then come
the best of earlier studies, and then what a tree-structured Parzen estimator suggests (Bergstra et al. 2011; Optuna,
Akiba et al. 2019). A trial that is behind the median of the others after some of its folds is given up (Golovin et al.
2017, section 3.2). All are compared by their gain over the first trial, fold by fold: a gain means the same at a
customer's easy and hard moments, in last month's study, and at another customer.

The study lives in memory; ``Study.rows`` is all that is kept. The same seed and data give the same trials where trials
are what the budget ends with, rather than seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite, nan
from typing import TYPE_CHECKING, Any, TypeVar

from capflow_assets.contract import Estimator, Horizon, Metric, Search
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.folds import Fold
from capflow_assets.learning.permutation import figures_of
from capflow_assets.learning.studies import Number, Origin, State, Study, Trial, gains_of, lies_in, search_ranges

if TYPE_CHECKING:
    from optuna import Study as OptunaStudy
    from optuna import Trial as OptunaTrial
    from optuna.distributions import BaseDistribution

P = TypeVar("P", bound=Horizon)

# How many of an earlier study's best are tried again; the others only tell where to look.
TRIED_AGAIN = 3
# Trials before the suggestions are more than luck, and before a median means something.
LEAST_TRIALS = 5
ERROR_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class TuningBudget:
    """How many trials a study may make, the first one among them, and how many seconds it may take."""

    trials: int = 20
    seconds: float = 600.0


def tune(
    params: P,
    make: Callable[[P], Estimator],
    metric: Metric,
    folds: Sequence[Fold],
    *,
    budget: TuningBudget = TuningBudget(),
    earlier: Sequence[Mapping[str, Any]] = (),
    fixed: Collection[str] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Study[P]:
    """Search the parameters that have a range, but those that are ``fixed``: by default all that somebody has set.

    ``earlier`` are rows of earlier studies; of those the best that fit into today's ranges are tried again, and the
    others show where gains are likely. A trial that raises is noted as raised and the study goes on; so it does where
    all do. Where the budget is used up, the best complete trial counts; without one, or without a budget, the
    parameters stay as they are. Folds that the first trial cannot be judged on are left out.
    """
    kept = params.model_fields_set if fixed is None else fixed
    ranges = {name: of for name, of in search_ranges(type(params)).items() if name not in kept}
    search = _Search(params, make, metric, list(folds), ranges, clock, clock() + budget.seconds)
    if budget.trials < 1 or budget.seconds <= 0 or not folds or not ranges:
        return Study(params, ())
    search.first()
    if budget.trials > 1 and not search.is_over:
        search.go_on(budget.trials, earlier)
    return Study(search.best(), tuple(search.trials))


class _Search:
    """A study under way."""

    def __init__(
        self,
        params: Any,
        make: Callable[[Any], Estimator],
        metric: Metric,
        folds: list[Fold],
        ranges: Mapping[str, tuple[Search, type]],
        clock: Callable[[], float],
        until: float,
    ) -> None:
        self.params, self.make, self.metric, self.folds, self.ranges = params, make, metric, folds, ranges
        self.clock, self.until = clock, until
        self.trials: list[Trial] = []
        # What the first trial reached on each fold.
        self.standard: list[float] = [0.0] * len(folds)

    @property
    def is_over(self) -> bool:
        """Whether the seconds are used up."""
        return self.clock() >= self.until

    def first(self) -> None:
        """The parameters as they are, on every fold; what cannot be judged with them is no fold."""
        begun, error = self.clock(), ""
        values: list[float] = []
        for fold in self.folds:
            if values and self.is_over:
                break
            try:
                values.append(self._value(self.params, fold))
            except Exception as raised:  # whatever a fit raises is one fold's or one trial's
                error = _words(raised)
                values.append(nan)
        is_judged = [isfinite(value) for value in values]
        chosen = {name: getattr(self.params, name) for name in self.ranges}
        judged = tuple(value for value in values if isfinite(value))
        if judged:
            self.folds = [fold for fold, is_kept in zip(self.folds, is_judged, strict=False) if is_kept]
            self.standard = list(judged)
        state: State = "complete" if judged else "raised"
        gain = 0.0 if judged else None
        self.trials.append(Trial(0, "defaults", chosen, judged, gain, state, self.clock() - begun, error))

    def go_on(self, most: int, earlier: Sequence[Mapping[str, Any]]) -> None:
        """The other trials, the earlier best ones first."""
        import optuna

        ranges = self._distributions()
        with _quiet():
            study = optuna.create_study(
                direction="maximize",
                sampler=optuna.samplers.TPESampler(seed=self.params.seed, n_startup_trials=LEAST_TRIALS),
                pruner=optuna.pruners.MedianPruner(n_startup_trials=LEAST_TRIALS - 1),
            )
            waiting = self._begin(study, ranges, earlier)
            while len(self.trials) < most and not self.is_over:
                origin: Origin = "earlier" if len(self.trials) <= waiting else "search"
                self._try(study, study.ask(ranges), origin)

    def best(self) -> Any:
        """The parameters of the complete trial with the largest mean over the folds, of equal ones the first."""
        complete = [trial for trial in self.trials if trial.state == "complete" and trial.gain is not None]
        if not complete:
            return self.params
        return self._with(max(complete, key=lambda trial: trial.gain or 0.0).params)

    def _begin(
        self, study: OptunaStudy, ranges: Mapping[str, BaseDistribution], earlier: Sequence[Mapping[str, Any]]
    ) -> int:
        """Tell the study of the first trial and of earlier ones; how many of those wait to be tried again."""
        from optuna.trial import create_trial

        def tell(params: Mapping[str, Number], gain: float, by_fold: Sequence[float] = ()) -> None:
            study.add_trial(
                create_trial(
                    params=dict(params),
                    distributions=dict(ranges),
                    value=gain,
                    intermediate_values=dict(enumerate(by_fold)),
                )
            )

        (first,) = self.trials
        if first.state == "complete" and lies_in(self.ranges, first.params):
            tell(first.params, 0.0, [0.0] * len(self.folds))
        known = [(params, gain) for params, gain in gains_of(earlier, self.ranges) if params != first.params]
        known.sort(key=lambda pair: -pair[1])
        again = [params for place, (params, _) in enumerate(known) if params not in [p for p, _ in known[:place]]]
        for params in again[:TRIED_AGAIN]:
            study.enqueue_trial(params)
        if first.state == "complete":  # without a standard a gain is none
            for params, gain in known:
                if params not in again[:TRIED_AGAIN]:
                    tell(params, gain)
        return min(len(again), TRIED_AGAIN)

    def _try(self, study: OptunaStudy, asked: OptunaTrial, origin: Origin) -> None:
        """One trial, fold by fold, until it is complete or given up."""
        from optuna.trial import TrialState

        begun, error = self.clock(), ""
        values: list[float] = []
        state: State = "complete"
        try:
            params = self._with(asked.params)
            for place, fold in enumerate(self.folds):
                if values and self.is_over:
                    state = "unfinished"
                    break
                values.append(self._value(params, fold))
                asked.report(self._gain(values), place)
                if place + 1 < len(self.folds) and asked.should_prune():
                    state = "pruned"
                    break
        except Exception as raised:  # whatever a fit raises is one trial's
            state, error = "raised", _words(raised)
        gain = self._gain(values) if values else None
        if state == "complete":
            study.tell(asked, gain)
        else:
            study.tell(asked, state=TrialState.PRUNED if state == "pruned" else TrialState.FAIL)
        seconds = self.clock() - begun
        trial = Trial(len(self.trials), origin, asked.params, tuple(values), gain, state, seconds, error)
        self.trials.append(trial)

    def _value(self, params: Any, fold: Fold) -> float:
        answers = figures_of(self.make(params).fit(fold.train), fold.validation)
        assert fold.validation.outcomes is not None  # noqa: S101  (folds have outcomes)
        value = float(self.metric.compute(fold.validation.outcomes, answers))
        if not isfinite(value):
            raise EvidenceError(f"{self.metric.name} has no value on a fold", expected="a number", came=str(value))
        return value

    def _gain(self, values: Sequence[float]) -> float:
        sign = 1.0 if self.metric.higher_is_better else -1.0
        gains = [sign * (value - standard) for value, standard in zip(values, self.standard, strict=False)]
        return sum(gains) / len(gains)

    def _with(self, chosen: Mapping[str, Number]) -> Any:
        return type(self.params).model_validate({**self.params.model_dump(), **chosen})

    def _distributions(self) -> dict[str, BaseDistribution]:
        from optuna.distributions import FloatDistribution, IntDistribution

        return {
            name: IntDistribution(int(of.low), int(of.high), log=of.log)
            if kind is int
            else FloatDistribution(of.low, of.high, log=of.log)
            for name, (of, kind) in self.ranges.items()
        }


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna says nothing of its studies and trials meanwhile."""
    import optuna

    usual = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(usual)


def _words(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:ERROR_CHARACTERS]
