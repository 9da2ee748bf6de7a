"""What Dagster and MLflow know of each customer and model, as plain rows for the CLI."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import dagster as dg

from capflow_assets.deployment import Deployment
from capflow_assets.errors import ModelError, NotFoundError
from capflow_assets.graph.newest import latest, newest
from capflow_assets.life.retrainings import GAIN, MEASURED, rows_of
from capflow_assets.life.scoring_version import ScoringVersion, scoring_version
from capflow_assets.life.verdicts import OFF, READINESS, Standing, standings
from capflow_assets.stores.champion_state import ChampionState
from capflow_assets.stores.registry import Registry
from capflow_assets.stores.registry_snapshot import snapshot
from capflow_assets.stores.sound_files import SoundFiles
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
    "action",
    "cause",
    "advice",
    "reason",
    "rung",
    "readiness",
    "readiness_reason",
    "answers",
    "broken",
    "removed",
)
# What is read of the newest record of each asset of a model.
ENTRIES_OF_HEALTH = frozenset({"psi_max", "threshold", "worst", "over", "action", "cause", "reason"})
ENTRIES = {
    "models": frozenset({"status", "reason", "version", "metric", "value", "interval", "baseline", "as_of"}),
    "predictions": frozenset({"dagster/row_count", "rung"}),
    "health": ENTRIES_OF_HEALTH,
}
# What a training says of itself where its version did not become champion.
OPEN = ("asks", "not promoted", "kept the champion")
# Threads that read the lake.
THREADS = 4
OFF_REASON = "only_models of the customer's TOML leaves it out"
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
    "action",
    "cause",
    "reason",
)


def counts(instance: dg.DagsterInstance, table: str, customer: str) -> dict[str, int]:
    """Rows by reason (came, rejected, removed, flagged) of a table's newest materialization."""
    return dict(latest(instance, table, customer).get("counts") or {})


def status_rows(
    deployment: Deployment, instance: dg.DagsterInstance, customers: Sequence[str]
) -> Generator[dict[str, Any], None, None]:
    """One row per customer and model, with the columns of ``COLUMNS``; ``removed`` is of the customer's tables.

    Dagster and MLflow are asked for all customers at once, and of the files of champions those are read that have
    changed since they were last found whole.
    """
    if not customers:
        return
    models = list(deployment.stages.models)
    entries = {f"{part}/{name}": ENTRIES[part] for part in ENTRIES for name in models} | {READINESS: {"reason"}}
    records = newest(instance, entries, customers)
    registry, sound = snapshot(deployment.registry, customers), SoundFiles.of(deployment.home)

    def looked_up(customer: str) -> tuple[list[Standing], list[str]]:
        """What the lake says of a customer; most of the time is spent in waiting for files."""
        drifts = {name: records[f"health/{name}"].get(customer, {}) for name in models}
        absent = records[READINESS].get(customer, {}).get("reason", "")
        zone, is_archive = partial(deployment.zone, customer), partial(deployment.is_archive, customer)
        has_model = deployment.model_choice(customer)
        own = standings(deployment.lake, customer, models, drifts, absent, None, zone, has_model, is_archive)
        return own, removals.removed_in_words(deployment.lake, customer)

    is_complete = False
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            for customer, (own, removed) in zip(customers, pool.map(looked_up, customers), strict=True):
                asset_records = {key: records[key].get(customer, {}) for key in entries}
                for standing in own:
                    model = deployment.stages.model(standing.model).model
                    who = scoring_version(registry, customer, standing.model, model, sound)
                    row = _row(registry, standing, who, asset_records) | {"removed": ALSO.join(removed)}
                    yield {name: row[name] for name in COLUMNS}
            is_complete = set(customers) >= set(deployment.customers())
        finally:  # who listens may have heard enough: the files that were read need not be read again
            pool.shutdown(wait=False, cancel_futures=True)
            sound.save(is_complete=is_complete)


