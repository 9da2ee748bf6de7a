"""Customers one after another, in a process that may die of one of them and be carried on by another.

What became of each, and of what comes once for all of them, is handed to the process that watches over this one. Where
this one takes over from a process that died, what was done stays done; the customer in hand is a failed customer, whose
run is ended in Dagster's records.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import dagster as dg

from capflow_assets.blueprint.stages import Stages
from capflow_assets.graph.failures import AssetFailure
from capflow_assets.graph.launch import Finished, Progress, run_customer
from capflow_assets.graph.newest import plain
from capflow_assets.processes.lifeline import LINE, Death
from capflow_assets.processes.supervision import CARRIED

T = TypeVar("T")


def run_in_turn(
    defs: dg.Definitions,
    stages: Stages,
    instance: dg.DagsterInstance,
    keys_of: Mapping[str, Sequence[str]],
    as_of: str | None = None,
    watch: Callable[[Progress], None] = lambda progress: None,
    *,
    full: bool = False,
    wait: float | None = None,
    say: Callable[[str], None] = lambda words: None,
) -> list[Finished]:
    """Materialize the assets of each customer; see ``run_customer``.

    Raises:
        KeyboardInterrupt: this process was told to stop; the customers after the one in hand were not begun.
    """
    results = []
    for name, keys in keys_of.items():
        earlier = _earlier(instance, name, keys)
        if earlier is None:
            LINE.customer_begins(name)
            earlier = run_customer(defs, stages, instance, name, keys, as_of, watch, full=full, wait=wait, say=say)
            LINE.raise_if_interrupted()
            if LINE.is_watched:
                LINE.send("finished", name, pickle.dumps(earlier))
        else:
            for key, metadata in earlier.done.items():
                watch(Progress(name, key, metadata))
        results.append(earlier)
    LINE.customer_begins("")
    return results


def end_runs_of_the_dead(instance: dg.DagsterInstance) -> None:
    """End the records of runs in which processes before this one died, which say why; first thing in a command."""
    for death in CARRIED.deaths.values():
        run = instance.get_run_by_id(death.run_id) if death.run_id else None
        if run is not None and not run.is_finished:
            instance.report_run_failed(run, f"{death.customer}: {death.words()}")


def once(name: str, work: Callable[[], T]) -> T:
    """What ``work`` gives: done by this process, or by one before it that died later; ``name`` is no customer's."""
    if name in CARRIED.finished:
        result: T = pickle.loads(CARRIED.finished[name])  # noqa: S301  (of our own process)
        return result
    result = work()
    if LINE.is_watched:
        LINE.send("finished", name, pickle.dumps(result))
    return result


def _earlier(instance: dg.DagsterInstance, customer: str, keys: Sequence[str]) -> Finished | None:
    """The result of a process before this one; None where it never reached this customer."""
    if customer in CARRIED.finished:
        finished: Finished = pickle.loads(CARRIED.finished[customer])  # noqa: S301  (of our own process)
        return finished
    if customer in CARRIED.deaths:
        return finished_by_the_dead(instance, CARRIED.deaths[customer], keys)
    return None


def finished_by_the_dead(instance: dg.DagsterInstance, death: Death, keys: Sequence[str]) -> Finished:
    """The customer in hand when a process died, as a failed one: what of ``keys`` was done, and why the others fail."""
    finished = Finished(death.customer)
    run = instance.get_run_by_id(death.run_id) if death.run_id else None
    if run is not None:
        for event in _materialized(instance, run):
            finished.done["/".join(event.asset_key.path)] = plain(event.metadata)
    left = [key for key in keys if key not in finished.done]
    at = death.key if death.key in left else next(iter(left), "the end")
    for key in left:
        then = "; the process that computed it died"
        finished.failures[key] = AssetFailure.of_failed_inputs(death.customer, key, [at], then)
    finished.failures[at] = AssetFailure(death.customer, at, death.words())
    return finished


def _materialized(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[dg.AssetMaterialization]:
    records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION).records
    events = [record.event_log_entry.asset_materialization for record in records]
    return [event for event in events if event is not None]
