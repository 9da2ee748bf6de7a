"""The challenger beside its baseline and the champion, all judged on the newest horizon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import USER, Candidate, Estimator, Examples, Model, ReadsColumns, Subject
from capflow_assets.deployment import Deployment
from capflow_assets.errors import BrokenModelError, EvidenceError
from capflow_assets.expressions.days import days_after
from capflow_assets.life.answers import answered
from capflow_assets.life.examples import ExampleReader
from capflow_assets.life.report import TrainingReport, training_report
from capflow_assets.life.scoring_version import in_one_line
from capflow_assets.life.split import Split, apart, together
from capflow_assets.stores.saved_estimators import types_of

if TYPE_CHECKING:
    import pandas as pd

    from capflow_assets.learning.intervals import Interval, JudgedUnits
    from capflow_assets.learning.slices import Slice


@dataclass(frozen=True, slots=True)
class ChampionRival:
    """The champion's version, its estimator and what that answers for the test; else ``damage`` says what is wrong."""

    version: int
    estimator: Estimator | None
    answers: pd.DataFrame | None
    damage: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The challenger's answers for the test's subjects, and the scores of all rivals with their 95 % intervals.

    The differences are paired on the same subjects, above 0 where the challenger is better. ``champion`` and
    ``against_champion`` are None where there is no champion to compare with. ``rules`` are the figures of the model's
    rules, in their order, and ``said`` what they are of, in words, by name. ``judged`` are the units that the intervals
    rest on. ``slices`` hold the challenger against the baseline on new, light and heavy users, where the columns tell
    them apart.
    """

    answers: pd.DataFrame
    challenger: Interval
    baseline: Interval
    against_baseline: Interval
    champion: Interval | None
    against_champion: Interval | None
    rules: tuple[float, ...]
    said: Mapping[str, str]
    coverage: float
    judged: JudgedUnits
    slices: tuple[Slice, ...] = ()


def chosen_candidate(model: Model[Any], params: Any, split: Split) -> Candidate[Any]:
    """The candidate that becomes the challenger: the best on the newest moment that the model may learn from.

    It is chosen without a look at the horizon that it will be judged on. One that is fitted to the state of a moment is
    fitted to that of an earlier one.
    """
    candidates = model.challengers
    earlier = split.earlier
    *older, newest = apart(split.train) if earlier is None else (replace(earlier, outcomes=None), earlier)
    if len(candidates) == 1 or not older:
        return candidates[0]
    train = together(older)

    def score(candidate: Candidate[Any]) -> float:
        try:
            answers = candidate.make(params).fit(train).predict(newest)
            value = model.metric.compute(outcomes_of(newest), answers)
        except EvidenceError:  # too little was known so early
            return -inf
        return value if model.metric.higher_is_better else -value

    return max(candidates, key=score)


def champion_rival(deployment: Deployment, reader: ExampleReader, split: Split) -> ChampionRival | None:
    """The champion as a rival on the newest horizon; None where there is no champion."""
    customer, name, model = reader.customer.name, reader.spec.name, reader.spec.model
    deployment.registry.settle(customer, name)
    version = deployment.registry.champion(customer, name)
    if not version:
        return None
    try:
        served = deployment.registry.load(customer, name, version, types_of(model))
        report = training_report(deployment.registry, customer, name, version)
    except BrokenModelError as error:  # a broken champion is one more reason to train
        return ChampionRival(version, None, None, in_one_line(error))
    try:
        answers = answered(reader, served, split.test, with_reasons=False)
    except Exception as error:  # one of an older code may want other features than there are now
        damage = f"it can be loaded and cannot score: {type(error).__name__}: {error}"[:500]
        return ChampionRival(version, None, None, damage)
    rival = _at_test_moment(model, served, report, split)
    if rival is not served:
        answers = answered(reader, rival, split.test, with_reasons=False)
    return ChampionRival(version, rival, answers)


def _at_test_moment(model: Model[Any], served: Estimator, report: TrainingReport, split: Split) -> Estimator:
    """The champion as it would be, had it been trained at the test moment.

    One that has seen the state of the subjects after that moment, or what came of them, has seen what it would be
    judged on. Its recipe is fitted again to what the challenger was fitted to, so that both rivals know the same.
    """
    from pydantic import ValidationError

    from capflow_assets.learning.ensembles import Ensemble

    ends = [days_after(moment, report.horizon_days, split.test.zone) for moment in report.fitted_moments]
    seen = ends if model.fitted == "past" else [report.as_of]
    if all(moment <= split.test_moment for moment in seen):
        return served
    try:
        params = model.params(**report.params)
    except ValidationError:  # parameters of an older code; there is no recipe to fit again
        return served
    if isinstance(served, Ensemble):
        return served.using(report.feature_columns).fit(split.train)
    candidates = {candidate.name: candidate for candidate in model.candidates}
    estimator = candidates.get(report.candidate, model.challengers[0]).make(params)
    if isinstance(estimator, ReadsColumns) and set(report.feature_columns) <= set(estimator.columns):
        estimator = estimator.using(report.feature_columns)
    return estimator.fit(split.train)


def compare(
    reader: ExampleReader,
    challenger: Estimator,
    baseline: Estimator,
    champion: pd.DataFrame | None,
    split: Split,
    seed: int,
) -> Comparison:
    """Score all rivals on the test's subjects; ``champion`` are its answers, where there is one to compare with."""
    from capflow_assets.learning.intervals import difference_with_interval, judged_units, score_with_interval

    model, outcomes = reader.spec.model, outcomes_of(split.test)
    answers = answered(reader, challenger, split.test, with_reasons=False)

    def score(rival: pd.DataFrame) -> Interval:
        return score_with_interval(model.metric, outcomes, rival, seed=seed)

    def lead_over(rival: pd.DataFrame) -> Interval:
        return difference_with_interval(model.metric, outcomes, answers, rival, seed=seed)

    by_baseline = answered(reader, baseline, split.test, with_reasons=False)
    return Comparison(
        answers=answers,
        challenger=score(answers),
        baseline=score(by_baseline),
        against_baseline=lead_over(by_baseline),
        champion=None if champion is None else score(champion),
        against_champion=None if champion is None else lead_over(champion),
        rules=tuple(float(rule.measure(outcomes, answers)) for rule in model.rules),
        said={rule.name: rule.said(outcomes, answers) for rule in model.rules if rule.said is not None},
        coverage=_coverage(answers, split.test),
        judged=judged_units(model.metric, outcomes, answers),
        slices=_slices(model, outcomes, answers, by_baseline, split.test, seed),
    )


