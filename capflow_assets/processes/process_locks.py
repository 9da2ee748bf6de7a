"""Locks by name that no process outlives: the kernel's on one host, PostgreSQL's where several share a deployment.

Where Dagster keeps its state in SQLite, a lock is a file of ``{home}/locks`` with an exclusive ``flock``. Where
``CAPFLOW_POSTGRES_URL`` is set, it is an advisory lock of a session there (``postgres_locks``). Neither knows a clock:
a lock is free as soon as its holder has died. Who holds it is written beside, for people to read; what is still written
there when the lock is free was written by a holder that died.
"""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from capflow_assets.errors import CapflowError
from capflow_assets.home.places import Home
from capflow_assets.processes.locks import Holder, LockStore
from capflow_assets.processes.postgres_locks import PostgresLocks

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


def lock_store(home: Home) -> LockStore:
    """The locks of a deployment."""
    url = os.environ.get("CAPFLOW_POSTGRES_URL")
    if not url:
        return FileLocks(home.root / "locks")
    # A process that was forked has its parent's connections, and must not use them.
    return _postgres_locks(url, os.getpid())


@cache
def _postgres_locks(url: str, _pid: int) -> LockStore:
    return PostgresLocks(url)


@dataclass(frozen=True)
class FileLocks:
    """Locks that are files of a folder."""

    folder: Path
    is_local = True

    def take(self, name: str) -> FileLock | None:
        """The lock, or None where somebody else holds it.

        Raises:
            CapflowError: the folder cannot be written.
        """
        place = self._place(name)
        while True:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(place, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as error:
                raise CapflowError(
                    "A lock cannot be taken", came=error.strerror or str(error), where=str(place), do=_WRITABLE
                ) from error
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return None
            if _is_at(descriptor, place):
                return FileLock(descriptor)
            os.close(descriptor)  # removed by its last holder in the meantime

    def holder(self, name: str) -> Holder | None:
        """Who is written beside a lock."""
        try:
            return Holder.parse(self._place(name).read_text(encoding="utf-8"))
        except OSError:
            return None

    def remove(self, name: str) -> None:
        """Leave nothing of a lock that this process holds."""
        self._place(name).unlink(missing_ok=True)

    def names(self, start: str) -> list[str]:
        """The locks whose names start so."""
        return sorted(file.stem for file in self.folder.glob(f"{start}*.lock"))

    def _place(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise CapflowError("That is no name of a lock", expected=NAME.pattern, came=repr(name))
        return self.folder / f"{name}.lock"


_WRITABLE = "whoever runs work must be able to write to the home; looking needs no lock"


@dataclass(frozen=True, slots=True)
class FileLock:
    """The lock of an open file. Forked children have the file open too, so the lock stays theirs if this one dies."""

    descriptor: int

    def note(self, holder: Holder | None) -> None:
        """Write into the file who holds it."""
        text = holder.text().encode() if holder else b""
        os.pwrite(self.descriptor, text, 0)  # before the rest is cut off: who looks meanwhile does not find it empty
        os.ftruncate(self.descriptor, len(text))

    def is_held(self) -> bool:
        """A kernel takes no lock away."""
        return True

    def release(self) -> None:
        """Let others have it; forked children that live on have no claim to it any more."""
        with suppress(OSError):
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        os.close(self.descriptor)


def _is_at(descriptor: int, place: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), place.stat())
    except FileNotFoundError:
        return False
