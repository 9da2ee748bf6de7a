"""Locks of a deployment that several hosts or pods share: PostgreSQL's advisory locks, each as long as its session.

One session for each process. PostgreSQL ends it, and frees its locks, when the process is gone: at once if its host
tells, and within about a minute if the host has vanished (keep-alives, set for this session alone). Where the
connection breaks and the process lives, it connects again and takes its locks back; one that somebody else got in the
meantime is lost, and its holder learns of it.

A pooler that hands one connection to many clients (PgBouncer in transaction mode) knows no sessions: name the server.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from capflow_assets.errors import CapflowError
from capflow_assets.processes.locks import Holder

LOOK_SECONDS = 10
# So long is waited for a session of one's own to end, whose connection has broken.
ENDING_SECONDS = 5
IS_THERE = "select exists (select from pg_stat_activity where pid = %s and application_name = 'capflow locks')"
KEEP_ALIVES = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
TABLE = "create table if not exists capflow_locks (name text primary key, holder text not null)"
NOTE = "insert into capflow_locks values (%s, %s) on conflict (name) do update set holder = excluded.holder"


class PostgresLocks:
    """Locks by name, of this process's own session."""

    is_local = False

    def __init__(self, url: str) -> None:
        self._url = url.replace("+psycopg2", "", 1)
        self._guard = threading.RLock()
        self._connection: Any = None
        self._backend = 0
        self._taken: dict[str, PostgresLock] = {}

    def take(self, name: str) -> PostgresLock | None:
        """The lock, or None where another session holds it.

        Raises:
            CapflowError: PostgreSQL cannot be reached.
        """
        with self._guard:
            lock = PostgresLock(self, name)
            # A session may take its own lock again; a thread of this process must not take another's.
            if name in self._taken or not self._ask("select pg_try_advisory_lock(%s)", [key(name)]):
                return None
            self._taken[name] = lock
            return lock

    def holder(self, name: str) -> Holder | None:
        """Who is written beside a lock."""
        with self._guard:
            return Holder.parse(str(self._ask("select holder from capflow_locks where name = %s", [name]) or ""))

    def remove(self, name: str) -> None:
        """Leave nothing of a lock that this process holds."""
        with self._guard:
            self._ask("delete from capflow_locks where name = %s returning 1", [name])

    def names(self, start: str) -> list[str]:
        """The locks beside which something is written, and whose names start so."""
        query = (
            "select coalesce(json_agg(name order by name), '[]'::json) from capflow_locks where starts_with(name, %s)"
        )
        with self._guard:
            return list(self._ask(query, [start]))

    def note(self, name: str, holder: Holder | None) -> None:
        """Write beside the lock who holds it."""
        with self._guard:
            if holder is None:
                self.remove(name)
            else:
                self._ask(f"{NOTE} returning 1", [name, holder.text()])

    def release(self, lock: PostgresLock) -> None:
        """Let others have a lock."""
        with self._guard:
            if self._taken.get(lock.name) is lock:
                del self._taken[lock.name]
                with suppress(CapflowError):  # a session that is gone holds nothing
                    self._ask("select pg_advisory_unlock(%s)", [key(lock.name)])

    def is_taken(self, lock: PostgresLock) -> bool:
        """Whether a lock is still this session's, or could be taken back."""
        with self._guard:
            self._look()
            return self._taken.get(lock.name) is lock

    def _ask(self, query: str, values: Sequence[Any]) -> Any:
        """The first value of the first row; asked once more where the connection had broken."""
        import psycopg2

        for is_last in (False, True):
            try:
                return self._answer(self._connected(), query, values)
            except psycopg2.Error as error:
                if is_last or not self._connection or not self._connection.closed:
                    raise _unreachable(error) from error
        return None

    @staticmethod
    def _answer(connection: Any, query: str, values: Sequence[Any]) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(query, values)
            row = cursor.fetchone()
        return row[0] if row else None

    def _connected(self) -> Any:
        """The session; a new one, with the locks of the one before as far as nobody got them, if that is gone."""
        import psycopg2

        if self._connection is not None and not self._connection.closed:
            return self._connection
        is_first = self._connection is None
        connection = psycopg2.connect(self._url, connect_timeout=10, application_name="capflow locks")
        connection.autocommit = True
        with connection.cursor() as cursor:
            for setting in KEEP_ALIVES.replace("-c ", "").split():
                with suppress(psycopg2.Error):  # a unix socket has none
                    cursor.execute("select set_config(%s, %s, false)", setting.split("="))
            cursor.execute("select pg_advisory_lock(%s)", [key("table")])
            cursor.execute(TABLE)
            cursor.execute("select pg_advisory_unlock(%s)", [key("table")])
        for name in self._not_taken_back(connection):
            del self._taken[name]
        self._backend = connection.info.backend_pid
        self._connection = connection
        if is_first:
            threading.Thread(target=self._keep, name="capflow-locks", daemon=True).start()
        return connection

    def _not_taken_back(self, connection: Any) -> list[str]:
        """The locks that somebody else got. The session before may hold them for a moment while it ends."""
        until = time.monotonic() + ENDING_SECONDS
        missing = list(self._taken)
        while True:
            is_ending = missing and self._answer(connection, IS_THERE, [self._backend])
            missing = [n for n in missing if not self._answer(connection, "select pg_try_advisory_lock(%s)", [key(n)])]
            if not missing or not is_ending or time.monotonic() > until:
                return missing
            time.sleep(0.05)

    def _look(self) -> None:
        """See that the session is there, and is the one that took the locks.

        Raises:
            CapflowError: PostgreSQL cannot be reached, or a pooler gave the session to others.
        """
        if self._ask("select pg_backend_pid()", []) != self._backend:
            raise CapflowError(
                "Locks are not kept: the connection to PostgreSQL changes its session",
                where="CAPFLOW_POSTGRES_URL",
                do="name the server itself, or a pooler in session mode",
            )

    def _keep(self) -> None:
        pause = threading.Event()
        while not pause.wait(LOOK_SECONDS):
            with self._guard, suppress(CapflowError):  # tried again; whoever asks for a lock learns of it
                self._look()


@dataclass(frozen=True, slots=True)
class PostgresLock:
    """An advisory lock of this process's session."""

    store: PostgresLocks
    name: str

    def note(self, holder: Holder | None) -> None:
        """Write beside the lock who holds it."""
        self.store.note(self.name, holder)

    def is_held(self) -> bool:
        """Whether the session that holds it is there, or could take it back."""
        return self.store.is_taken(self)

    def release(self) -> None:
        """Let others have it."""
        self.store.release(self)


def key(name: str) -> int:
    """The number by which PostgreSQL knows a lock."""
    return int.from_bytes(hashlib.sha256(f"capflow/{name}".encode()).digest()[:8], "big", signed=True)


def _unreachable(error: Exception) -> CapflowError:
    words = (str(error).strip() or type(error).__name__).splitlines()[0]
    return CapflowError(
        "PostgreSQL, which keeps the locks, cannot be reached",
        came=words[:300],
        where="CAPFLOW_POSTGRES_URL",
        do="capflow doctor tells what is wrong",
    )
