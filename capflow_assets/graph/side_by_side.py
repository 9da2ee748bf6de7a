"""Customers and their models side by side, each in a process of its own: what kills one costs one customer's model.

This process computes nothing: it holds the locks of the customers in hand, hands their parts (``customer_work``) to as
many processes as it is told, and listens. Where one dies, the asset that it had in hand has failed, and what is made of
it; the other parts go on in other processes.
"""

from __future__ import annotations

import pickle
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import dagster as dg

from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError, InUseError
from capflow_assets.graph.cohort_process import EMBEDDED, CohortProcess, ProcessDied, Task
from capflow_assets.graph.customer_work import CustomerWork, Part, last_seconds, parts_of
from capflow_assets.graph.customers_in_turn import finished_by_the_dead, run_in_turn
from capflow_assets.graph.held_work import clean_after_death
from capflow_assets.graph.instance import open_instance
from capflow_assets.graph.launch import Finished, Progress, note_interrupted, run_customer
from capflow_assets.home.capacity import core_count, processes_that_fit
from capflow_assets.processes.customer_lock import customer_lock
from capflow_assets.processes.lifeline import LAST_WORDS_OF_ALL_SECONDS, LINE, Death
from capflow_assets.processes.supervision import CARRIED

# A process takes seconds to start: one more is worth it for so many models that are to be trained.
MODELS_A_PROCESS = 8
PURPOSE = "capflow run"

_instances: list[dg.DagsterInstance] = []


@dataclass(frozen=True, slots=True)
class Said:
    """Words for a person, from the process that works on a customer."""

    words: str


@dataclass(eq=False)
class InHand:
    """A customer whose lock this process holds until all of its parts are over."""

    work: CustomerWork
    keys: Sequence[str]
    lock: ExitStack


