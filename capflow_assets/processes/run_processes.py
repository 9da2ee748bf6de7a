"""Which process a run is of, and whether that process is gone.

A process that executes runs holds a lock of its own for as long as it lives, and tags its runs with the lock's name,
its host, its process id and when it started. A run is ended by others only where both say that its process is gone: the
lock is free, and no process of that id and start is there, which can be judged from the same machine alone. From
another one the lock has to do; what that is worth is said by ``Evidence``.
"""

from __future__ import annotations

import atexit
import os
import socket
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from capflow_assets.errors import CapflowError
from capflow_assets.home.places import Home
from capflow_assets.processes.locks import Holder, Lock
from capflow_assets.processes.process_locks import lock_store

# Dagster's page does not show tags that begin so; programs alone read these.
HIDDEN = ".dagster/capflow"
PROCESS, HOST, PID = f"{HIDDEN}/process", f"{HIDDEN}/host", f"{HIDDEN}/pid"
STARTED, MACHINE = f"{HIDDEN}/process_started", f"{HIDDEN}/machine"
# Whether a process lives, is gone for certain, or seems gone: its lock is free, and it cannot be looked for from here.
Evidence = Literal["alive", "gone", "seems gone", "unknown"]


@dataclass(frozen=True, slots=True)
class Process:
    """This process, as its runs are tagged."""

    token: str
    host: str
    machine: str
    pid: int
    started: str

    def tags(self, run_id: str) -> dict[str, str]:
        """The tags of a run that this process executes. Who executes it again copies them, so they name the run."""
        values = (f"{self.token}/{run_id}", self.host, self.machine, str(self.pid), self.started)
        return {tag: value for tag, value in zip((PROCESS, HOST, MACHINE, PID, STARTED), values, strict=True) if value}


_locks: dict[tuple[str, str], Lock] = {}


def this_process(home: Home) -> Process:
    """This process, whose lock it holds from now on.

    Raises:
        CapflowError: the lock cannot be taken.
    """
    process = _identity(os.getpid())
    name = _lock_name(process.token)
    if (str(home.root), name) not in _locks:
        lock = lock_store(home).take(name)
        if lock is not None:  # it may be held already, for another home of the same database
            lock.note(Holder.here("runs of this process"))
            _locks[str(home.root), name] = lock
            atexit.register(_end, home, name)
    return process


def _end(home: Home, name: str) -> None:
    lock = _locks.pop((str(home.root), name), None)
    with suppress(CapflowError, OSError):  # the home may be gone by now
        if lock is not None:
            lock_store(home).remove(name)
            lock.release()


def sweep(home: Home) -> None:
    """Remove the locks of processes that ended without doing so themselves."""
    store = lock_store(home)
    for name in store.names("process-"):
        if (str(home.root), name) not in _locks and (lock := store.take(name)) is not None:
            store.remove(name)
            lock.release()


@cache
def _identity(pid: int) -> Process:
    return Process(uuid.uuid4().hex, socket.gethostname(), machine(), pid, started(pid))


def evidence(home: Home, tags: Mapping[str, str], run_id: str) -> Evidence:
    """What can be said of the process that a run's tags name."""
    token, _, of_run = tags.get(PROCESS, "").partition("/")
    if not token.isalnum() or of_run != run_id:
        return "unknown"
    is_there = _is_there(tags)
    if is_there:
        return "alive"
    name, store = _lock_name(token), lock_store(home)
    if (str(home.root), name) in _locks or (lock := store.take(name)) is None:
        return "alive"
    store.remove(name)
    lock.release()
    # A kernel's lock is as good as a look at the process; a server's may be free for seconds after its line broke.
    is_certain = is_there is False or (store.is_local and _is_same_kernel(tags))
    return "gone" if is_certain else "seems gone"


def _is_there(tags: Mapping[str, str]) -> bool | None:
    """Whether the process is there; None where it would not be seen from here."""
    if tags.get(HOST) != socket.gethostname() or not tags.get(MACHINE) or tags.get(MACHINE) != machine():
        return None
    pid = tags.get(PID, "")
    return pid.isdigit() and started(int(pid)) == tags.get(STARTED, "")


def _is_same_kernel(tags: Mapping[str, str]) -> bool:
    """Whether the run was on this machine, in another container, or before the machine was last started."""
    boot = machine().split("/")[0]
    return bool(boot) and (tags.get(MACHINE, "").split("/")[0] == boot or tags.get(HOST) == socket.gethostname())


def machine() -> str:
    """This start of this machine, and the space in which process ids are counted; empty where a system tells neither.

    >>> machine() == machine()
    True
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def started(pid: int) -> str:
    """When a process started, in the kernel's ticks since the machine did; empty where there is no such process.

    >>> started(os.getpid()) == started(os.getpid())
    True
    """
    try:
        # The second field is the program's name, in brackets, and may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in (b"Z", b"X") else fields[19].decode()


def answers(path: str) -> bool:
    """Whether a process of this machine listens at a Unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
        return True


def _lock_name(token: str) -> str:
    return f"process-{token}"
