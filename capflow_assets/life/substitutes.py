"""Who answers for a customer of which no model of its own is promoted: the vertical's pooled model, or the rule.

Where a customer has enough of a past the pooled model answers only if it beats the rule there, the whole interval of
the gain above zero. Where it has too little to train and to judge by, the pooled model answers unjudged, and says so;
where there is none, the rule does, if all that is missing is more users, outcomes or days, and if what came of the
customer's past can be told apart at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from capflow_assets.contract import Estimator, Examples, Horizon, Verdict
from capflow_assets.deployment import Deployment
from capflow_assets.errors import BrokenModelError, EvidenceError
from capflow_assets.learning.intervals import Interval, difference_with_interval, judged_units, score_with_interval
from capflow_assets.learning.promotion import Decision, is_evidence, under_mode
from capflow_assets.life.answers import answered
from capflow_assets.life.comparison import outcomes_of
from capflow_assets.life.examples import ExampleReader
from capflow_assets.life.feed_state import bills_delay
from capflow_assets.life.pooling import Pool, learned_from, pool_of
from capflow_assets.life.registration import Served, registered
from capflow_assets.life.report import MetricScore, RivalScore, TrainingReport, training_report
from capflow_assets.life.rungs import POOLED_CANDIDATE, report_of_rule, report_of_substitute
from capflow_assets.life.split import Split, past_examples
from capflow_assets.life.unjudged import unjudged_report

# Needs of more of the same: a customer with too few of them has the kind of data that the rule goes by.
OF_SIZE = frozenset({"users", "positives", "history_days", "labelled_moments"})


@dataclass(frozen=True, slots=True)
class _Pooled:
    """The vertical's model, and how it compares with the rule on the customer's newest horizon."""

    estimator: Estimator
    pool: Pool
    score: Interval
    against_rule: Interval
    judged: int

    def beats_rule(self, least: int) -> bool:
        """Whether it is surely better than the rule, on at least so many units."""
        return self.against_rule.low > 0 and is_evidence(self.against_rule, self.judged, least)


def let_substitute_answer(
    deployment: Deployment,
    reader: ExampleReader,
    params: Horizon,
    split: Split,
    population: Examples,
    report: TrainingReport,
) -> None:
    """Make the vertical's model the champion where it beats the rule, else the rule, fitted on all that is known."""
    model = reader.spec.model
    pooled = _pooled(deployment, reader, params, split)
    if pooled is not None and pooled.beats_rule(model.least_judged):
        _register_pooled(deployment, reader, population, report, pooled)
        return
    if not model.baseline.may_answer:
        return
    is_of_now = model.fitted == "now"
    rule = model.baseline.make(params).fit(population if is_of_now else split.known)
    moments = () if is_of_now else (*split.train_moments, split.test_moment)
    own = replace(report_of_rule(model, report, rule.parameters()), fitted_moments=moments)
    registered(deployment, reader, Served(rule, population, moments), own, {})


def _pooled(deployment: Deployment, reader: ExampleReader, params: Horizon, split: Split) -> _Pooled | None:
    """The vertical's model held against the rule; None where there is none."""
    model = reader.spec.model
    learned = _learned(deployment, reader, params)
    if learned is None:
        return None
    estimator, pool = learned
    outcomes = outcomes_of(split.test)
    answers = answered(reader, estimator, split.test, with_reasons=False)
    rule = answered(reader, model.baseline.make(params).fit(split.train), split.test, with_reasons=False)
    score = score_with_interval(model.metric, outcomes, answers, seed=params.seed)
    against_rule = difference_with_interval(model.metric, outcomes, answers, rule, seed=params.seed)
    return _Pooled(estimator, pool, score, against_rule, judged_units(model.metric, outcomes, answers).units)


def _learned(deployment: Deployment, reader: ExampleReader, params: Horizon) -> tuple[Estimator, Pool] | None:
    pool = pool_of(deployment, reader, params)
    if pool is None:
        return None
    try:
        estimator = learned_from(pool, reader.spec.model, params)
    except EvidenceError:
        return None
    return None if estimator is None else (estimator, pool)


