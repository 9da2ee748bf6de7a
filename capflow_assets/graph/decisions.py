"""What a person decides about champions, kept where people look: in MLflow, and as the model's record in Dagster.

A training records its own decision. One by hand is recorded the same way, so that the asset, its check and
``status --details`` say what holds now rather than what the last training asked.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._core.events import AssetObservationData, DagsterEvent, DagsterEventType, StepMaterializationData

from capflow_assets.contract import Finding
from capflow_assets.deployment import Deployment
from capflow_assets.erasure.receipts import who
from capflow_assets.errors import BrokenModelError
from capflow_assets.graph.check_records import evaluation, fleet_records
from capflow_assets.graph.gone_runs import COMMAND
from capflow_assets.graph.provenance import decided
from capflow_assets.graph.records import PARTITION
from capflow_assets.life.report import TrainingReport, training_report
from capflow_assets.life.scoring_version import scoring_version
from capflow_assets.stores.registry_draft import Action, Change, sign

BY_HAND = {"promote": "promoted by hand", "rollback": "rolled back by hand"}


@dataclass(frozen=True, slots=True)
class Decision:
    """Who is champion now (None where nobody is), what was before, what to run next, and what a person should know."""

    champion: int | None
    before: str
    next: str
    warning: str


def promote(
    deployment: Deployment, instance: dg.DagsterInstance, customer: str, model: str, version: int | None, reason: str
) -> Decision:
    """Make a version (the challenger unless one is named) the champion, and record that a person did.

    Raises:
        ModelError: there is no challenger, or the model is frozen.
        NotFoundError: no such customer, model or version.
    """
    deployment.require(customer, model)
    before = deployment.registry.champion(customer, model)
    chosen = deployment.registry.promote(customer, model, version, reason)
    return _recorded(deployment, instance, customer, model, "promote", before, chosen, reason)


def rollback(deployment: Deployment, instance: dg.DagsterInstance, customer: str, model: str, reason: str) -> Decision:
    """Make the champion before the present one champion again, or nobody, and record that a person did.

    Raises:
        ModelError: there is no champion and was none before, or the model is frozen.
        NotFoundError: no such customer or model.
    """
    deployment.require(customer, model)
    before = deployment.registry.champion(customer, model)
    chosen = deployment.registry.rollback(customer, model, reason)
    return _recorded(deployment, instance, customer, model, "rollback", before, chosen, reason)


def signature() -> str:
    """Who decides, and when."""
    return f"{who()}, {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _recorded(
    deployment: Deployment,
    instance: dg.DagsterInstance,
    customer: str,
    model: str,
    action: Action,
    before: int | None,
    champion: int | None,
    reason: str,
) -> Decision:
    key, by = dg.AssetKey(["models", model]), signature()
    sign(deployment.registry, Change(customer, model, before, champion), action, reason, by)
    metadata: dict[str, Any] = {
        "status": BY_HAND[action],
        "reason": reason,
        "by": by,
        **measured(deployment, customer, model, champion),
    }
    finding = Finding("promotion", champion is not None, f"{BY_HAND[action]}: {reason}")
    record = _Record.begun(instance, customer, action)
    notes = decided(instance, key, customer, record.run.run_id)
    record.keep(dg.AssetMaterialization(key, partition=customer, metadata=metadata, tags=notes))
    record.keep(evaluation(instance, customer, key, finding))
    for of_fleet in fleet_records(instance, {dg.AssetCheckKey(key, finding.check): [(customer, finding)]}):
        record.keep(of_fleet)
    was = f"version {before} was the champion" if before is not None else "there was no champion"
    follow = f"capflow run {customer} --select predictions/{model},health/{model}"
    warning = scoring_version(deployment.registry, customer, model, deployment.stages.model(model).model).warning
    return Decision(champion, was, follow, warning)


@dataclass(frozen=True, slots=True)
class _Record:
    """A run of Dagster's that did nothing but keep a decision: it keeps a check once only of what has no run."""

    instance: dg.DagsterInstance
    run: dg.DagsterRun

    @classmethod
    def begun(cls, instance: dg.DagsterInstance, customer: str, action: str) -> _Record:
        command = f"capflow {action}"
        tags = {PARTITION: customer, COMMAND: command}
        run = dg.DagsterRun(command.replace(" ", "_"), str(uuid.uuid4()), status=dg.DagsterRunStatus.SUCCESS, tags=tags)
        return cls(instance, instance.add_run(run))

    def keep(self, event: dg.AssetMaterialization | dg.AssetCheckEvaluation) -> None:
        keep_event(self.instance, self.run, event)


def keep_event(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    event: dg.AssetMaterialization | dg.AssetCheckEvaluation | dg.AssetObservation,
) -> None:
    """Keep an event in a run that no step of Dagster's reports."""
    data: Any = event
    kind = DagsterEventType.ASSET_CHECK_EVALUATION
    if isinstance(event, dg.AssetMaterialization):
        kind, data = DagsterEventType.ASSET_MATERIALIZATION, StepMaterializationData(event)
    elif isinstance(event, dg.AssetObservation):
        kind, data = DagsterEventType.ASSET_OBSERVATION, AssetObservationData(event)
    known = DagsterEvent(kind.value, job_name=run.job_name, event_specific_data=data)
    instance.report_dagster_event(known, run.run_id)


def measured(deployment: Deployment, customer: str, model: str, version: int | None) -> dict[str, Any]:
    """What a training recorded of a version, as metadata; nothing where its report is broken."""
    if version is None:
        return {}
    with suppress(BrokenModelError):
        return of_report(training_report(deployment.registry, customer, model, version)) | {"version": version}
    return {"version": version}


def of_report(report: TrainingReport) -> dict[str, Any]:
    """The figures of a training's report that its asset shows."""
    score = report.metric.score
    return {
        "metric": report.metric.name,
        **({"value": score.value, "interval": f"{score.low:.4g} to {score.high:.4g}"} if score else {}),
        **({"baseline": report.baseline.score.value} if report.baseline else {}),
        **({"calibration_error": report.calibration.error} if report.calibration else {}),
        **({"not_judged": report.not_judged} if report.not_judged else {}),
        "as_of": report.as_of.isoformat(),
    }
