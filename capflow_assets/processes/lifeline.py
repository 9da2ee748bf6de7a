"""The line between a process that computes and the one that watches over it, seen from the one that computes.

A process that computes can die at any moment and without a word: a fault in an engine's native code, a stack that
overflows, memory that the system takes back. So it says beforehand what it is about to do (``customer_begins``,
``begins``), and another process, which computes nothing, tells what became of it. Over the same line it is told to
stop, and the end of the line is the end of the one that watches: then nobody would end this process, so it ends itself.

Without a line (a test, a notebook, a step on a cluster) all of this does nothing. Does not belong here: Dagster.
"""

from __future__ import annotations

import logging
import os
import pickle
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

# Of what a terminal, a service manager or a person sends; they reach the one that watches, which passes them on once.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
HANGS_UP = getattr(signal, "SIGHUP", 0)
INTERRUPTED = 130
# A signal that a terminal sends to both reaches this process by then, and is not raised again for being passed on.
SAME_SIGNAL_SECONDS = 0.1
# For noting what was interrupted. What takes longer (a training in native code, say) is not waited for.
GRACE_SECONDS = 1.5
# For the same, where no line of Python comes to run in the main thread any more.
LAST_WORDS_SECONDS = 1.0
# For the same, of a process that ends others first and then notes what they could not.
LAST_WORDS_OF_ALL_SECONDS = 3 * LAST_WORDS_SECONDS


@dataclass(frozen=True, slots=True)
class Death:
    """A process that ended without a word: how, with which customer, run and asset in hand."""

    how: str
    customer: str = ""
    run_id: str = ""
    key: str = ""

    def words(self) -> str:
        """What happened and what to do, for a person."""
        at = f" while on {self.key}" if self.key else ""
        memory = "; probably out of memory" if "SIGKILL" in self.how else ""
        do = MORE_MEMORY if memory else "run it again; if it happens again, report it with the customer's TOML"
        return (
            f"the process that computed died{at}: {self.how}{memory}\n  What was done stays, and so does the last good "
            f"version of every table.\n  To do: {do}"
        )


MORE_MEMORY = "give the machine or the container more memory, or run fewer things at once; then run it again"


def ending(returncode: int) -> str:
    """How a process ended, by the code that ``subprocess`` gives.

    >>> ending(-11), ending(3)
    ('killed by SIGSEGV', 'it left with exit code 3 in the middle of its work')
    """
    if returncode >= 0:
        return f"it left with exit code {returncode} in the middle of its work"
    with suppress(ValueError):
        return f"killed by {signal.Signals(-returncode).name}"
    return f"killed by signal {-returncode}"


class Lifeline:
    """The line of this process, if anybody watches over it."""

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._sending = threading.Lock()
        self.inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.is_interrupted = False
        self._is_raised = threading.Event()
        # What is to be noted where the main thread does not come to it; at most one thing is under way at a time.
        self.last_words: Callable[[], None] = _nothing
        self.last_words_seconds = LAST_WORDS_SECONDS

    @property
    def is_watched(self) -> bool:
        """Whether there is anybody at the other end."""
        return self._connection is not None

    def attach(self, connection: Connection) -> None:
        """Take the line up, in the main thread of a process that has just begun."""
        for number in (candidate for candidate in SIGNALS if signal.getsignal(candidate) != signal.SIG_IGN):
            signal.signal(number, signal.default_int_handler if number != HANGS_UP else _leave_to_the_line)
        signal.signal(signal.SIGUSR1, _as_dagster_wants_it)
        # Whatever handler stands in the way of a signal, its number comes here: Dagster puts its own there, often.
        woken, waking = os.pipe()
        os.set_blocking(waking, False)
        signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
        self._connection = connection
        threading.Thread(target=self._listen, name="lifeline", daemon=True).start()
        threading.Thread(target=self._pass_on, args=(woken,), name="signals", daemon=True).start()

    def customer_begins(self, name: str) -> None:
        """From now on it is this customer's."""
        self.send("customer", name)

    def run_begins(self, run_id: str) -> None:
        """Dagster's record of what is under way."""
        self.send("run", run_id)

    def begins(self, key: str) -> None:
        """The asset under way."""
        self.send("asset", key)

    def send(self, *message: Any) -> None:
        """Tell the one that watches; one that is gone is noticed by the thread that listens."""
        if self._connection is None:
            return
        with self._sending, suppress(OSError):
            self._connection.send_bytes(pickle.dumps(message))

    def raise_if_interrupted(self) -> None:
        """For those who call what takes an interrupt for a failure like others, and would go on with the next thing.

        Raises:
            KeyboardInterrupt: this process was told to stop.
        """
        if self.is_interrupted:
            raise KeyboardInterrupt

    def _listen(self) -> None:
        assert self._connection is not None  # noqa: S101  (the thread begins with it)
        while True:
            try:
                message = pickle.loads(self._connection.recv_bytes())  # noqa: S301  (of our own process)
            except (EOFError, OSError):
                os._exit(INTERRUPTED)  # nobody is left who could end this process or take what it writes
            if message == ("stop",):
                self._stop()
            else:
                self.inbox.put(message)

    def _pass_on(self, woken: int) -> None:
        """Tell the one that watches of signals to this process, which ends it in time as for one of its own."""
        while numbers := os.read(woken, 512):
            for number in set(numbers) & {signal.SIGINT, signal.SIGTERM}:
                self._note_interrupt()
                self._is_raised.set()
                self.send("signal", number)

    def _note_interrupt(self) -> None:
        self.is_interrupted = True
        # What libraries say of their own interrupted clean-up helps nobody.
        logging.disable(logging.CRITICAL)
        sys.unraisablehook = lambda _: None

    def _stop(self) -> None:
        self._note_interrupt()
        main = threading.main_thread().ident
        if not self._is_raised.wait(SAME_SIGNAL_SECONDS) and main is not None:
            signal.pthread_kill(main, signal.SIGUSR1)
        time.sleep(GRACE_SECONDS)
        words = threading.Thread(target=self.last_words, daemon=True)
        words.start()
        words.join(self.last_words_seconds)
        leave(INTERRUPTED)


def _nothing() -> None:
    """Nothing is under way."""


def _leave_to_the_line(number: int, frame: Any) -> None:
    """The one that watches got the same signal, and says what is to be done."""


def _as_dagster_wants_it(number: int, frame: Any) -> None:
    """Interrupt the main thread as Ctrl-C would at this point: Dagster holds it off where it writes its records."""
    handler = signal.getsignal(signal.SIGINT)
    (handler if callable(handler) else signal.default_int_handler)(number, frame)


def leave(code: int) -> None:
    """End the process at once, whatever its threads wait for; pyspark's would wait for minutes."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


# One for each process: who notes what is under way is far from who took the line up.
LINE = Lifeline()
