"""The ladder of who answers for a customer: a model of its own, until one is promoted the vertical's, or the rule.

The rule is the model's baseline, fitted on all that is known; what is pooled over the vertical is in ``life.pooling``.
Either becomes the champion where there is none, is fitted anew at each training that promotes nothing, and gives way to
the first version of the customer's own that is good enough. Who answered stands in every prediction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from capflow_assets.contract import Model
from capflow_assets.deployment import Deployment
from capflow_assets.errors import BrokenModelError
from capflow_assets.learning.intervals import Interval
from capflow_assets.learning.promotion import Decision
from capflow_assets.life.examples import ExampleReader
from capflow_assets.life.report import Choices, MetricScore, RivalScore, TrainingReport, training_report

OWN, POOLED, RULE = "own", "pooled", "rule"
POOLED_CANDIDATE = "pooled over the vertical"


def rung_of(model: Model[Any], report: Mapping[str, Any]) -> str:
    """Who answers where the version of this report does: the customer's own model, the vertical's, or the rule."""
    return {model.baseline.name: RULE, POOLED_CANDIDATE: POOLED}.get(report.get("candidate", ""), OWN)


def needs_substitute(deployment: Deployment, reader: ExampleReader) -> bool:
    """Whether the vertical's model or the rule is to answer after a training that promoted nothing: nobody does, or
    one of them did before.
    """
    model, customer, name, registry = reader.spec.model, reader.customer.name, reader.spec.name, deployment.registry
    if registry.frozen(customer, name):
        return False
    champion = registry.champion(customer, name)
    if not champion:
        return reader.customer.promotion_of(name) != "dry run"
    try:
        candidate = training_report(registry, customer, name, champion).candidate
    except BrokenModelError:
        return False
    return candidate in (model.baseline.name, POOLED_CANDIDATE)


def report_of_rule(model: Model[Any], report: TrainingReport, parameters: Mapping[str, Any]) -> TrainingReport:
    """The report of the rule that answers in the place of the challenger of ``report``."""
    baseline, metric = report.baseline, report.metric
    assert baseline is not None  # noqa: S101  (the challenger was judged)
    name = model.baseline.name
    reason = f"{name[0].upper()}{name[1:]}: the rule answers until a model is promoted. {report.decision.reason}"
    return replace(
        report_of_substitute(report, name, parameters, reason),
        metric=MetricScore(metric.name, metric.description, metric.higher_is_better, baseline.score),
        baseline=RivalScore(baseline.rival, baseline.score, Interval(0.0, 0.0, 0.0)),
        feature_columns=model.columns,
    )


def report_of_substitute(
    report: TrainingReport, candidate: str, parameters: Mapping[str, Any], reason: str
) -> TrainingReport:
    """The report of who answers in the place of the challenger of ``report``, but for the scores and the columns."""
    return replace(
        report,
        candidate=candidate,
        parameters=parameters,
        champion=None,
        calibration=None,
        judgements=(),
        choices=Choices(),
        slices=(),
        fitted_moments=(),
        decision=Decision("promote", reason),
    )
