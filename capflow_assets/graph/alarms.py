"""What is wrong now, of all customers: failed runs, late nights, broken champions, drift, questions, refused TOMLs."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

import dagster as dg

from capflow_assets.alerts.news import Alarm
from capflow_assets.deployment import Deployment
from capflow_assets.graph.last_runs import FAILED, last_nights
from capflow_assets.graph.model_troubles import trouble_rows
from capflow_assets.graph.night_status import LATE, night_rows, sensor_cursor

ONBOARDING = "onboarding"
# Of more customers than that, MLflow's models of all are read.
CUSTOMERS_A_QUERY = 20
BROKEN, ASKS, DRIFTED = OF_MODELS = ("champion broken", "asks waiting", "drifted")


def current_alarms(deployment: Deployment, instance: dg.DagsterInstance) -> list[Alarm]:
    """All troubles of this moment, kind by kind."""
    return [
        *alarms_of_customers(deployment, instance),
        *(alarm for _, own in alarms_of_models(deployment, instance, deployment.customers()) for alarm in own),
    ]


def alarms_of_customers(deployment: Deployment, instance: dg.DagsterInstance, dagster_url: str = "") -> list[Alarm]:
    """Failed customers, late nights and refused TOMLs; ``dagster_url`` begins the links to runs and to the night."""
    now, customers = datetime.now(UTC), deployment.customers()
    night = f"{dagster_url}/night" if dagster_url else ""
    return [
        *_failed(instance, customers, dagster_url, now),
        *_late(deployment, instance, customers, night, now),
        *_refused(instance, night),
    ]


def alarms_of_models(
    deployment: Deployment, instance: dg.DagsterInstance, customers: Sequence[str], dagster_url: str = ""
) -> Generator[tuple[str, list[Alarm]], None, None]:
    """Customer by customer the troubles of its models, of the kinds ``OF_MODELS``, each with a link to its card.

    Files of champions that have changed are read on the way, so a first look at many customers takes its time. Dagster
    and MLflow are asked for some customers at a time, so who hears no more after a few has not waited for all.
    """
    for start in range(0, len(customers), CUSTOMERS_A_QUERY):
        rows = trouble_rows(deployment, instance, customers[start : start + CUSTOMERS_A_QUERY])
        with closing(rows):
            for customer, own in groupby(rows, itemgetter("customer")):
                yield customer, [alarm for row in own for alarm in alarms_of_row(row, dagster_url)]


def _failed(instance: dg.DagsterInstance, customers: list[str], url: str, now: datetime) -> Iterator[Alarm]:
    """Customers whose newest run failed: what went well since is over."""
    for night in last_nights(instance, customers, now):
        newest = night.runs[0] if night.runs else None
        if newest is not None and newest.state == FAILED:
            link = f"{url}/runs/{newest.run_id}" if url else ""
            yield Alarm("customer failed", night.customer, "", newest.words or "its run failed", link)


def _late(
    deployment: Deployment, instance: dg.DagsterInstance, customers: list[str], link: str, now: datetime
) -> Iterator[Alarm]:
    cursor = sensor_cursor(instance)
    if cursor is None:
        return
    for row in night_rows(deployment.stages, instance, cursor, now.timestamp(), customers):
        if row["state"] == LATE or row["late_minutes"]:
            reason = row["why"] or "its deadline is over, and it is not done"
            yield Alarm("night late", row["customer"], f"night of {row['night']}", reason, link)


def alarms_of_row(row: Mapping[str, Any], url: str = "") -> Iterator[Alarm]:
    """The troubles of a customer's model by its status row; ``url`` begins the link to its card."""
    customer, model = row["customer"], row["model"]
    link = f"{url}/customers/{customer}/models/{model}" if url else ""
    if row["broken"]:
        yield Alarm(BROKEN, customer, model, row["broken"], link)
    elif row["status"] == "asks":
        yield Alarm(ASKS, customer, model, row["reason"] or "", link)
    if row["drifted"]:
        reason = "the users or the scores are not those of the training any more"
        yield Alarm(DRIFTED, customer, model, reason, link)


def _refused(instance: dg.DagsterInstance, link: str) -> Iterator[Alarm]:
    """TOMLs in the customers' folder that the onboarding sensor refused."""
    for state in instance.all_instigator_state():
        cursor = getattr(state.instigator_data, "cursor", None)
        if state.instigator_name != ONBOARDING or not cursor:
            continue
        for name, (_, refusal) in sorted(json.loads(cursor).items()):
            if refusal:
                yield Alarm("refused TOML", name.removesuffix(".toml"), name, refusal, link)
