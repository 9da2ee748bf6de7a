"""What a person decides about one champion: carried out, and kept where people look, in MLflow and in Dagster."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from capflow_assets.deployment import Deployment
from capflow_assets.erasure.receipts import who
from capflow_assets.graph.decision_records import keep_champions, run_of
from capflow_assets.life.scoring_version import scoring_version
from capflow_assets.stores.registry_draft import Action, Change, sign


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
    change, by = Change(customer, model, before, champion), signature()
    sign(deployment.registry, change, action, reason, by)
    keep_champions(deployment, instance, run_of(instance, action, customer), [change], action, reason, by)
    was = f"version {before} was the champion" if before is not None else "there was no champion"
    follow = f"capflow run {customer} --select predictions/{model},health/{model}"
    warning = scoring_version(deployment.registry, customer, model, deployment.stages.model(model).model).warning
    return Decision(champion, was, follow, warning)
