"""What online answers are looked up in: one customer's last answers and features, one blob a subject, in SQLite files.

This is the embedded default; ``answer_stores`` says which store a deployment has.

``{home}/serving/{customer}`` holds one file a table (``answers/churn``, ``features``) and ``current.json``, which names
the file of each: a table is written anew beside the old one and flipped by that one pointer, so that a reader sees the
old table or the new one. It is made of the lake and can be made again of it at any time.

The files have no write-ahead log and overwrite what is deleted: a subject who is forgotten is gone from the disk too.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capflow_assets.home.places import Home, write_if_changed

FOLDER, POINTER, LOCK, SUFFIX = "serving", "current.json", ".lock", ".sqlite"
FEATURES, ANSWERS = "features", "answers/"
WAIT_SECONDS = 30.0
BETWEEN_ROWS = b"\n"
CREATE = "CREATE TABLE subjects (id TEXT PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID"
# The rows of a subject may lie apart in the table that they are read from.
INSERT = (
    "INSERT INTO subjects VALUES (?, ?) ON CONFLICT (id) DO UPDATE "
    "SET content = CAST(content || x'0A' || excluded.content AS BLOB)"
)


@dataclass(frozen=True, slots=True)
class StoredTable:
    """One table of a customer's store: its file, what it was made of, and what holds for all of its subjects."""

    file: str
    source: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AnswerStore:
    """The store of one customer in one home."""

    folder: Path

    @classmethod
    def of(cls, home: Home, customer: str) -> AnswerStore:
        """The store of a customer; it need not exist."""
        return cls(home.root / FOLDER / customer)

    def tables(self) -> dict[str, StoredTable]:
        """The tables as the pointer names them; none where there is no pointer, or it cannot be read."""
        return self.readable_tables() or {}

    def readable_tables(self) -> dict[str, StoredTable] | None:
        """As ``tables``; None where there is a pointer that cannot be read: it was cut off, and is made again."""
        try:
            content = json.loads((self.folder / POINTER).read_text(encoding="utf-8"))
            return {str(name): StoredTable(**entry) for name, entry in content.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError):
            return None

    def sign(self) -> tuple[int, int, int] | None:
        """What tells this state of the pointer from any other; None where there is none."""
        try:  # for each request, so without making paths
            state = os.stat(f"{self.folder}/{POINTER}")  # noqa: PTH116
        except OSError:
            return None
        return state.st_ino, state.st_mtime_ns, state.st_size

    def has(self, name: str, source: str) -> bool:
        """Whether a table is there, made of this source."""
        table = self.tables().get(name)
        return table is not None and table.source == source and self.path(table).exists()

    def path(self, table: StoredTable) -> Path:
        """Where the file of a table lies."""
        return self.folder / Path(table.file).name

    def sample(self, table: StoredTable, most: int) -> list[tuple[str, bytes]]:
        """The first subjects and their blobs; none where the file cannot be read."""
        with suppress(sqlite3.Error), closing(opened(self.path(table))) as database:
            rows = database.execute("SELECT id, content FROM subjects LIMIT ?", (most,)).fetchall()
            return [(str(subject), bytes(content)) for subject, content in rows]
        return []

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Nobody else of this machine writes or erases in the meantime."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / LOCK).open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def replace(
        self, name: str, source: str, rows: Iterable[tuple[str, bytes]], facts: Mapping[str, Any] | None = None
    ) -> int:
        """Write a table anew and flip the pointer; how many subjects it has. Call it within ``writing``.

        ``source`` says what the rows were made of; several rows of one subject are kept one after another. ``facts``
        may be filled while the rows are read.
        """
        file = self.folder / f"{_dotted(name)}.{uuid.uuid4().hex[:12]}{SUFFIX}"
        try:
            count = write_table(file, rows)
            tables = self.tables()
            tables[name] = StoredTable(file.name, source, dict(facts or {}))
            self._point_at(tables)
        except BaseException:
            file.unlink(missing_ok=True)
            raise
        self._remove_others(tables)
        return count

    def drop(self, name: str) -> None:
        """Keep a table no more. Call it within ``writing``."""
        tables = self.tables()
        if tables.pop(name, None) is not None:
            self._point_at(tables)
            self._remove_others(tables)

    def forget(self, ids: Collection[str], others: Mapping[str, Collection[str]] | None = None) -> int:
        """Delete subjects from every table, also from one that is being written; how many rows that were.

        ``others`` has what is to be deleted instead, by name of the table, where subjects are of another kind: a user
        and a shop may have the same id.
        """
        if not self.folder.is_dir() or not ids:
            return 0
        count = 0
        of_files = {_dotted(name): chosen for name, chosen in (others or {}).items()}

        def delete(file: Path) -> int:
            return _delete(file, of_files.get(file.name.rsplit(".", 2)[0], ids))

        for table in self.tables().values():  # at once, whatever is being written
            with suppress(sqlite3.Error):
                count += delete(self.path(table))
        with self.writing():
            for file in sorted(self.folder.glob(f"*{SUFFIX}")):
                try:
                    count += delete(file)
                except sqlite3.Error:  # what cannot be erased from is made again of the lake
                    file.unlink(missing_ok=True)
            # A server that has such a file open goes on reading it as long as the pointer names it.
            tables = self.tables()
            there = {name: table for name, table in tables.items() if self.path(table).exists()}
            if there != tables:
                self._point_at(there)
        return count

    def remove(self) -> None:
        """Remove all of it, once nobody writes there."""
        import shutil

        if self.folder.is_dir():
            with self.writing():
                shutil.rmtree(self.folder, ignore_errors=True)

    def _point_at(self, tables: Mapping[str, StoredTable]) -> None:
        content = {
            name: {"file": table.file, "source": table.source, "facts": table.facts} for name, table in tables.items()
        }
        write_if_changed(self.folder / POINTER, json.dumps(content, indent=1))

    def _remove_others(self, tables: Mapping[str, StoredTable]) -> None:
        current = {table.file for table in tables.values()}
        for file in self.folder.glob(f"*{SUFFIX}*"):
            if file.name not in current:
                file.unlink(missing_ok=True)