def _register_pooled(
    deployment: Deployment, reader: ExampleReader, population: Examples, report: TrainingReport, pooled: _Pooled
) -> None:
    model, metric, baseline = reader.spec.model, report.metric, report.baseline
    assert baseline is not None  # noqa: S101  (the challenger was judged)
    reason = (
        f"Learned from {pooled.pool.words()}, which beats {model.baseline.name} here "
        f"({metric.name} {pooled.against_rule.value:+.4f}), until a model of the customer's own is promoted. "
        f"{report.decision.reason}"
    )
    own = replace(
        report_of_substitute(report, POOLED_CANDIDATE, pooled.estimator.parameters(), reason),
        metric=MetricScore(metric.name, metric.description, metric.higher_is_better, pooled.score),
        baseline=RivalScore(baseline.rival, baseline.score, pooled.against_rule),
        feature_columns=pooled.pool.columns,
    )
    registered(deployment, reader, Served(pooled.estimator, population, ()), own, {})


@dataclass(frozen=True, slots=True)
class _Unjudged:
    """Who is to answer without having been judged, and in words what it was learned from."""

    estimator: Estimator
    candidate: str
    words: str
    columns: tuple[str, ...]
    moments: tuple[datetime, ...] = ()


def unjudged_substitute(
    deployment: Deployment, reader: ExampleReader, params: Horizon, as_of: datetime, verdict: Verdict, code: str
) -> tuple[int, TrainingReport] | None:
    """Let the vertical's model answer for a customer with too little evidence, or the rule: its version and report.

    None where there is neither, nobody to answer for, or a champion that was learned or judged here.
    """
    name, customer, registry = reader.spec.name, reader.customer, deployment.registry
    if registry.frozen(customer.name, name) or not _is_vacant(deployment, reader):
        return None
    substitute = _unjudged_pooled(deployment, reader, params)
    if substitute is None and _is_small(verdict):
        substitute = _unjudged_rule(deployment, reader, params, as_of)
    if substitute is None:
        return None
    population = reader.state(as_of)
    if not len(population):
        return None
    missing = "; ".join(reason.fix for reason in verdict.missing)
    waits = f"not judged yet: {missing}"
    reason = f"{substitute.words}: it answers until the customer's own evidence is enough, {waits}"
    report = unjudged_report(
        reader,
        params,
        as_of,
        verdict,
        substitute.estimator,
        len(population),
        under_mode(Decision("promote", reason), customer.promotion_of(name)),
        code,
        waits=waits,
    )
    report = replace(
        report,
        candidate=substitute.candidate,
        feature_columns=substitute.columns,
        fitted_moments=substitute.moments,
    )
    served = Served(substitute.estimator, population, substitute.moments)
    return registered(deployment, reader, served, report, {}), report


def _is_small(verdict: Verdict) -> bool:
    """Whether all that is missing is more of what there is some of."""
    return all(reason.need in OF_SIZE and (reason.found or reason.need != "positives") for reason in verdict.missing)


def _unjudged_pooled(deployment: Deployment, reader: ExampleReader, params: Horizon) -> _Unjudged | None:
    learned = _learned(deployment, reader, params)
    if learned is None:
        return None
    estimator, pool = learned
    return _Unjudged(estimator, POOLED_CANDIDATE, f"Learned from {pool.words()}", pool.columns)


def _unjudged_rule(deployment: Deployment, reader: ExampleReader, params: Horizon, as_of: datetime) -> _Unjudged | None:
    """The rule, fitted on all outcomes that are known; None where they say nothing, or nothing is to be told apart."""
    model = reader.spec.model
    if not model.baseline.may_answer:
        return None
    try:
        if model.fitted == "now":
            known = reader.state(as_of)
        else:
            known = past_examples(reader, params, as_of, bills_delay(deployment, reader.customer, as_of))
            if model.objective == "chance" and _is_of_one_class(known, model.outcome.columns[0]):
                return None
        rule = model.baseline.make(params).fit(known)
    except EvidenceError:
        return None
    moments = () if model.fitted == "now" else known.moments
    words = f"{model.baseline.name[0].upper()}{model.baseline.name[1:]}, the rule"
    return _Unjudged(rule, model.baseline.name, words, model.columns, moments)


def _is_of_one_class(examples: Examples, outcome: str) -> bool:
    assert examples.outcomes is not None  # noqa: S101  (read with them)
    return (examples.outcomes[outcome] > 0).nunique() < 2


def _is_vacant(deployment: Deployment, reader: ExampleReader) -> bool:
    """Whether nobody answers, or the vertical's model or the rule does without having been judged."""
    name, customer, registry = reader.spec.name, reader.customer.name, deployment.registry
    registry.settle(customer, name)
    champion = registry.champion(customer, name)
    if champion is None:
        return True
    try:
        report = training_report(registry, customer, name, champion)
    except BrokenModelError:
        return False
    return report.candidate in (POOLED_CANDIDATE, reader.spec.model.baseline.name) and bool(report.not_judged)
