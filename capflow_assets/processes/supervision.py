"""A command that outlives its own death: it is carried out by a child, which this process watches over.

Forked at the very beginning, while there is one thread and nothing heavy is loaded: that costs a millisecond. The
parent computes nothing, so nothing of what can kill the child can kill it. It takes the terminal's signals, tells the
child to stop, and ends it if it does not; if the child dies of itself, it says so and forks again for the customers
that are left. Does not belong here: Dagster, or any other library.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import NoReturn

from capflow_assets.processes.lifeline import GRACE_SECONDS, LAST_WORDS_OF_ALL_SECONDS, LINE, SIGNALS, Death, ending

# A child that is still there then is killed: a second more than it takes to end itself.
KILLED_AFTER_SECONDS = GRACE_SECONDS + LAST_WORDS_OF_ALL_SECONDS + 0.5
CURSOR_SHOWN = "\x1b[?25h"  # which a progress bar that was cut off has hidden


@dataclass
class Carried:
    """What earlier children of this command came to: pickled results of customers, and who was in hand at a death."""

    finished: dict[str, bytes] = field(default_factory=dict)
    deaths: dict[str, Death] = field(default_factory=dict)


# Of this process, if it takes over from one that died.
CARRIED = Carried()


def supervise(command: str) -> None:
    """Go on in a child. This process stays behind, and leaves with what the child leaves with.

    In a process that is watched over already, or where there is no ``fork``, nothing changes.
    """
    if hasattr(os, "fork") and not LINE.is_watched:
        _Supervisor(command).watch()


class _Supervisor:
    def __init__(self, command: str) -> None:
        self._command = command
        self._carried = Carried()
        self._signal = 0
        self._kill_at = float("inf")
        self._woken, self._waking = os.pipe()
        for end in (self._woken, self._waking):
            os.set_blocking(end, False)

    def watch(self) -> None:
        """Child after child. Returns in the children, never here."""
        signal.set_wakeup_fd(self._waking)
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # `nohup` and shells' `&` ignore some, and mean it
                signal.signal(number, _wake_up)
        signal.signal(signal.SIGCHLD, _wake_up)
        while True:
            ours, theirs = Pipe()
            # Held back until each has its own handlers.
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            pid = os.fork()
            if not pid:
                ours.close()
                self._become_child(theirs)
                return
            theirs.close()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            self._take_leave_or_go_on(_Child(pid, ours))

    def _become_child(self, line: Connection) -> None:
        signal.set_wakeup_fd(-1)
        os.close(self._woken)
        os.close(self._waking)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        CARRIED.finished, CARRIED.deaths = self._carried.finished, self._carried.deaths
        LINE.attach(line)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # else every program that it starts would inherit it

    def _take_leave_or_go_on(self, child: _Child) -> None:
        self._wait(child)
        _mend_terminal()
        if child.over is not None:
            leave(child.over)
        if self._signal:
            _say("interrupted; what is done is kept; next: the same command")
            leave(128 + self._signal)
        death = child.death()
        self._carried.finished |= child.finished
        if not death.customer or death.customer in self._carried.deaths:
            _say(f"capflow {self._command}: {death.words()}")
            leave(128 - child.code if child.code < 0 else child.code or 1)
        _say(f"{death.customer}: {death.words()}")
        self._carried.deaths[death.customer] = death

    def _wait(self, child: _Child) -> None:
        if self._signal:  # it came between two children
            child.stop()
        while not child.has_ended():
            remaining = self._kill_at - time.monotonic()
            waiting: list[int | Connection] = [self._woken, *child.lines()]
            select.select(waiting, [], [], None if remaining == float("inf") else max(0.0, remaining))
            child.listen()
            self._heed(child)
            if time.monotonic() >= self._kill_at:
                child.kill()
                self._kill_at = float("inf")
        child.listen()

    def _heed(self, child: _Child) -> None:
        """The first signal, to either, stops the child; a second one to this process ends it at once."""
        with suppress(BlockingIOError):
            for number in os.read(self._woken, 512):
                if number in SIGNALS and self._signal:
                    self._kill_at = time.monotonic()
                elif number in SIGNALS:
                    self._stop(child, number)
        if child.signal and not self._signal:
            self._stop(child, child.signal)

    def _stop(self, child: _Child, number: int) -> None:
        self._signal = number
        self._kill_at = time.monotonic() + KILLED_AFTER_SECONDS
        child.stop()


class _Child:
    """A child, and what it has said."""

    def __init__(self, pid: int, line: Connection) -> None:
        self._pid = pid
        self._line = line
        self._doing = {"customer": "", "run": "", "asset": ""}
        self.finished: dict[str, bytes] = {}
        self.over: int | None = None
        self.signal = 0
        self.code = 0

    def lines(self) -> list[Connection]:
        """What there is to listen to."""
        return [] if self._line.closed else [self._line]

    def has_ended(self) -> bool:
        """Whether it is gone; ``code`` is how, from then on."""
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if pid:
            self.code = os.waitstatus_to_exitcode(status)
        return bool(pid)

    def listen(self) -> None:
        """Take in all that it has said."""
        try:
            while not self._line.closed and self._line.poll():
                self._take_in(pickle.loads(self._line.recv_bytes()))  # noqa: S301  (of our own process)
        except (EOFError, OSError):
            self._line.close()

    def _take_in(self, message: tuple[str, str | int, bytes]) -> None:
        kind, value = message[:2]
        if kind == "over":
            self.over = int(value)
        elif kind == "signal":
            self.signal = int(value)
        elif kind == "finished":
            self.finished[str(value)] = message[2]
        else:
            self._doing[kind] = str(value)
            if kind == "customer":
                self._doing |= {"run": "", "asset": ""}

    def stop(self) -> None:
        """Ask it to stop."""
        with suppress(OSError):
            self._line.send_bytes(pickle.dumps(("stop",)))

    def kill(self) -> None:
        """End it."""
        os.kill(self._pid, signal.SIGKILL)

    def death(self) -> Death:
        """How it died, and with what in hand."""
        return Death(ending(self.code), self._doing["customer"], self._doing["run"], self._doing["asset"])


def leave(code: int) -> NoReturn:
    """End the parent, which has nothing to clean up."""
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(code)


def _wake_up(number: int, frame: object) -> None:
    """The number is read from the pipe that wakes the parent."""


def _say(text: str) -> None:
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def _mend_terminal() -> None:
    with suppress(OSError, ValueError):
        if sys.stderr.isatty():
            sys.stderr.write(CURSOR_SHOWN)