def _dotted(name: str) -> str:
    return name.replace("/", ".")


def opened(file: Path) -> sqlite3.Connection:
    """A table's file to look subjects up in, memory-mapped.

    It is opened for writing, and nothing is written by it: what somebody left who was killed while erasing is undone.

    Raises:
        sqlite3.Error: it is not there, or no database.
    """
    address = f"{file.absolute().as_uri()}?mode=rw"
    database = sqlite3.connect(address, uri=True, timeout=0.25, check_same_thread=False)
    database.execute("PRAGMA query_only = ON")
    database.execute(f"PRAGMA mmap_size = {1 << 30}")
    return database


def looked_up(database: sqlite3.Connection, subject: str) -> bytes | None:
    """A subject's blob; None for one that is not in the table.

    Raises:
        sqlite3.Error: the file is damaged, or is being erased from for longer than a quarter of a second.
    """
    row = database.execute("SELECT content FROM subjects WHERE id = ?", (subject,)).fetchone()
    return None if row is None else bytes(row[0])


def subjects_of(file: Path) -> Iterator[tuple[str, bytes]]:
    """All subjects of a table's file and their blobs, by id.

    Raises:
        sqlite3.Error: it is not there, or damaged.
    """
    with closing(opened(file)) as database:
        for subject, content in database.execute("SELECT id, content FROM subjects"):
            yield str(subject), bytes(content)


def _delete(file: Path, ids: Collection[str]) -> int:
    if not file.exists():
        return 0
    with closing(sqlite3.connect(file, timeout=WAIT_SECONDS)) as database:
        database.execute("PRAGMA secure_delete = ON")
        with database:
            deleted = [database.execute("DELETE FROM subjects WHERE id = ?", (subject,)).rowcount for subject in ids]
    return sum(deleted)


def write_table(file: Path, rows: Iterable[tuple[str, bytes]]) -> int:
    """Write rows to a new file, the rows of one subject one after another; how many subjects those are."""
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.execute(CREATE)
        database.execute("BEGIN")
        database.executemany(INSERT, rows)
        database.execute("COMMIT")
        count = int(database.execute("SELECT count(*) FROM subjects").fetchone()[0])
    with file.open("rb") as written:
        os.fsync(written.fileno())
    file.chmod(0o600)
    return count
