"""The processes of a session (in the sense of ``setsid``), and their end.

A session holds whatever a process starts, and what that starts, unless it asks for a session of its own. So nothing
has to be remembered, and nothing is lost when a process in the middle is killed. Only the standard library is used.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

PROCESSES = Path("/proc")


def own() -> int:
    """The session of this process."""
    return os.getsid(0)


def members(session: int) -> set[int]:
    """The processes of a session that have not ended, without this one."""
    return {number for number, its in alive() if its == session and number != os.getpid()}


def alive() -> Iterator[tuple[int, int]]:
    """Every process with its session."""
    if not (PROCESSES / "self" / "stat").exists():
        yield from listed()
        return
    for folder in PROCESSES.iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                # The second field is the program's name in brackets, and may hold anything.
                state, _, _, session = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[:4]
                if state not in "ZX":
                    yield int(folder.name), int(session)


def listed() -> Iterator[tuple[int, int]]:
    """Every process with its session, where the system has no /proc."""
    done = subprocess.run(["/bin/ps", "-axo", "pid=,stat="], capture_output=True, text=True, check=True)
    for number, state in (line.split()[:2] for line in done.stdout.splitlines()):
        if not state.startswith("Z"):
            with suppress(OSError):
                yield int(number), os.getsid(int(number))


def end(session: int, seconds: float, hurried: Callable[[], bool] = lambda: False) -> None:
    """Ask every process of a session to end, and kill what has not after some seconds, or at once if hurried."""
    until = time.monotonic() + seconds
    signalled: set[int] = set()
    while left := members(session):
        if time.monotonic() > until or hurried():
            tell(left, signal.SIGKILL)
        else:
            tell(left - signalled, signal.SIGTERM)
            signalled |= left
        reap()
        time.sleep(0.1)


def tell(processes: set[int], number: signal.Signals) -> None:
    """Send a signal to processes, some of which may have ended."""
    for process in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)


def reap() -> None:
    """Take note of children that have ended, so that they go."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
