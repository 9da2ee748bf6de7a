"""What is wrong now, of all customers: failed runs, late nights, broken champions, drift, questions, refused TOMLs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from capflow_assets.alerts.news import Alarm
from capflow_assets.deployment import Deployment
from capflow_assets.graph.last_runs import FAILED, last_nights
from capflow_assets.graph.night_status import LATE, night_rows, sensor_cursor
from capflow_assets.graph.status import status_rows

ONBOARDING = "onboarding"


def current_alarms(
    deployment: Deployment, instance: dg.DagsterInstance, dagster_url: str = "", now: datetime | None = None
) -> list[Alarm]:
    """All troubles of this moment, kind by kind; ``dagster_url`` begins the links to runs."""
    moment, customers = now or datetime.now(UTC), deployment.customers()
    return [
        *_failed(instance, customers, dagster_url, moment),
        *_late(deployment, instance, customers, moment),
        *_of_models(deployment, instance, customers),
        *_refused(instance),
    ]


def _failed(instance: dg.DagsterInstance, customers: list[str], url: str, now: datetime) -> Iterator[Alarm]:
    """Customers whose newest run failed: what went well since is over."""
    for night in last_nights(instance, customers, now):
        newest = night.runs[0] if night.runs else None
        if newest is not None and newest.state == FAILED:
            link = f"{url}/runs/{newest.run_id}" if url else ""
            yield Alarm("customer failed", night.customer, "", newest.words or "its run failed", link)


def _late(deployment: Deployment, instance: dg.DagsterInstance, customers: list[str], now: datetime) -> Iterator[Alarm]:
    cursor = sensor_cursor(instance)
    if cursor is None:
        return
    for row in night_rows(deployment.stages, instance, cursor, now.timestamp(), customers):
        if row["state"] == LATE or row["late_minutes"]:
            reason = row["why"] or "its deadline is over, and it is not done"
            yield Alarm("night late", row["customer"], f"night of {row['night']}", reason)


def _of_models(deployment: Deployment, instance: dg.DagsterInstance, customers: list[str]) -> Iterator[Alarm]:
    for row in status_rows(deployment, instance, customers):
        customer, model, reason = row["customer"], row["model"], row["reason"] or ""
        if row["broken"]:
            yield Alarm("champion broken", customer, model, row["broken"])
        elif row["status"] == "asks":
            yield Alarm("asks waiting", customer, model, reason)
        if row["drifted"]:
            yield Alarm("drifted", customer, model, "the users or the scores are not those of the training any more")


def _refused(instance: dg.DagsterInstance) -> Iterator[Alarm]:
    """TOMLs in the customers' folder that the onboarding sensor refused."""
    for state in instance.all_instigator_state():
        cursor = getattr(state.instigator_data, "cursor", None)
        if state.instigator_name != ONBOARDING or not cursor:
            continue
        for name, (_, refusal) in sorted(json.loads(cursor).items()):
            if refusal:
                yield Alarm("refused TOML", name.removesuffix(".toml"), name, refusal)
