"""What Dagster and MLflow know of each customer and model, as plain rows for the CLI."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from capflow_assets.deployment import Deployment
from capflow_assets.errors import ModelError, NotFoundError
from capflow_assets.graph.launch import plain
from capflow_assets.life.scoring_version import ScoringVersion, scoring_version
from capflow_assets.life.verdicts import READINESS, Standing, standings
from capflow_assets.stores.champion_state import ChampionState
from capflow_assets.tables import removals

COLUMNS = (
    "customer",
    "model",
    "status",
    "champion",
    "challenger",
    "frozen",
    "metric",
    "value",
    "interval",
    "baseline",
    "as_of",
    "scored_users",
    "drift",
    "drifted",
    "reason",
    "readiness",
    "readiness_reason",
    "answers",
    "broken",
    "removed",
)
# What a training says of itself where its version did not become champion.
OPEN = ("asks", "not promoted", "kept the champion")
# Reasons have semicolons of their own.
ALSO = "; also "
# What fits on a screen.
OVERVIEW = (
    "customer",
    "model",
    "status",
    "champion",
    "answers",
    "metric",
    "interval",
    "baseline",
    "scored_users",
    "drift",
    "reason",
)


def latest(instance: dg.DagsterInstance, key: str, customer: str) -> dict[str, Any]:
    """The metadata of an asset's newest materialization for a customer, empty where there is none."""
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(key.split("/")), asset_partitions=[customer]), limit=1
    ).records
    event = records[0].asset_materialization if records else None
    return plain(event.metadata) if event else {}


def counts(instance: dg.DagsterInstance, table: str, customer: str) -> dict[str, int]:
    """Rows by reason (came, rejected, removed, flagged) of a table's newest materialization."""
    return dict(latest(instance, table, customer).get("counts") or {})


def status_rows(deployment: Deployment, instance: dg.DagsterInstance, customer: str) -> Iterator[dict[str, Any]]:
    """One row per model of a customer, with the columns of ``COLUMNS``; ``removed`` is of its tables, in each row."""
    models = list(deployment.stages.models)
    drifts = {name: latest(instance, f"health/{name}", customer) for name in models}
    absent = latest(instance, READINESS, customer).get("reason", "")
    removed = ALSO.join(removals.told(deployment.lake, customer))
    stands = {one.model: one for one in standings(deployment.lake, customer, models, drifts, absent)}
    for name in models:
        trained = latest(instance, f"models/{name}", customer)
        scored = latest(instance, f"predictions/{name}", customer)
        health = drifts[name]
        now = deployment.registry.state(customer, name)
        who = scoring_version(deployment.registry, customer, name, deployment.stages.model(name).model)
        readiness, reasons = _with_broken(who, stands[name])
        row = {
            "customer": customer,
            "model": name,
            "status": trained.get("status", "never run"),
            "champion": now.champion,
            "challenger": now.challenger,
            "frozen": now.is_frozen,
            "scored_users": scored.get("dagster/row_count"),
            "drift": health.get("psi_max"),
            "drifted": health.get("over"),
            "readiness": readiness,
            "readiness_reason": ALSO.join(reasons),
            "answers": who.version,
            "broken": who.warning,
            "removed": removed,
        }
        row |= {name: trained.get(name) for name in ("metric", "value", "interval", "baseline", "as_of", "reason")}
        row |= _decided_since(deployment, customer, name, now, trained)
        if who.broken:
            row |= {"status": "broken champion", "reason": who.warning}
        yield {name: row[name] for name in COLUMNS}


def _decided_since(
    deployment: Deployment, customer: str, model: str, now: ChampionState, trained: Mapping[str, Any]
) -> dict[str, Any]:
    """What was decided about the champion after the newest record: in MLflow, or by a command of a release before."""
    of_champion = trained.get("version") == now.champion
    if now.champion is None or trained.get("status") is None or (of_champion and trained["status"] not in OPEN):
        return {}
    decision = deployment.registry.decision(customer, model, now.champion)
    if of_champion:
        return {"status": "promoted", "reason": decision["reason"]} if decision["action"] == "promote" else {}
    moved = {"rollback": "rolled back", "by hand": "set in MLflow"}.get(decision["action"])
    return {"status": moved, "reason": decision["reason"]} if moved and trained["status"] not in OPEN else {}


def _with_broken(who: ScoringVersion, stands: Standing) -> tuple[str, tuple[str, ...]]:
    """Readiness and its reasons: with a broken champion no model is ready, and where nobody answers it is not."""
    if not who.broken:
        return stands.readiness, stands.reasons
    worse = "not ready" if who.version is None or stands.readiness == "not ready" else "at risk"
    return worse, (who.warning, *stands.reasons)


def explain(
    deployment: Deployment, instance: dg.DagsterInstance, customer: str, model: str, version: int | None = None
) -> dict[str, Any]:
    """All that is known of a customer's model: of a version, else of the champion, else of the newest challenger.

    A customer that is not ready for the model gets the reasons instead.
    """
    deployment.customer(customer)
    deployment.stages.model(model)
    registry = deployment.registry
    now = registry.state(customer, model)
    chosen = version or now.champion or now.challenger
    if chosen is None:
        last = latest(instance, f"models/{model}", customer)
        if not last:
            raise ModelError(f"{customer}.{model} has never been trained", do=f"capflow run {customer}")
        return {"customer": customer, "model": model, "version": None} | {
            name: last[name] for name in ("status", "reason") if name in last
        }
    known = registry.versions(customer, model)
    if chosen not in known:
        raise NotFoundError.among(f"version of {customer}.{model}", str(chosen), map(str, known))
    decision = registry.decision(customer, model, chosen)
    who = scoring_version(registry, customer, model, deployment.stages.model(model).model)
    return (
        registry.report(customer, model, chosen)
        | {
            "version": chosen,
            "is_champion": chosen == now.champion,
            "champion_version": now.champion,
            "challenger_version": now.challenger,
            "past_champions": list(now.history),
            "frozen": now.is_frozen,
            "promotion": decision,
            "artifacts": registry.artifacts(customer, model, chosen),
        }
        | ({"warning": who.warning} if who.broken else {})
    )
