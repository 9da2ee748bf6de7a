"""Online answers that are looked up in a server (Redis, DynamoDB): one customer's store there, as files are at home.

The server knows a few things alone (``AnswerServer``); what is the same for all of them is here. A table is written
under a name of its own and flipped by one pointer. A count of erasures stands beside the pointers: who began to write
before a subject was forgotten may not flip, so that nobody comes back who was forgotten in the meantime.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

from capflow_assets.errors import StoreError
from capflow_assets.stores.answer_store import AnswerStore, StoredTable, subjects_of, write_table

ROWS_AT_ONCE = 1_000
SPOOL = ".spool"
# Until when rows stay there by themselves, in seconds since 1970, and for how many seconds they were written.
KEPT_UNTIL, KEPT_SECONDS = "kept_until", "kept_seconds"


class AnswerServer(Protocol):
    """What one kind of server does; each of these raises ``StoreError`` where it cannot.

    ``file`` names a version of a table; two versions never have the same name.
    """

    @property
    def keep_seconds(self) -> float | None:
        """How long rows stay there by themselves; None where they stay until they are deleted."""

    def tables(self, customers: Sequence[str]) -> dict[str, dict[str, StoredTable]]:
        """The tables of customers as the pointers name them now; customers without one lack."""

    def erasures(self, customer: str) -> int:
        """How often subjects were forgotten."""

    def put(self, customer: str, file: str, rows: Sequence[tuple[str, bytes]]) -> None:
        """Write subjects' blobs to a version that no pointer names yet."""

    def flip(self, customer: str, name: str, table: StoredTable, erasures: int) -> bool:
        """Let a table's pointer name a version; not, where subjects were forgotten since so many ``erasures``."""

    def drop(self, customer: str, name: str) -> None:
        """Take a table's pointer away, and its rows as soon as can be."""

    def discard(self, customer: str, file: str) -> None:
        """Delete a version that no pointer names, if any of it is there."""

    def blobs(self, customer: str, file: str, subjects: Sequence[str]) -> dict[str, bytes]:
        """The blobs of those subjects that a version has."""

    def sample(self, customer: str, file: str, most: int) -> list[tuple[str, bytes]]:
        """Some subjects and their blobs; none where the server cannot tell some without reading all."""

    def delete(self, customer: str, ids: Collection[str], others: Mapping[str, Collection[str]]) -> int:
        """Count an erasure, and delete subjects from every version; how many rows that were.

        ``others`` has what is to be deleted instead, by name of the table.
        """

    def remove(self, customer: str) -> None:
        """Delete all that is a customer's."""


@dataclass(slots=True)
class ServedAnswers:
    """The store of one customer on a server; ``local`` has its lock, and the folder that rows pass through."""

    customer: str
    server: AnswerServer
    local: AnswerStore
    _erasures: int = field(default=0)

    def tables(self) -> dict[str, StoredTable]:
        """The tables as the pointers name them."""
        return self.server.tables([self.customer]).get(self.customer, {})

    def has(self, name: str, source: str) -> bool:
        """Whether a table is there, made of this source; not, where the server will soon let it go."""
        table = self.tables().get(name)
        return table is not None and table.source == source and is_fresh(table)

    def blobs(self, table: StoredTable, subjects: Sequence[str]) -> dict[str, bytes]:
        """The blobs of those subjects that a table has."""
        return self.server.blobs(self.customer, table.file, subjects)

    def sample(self, table: StoredTable, most: int) -> list[tuple[str, bytes]]:
        """Some subjects and their blobs; none where the server cannot say."""
        return self.server.sample(self.customer, table.file, most)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Nobody else of this machine writes in the meantime; who of another does writes a version of its own."""
        with self.local.writing():
            self._erasures = self.server.erasures(self.customer)
            yield

    def replace(
        self, name: str, source: str, rows: Iterable[tuple[str, bytes]], facts: Mapping[str, Any] | None = None
    ) -> int:
        """Write a table anew and flip its pointer; how many subjects it has. Call it within ``writing``.

        The rows pass through a file of the home, where those of one subject come together.

        Raises:
            StoreError: the server does not take them, or a subject was forgotten in the meantime.
        """
        file = f"{name.replace('/', '.')}.{uuid.uuid4().hex[:12]}"
        spool = self.local.folder / f"{SPOOL}.{uuid.uuid4().hex[:12]}"
        try:
            count = write_table(spool, rows)
            subjects = subjects_of(spool)
            is_more = True
            while is_more:  # once at least: a version of nobody is there too
                batch = list(islice(subjects, ROWS_AT_ONCE))
                self.server.put(self.customer, file, batch)
                is_more = len(batch) == ROWS_AT_ONCE
            table = StoredTable(file, source, {**(facts or {}), **self._kept()})
            if not self.server.flip(self.customer, name, table, self._erasures):
                do = "nothing: it is published at the next look"
                raise StoreError("A subject was forgotten while answers were written", where=self.customer, do=do)
        except BaseException:
            with suppress(StoreError):
                self.server.discard(self.customer, file)
            raise
        finally:
            spool.unlink(missing_ok=True)
        return count

    def drop(self, name: str) -> None:
        """Keep a table no more. Call it within ``writing``."""
        if name in self.tables():
            self.server.drop(self.customer, name)

    def forget(self, ids: Collection[str], others: Mapping[str, Collection[str]] | None = None) -> int:
        """Delete subjects from every table, as ``AnswerStore.forget``; also from files of a time before the server."""
        if not ids:
            return 0
        count = self.local.forget(ids, others)  # whether or not the server is there
        count += self.server.delete(self.customer, ids, others or {})
        if self.local.folder.is_dir():
            with self.local.writing():  # what somebody left who was killed
                for spool in self.local.folder.glob(f"{SPOOL}.*"):
                    spool.unlink(missing_ok=True)
        return count

    def remove(self) -> None:
        """Remove all of it."""
        self.local.remove()
        self.server.remove(self.customer)

    def _kept(self) -> dict[str, float]:
        seconds = self.server.keep_seconds
        return {} if seconds is None else {KEPT_UNTIL: time.time() + seconds, KEPT_SECONDS: seconds}


def is_fresh(table: StoredTable) -> bool:
    """Whether less than half of the time is over after which the server lets the rows of a version go by itself."""
    kept_until = table.facts.get(KEPT_UNTIL)
    return kept_until is None or kept_until - time.time() > table.facts[KEPT_SECONDS] / 2
