"""Materialize a customer from a terminal: in this process, recorded in the home's Dagster, with progress as it goes."""

from __future__ import annotations

import fnmatch
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster._core.events import JobFailureData, RunFailureReason

from capflow_assets.blueprint.stages import Stages
from capflow_assets.errors import InUseError, NotFoundError
from capflow_assets.graph.failures import AssetFailure, failures_of_step
from capflow_assets.graph.gone_runs import COMMAND
from capflow_assets.graph.instance import open_instance
from capflow_assets.graph.newest import plain
from capflow_assets.graph.partitions import CUSTOMERS
from capflow_assets.home.databases import has_room, looked_at, require_sound_dagster, require_writable
from capflow_assets.home.places import Home
from capflow_assets.life.verdicts import FLEET, fleet_edges
from capflow_assets.processes.customer_lock import customer_lock
from capflow_assets.processes.lifeline import LINE
from capflow_assets.processes.run_processes import this_process

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, slots=True)
class Progress:
    """One asset of one customer is done: what it says about itself."""

    customer: str
    key: str
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Warned:
    """What a check of an asset found that stops nothing."""

    key: str
    check: str
    message: str


@dataclass
class Finished:
    """What became of one customer: what was materialized, what failed and why, and what checks warn of."""

    customer: str
    done: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: dict[str, AssetFailure] = field(default_factory=dict)
    warnings: list[Warned] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    @property
    def root_causes(self) -> dict[str, str]:
        """The assets that failed of themselves, not because another one did, and why."""
        return {key: failure.reason for key, failure in self.failures.items() if not failure.consequence_of}

    def fail(self, reason: str) -> Finished:
        """The customer as a whole has failed."""
        self.failures["customer"] = AssetFailure(self.customer, "customer", reason)
        return self


@contextmanager
def dagster_instance(home: Home) -> Iterator[dg.DagsterInstance]:
    """The home's Dagster, for one command.

    Raises:
        StoreError: the home cannot be written, or one of Dagster's files is damaged.
    """
    require_writable(home)
    with open_instance(home) as instance:
        yield instance


@contextmanager
def dagster_to_look_at(home: Home) -> Iterator[tuple[Home, dg.DagsterInstance]]:
    """The home and its Dagster, for a command that only looks: copies of both where the home cannot be written."""
    if home.is_writable and has_room(home.root):
        with dagster_instance(home) as instance:
            yield home, instance
        return
    require_sound_dagster(home)
    with looked_at(home) as copied, dg.DagsterInstance.get() as instance:
        yield copied, instance


def select(stages: Stages, patterns: Iterable[str]) -> list[str]:
    """The assets that patterns name: ``features/rfm``, a stage, a glob; a leading ``+`` adds all that they need.

    Raises:
        NotFoundError: a pattern that names nothing.
    """
    edges = asset_edges(stages)
    selected: set[str] = set()
    for pattern in [part.strip() for text in patterns for part in text.split(",") if part.strip()]:
        bare = pattern.lstrip("+")
        matched = {key for key in edges if fnmatch.fnmatchcase(key, bare) or key.split("/")[0] == bare}
        if not matched:
            raise NotFoundError.among("table", bare, edges, do="a stage (features), a glob (*/rfm*) or a name")
        selected |= matched | (upstream(edges, matched) if pattern.startswith("+") else set())
    return [key for key in edges if key in selected] if selected else list(edges)


def asset_edges(stages: Stages) -> dict[str, frozenset[str]]:
    """Every asset and what it is made of, in an order in which they can be computed; the picture of the fleet last."""
    return {**stages.edges, FLEET: frozenset(fleet_edges(stages))}


def upstream(edges: Mapping[str, frozenset[str]], keys: Iterable[str]) -> set[str]:
    """All that ``keys`` are made of, however far back."""
    ancestors: set[str] = set()
    waiting = list(keys)
    while waiting:
        for parent in edges[waiting.pop()] - ancestors:
            ancestors.add(parent)
            waiting.append(parent)
    return ancestors


def run_customer(
    defs: dg.Definitions,
    stages: Stages,
    instance: dg.DagsterInstance,
    customer: str,
    keys: Sequence[str],
    as_of: str | None = None,
    watch: Callable[[Progress], None] = lambda progress: None,
    *,
    full: bool = False,
    wait: float | None = None,
    say: Callable[[str], None] = lambda words: None,
) -> Finished:
    """Materialize ``keys`` of one customer: the tables in one run, then each model whose tables are whole.

    ``full`` lands all rows of the sources, where newer ones would do. Where somebody else writes the customer, it waits
    for at most ``wait`` seconds, or without end, and tells ``say`` whom for.
    """
    home = Home.of()
    try:
        with customer_lock(home, customer, "capflow run", wait, say):
            if not home.has(customer):  # else its partition would come back
                return Finished(customer).fail("It was retired while its lock was waited for")
            return _run_held(defs, stages, instance, customer, keys, as_of, watch, full)
    except InUseError as error:
        return Finished(customer).fail(str(error))


