"""Stores are made by one process at a time: two that come first at once break them for good.

Dagster's SQLite files and tables, and MLflow's, are made by whoever opens them first. Two processes of a fresh home
each saw that there was nothing and each wrote the number of the schema, and from then on nobody could open it. So a
store is opened under a lock, and ``capflow ui`` opens all of them before it starts the processes that share them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from capflow_assets.home.places import Home
from capflow_assets.processes.process_locks import lock_store

SQLITE = "sqlite:///"
LOOK_SECONDS = 0.05
FIRST = "home"


@contextmanager
def alone_in_home(home: Home) -> Iterator[None]:
    """Nobody else makes or mends the stores of this home in the meantime."""
    with _alone_in(home.root / "locks" / f"{FIRST}.lock"):
        store = lock_store(home)
        if store.is_local:
            yield
            return
        while (lock := store.take(FIRST)) is None:
            time.sleep(LOOK_SECONDS)
        try:
            yield
        finally:
            lock.release()


@contextmanager
def alone_at(place: str) -> Iterator[None]:
    """No other process of this user and machine writes a place, a folder or an address, in the meantime."""
    with _alone_in(_of_machine("place", place)):
        yield


@contextmanager
def alone(uri: str) -> Iterator[None]:
    """Nobody else opens MLflow's store at ``uri`` meanwhile: a file's in its folder, another's from this machine."""
    database = Path(uri.removeprefix(SQLITE).partition("?")[0])
    if uri.startswith(SQLITE) and os.access(database.parent, os.W_OK):
        place = database.with_name(f".{database.name}.lock")
    else:
        place = _of_machine("mlflow", uri)
    with _alone_in(place):
        yield


def _of_machine(kind: str, name: str) -> Path:
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"capflow-{kind}-{digest}-{os.getuid()}.lock")


@contextmanager
def _alone_in(place: Path) -> Iterator[None]:
    place.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(place, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