def _row(
    registry: Registry, standing: Standing, who: ScoringVersion, records: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The row of one customer and model, from the newest records of its assets by name."""
    customer, name = standing.customer, standing.model
    trained, scored, health = (records[f"{part}/{name}"] for part in ENTRIES)
    champions = registry.state(customer, name)
    readiness, reasons = _with_broken(who, standing)
    row = {
        "customer": customer,
        "model": name,
        "champion": champions.champion,
        "challenger": champions.challenger,
        "frozen": champions.is_frozen,
        "scored_users": scored.get("subjects", scored.get("dagster/row_count")),
        "rung": scored.get("rung"),
        "drift": health.get("psi_max"),
        "drifted": health.get("over"),
        "action": health.get("action"),
        "cause": health.get("cause"),
        "advice": health.get("reason") if "action" in health else None,
        "readiness": readiness,
        "readiness_reason": ALSO.join(reasons),
        "answers": who.version,
        "broken": who.warning,
    }
    row |= {name: trained.get(name) for name in ("metric", "value", "interval", "baseline", "as_of")}
    return row | state_of(registry, who, trained, is_off=standing.readiness == OFF)


def state_of(registry: Registry, who: ScoringVersion, trained: Mapping[str, Any], *, is_off: bool) -> dict[str, Any]:
    """A model's status and its reason, from the newest record of its training and what was decided since."""
    champions = registry.state(who.customer, who.model)
    state = {"status": trained.get("status", "never run"), "reason": trained.get("reason")}
    state |= _decided_since(registry, who.customer, who.model, champions, trained)
    if is_off:
        state |= {"status": OFF, "reason": OFF_REASON}
    elif who.broken:
        state |= {"status": "broken champion", "reason": who.warning}
    return state


def _decided_since(
    registry: Registry, customer: str, model: str, champions: ChampionState, trained: Mapping[str, Any]
) -> dict[str, Any]:
    """What was decided about the champion after the newest record, in MLflow or by a command of an earlier release."""
    champion, status = champions.champion, trained.get("status")
    is_of_champion = trained.get("version") == champion
    if champion is None or status is None or (is_of_champion and status not in OPEN):
        return {}
    decision = registry.decision(customer, model, champion)
    if is_of_champion:
        return {"status": "promoted", "reason": decision["reason"]} if decision["action"] == "promote" else {}
    moved = {"rollback": "rolled back", "by hand": "set in MLflow"}.get(decision["action"])
    return {"status": moved, "reason": decision["reason"]} if moved and status not in OPEN else {}


def _with_broken(who: ScoringVersion, standing: Standing) -> tuple[str, tuple[str, ...]]:
    """Readiness and its reasons: with a broken champion no model is ready, and where nobody answers it is not."""
    if not who.broken:
        return standing.readiness, standing.reasons
    worse = "not ready" if who.version is None or standing.readiness == "not ready" else "at risk"
    return worse, (who.warning, *standing.reasons)


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
            "challenger_decision": registry.report(customer, model, now.challenger)["decision"]
            if now.challenger
            else None,
            "past_champions": list(now.history),
            "frozen": now.is_frozen,
            "promotion": decision,
            "artifacts": registry.artifacts(customer, model, chosen),
            "plots": registry.plots(customer, model, chosen),
            "health": _health(latest(instance, f"health/{model}", customer)),
            "retrainings": _retrainings(deployment, customer, model),
        }
        | ({"warning": who.warning} if who.broken else {})
    )


def _health(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the newest health of a model says is to be done and why, and how good its answers are."""
    if "action" not in record:
        return {}
    named = ("as_of", "champion", "action", "cause", "reason", "worst", "psi_max", "blind", "unknown")
    return {name: value for name, value in record.items() if name in named or name.startswith(("live_", "estimate_"))}


def _retrainings(deployment: Deployment, customer: str, model: str) -> list[dict[str, Any]]:
    """What each training of a model brought, the newest first."""
    names = ["version", "cause", "action", "decision", *GAIN, *MEASURED[:4]]
    rows = reversed(rows_of(deployment.lake, customer, model))
    return [{"as_of": row["as_of"].isoformat(), **{name: row.get(name) for name in names}} for row in rows]
