"""What Dagster keeps of a person's decisions about champions, so that its page says what holds now.

A training records its own decision. One by hand is recorded the same way for each customer: a materialization of the
model, of the version that is champion now, and its check ``promotion``. What an earlier champion predicted is stale
from then on. A decision about many leaves an observation of each model besides, which names the customers.
"""

from __future__ import annotations

import logging
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData as Target,
)
from dagster._core.events import AssetObservationData, DagsterEvent, DagsterEventType, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._time import get_current_timestamp

from capflow_assets.contract import Finding
from capflow_assets.deployment import Deployment
from capflow_assets.errors import BrokenModelError
from capflow_assets.graph.check_records import evaluation, fleet_records
from capflow_assets.graph.gone_runs import COMMAND
from capflow_assets.graph.provenance import decided
from capflow_assets.graph.records import PARTITION
from capflow_assets.life.report import TrainingReport, training_report
from capflow_assets.stores.registry import Registry
from capflow_assets.stores.registry_draft import Action, Change
from capflow_assets.stores.registry_snapshot import snapshot

BY_HAND = {"promote": "promoted by hand", "rollback": "rolled back by hand"}
DONE = {"promote": "promoted", "rollback": "rolled back", "freeze": "frozen", "thaw": "thawed"}
# Customers that an observation names; the others are counted.
MOST_NAMED = 1_000
# Events of one statement.
EVENTS_AT_ONCE = 1_000
# Threads that read the reports of champions; most of the time is spent in waiting for files.
THREADS = 8


def run_of(instance: dg.DagsterInstance, action: Action, customer: str = "") -> dg.DagsterRun:
    """A run that does nothing but keep decisions, of ``customer`` if they are about one."""
    command = f"capflow {action}"
    tags = {COMMAND: command} | ({PARTITION: customer} if customer else {})
    run = dg.DagsterRun(command.replace(" ", "_"), str(uuid.uuid4()), status=dg.DagsterRunStatus.SUCCESS, tags=tags)
    return instance.add_run(run)


def keep_champions(
    deployment: Deployment,
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    changes: Collection[Change],
    action: Action,
    reason: str,
    by: str,
) -> None:
    """Materializations and checks of the models whose champions were promoted or rolled back."""
    if action not in BY_HAND:
        return
    status, figures = BY_HAND[action], _figures(deployment.registry, changes)
    checked: dict[dg.AssetCheckKey, list[tuple[str, Finding]]] = defaultdict(list)
    for model, of_model in _by_model(changes).items():
        key = dg.AssetKey(["models", model])
        materializations = [
            dg.AssetMaterialization(
                key,
                partition=change.customer,
                metadata={"status": status, "reason": reason, "by": by, **figures[change]},
                tags=decided(instance, key, change.customer, change.after),
            )
            for change in of_model
        ]
        targets = _keep_all(instance, run, key, materializations)
        for change in of_model:
            finding = Finding("promotion", change.after is not None, f"{status}: {reason}")
            keep_event(instance, run, evaluation(instance, change.customer, key, finding, targets.get(change.customer)))
            checked[dg.AssetCheckKey(key, finding.check)].append((change.customer, finding))
    for of_fleet in fleet_records(instance, checked):
        keep_event(instance, run, of_fleet)


def _keep_all(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    key: dg.AssetKey,
    materializations: Sequence[dg.AssetMaterialization],
) -> dict[str, Target]:
    """Keep materializations of an asset at once; where each customer's stands, for the checks of it."""
    storage, at = instance.event_log_storage, get_current_timestamp()
    entries = [_entry(run, materialization, at) for materialization in materializations]
    for start in range(0, len(entries), EVENTS_AT_ONCE):
        storage.store_event_batch(entries[start : start + EVENTS_AT_ONCE])
    names = {materialization.partition for materialization in materializations if materialization.partition}
    numbers = storage.get_latest_storage_id_by_partition(key, DagsterEventType.ASSET_MATERIALIZATION, names)
    return {name: Target(storage_id=number, run_id=run.run_id, timestamp=at) for name, number in numbers.items()}


def observe(
    instance: dg.DagsterInstance, run: dg.DagsterRun, changes: Iterable[Change], action: Action, reason: str, by: str
) -> None:
    """An observation of each model that was decided about: who, when, why, and the customers with what changed."""
    for model, changed in _by_model(changes).items():
        rows = [
            dg.TableRecord({"customer": change.customer, "before": change.before or 0, "after": change.after or 0})
            for change in changed[:MOST_NAMED]
        ]
        metadata: dict[str, Any] = {
            "decision": DONE[action],
            "reason": reason,
            "by": by,
            "customers": len(changed),
            "champions": dg.MetadataValue.table(rows),
        }
        keep_event(instance, run, dg.AssetObservation(dg.AssetKey(["models", model]), metadata=metadata))


def _by_model(changes: Iterable[Change]) -> Mapping[str, list[Change]]:
    of_model: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        of_model[change.model].append(change)
    return of_model


def keep_event(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    event: dg.AssetMaterialization | dg.AssetCheckEvaluation | dg.AssetObservation,
) -> None:
    """Keep an event in a run that no step of Dagster's reports."""
    instance.handle_new_event(_entry(run, event, get_current_timestamp()))


def _entry(
    run: dg.DagsterRun, event: dg.AssetMaterialization | dg.AssetCheckEvaluation | dg.AssetObservation, at: float
) -> EventLogEntry:
    """An event as Dagster's log has it."""
    data: Any = event
    kind = DagsterEventType.ASSET_CHECK_EVALUATION
    if isinstance(event, dg.AssetMaterialization):
        kind, data = DagsterEventType.ASSET_MATERIALIZATION, StepMaterializationData(event)
    elif isinstance(event, dg.AssetObservation):
        kind, data = DagsterEventType.ASSET_OBSERVATION, AssetObservationData(event)
    known = DagsterEvent(kind.value, job_name=run.job_name, event_specific_data=data)
    return EventLogEntry(
        error_info=None,
        level=logging.INFO,
        user_message="",
        run_id=run.run_id,
        timestamp=at,
        job_name=run.job_name,
        dagster_event=known,
    )


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


def _figures(registry: Registry, changes: Collection[Change]) -> Mapping[Change, dict[str, Any]]:
    """What the training of each new champion recorded, as metadata; its version alone where its report is broken."""
    now = snapshot(registry, {change.customer for change in changes})

    def of(change: Change) -> dict[str, Any]:
        if change.after is None:
            return {}
        with suppress(BrokenModelError):
            return of_report(training_report(now, change.customer, change.model, change.after)) | {
                "version": change.after
            }
        return {"version": change.after}

    with ThreadPoolExecutor(THREADS) as pool:
        return dict(zip(changes, pool.map(of, changes), strict=True))
