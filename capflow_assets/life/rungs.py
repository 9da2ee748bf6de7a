"""The ladder of who answers for a customer: a model of its own, and until one is promoted the rule.

The rule is the model's baseline, fitted on all that is known. It becomes the champion where there is none, is fitted
anew at each training that promotes nothing, and gives way to the first version that beats it. Which of the two answered
stands in every prediction.
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

OWN, RULE = "own", "rule"


def rung_of(model: Model[Any], report: Mapping[str, Any]) -> str:
    """Who answers where the version of this report does: a model of the customer's own, or the rule."""
    return RULE if report.get("candidate") == model.baseline.name else OWN


def needs_rule(deployment: Deployment, reader: ExampleReader) -> bool:
    """Whether the rule is to answer after a training that promoted nothing: nobody does, or the rule did before."""
    model, customer, name, registry = reader.spec.model, reader.customer.name, reader.spec.name, deployment.registry
    if not model.baseline.may_answer or registry.frozen(customer, name):
        return False
    champion = registry.champion(customer, name)
    if not champion:
        return reader.customer.promotion_of(name) != "dry run"
    try:
        return training_report(registry, customer, name, champion).candidate == model.baseline.name
    except BrokenModelError:
        return False


def report_of_rule(model: Model[Any], report: TrainingReport, parameters: Mapping[str, Any]) -> TrainingReport:
    """The report of the rule that answers in the place of the challenger of ``report``."""
    baseline, metric = report.baseline, report.metric
    assert baseline is not None  # noqa: S101  (the challenger was judged)
    name = model.baseline.name
    reason = f"{name[0].upper()}{name[1:]}: the rule answers until a model is promoted"
    return replace(
        report,
        candidate=name,
        parameters=parameters,
        metric=MetricScore(metric.name, metric.description, metric.higher_is_better, baseline.score),
        baseline=RivalScore(baseline.rival, baseline.score, Interval(0.0, 0.0, 0.0)),
        champion=None,
        calibration=None,
        judgements=(),
        choices=Choices(),
        slices=(),
        feature_columns=model.columns,
        decision=Decision("promote", f"{reason}. {report.decision.reason}"),
    )
