"""A process beside a run's own in which the customers of a cohort are computed, so that one of them can kill only it.

It is started when a cohort first needs it, kept warm for the customers and steps that follow, and left alone it ends.
A run that is canceled stops it, and the end of the run's process is its end. Started anew, never forked: the run's
process has threads.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capflow_assets.processes.collector import collect_seldom
from capflow_assets.processes.customer_lock import INHERITED, customer_lock, default_wait
from capflow_assets.processes.lifeline import GRACE_SECONDS, LAST_WORDS_SECONDS, LINE, Death, ending, leave

if TYPE_CHECKING:
    from capflow_assets.graph.outcomes import Outcome

EMBEDDED = "sail"
IDLE_SECONDS = 60
# Where memory runs out, Linux ends the process that weighs most, and this adds half of all memory to its own weight.
WEIGHT, MORE_WEIGHT = Path("/proc/self/oom_score_adj"), 500
# How many threads linear algebra takes, where the code does not say: by default as many as there are cores.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be done for each customer, as it travels to another process.

    ``module`` holds ``STAGES`` and ``SOURCES``; ``function`` takes a deployment of them, a customer and ``arguments``,
    and yields outcomes. Where it ``takes_lock``, it locks the customer by itself.
    """

    module: str
    engine: str
    spark_config: Mapping[str, Any]
    function: Callable[..., Iterator[Any]]
    arguments: Mapping[str, Any]
    takes_lock: bool = False


class ProcessDied(Exception):  # noqa: N818  (not an error to show: it says what happened)
    """The process of a cohort ended without a word."""

    def __init__(self, death: Death) -> None:
        super().__init__(death.words())
        self.death = death


class CohortProcess:
    """The process, seen from the run's own.

    Where others compute beside it, ``threads`` is its share of the cores: with more, all wait for each other. What the
    environment says already goes before it.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._line, theirs = Pipe()
        shares = dict.fromkeys(THREADS, str(threads)) if threads else {}
        command = [sys.executable, "-P", "-m", __name__, str(theirs.fileno())]
        self._process = subprocess.Popen(  # noqa: S603  (this interpreter and one of our modules)
            command,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            process_group=0,
            env={**shares, **os.environ},
        )
        theirs.close()
        self.run_id = ""  # Dagster's record of what it has in hand

    def outcomes(self, task: Task, customer: str) -> Iterator[Any]:
        """What the task yields for a customer, each as soon as it is known.

        Raises:
            ProcessDied: says how, and with what in hand.
        """
        asset, self.run_id = "", ""
        try:
            with suppress(OSError):
                self._line.send_bytes(pickle.dumps((task, customer, os.environ.get(INHERITED, ""))))
            while (message := self._received(customer, asset))[0] != "done":
                if message[0] == "asset":
                    asset = message[1]
                elif message[0] == "run":
                    self.run_id = message[1]
                elif message[0] == "outcome":
                    yield message[1]
        except BaseException:  # an interrupt, or nobody listens any more: what it would say next is another's
            self.end()
            raise

    def _received(self, customer: str, asset: str) -> tuple[Any, ...]:
        try:
            message: tuple[Any, ...] = pickle.loads(self._line.recv_bytes())  # noqa: S301  (of our own process)
        except (EOFError, OSError):
            raise ProcessDied(Death(ending(self._process.wait()), customer, self.run_id, asset)) from None
        return message

    @property
    def pid(self) -> int:
        """The number of the process in its system."""
        return self._process.pid

    def is_ready(self) -> bool:
        """Whether it can be given work."""
        return self._process.poll() is None and not self._line.closed

    def tell_to_stop(self) -> None:
        """Ask it to end, and go on: of several, each is asked before one is waited for."""
        with suppress(OSError):
            self._line.send_bytes(pickle.dumps(("stop",)))

    def end(self) -> None:
        """Stop what it does, by force if it does not."""
        self.tell_to_stop()
        try:
            self._process.wait(GRACE_SECONDS + LAST_WORDS_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._line.close()


_warm: list[CohortProcess] = []


def apart(task: Task) -> Callable[[str], Iterator[Outcome]]:
    """``task`` for one customer after another, in a process of their own; in another one if that has died."""

    def work(customer: str) -> Iterator[Outcome]:
        if not (_warm and _warm[0].is_ready()):
            _warm[:] = [CohortProcess()]
        yield from _warm[0].outcomes(task, customer)

    return work


def serve(line: Connection) -> None:
    """Do what the line asks for until it ends, or nothing is asked for any more."""
    LINE.attach(line)
    _be_first_to_go()
    with suppress(queue.Empty, KeyboardInterrupt):
        while True:
            task, customer, lent = LINE.inbox.get(timeout=IDLE_SECONDS)
            os.environ[INHERITED] = lent  # the run's process holds the customer, and lends its lock
            _answer(task, customer)
            LINE.send("done")
    leave(0)


def _be_first_to_go() -> None:
    """See that memory that runs out takes this process and its customer, not the run's or a daemon's."""
    with suppress(OSError, ValueError):
        if int(WEIGHT.read_text()) < MORE_WEIGHT:
            WEIGHT.write_text(str(MORE_WEIGHT))


def _answer(task: Task, customer: str) -> None:
    import dagster as dg

    from capflow_assets.errors import CapflowError
    from capflow_assets.foreign import words_of
    from capflow_assets.graph.outcomes import Outcome

    try:
        deployment = _deployment(task)
        # Should the run's process die, nobody else writes the customer before this one has ended too.
        lock = customer_lock(deployment.home, customer, "a cohort's process", default_wait())
        with nullcontext() if task.takes_lock else lock:
            for outcome in task.function(deployment, customer, **task.arguments):
                LINE.send("outcome", outcome.as_plain() if isinstance(outcome, Outcome) else outcome)
    except Exception as error:  # it is this customer's, of whatever kind
        words = str(error) if isinstance(error, CapflowError) else words_of(error)
        LINE.send("outcome", Outcome(dg.AssetKey("customer"), failure=words, error=error).as_plain())


def _deployment(task: Task) -> Any:
    from capflow_assets.graph.engine import Engine, deployment

    code = import_module(task.module)
    return deployment(code.STAGES, code.SOURCES, Engine(engine=task.engine, spark_config=dict(task.spark_config)))


if __name__ == "__main__":
    collect_seldom()
    serve(Connection(int(sys.argv[1])))