def _run_held(
    defs: dg.Definitions,
    stages: Stages,
    instance: dg.DagsterInstance,
    customer: str,
    keys: Sequence[str],
    as_of: str | None,
    watch: Callable[[Progress], None],
    full: bool,
) -> Finished:
    instance.add_dynamic_partitions(str(CUSTOMERS.name), [customer])
    edges = asset_edges(stages)
    finished = Finished(customer)
    keys = [key for key in keys if key != FLEET]
    tables = [key for key in keys if key in stages.tables]
    if tables:
        _execute(defs, instance, tables, {"customer_tables": {"as_of": as_of, "full": full}}, finished, watch)
    for name in stages.models:
        parts = [key for key in keys if key not in stages.tables and key.split("/")[1] == name]
        broken = sorted(upstream(edges, parts) & set(finished.failures))
        if broken:
            finished.failures |= {part: AssetFailure.of_failed_inputs(customer, part, broken) for part in parts}
        elif parts:
            _execute(defs, instance, parts, {f"{name}_model": {"as_of": as_of}}, finished, watch)
    return finished


def _execute(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    keys: Sequence[str],
    config: dict[str, dict[str, Any]],
    finished: Finished,
    watch: Callable[[Progress], None],
) -> None:
    job = defs.resolve_implicit_global_asset_job_def()
    run_id = str(uuid.uuid4())
    LINE.run_begins(run_id)
    LINE.last_words = lambda: note_interrupted(instance, run_id)
    with _ended_if_interrupted(instance, run_id), _following(instance, run_id, finished, watch):
        result = job.execute_in_process(
            instance=instance,
            run_id=run_id,
            partition_key=finished.customer,
            tags={COMMAND: "capflow run", **this_process(Home.of()).tags(run_id)},
            asset_selection=[dg.AssetKey(key.split("/")) for key in keys],
            run_config={"ops": {op: {"config": given} for op, given in config.items()}, **QUIET},
            raise_on_error=False,
        )
    if LINE.is_interrupted or any(map(is_interruption, result.all_events)):
        raise KeyboardInterrupt
    for event in result.all_events:
        if event.is_step_failure:
            missing = [key for key in keys if key not in finished.done]
            finished.failures |= failures_of_step(event, finished.customer, missing or keys)
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            finished.warnings += _warned(event.asset_check_evaluation_data)


def is_interruption(event: dg.DagsterEvent) -> bool:
    """Whether a run ended because its process was asked to stop."""
    data = event.event_specific_data
    return isinstance(data, JobFailureData) and data.failure_reason == RunFailureReason.UNEXPECTED_TERMINATION


@contextmanager
def _ended_if_interrupted(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Dagster ends the record of a run that is interrupted once it has begun, and not before."""
    try:
        yield
    except KeyboardInterrupt:
        note_interrupted(instance, run_id)
        raise


def note_interrupted(instance: dg.DagsterInstance, run_id: str) -> None:
    """End the record of a run whose process is about to end in the middle of it."""
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished:
        instance.report_run_failed(run, "The command was interrupted; what was done stays.")


def _warned(evaluation: Any) -> list[Warned]:
    if evaluation.passed or evaluation.severity != dg.AssetCheckSeverity.WARN or evaluation.partition is None:
        return []  # without a partition it is about other customers
    if "absent" in evaluation.metadata:
        return []  # counted as waiting
    return [Warned("/".join(evaluation.asset_key.path), evaluation.check_name, evaluation.description or "")]


@contextmanager
def _following(
    instance: dg.DagsterInstance, run_id: str, finished: Finished, watch: Callable[[Progress], None]
) -> Iterator[None]:
    """Note each materialization of a run, and tell ``watch`` of it, as soon as it is logged in this process."""
    listening = [(finished, watch)]

    def hear(entry: dg.EventLogEntry) -> None:
        event = entry.asset_materialization
        if event is None:
            return
        for result, tell in listening:
            key = "/".join(event.asset_key.path)
            result.done[key] = plain(event.metadata)
            tell(Progress(result.customer, key, result.done[key]))

    instance.add_event_listener(run_id, hear)
    try:
        yield
    finally:
        listening.clear()  # Dagster keeps its listeners for good, and should keep no results with them
