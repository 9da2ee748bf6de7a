"""Work of Dagster's runs under the lock of the customer that it writes, and runs tagged with their process.

A cohort holds one customer at a time, so that cohorts cannot wait for each other in a circle. A step on a cluster works
on all of its customers, whose locks its launcher holds: it takes them in the order of their names, like everybody who
takes several.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg

from capflow_assets.graph.run_costs import note_costs
from capflow_assets.home.places import Home
from capflow_assets.processes.customer_lock import HELD_ELSEWHERE, Holding, customer_lock, default_wait
from capflow_assets.processes.run_processes import PROCESS, this_process

if TYPE_CHECKING:
    from capflow_assets.deployment import Deployment
    from capflow_assets.graph.outcomes import Outcome, Work
    from capflow_assets.stores.lake import Lake


def held(context: dg.AssetExecutionContext, deployment: Deployment, work: Work) -> Work:
    """The same work, for each customer under that customer's lock; what a killed writer left is removed before.

    A run waits as long as ``CAPFLOW_LOCK_WAIT_MINUTES`` allows, and its log says whom for; then that customer fails.
    """
    tag_run(context.instance, context.run.run_id, deployment.home)
    note_costs(context)
    purpose = f"Dagster's run {context.run.run_id[:8]}"

    def under_lock(customer: str) -> Iterator[Outcome]:
        with customer_lock(deployment.home, customer, purpose, default_wait(), context.log.info) as holding:
            clean_after_death(deployment.lake, holding, context.log.warning)
            for outcome in work(customer):
                holding.require()
                yield outcome
        note_costs(context)

    return under_lock


@contextmanager
def hold_all(context: Any, home: Home, customers: Sequence[str]) -> Iterator[None]:
    """Hold all customers of a step that runs elsewhere.

    Raises:
        InUseError: one of them was in use for longer than the daemon's runs wait.
    """
    tag_run(context.instance, context.run_id, home)
    purpose = f"Dagster's run {context.run_id[:8]}, on a cluster"
    with ExitStack() as stack:
        for customer in sorted(customers):
            stack.enter_context(customer_lock(home, customer, purpose, default_wait(), context.log.info))
        yield


def clean_after_death(lake: Lake, holding: Holding, say: Callable[[str], None]) -> None:
    """Remove what the customer's last holder left, if that was killed and nobody writes beside this process."""
    if not holding.is_after_death or holding.is_beside_others:
        return
    from capflow_assets.stores.leftovers import clean

    words = clean(lake, holding.customer).words()
    holding.is_after_death = False
    if words:
        say(f"{holding.customer}: {words}")


def tag_run(instance: dg.DagsterInstance, run_id: str, home: Home) -> None:
    """Tag a run with the process that executes it, unless its launcher waits for it elsewhere."""
    if os.environ.get(HELD_ELSEWHERE):
        return
    tags, run = this_process(home).tags(run_id), instance.get_run_by_id(run_id)
    if run is not None and run.tags.get(PROCESS) != tags[PROCESS]:
        instance.add_run_tags(run_id, tags)
