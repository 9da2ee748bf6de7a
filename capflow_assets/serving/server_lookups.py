"""Looking subjects up on a server (Redis, DynamoDB), which may be slow or gone while requests go on.

Pointers are read by a thread, once a second, for all customers that are served: no request waits for them, and the last
ones hold while the server is gone. Rows are read by threads, each question within its time; after one that failed all
others go on without the server for a moment.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from capflow_assets.errors import CapflowError, LostVersionError
from capflow_assets.serving.lookups import REST_SECONDS, StoredBlob
from capflow_assets.stores.answer_server import AnswerServer, is_fresh
from capflow_assets.stores.answer_store import StoredTable

EVERY_SECONDS = 1.0
# Of so many customers the pointers are read in one question.
POINTERS_AT_ONCE = 500
# Of a table that has rows its facts say as of when.
AS_OF = "as_of"
LOG = logging.getLogger("capflow.serving")


@dataclass(slots=True)
class ServerLookups:
    """The stores of all customers on a server; one question that fails makes the others rest."""

    server: AnswerServer
    customers: Callable[[], list[str]]
    errors: int = 0
    is_reached: bool = False
    _tables: dict[str, dict[str, StoredTable]] = field(default_factory=dict)
    # Customers who are served, and whose pointers the server does not hold any more.
    _lost: set[str] = field(default_factory=set)
    _rests_until: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)

    def tables(self, customer: str) -> dict[str, StoredTable]:
        """The tables of a customer as the pointers named them at the last look that succeeded."""
        return self._tables.get(customer, {})

    async def blobs(self, customer: str, table: StoredTable | None, subjects: Sequence[str]) -> dict[str, StoredBlob]:
        """What a table has of each subject; uncertain where the server does not say."""
        if table is None or not subjects:
            return {subject: StoredBlob(None) for subject in subjects}
        if time.monotonic() >= self._rests_until:
            try:
                distinct = list(dict.fromkeys(subjects))
                blobs = await asyncio.to_thread(self.server.blobs, customer, table.file, distinct)
                return {subject: StoredBlob(blobs.get(subject)) for subject in distinct}
            except LostVersionError:  # a version without rows was never there
                return {subject: StoredBlob(None, is_certain=not table.facts.get(AS_OF)) for subject in subjects}
            except CapflowError as error:
                self._failed(error)
        return {subject: StoredBlob(None, is_certain=False) for subject in subjects}

    def sample(self, customer: str, table: StoredTable, most: int) -> list[tuple[str, bytes]]:
        """Some subjects and their blobs; none where the server does not say."""
        try:
            return self.server.sample(customer, table.file, most)
        except CapflowError as error:
            self._failed(error)
            return []

    def look(self) -> bool:
        """Read the pointers of all customers that are served; whether the server was reached."""
        try:
            names, tables = self.customers(), {}
            for start in range(0, len(names), POINTERS_AT_ONCE):
                tables.update(self.server.tables(names[start : start + POINTERS_AT_ONCE]))
        except (CapflowError, OSError) as error:
            if self.is_reached:
                LOG.warning(
                    {"what": "the store of answers is not reached; its last pointers hold", "error": _of(error)}
                )
            self.is_reached = False
            return False
        # A server that came up again empty names nothing: what is typical of the last night is said until all is
        # published again.
        self._lost = {name for name in names if name in self._tables and name not in tables}
        tables |= {name: self._tables[name] for name in self._lost}
        self._tables, self.is_reached = tables, True
        return True

    def kept(self, customer: str) -> list[tuple[str, bool]] | None:
        """The versions of a customer's tables that the server holds, as of the last look, and whether each is fresh.

        One of which the server will soon let the rows go is not. None where it lost them, or was never reached.
        """
        tables = self.tables(customer)
        if customer in self._lost or not (tables or self.is_reached):
            return None
        return sorted((table.file, is_fresh(table)) for table in tables.values())

    def run(self) -> None:
        """Look again and again, until ``close``."""
        while not self._stop.wait(EVERY_SECONDS):
            self.look()

    def close(self) -> None:
        """Look no more."""
        self._stop.set()

    def _failed(self, error: CapflowError) -> None:
        self.errors += 1
        if time.monotonic() >= self._rests_until:
            LOG.warning({"what": "a look-up failed; answers go down the ladder for a moment", "error": _of(error)})
        self._rests_until = time.monotonic() + REST_SECONDS


def _of(error: Exception) -> str:
    return str(error).splitlines()[0] if isinstance(error, CapflowError) else type(error).__name__
