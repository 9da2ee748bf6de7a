"""The fleet for the pages of `capflow serve`: status, last nights and features, read; and decisions, carried out.

Belongs here: what the pages need of Dagster. Does not belong here: how it looks (``serving.fleet_pages``).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError, NotFoundError
from capflow_assets.graph import decisions
from capflow_assets.graph.launch import dagster_to_look_at
from capflow_assets.graph.many_decisions import freeze_one
from capflow_assets.graph.records import PARTITION
from capflow_assets.graph.status import status_rows
from capflow_assets.serving.fleet import FleetState
from capflow_assets.tables.catalogue import catalogue_of

# More runs than all customers have in a night.
NEWEST_RUNS = 2_000
STATES = {
    dg.DagsterRunStatus.SUCCESS: "done",
    dg.DagsterRunStatus.FAILURE: "failed",
    dg.DagsterRunStatus.CANCELED: "stopped",
    dg.DagsterRunStatus.QUEUED: "waits",
}


@dataclass(frozen=True, slots=True)
class FleetReader:
    """The fleet of one home."""

    deployment: Deployment

    def state(self) -> FleetState:
        """All customers and models, and the newest run of each customer."""
        at, customers = datetime.now(UTC), self.deployment.customers()
        with dagster_to_look_at(self.deployment.home) as (_, instance):
            rows = tuple(status_rows(self.deployment, instance, customers))
            return FleetState(at, rows, tuple(nights(instance, customers)))

    def features(self, customer: str) -> list[Mapping[str, Any]]:
        """A customer's feature catalogue; empty where none was made yet."""
        with suppress(NotFoundError):
            rows: list[Mapping[str, Any]] = catalogue_of(self.deployment.lake, customer, "features")[0].to_pylist()
            return rows
        return []

    def decide(self, action: str, customer: str, model: str, reason: str) -> str:
        """Promote the challenger, roll back, freeze or thaw, recorded in Dagster as a command would."""
        from capflow_assets.graph.launch import dagster_instance

        name = f"{customer}.{model}"
        self.deployment.require(customer, model)
        with dagster_instance(self.deployment.home) as instance:
            if action == "promote":
                champion = decisions.promote(self.deployment, instance, customer, model, None, reason).champion
                return f"version {champion} of {name} is the champion"
            if action == "rollback":
                back = decisions.rollback(self.deployment, instance, customer, model, reason).champion
                return f"{name} has no champion now" if back is None else f"version {back} of {name} is champion again"
            if action in ("freeze", "thaw"):
                freeze_one(
                    self.deployment, instance, customer, model, "freeze" if action == "freeze" else "thaw", reason
                )
                return f"{name} is frozen" if action == "freeze" else f"{name} is not frozen any more"
        raise CapflowError("That is no decision", expected="promote, rollback, freeze or thaw", came=action)


def nights(instance: dg.DagsterInstance, customers: list[str]) -> list[dict[str, Any]]:
    """The newest run of each customer: its state, when it began, its minutes, and what failed."""
    newest: dict[str, dict[str, Any]] = {}
    for record in instance.get_run_records(limit=NEWEST_RUNS):
        run = record.dagster_run
        customer = run.tags.get(PARTITION)
        if customer in newest or customer not in customers:
            continue
        began, ended = record.start_time, record.end_time
        state = STATES.get(run.status, "runs")
        newest[customer] = {
            "customer": customer,
            "run": run.run_id,
            "state": state,
            "began": datetime.fromtimestamp(began, UTC).strftime("%Y-%m-%d %H:%M UTC") if began else None,
            "minutes": (ended - began) / 60 if began and ended else None,
            "why": _failed(instance, run) if state == "failed" else None,
        }
    never = {"run": None, "state": "never run", "began": None, "minutes": None, "why": None}
    return [newest.get(name, {"customer": name, **never}) for name in customers]


def _failed(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    steps = [
        one.step_key for one in instance.get_run_step_stats(run.run_id) if one.status and one.status.value == "FAILURE"
    ]
    return "failed: " + ", ".join(sorted(steps)[:10]) if steps else "failed before its first step"
