"""Who answers for a customer of which no model of its own is promoted: the vertical's pooled model, or the rule.

Where a customer has enough of a past the pooled model answers only if it beats the rule there, the whole interval of
the gain above zero. Where it has too little to train and to judge by, the pooled model answers unjudged, and says so.
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
from capflow_assets.life.pooling import Pool, learned_from, pool_of
from capflow_assets.life.registration import Served, registered
from capflow_assets.life.report import MetricScore, RivalScore, TrainingReport, training_report
from capflow_assets.life.rungs import POOLED_CANDIDATE, report_of_rule, report_of_substitute
from capflow_assets.life.split import Split
from capflow_assets.life.unjudged import unjudged_report


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


def unjudged_substitute(
    deployment: Deployment, reader: ExampleReader, params: Horizon, as_of: datetime, verdict: Verdict, code: str
) -> tuple[int, TrainingReport] | None:
    """Let the vertical's model answer for a customer with too little evidence: its version and report.

    None where there is no such model, nobody to answer for, or a champion that was learned or judged here.
    """
    name, customer, registry = reader.spec.name, reader.customer, deployment.registry
    if registry.frozen(customer.name, name) or not _is_vacant(deployment, reader):
        return None
    learned = _learned(deployment, reader, params)
    if learned is None:
        return None
    estimator, pool = learned
    population = reader.state(as_of)
    if not len(population):
        return None
    missing = "; ".join(reason.fix for reason in verdict.missing)
    waits = f"not judged yet: {missing}"
    reason = f"Learned from {pool.words()}: it answers until the customer's own evidence is enough, {waits}"
    report = unjudged_report(
        reader,
        params,
        as_of,
        verdict,
        estimator,
        len(population),
        under_mode(Decision("promote", reason), customer.promotion_of(name)),
        code,
        waits=waits,
    )
    report = replace(report, candidate=POOLED_CANDIDATE, feature_columns=pool.columns)
    return registered(deployment, reader, Served(estimator, population, ()), report, {}), report


def _is_vacant(deployment: Deployment, reader: ExampleReader) -> bool:
    """Whether nobody answers, or the vertical's model does without having been judged."""
    name, customer, registry = reader.spec.name, reader.customer.name, deployment.registry
    registry.settle(customer, name)
    champion = registry.champion(customer, name)
    if champion is None:
        return True
    try:
        report = training_report(registry, customer, name, champion)
    except BrokenModelError:
        return False
    return report.candidate == POOLED_CANDIDATE and bool(report.not_judged)
