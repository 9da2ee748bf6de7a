"""Decisions of a person about many champions: of one customer, a vertical or all; listed first, then carried out.

Who decided, when and why stands in MLflow beside each version, and in Dagster as a run that records each model
(``graph.decision_records``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import dagster as dg

from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError, NotFoundError
from capflow_assets.graph.decision_records import keep_champions, observe, run_of
from capflow_assets.graph.decisions import signature
from capflow_assets.stores.registry_draft import Action, Change, decided, planned, sign


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which customers and models an action is about: one of ``customers``, ``vertical`` and ``is_all``.

    No ``models`` means all that each customer has.
    """

    customers: tuple[str, ...] = ()
    vertical: str = ""
    is_all: bool = False
    models: tuple[str, ...] = ()

    def pairs(self, deployment: Deployment) -> list[tuple[str, str]]:
        """The customers with their models.

        Raises:
            CapflowError: not one of customers, a vertical and all is named.
            NotFoundError: a customer, vertical or model that does not exist.
        """
        if (bool(self.customers) + bool(self.vertical) + self.is_all) != 1:
            raise CapflowError("It is not clear whom the action is for", do="name customers, or a vertical, or all")
        for model in self.models:
            deployment.stages.model(model)
        names = self.models or tuple(deployment.stages.models)
        choices = {customer: deployment.model_choice(customer) for customer in self._customers(deployment)}
        return [(customer, model) for customer, has_model in choices.items() for model in names if has_model(model)]

    def _customers(self, deployment: Deployment) -> list[str]:
        for customer in self.customers:
            deployment.require(customer)
        if not self.vertical:
            return list(self.customers) or deployment.customers()
        verticals = dict(_verticals(deployment))
        if self.vertical not in verticals.values():
            raise NotFoundError.among("vertical", self.vertical, sorted(set(verticals.values())))
        return [customer for customer, vertical in verticals.items() if vertical == self.vertical]


def _verticals(deployment: Deployment) -> Iterator[tuple[str, str]]:
    """The vertical of each customer whose TOML can be read."""
    for name in deployment.customers():
        try:
            yield name, deployment.customer(name).vertical
        except CapflowError:
            continue


def plan(deployment: Deployment, chosen: Chosen, action: Action, reason: str) -> list[Change]:
    """What an action would change, pairs that it does not concern left out; nothing is written.

    Raises:
        CapflowError, NotFoundError: as ``Chosen.pairs``.
    """
    changes = planned(deployment.registry, chosen.pairs(deployment), action, reason)
    return [change for change in changes if not change.is_idle]


def carry_out(
    deployment: Deployment,
    instance: dg.DagsterInstance,
    pairs: Sequence[tuple[str, str]],
    action: Action,
    reason: str,
    run: dg.DagsterRun | None = None,
) -> list[Change]:
    """Carry an action out for those pairs and record it in Dagster: in ``run``, else in one of its own."""
    by = signature()
    changes = [change for change in decided(deployment.registry, pairs, action, reason, by) if not change.is_idle]
    _record(deployment, instance, changes, action, reason, by, run)
    return changes


def freeze_one(
    deployment: Deployment, instance: dg.DagsterInstance, customer: str, model: str, action: Action, reason: str
) -> None:
    """Freeze or thaw one model of one customer, whether it was frozen before or not.

    Raises:
        ModelError: it has never been trained, or has no champion that could be kept.
        NotFoundError: no such customer or model.
    """
    deployment.require(customer, model)
    registry = deployment.registry
    registry.freeze(customer, model, frozen=action == "freeze")
    champion, by = registry.champion(customer, model), signature()
    change = Change(customer, model, champion, champion)
    sign(registry, change, action, reason, by)
    _record(deployment, instance, [change], action, reason, by)


def _record(
    deployment: Deployment,
    instance: dg.DagsterInstance,
    changes: Collection[Change],
    action: Action,
    reason: str,
    by: str,
    run: dg.DagsterRun | None = None,
) -> None:
    own, changed = run or run_of(instance, action), [change for change in changes if change.is_made]
    keep_champions(deployment, instance, own, changed, action, reason, by)
    observe(instance, own, changed, action, reason, by)


def summary(changes: Sequence[Change], *, is_planned: bool = False) -> str:
    """How many are changed and how many are not, by model; of what is planned, how many would be.

    >>> summary([Change("a", "churn", 2, 1), Change("b", "churn", 2, 1), Change("b", "ltv", 2, 2, "it is frozen")])
    '2 models of 2 customers changed (churn 2); 1 left as they are'
    """
    changed = [change for change in changes if change.is_made]
    by_model = ", ".join(f"{model} {count:,}" for model, count in sorted(Counter(c.model for c in changed).items()))
    customers, left = len({change.customer for change in changed}), len(changes) - len(changed)
    verb = "would change" if is_planned else "changed"
    words = f"{_counted(len(changed), 'model')} of {_counted(customers, 'customer')} {verb}"
    return words + (f" ({by_model})" if by_model else "") + (f"; {left:,} left as they are" if left else "")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
