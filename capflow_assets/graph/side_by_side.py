"""Customers side by side, each in a process of its own, so that what kills one costs one model of one customer.

This process computes nothing: it hands customers to as many processes as it is told, and listens. Where one dies, the
asset that it had in hand has failed, and what is made of it; the customer's other models go on in the next process.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import import_module
from queue import Empty, SimpleQueue
from typing import Any

import dagster as dg

from capflow_assets.blueprint.stages import Stages
from capflow_assets.deployment import Deployment
from capflow_assets.graph.cohort_process import EMBEDDED, CohortProcess, ProcessDied, Task
from capflow_assets.graph.customers_in_turn import finished_by_the_dead, run_in_turn
from capflow_assets.graph.failures import AssetFailure
from capflow_assets.graph.instance import open_instance
from capflow_assets.graph.launch import Finished, Progress, asset_edges, note_interrupted, run_customer, upstream
from capflow_assets.graph.outcomes import Outcome
from capflow_assets.home.capacity import processes_that_fit
from capflow_assets.processes.lifeline import LAST_WORDS_OF_ALL_SECONDS, LINE, Death
from capflow_assets.processes.supervision import CARRIED

_instances: list[dg.DagsterInstance] = []


@dataclass(frozen=True, slots=True)
class Said:
    """Words for a person, from the process that works on a customer."""

    words: str


@dataclass
class SideBySide:
    """What is the same for all customers of one command.

    Attributes:
        stages: what there is.
        instance: the home's Dagster.
        task: ``run_apart`` as it travels to another process, but for the assets.
        watch: is told of each asset that is done.
        say: is told of what is waited for.
    """

    stages: Stages
    instance: dg.DagsterInstance
    task: Callable[[Sequence[str]], Task]
    watch: Callable[[Progress], None]
    say: Callable[[str], None]
    _idle: SimpleQueue[CohortProcess] = field(default_factory=SimpleQueue)
    _all: list[CohortProcess] = field(default_factory=list)
    _is_over: bool = False

    def run(self, keys_of: Mapping[str, Sequence[str]], processes: int) -> list[Finished]:
        """Materialize the assets of each customer, ``processes`` of them at a time.

        Raises:
            KeyboardInterrupt: this process was told to stop; the processes are ended.
        """
        earlier = {name: self._earlier(name) for name in keys_of}
        left = [name for name, finished in earlier.items() if finished is None]
        # Should this process die, another one goes on with those that are not finished, unless nobody was by then.
        LINE.customer_begins(", ".join(left))
        LINE.last_words, LINE.last_words_seconds = self._end_all, LAST_WORDS_OF_ALL_SECONDS
        with ThreadPoolExecutor(processes) as pool:
            futures = {name: pool.submit(self._customer, name, list(keys_of[name])) for name in left}
            try:
                results = [earlier[name] or futures[name].result() for name in keys_of]
                LINE.raise_if_interrupted()
                LINE.customer_begins("")
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            finally:
                self._end_all()
        return results

    def _end_all(self) -> None:
        """End the processes together, and the records of what they did not finish: killed ones could not do that."""
        self._is_over = True
        processes = tuple(self._all)
        for process in processes:
            process.tell_to_stop()
        for process in processes:
            process.end()
        for run_id in filter(None, (process.run_id for process in processes)):
            note_interrupted(self.instance, run_id)

    def _earlier(self, name: str) -> Finished | None:
        """What a process before this one made of a customer; None where it is still to be done."""
        if name not in CARRIED.finished:
            return None
        finished: Finished = pickle.loads(CARRIED.finished[name])  # noqa: S301  (of our own process)
        for key, metadata in finished.done.items():
            self.watch(Progress(name, key, metadata))
        return finished

    def _customer(self, name: str, keys: list[str]) -> Finished:
        finished = Finished(name)
        while keys:
            try:
                self._part(name, keys, finished)
                break
            except ProcessDied as died:
                LINE.raise_if_interrupted()
                if self._is_over:
                    raise
                self._note(died.death, keys, finished)
                keys = self._left(died.death, keys, finished)
        if LINE.is_watched:
            LINE.send("finished", name, pickle.dumps(finished))
        return finished

    def _part(self, name: str, keys: Sequence[str], finished: Finished) -> None:
        process = self._process()
        for message in process.outcomes(self.task(keys), name):
            if isinstance(message, Progress):
                finished.done[message.key] = message.metadata
                self.watch(message)
            elif isinstance(message, Said):
                self.say(message.words)
            elif isinstance(message, Finished):
                finished.done |= message.done
                finished.failures |= message.failures
                finished.warnings += message.warnings
            elif isinstance(message, Outcome):
                finished.fail(message.failure)
        self._idle.put(process)

    def _process(self) -> CohortProcess:
        try:
            # Without waiting: what another thread takes first may never come back.
            while not (process := self._idle.get_nowait()).is_ready():
                continue
        except Empty:
            process = CohortProcess()
            self._all.append(process)
        return process

    def _note(self, death: Death, keys: Sequence[str], finished: Finished) -> None:
        """End the run of the dead in Dagster's records, and count what it had done and what has failed with it."""
        run = self.instance.get_run_by_id(death.run_id) if death.run_id else None
        if run is not None and not run.is_finished:
            self.instance.report_run_failed(run, f"{death.customer}: {death.words()}")
        left = [key for key in keys if key not in finished.done]
        of_run = finished_by_the_dead(self.instance, death, left)
        finished.done |= of_run.done
        others = {key for key in left if self._is_another_model(key, death.key)}
        finished.failures |= {key: failure for key, failure in of_run.failures.items() if key not in others}

    def _left(self, death: Death, keys: Sequence[str], finished: Finished) -> list[str]:
        """The assets of models that do not need the one that died; none where it was a table, or nothing known."""
        edges = asset_edges(self.stages)
        left = []
        for key in keys:
            if key in finished.done or key in finished.failures or not self._is_another_model(key, death.key):
                continue
            if broken := sorted(upstream(edges, [key]) & set(finished.failures)):
                finished.failures[key] = AssetFailure.of_failed_inputs(finished.customer, key, broken)
            else:
                left.append(key)
        return left

    def _is_another_model(self, key: str, dead: str) -> bool:
        is_of_model = dead and dead not in self.stages.tables and key not in self.stages.tables
        return bool(is_of_model) and key.split("/")[1] != dead.split("/")[1]


