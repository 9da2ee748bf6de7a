"""Looking subjects up in customers' stores: few files open at a time, and the pointer followed at every request."""

from __future__ import annotations

import sqlite3
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from capflow_assets.home.places import Home
from capflow_assets.stores.answer_store import FEATURES, AnswerStore, StoredTable, looked_up, opened

if TYPE_CHECKING:
    import numpy as np

MOST_OPEN = 256
# A file that somebody holds is waited for once; then all go on without it for so long.
REST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """What was looked up; ``is_certain`` is False where the store could not be read."""

    content: bytes | None
    is_certain: bool = True


class LooksUp(Protocol):
    """What answers are looked up with: files of the home (``Lookups``), or a server (``ServerLookups``)."""

    errors: int

    @property
    def is_reached(self) -> bool:
        """Whether the pointers were read at the last look."""

    def tables(self, customer: str) -> dict[str, StoredTable]:
        """The tables of a customer as the pointer names them now."""

    async def blobs(self, customer: str, table: StoredTable | None, subjects: Sequence[str]) -> dict[str, StoredBlob]:
        """What a table has of each subject."""

    def sample(self, customer: str, table: StoredTable, most: int) -> list[tuple[str, bytes]]:
        """Some subjects and their blobs, for any thread; none where they cannot be read."""

    def kept(self, customer: str) -> Any:
        """What a store that is no file of the home holds of a customer; it changes where that was lost."""

    def look(self) -> bool:
        """Read the pointers, where they are not read for each request; whether that succeeded."""

    def run(self) -> None:
        """Look again and again, until ``close``; where there is nothing to do it returns."""

    def close(self) -> None:
        """Look up no more."""


@dataclass(slots=True)
class Lookups:
    """The stores of all customers of a home, for one thread at a time."""

    home: Home
    errors: int = 0
    is_reached: bool = True
    _tables: dict[str, tuple[Any, dict[str, StoredTable]]] = field(default_factory=dict)
    _open: OrderedDict[str, sqlite3.Connection] = field(default_factory=OrderedDict)
    _rests: dict[str, float] = field(default_factory=dict)
    _stores: dict[str, AnswerStore] = field(default_factory=dict)

    def tables(self, customer: str) -> dict[str, StoredTable]:
        """The tables of a customer as the pointer names them now."""
        store = self._store(customer)
        sign = store.sign()
        known = self._tables.get(customer)
        if known is None or known[0] != sign:
            before = known[1] if known is not None else {}
            tables = store.readable_tables()
            known = sign, before if tables is None else tables  # one that was cut off: the last tables hold
            self._tables[customer] = known
            current = {table.file for table in known[1].values()}
            for table in before.values():
                if table.file not in current:
                    self._close(f"{store.folder}/{table.file}")
        return known[1]

    def blob(self, customer: str, table: StoredTable | None, subject: str) -> StoredBlob:
        """A subject's blob in a table, if any."""
        if table is None:
            return StoredBlob(None)
        file = f"{self._store(customer).folder}/{table.file.rpartition('/')[2]}"
        if time.monotonic() < self._rests.get(file, 0.0):
            return StoredBlob(None, is_certain=False)
        try:
            blob = StoredBlob(looked_up(self._connection(file), subject))
        except sqlite3.Error as error:
            self.errors += 1
            self._close(file)
            if not isinstance(error, sqlite3.OperationalError):  # damaged: it is made again of the lake
                Path(file).unlink(missing_ok=True)
            self._rests[file] = time.monotonic() + REST_SECONDS
            return StoredBlob(None, is_certain=False)
        self._rests.pop(file, None)
        return blob

    async def blobs(self, customer: str, table: StoredTable | None, subjects: Sequence[str]) -> dict[str, StoredBlob]:
        """What a table has of each subject; a file is near enough to be read at once."""
        return {subject: self.blob(customer, table, subject) for subject in subjects}

    def features(self, customer: str, subject: str) -> tuple[dict[str, float] | None, bool]:
        """A user's features by name, as they are published now, and whether that is certain."""
        table = self.tables(customer).get(FEATURES)
        return features_of(table, self.blob(customer, table, subject))

    def sample(self, customer: str, table: StoredTable, most: int) -> list[tuple[str, bytes]]:
        """The first subjects and their blobs, from a connection of its own."""
        return AnswerStore.of(self.home, customer).sample(table, most)

    def kept(self, customer: str) -> Any:
        """Nothing: the files can be looked at."""
        return ()

    def look(self) -> bool:
        """Nothing: the pointer is a file, which is looked at for every request."""
        return True

    def run(self) -> None:
        """Nothing, likewise."""

    def close(self) -> None:
        """Close all files."""
        for file in list(self._open):
            self._close(file)

    def _store(self, customer: str) -> AnswerStore:
        store = self._stores.get(customer)
        if store is None:
            store = self._stores[customer] = AnswerStore.of(self.home, customer)
        return store

    def _connection(self, file: str) -> sqlite3.Connection:
        if file in self._open:
            self._open.move_to_end(file)
            return self._open[file]
        database = opened(Path(file))
        self._open[file] = database
        if len(self._open) > MOST_OPEN:
            self._close(next(iter(self._open)))
        return database

    def _close(self, file: str) -> None:
        database = self._open.pop(file, None)
        if database is not None:
            with suppress(sqlite3.Error):
                database.close()


def features_of(table: StoredTable | None, blob: StoredBlob) -> tuple[dict[str, float] | None, bool]:
    """The features by name in a blob of the table of features, and whether it is certain that there are no others.

    They are read by the columns of the table that the blob was looked up in: another may have been published since.
    """
    import numpy as np

    if table is None or blob.content is None:
        return None, blob.is_certain
    columns = table.facts["columns"]
    if len(blob.content) != 8 * len(columns):
        return None, False
    return dict(zip(columns, np.frombuffer(blob.content).tolist(), strict=True)), True


def sampled_features(lookups: LooksUp, customer: str, columns: tuple[str, ...], most: int) -> np.ndarray:
    """Some users' features in the order of ``columns``; what the store lacks is missing."""
    table = lookups.tables(customer).get(FEATURES)
    sample = [] if table is None else lookups.sample(customer, table, most)
    return features_matrix(table, [row for _, row in sample], columns)


def features_matrix(table: StoredTable | None, rows: Sequence[bytes], columns: tuple[str, ...]) -> np.ndarray:
    """Blobs of the table of features in the order of ``columns``; what the table lacks is missing."""
    import numpy as np

    if table is None or not rows:
        return np.empty((0, len(columns)))
    known = list(table.facts["columns"])
    stored = np.stack([np.frombuffer(row) for row in rows])
    sample = np.full((len(rows), len(columns)), np.nan)
    for place, name in enumerate(columns):
        if name in known:
            sample[:, place] = stored[:, known.index(name)]
    return sample