@dataclass
class SideBySide:
    """What is the same for all customers of one command.

    Attributes:
        deployment: the home and what there is in it.
        instance: the home's Dagster.
        task: ``run_apart`` as it travels to another process, but for the assets.
        watch: is told of each asset that is done.
        say: is told of what is waited for.
        wait: for how many seconds a customer that somebody else writes is waited for; None is without end.
    """

    deployment: Deployment
    instance: dg.DagsterInstance
    task: Callable[[Sequence[str]], Task]
    watch: Callable[[Progress], None]
    say: Callable[[str], None]
    wait: float | None = None
    _keys_of: dict[str, Sequence[str]] = field(default_factory=dict)
    _waiting: deque[str] = field(default_factory=deque)
    _opening: set[str] = field(default_factory=set)
    _in_hand: list[InHand] = field(default_factory=list)
    _results: dict[str, Finished] = field(default_factory=dict)
    _all: list[CohortProcess] = field(default_factory=list)
    # Of all of the above, and told of every change to it.
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _broken: BaseException | None = None
    _is_over: bool = False

    def run(self, keys_of: Mapping[str, Sequence[str]], processes: int) -> list[Finished]:
        """Materialize the assets of each customer, with ``processes`` at work at a time.

        Raises:
            KeyboardInterrupt: this process was told to stop; the processes are ended.
        """
        self._keys_of = dict(keys_of)
        self._results = {name: finished for name in keys_of if (finished := self._earlier(name)) is not None}
        self._waiting.extend(name for name in keys_of if name not in self._results)
        # Should this process die, another one goes on with those that are not finished, unless nobody was by then.
        LINE.customer_begins(", ".join(self._waiting))
        LINE.last_words, LINE.last_words_seconds = self._end_all, LAST_WORDS_OF_ALL_SECONDS
        try:
            for _ in range(processes):  # not waited for at the end: one may be waiting for somebody else's customer
                threading.Thread(target=self._hand_out, args=(processes,), daemon=True).start()
            with self._changed:
                self._changed.wait_for(lambda: self._broken or len(self._results) == len(keys_of))
            if self._broken is not None:
                raise self._broken
            LINE.raise_if_interrupted()
            LINE.customer_begins("")
        finally:
            self._end_all()
            with self._changed:
                hands, self._in_hand = self._in_hand, []
                self._changed.notify_all()
            for hand in hands:
                hand.lock.close()
        return [self._results[name] for name in keys_of]

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

    def _hand_out(self, most_in_hand: int) -> None:
        """One part after another to one process, until there is nothing more to do."""
        process: CohortProcess | None = None
        try:
            while not self._is_over:
                with self._changed:
                    hand, part, name = self._next(most_in_hand)
                if name:
                    self._begin(name)
                elif hand is None:
                    return
                elif part is None:
                    self._let_go(hand)
                else:
                    process = process if process and process.is_ready() else self._started(most_in_hand)
                    self._do(process, hand.work, part)
                    self._end(hand, part)
        except BaseException as error:  # of whatever kind: the thread that waits for this one is to raise it
            with self._changed:
                self._broken = self._broken or error
                self._changed.notify_all()

    def _next(self, most_in_hand: int) -> tuple[InHand | None, Part | None, str]:
        """A customer in hand with a part to do, or without one where all are over, or the name of one to begin with.

        Nothing where nothing is left; waits where others may free some. The tables of another customer come before the
        models of those in hand, the first of which comes first.
        """
        while not self._is_over:
            if self._waiting and len(self._in_hand) + len(self._opening) < most_in_hand:
                name = self._waiting.popleft()
                self._opening.add(name)
                return None, None, name
            for hand in self._in_hand:
                part = hand.work.take()
                if part is not None or hand.work.is_over:
                    return hand, part, ""
            if not self._waiting and not self._in_hand and not self._opening:
                break
            self._changed.wait()
        return None, None, ""

    def _started(self, beside: int) -> CohortProcess:
        process = CohortProcess(max(1, core_count() // beside))
        self._all.append(process)
        return process

    def _begin(self, name: str) -> None:
        """Take a customer in hand, once nobody else writes it."""
        home, lock, finished, keys = self.deployment.home, ExitStack(), Finished(name), self._keys_of[name]
        parts: list[Part] = []
        try:
            holding = lock.enter_context(customer_lock(home, name, PURPOSE, self.wait, self.say))
            clean_after_death(self.deployment.lake, holding, self.say)
            if home.has(name):
                took = last_seconds(self.instance, name, keys)
                parts = parts_of(self.deployment.stages, keys, took, is_delivered=self._is_delivered(name))
            else:  # else its partition would come back
                finished.fail("It was retired while its lock was waited for")
        except InUseError as error:
            finished.fail(str(error))
        except BaseException:
            lock.close()
            raise
        hand = InHand(CustomerWork(self.deployment.stages, finished, parts), keys, lock)
        with self._changed:
            self._opening.discard(name)
            self._in_hand.append(hand)
            self._changed.notify_all()
            is_late = self._is_over
        if is_late:  # the command was ended while somebody else's customer was waited for
            lock.close()
        else:
            self._let_go(hand)

    def _is_delivered(self, name: str) -> bool:
        with suppress(CapflowError):  # what is wrong with the TOML, the process says that reads it
            return bool(self.deployment.customer(name).delivery)
        return False

    def _let_go(self, hand: InHand) -> None:
        """Free the lock of a customer all of whose parts are over."""
        with self._changed:
            if not hand.work.is_over or hand not in self._in_hand:
                return
            self._in_hand.remove(hand)
        hand.lock.close()
        finished = hand.work.merged(hand.keys)
        if LINE.is_watched:
            LINE.send("finished", finished.customer, pickle.dumps(finished))
        with self._changed:
            self._results[finished.customer] = finished
            self._changed.notify_all()

    def _end(self, hand: InHand, part: Part) -> None:
        with self._changed:
            hand.work.end(part)
            self._changed.notify_all()
        self._let_go(hand)

    def _do(self, process: CohortProcess, work: CustomerWork, part: Part) -> None:
        try:
            for message in process.outcomes(self.task(part.keys), work.customer):
                if isinstance(message, Said):
                    self.say(message.words)
                    continue
                with self._changed:
                    work.take_in(part, message)
                if isinstance(message, Progress):
                    self.watch(message)
            process.run_id = ""
        except ProcessDied as died:
            LINE.raise_if_interrupted()
            if self._is_over:
                raise
            self._note(died.death, work, part)

    def _note(self, death: Death, work: CustomerWork, part: Part) -> None:
        """End the run of the dead in Dagster's records, and count what it had done and what has failed with it."""
        run = self.instance.get_run_by_id(death.run_id) if death.run_id else None
        if run is not None and not run.is_finished:
            self.instance.report_run_failed(run, f"{death.customer}: {death.words()}")
        left = [key for key in work.keys_with(part) if key not in work.finished.done]
        of_dead = finished_by_the_dead(self.instance, death, left)
        with self._changed:
            work.lose(part, of_dead)


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
    """Materialize the assets of each customer: in this process, or where there is much to do in several beside it.

    Args:
        module: the name of the module that holds ``STAGES``, ``SOURCES`` and ``defs``.
        deployment: the home and what there is in it.
        instance: the home's Dagster.
        keys_of: the assets to make, by customer.
        processes: how many compute at once; as many as are worth it, and cores and free memory allow, if None.
        as_of: nothing after this moment is read; the newest bill if None.
        watch: is called with each asset that is done, from several threads.
        full: land all rows of the sources.
        wait: for how many seconds a customer that somebody else writes is waited for; None is without end.
        say: is called with what is waited for, in words.

    Raises:
        KeyboardInterrupt: this process was told to stop; what was done is kept.
    """
    engine = deployment.engine
    count = process_count(deployment, keys_of, processes)
    if count == 1:
        defs = import_module(module).defs
        return run_in_turn(defs, deployment.stages, instance, keys_of, as_of, watch, full=full, wait=wait, say=say)

    def task(keys: Sequence[str]) -> Task:
        arguments = {"module": module, "keys": list(keys), "as_of": as_of, "full": full}
        return Task(module, engine.engine, engine.spark_config, run_apart, arguments, takes_lock=True)

    return SideBySide(deployment, instance, task, watch, say, wait).run(keys_of, count)


def process_count(deployment: Deployment, keys_of: Mapping[str, Sequence[str]], processes: int | None) -> int:
    """How many processes compute: one a customer or for some of the models that are trained, or as many as are named.

    Never more than can be at work at once; one beside a cluster, which has a session for all.
    """
    if deployment.engine.engine != EMBEDDED:
        return 1
    models = sum(key.startswith("models/") for keys in keys_of.values() for key in keys)
    if processes is not None:
        return min(processes, max(len(keys_of), models))
    return processes_that_fit(max(len(keys_of), models // MODELS_A_PROCESS))


def run_apart(
    deployment: Deployment, customer: str, module: str, keys: list[str], as_of: str | None, full: bool
) -> Iterator[Finished]:
    """``run_customer`` in the process that was started for it; what it says on the way goes over the line."""
    code: Any = import_module(module)
    if not _instances:
        _instances.append(open_instance(deployment.home))

    def say(words: str) -> None:
        LINE.send("outcome", Said(words))

    def watch(progress: Progress) -> None:
        LINE.send("outcome", progress)

    with customer_lock(deployment.home, customer, PURPOSE, None, say, beside_others=True):
        yield run_customer(code.defs, code.STAGES, _instances[0], customer, keys, as_of, watch, full=full, say=say)