def _slices(
    model: Model[Any],
    outcomes: pd.DataFrame,
    answers: pd.DataFrame,
    baseline: pd.DataFrame,
    test: Examples,
    seed: int,
) -> tuple[Slice, ...]:
    from capflow_assets.learning.example_weights import example_weights
    from capflow_assets.learning.slices import sliced, user_slices

    if model.subject.key != USER.key:
        return ()
    masks = user_slices(test.columns, None if model.outcome.per else example_weights(outcomes))
    return tuple(sliced(model.metric, outcomes, answers, baseline, masks, seed))


def units_in_words(subject: Subject, columns: tuple[str, ...]) -> str:
    """What a model is judged on, in the plural: its subjects, or what its intervals draw instead.

    >>> from capflow_assets.contract import USER
    >>> units_in_words(USER, ("user_id",))
    'users'
    >>> units_in_words(Subject("store", ("store_id",)), ("store_id", "week"))
    'pairs of store and week'
    """
    if columns == subject.key:
        return subject.plural
    nouns = [name.removesuffix("_id") for name in columns]
    return f"{nouns[0]}s" if len(nouns) == 1 else f"{'pairs' if len(nouns) == 2 else 'sets'} of {' and '.join(nouns)}"


def outcomes_of(examples: Examples) -> pd.DataFrame:
    """What came of the examples, of those that were read with their outcomes."""
    assert examples.outcomes is not None  # noqa: S101  (read with them)
    return examples.outcomes


def _coverage(answers: pd.DataFrame, asked: Examples) -> float:
    """The share of the subjects who got an answer; a score must be finite."""
    import numpy as np

    from capflow_assets.learning.example_weights import example_weights

    if not len(asked):
        return float("nan")
    given = answers[np.isfinite(answers["score"].to_numpy(dtype=float))] if "score" in answers else answers
    is_answered = asked.columns.index.isin(given.index)
    return float(np.average(is_answered, weights=example_weights(asked.outcomes)))