def run_customers(
    module: str,
    deployment: Deployment,
    instance: dg.DagsterInstance,
    keys_of: Mapping[str, Sequence[str]],
    processes: int | None = None,
    as_of: str | None = None,
    watch: Callable[[Progress], None] = lambda progress: None,
    *,
    full: bool = False,
    wait: float | None = None,
    say: Callable[[str], None] = lambda words: None,
) -> list[Finished]:
    """Materialize the assets of each customer: in this process, or where there are several in processes of their own.

    Args:
        module: the name of the module that holds ``STAGES``, ``SOURCES`` and ``defs``.
        deployment: the home and what there is in it.
        instance: the home's Dagster.
        keys_of: the assets to make, by customer.
        processes: how many customers are computed at once; as many as cores and free memory allow if None.
        as_of: nothing after this moment is read; the newest bill if None.
        watch: is called with each asset that is done, from several threads.
        full: land all rows of the sources.
        wait: for how many seconds a customer that somebody else writes is waited for; None is without end.
        say: is called with what is waited for, in words.

    Raises:
        KeyboardInterrupt: this process was told to stop; what was done is kept.
    """
    engine = deployment.engine
    if engine.engine != EMBEDDED or len(keys_of) == 1:
        processes = 1  # a cluster has a session for all; and nobody is beside one customer
    if (processes or processes_that_fit(len(keys_of))) == 1:
        defs = import_module(module).defs
        return run_in_turn(defs, deployment.stages, instance, keys_of, as_of, watch, full=full, wait=wait, say=say)

    def task(keys: Sequence[str]) -> Task:
        arguments = {"module": module, "keys": list(keys), "as_of": as_of, "full": full, "wait": wait}
        return Task(module, engine.engine, engine.spark_config, run_apart, arguments, takes_lock=True)

    side_by_side = SideBySide(deployment.stages, instance, task, watch, say)
    return side_by_side.run(keys_of, processes or processes_that_fit(len(keys_of)))


def run_apart(
    deployment: Deployment,
    customer: str,
    module: str,
    keys: list[str],
    as_of: str | None,
    full: bool,
    wait: float | None,
) -> Iterator[Finished]:
    """``run_customer`` in the process that was started for it; what it says on the way goes over the line."""
    code: Any = import_module(module)
    if not _instances:
        _instances.append(open_instance(deployment.home))
    yield run_customer(
        code.defs,
        code.STAGES,
        _instances[0],
        customer,
        keys,
        as_of,
        lambda progress: LINE.send("outcome", progress),
        full=full,
        wait=wait,
        say=lambda words: LINE.send("outcome", Said(words)),
    )
