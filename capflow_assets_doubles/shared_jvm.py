"""One Spark on a JVM for all processes that the tests are shared among: to start and to warm one takes half a minute.

Each process has a session of its own on it. The first that needs it starts it, and the last to leave ends it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from filelock import FileLock

from capflow_assets_doubles.engines import session_on, start_server

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Those that this process started, to be waited for where it is also the one that ends them.
_STARTED: dict[int, subprocess.Popen[bytes]] = {}


@contextmanager
def shared_session(folder: Path) -> Iterator[SparkSession]:
    """A Spark Connect session on the JVM of a folder, for small data; all who name the folder share the JVM."""
    folder.mkdir(parents=True, exist_ok=True)
    changing, address = FileLock(folder / "changing.lock"), folder / "address"
    with (folder / "users").open("a") as users:
        with changing:
            if not address.exists():
                _start(folder, address)
            port = int(address.read_text().split()[1])
            fcntl.flock(users, fcntl.LOCK_SH)
        try:
            with session_on(port) as session:
                yield session
        finally:
            with changing:
                if _is_last(users):
                    _end(address)


def _start(folder: Path, address: Path) -> None:
    server, port = start_server(Path(tempfile.mkdtemp(dir=folder)), is_quick=True)
    _STARTED[server.pid] = server
    address.write_text(f"{server.pid} {port}")


def _is_last(users: IO[str]) -> bool:
    """Whether nobody else holds the file of users; a process that died holds nothing."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        fcntl.flock(users, fcntl.LOCK_UN)
        return False
    return True


def _end(address: Path) -> None:
    process = int(address.read_text().split()[0])
    address.unlink()
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    if process in _STARTED:
        _STARTED.pop(process).wait()
