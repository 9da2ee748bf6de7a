"""A model that describes by a rule, answering before there is a past horizon to judge it by: the decision and report.

It needs no outcome to answer, so it is promoted where nobody answers, or another that was not judged either. In the
place of a champion that was judged only a person puts it.
"""

from __future__ import annotations

from datetime import datetime

from capflow_assets.contract import Estimator, Horizon, Verdict
from capflow_assets.deployment import Deployment
from capflow_assets.errors import BrokenModelError
from capflow_assets.learning.promotion import BASELINE, ENOUGH, Decision, Judgement
from capflow_assets.life.examples import ExampleReader
from capflow_assets.life.report import ExampleCounts, MetricScore, TrainingReport, training_report


def unjudged_decision(deployment: Deployment, reader: ExampleReader, verdict: Verdict) -> Decision:
    """Promote it; ask where the champion was judged or is frozen."""
    customer, name, registry = reader.customer.name, reader.spec.name, deployment.registry
    registry.settle(customer, name)
    champion, words = registry.champion(customer, name), verdict.not_judged
    if champion is None:
        return Decision("promote", f"Promoted as the first champion, {words}; a rule that describes needs no outcome.")
    if registry.frozen(customer, name):
        return Decision("ask", f"A person decides, since the champion is frozen; the version is {words}.")
    if _was_judged(deployment, reader, champion):
        return Decision("ask", f"A person decides: the champion was judged, and this version is {words}.")
    return Decision("promote", f"Promoted: cut anew on newer data, {words}.")


def unjudged_report(
    reader: ExampleReader,
    params: Horizon,
    as_of: datetime,
    verdict: Verdict,
    estimator: Estimator,
    users: int,
    decision: Decision,
    code_version: str,
    waits: str = "",
) -> TrainingReport:
    """What is told of the version: all but what outcomes would say, and that they do not yet (``waits`` says why)."""
    model, waits = reader.spec.model, waits or verdict.not_judged
    names = (BASELINE, ENOUGH, *(rule.name for rule in model.rules))
    return TrainingReport(
        customer=reader.customer.name,
        model=reader.spec.name,
        family=model.family,
        question=model.question,
        as_of=as_of,
        horizon_days=params.horizon_days,
        test_moment=None,
        train_moments=(),
        params=params.model_dump(),
        parameters=estimator.parameters(),
        metric=MetricScore(model.metric.name, model.metric.description, model.metric.higher_is_better, None),
        baseline=None,
        champion=None,
        calibration=None,
        coverage=None,
        feature_columns=model.columns,
        data_versions=reader.data_versions(),
        code_version=code_version,
        seed=params.seed,
        examples=ExampleCounts(users, 0),
        decision=decision,
        readiness=verdict.reasons,
        candidate=model.challengers[0].name,
        # Nothing was looked at: the checks warn, as they do of what is absent.
        judgements=tuple(Judgement(name, False, waits, "tell", found={"absent": True}) for name in names),
        not_judged=waits,
    )


def _was_judged(deployment: Deployment, reader: ExampleReader, champion: int) -> bool:
    """Whether a champion was judged; one whose report cannot be read counts as one that was not."""
    try:
        report = training_report(deployment.registry, reader.customer.name, reader.spec.name, champion)
    except BrokenModelError:
        return False
    return not report.not_judged
