"""Dagster's records in SQLite, whose connections stay open from one event to the next.

Dagster's own storage makes an engine and opens the file for each event, and the last connection that closes brings
SQLite's log into the file: nine tenths of what an event costs. For each run's file it reads all migrations, here they
are read once a process. Tables, files and schemas are Dagster's, and so is what reads them: a home can be opened with
either.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, cached_property
from pathlib import Path
from threading import Lock, Timer
from typing import Any, Self

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from dagster._core.event_api import EventHandlerFn
from dagster._core.events import DagsterEventType
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    SqliteEventLogStorage,
    SqliteEventLogStorageWatchdog,
)
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sql import get_alembic_config
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, inspect, make_url, text
from sqlalchemy.exc import DatabaseError
from watchdog.events import FileSystemEvent
from watchdog.observers import Observer

from capflow_assets.graph.gathered_events import OF_ASSETS, PLANNED, GatheringEventLog, kind_of
from capflow_assets.home.databases import EVENTS, RUNS, SCHEDULES

# Of each run Dagster keeps a file; a page that looks at hundreds of runs does not keep them all open.
MOST_FILES = 16
BUSY_SECONDS = 60
# Within, what was written to the disk is there to be read.
SECOND_LOOK_SECONDS = 0.5


class KeptEngines:
    """The engines of SQLite files, at most ``MOST_FILES`` of them: those that were asked for last.

    A file that was replaced since, as by one of a backup, or that is gone is opened anew.
    """

    def __init__(self) -> None:
        self._engines: OrderedDict[str, tuple[Engine, tuple[int, int] | None]] = OrderedDict()
        self._lock = Lock()

    def of(self, address: str) -> Engine:
        """The engine of an address, as SQLAlchemy writes it."""
        with self._lock:
            file = Path(make_url(address).database or "")
            engine, opened = self._engines.pop(address, (None, None))
            if engine is not None and (opened is None or opened != _identity(file)):
                engine.dispose()
                engine = None
            if engine is None:
                # As many connections as threads ask for: some ask for another while they hold one.
                engine = create_engine(address, connect_args={"timeout": BUSY_SECONDS}, max_overflow=-1)
                engine.connect().close()  # which makes the file
                opened = _identity(file)
            self._engines[address] = engine, opened
            while len(self._engines) > MOST_FILES:
                _, (oldest, _) = self._engines.popitem(last=False)
                oldest.dispose()
            return engine

    def close(self) -> None:
        """Close what nobody uses any more; what is asked for afterwards is opened anew."""
        with self._lock:
            for engine, _ in self._engines.values():
                engine.dispose()
            self._engines.clear()


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        state = file.stat()
    except FileNotFoundError:
        return None
    return state.st_dev, state.st_ino


def _is_of_an_asset(event: EventLogEntry) -> bool:
    known = event.dagster_event
    return known is not None and known.event_type in (
        DagsterEventType.ASSET_MATERIALIZATION,
        DagsterEventType.ASSET_OBSERVATION,
    )


@contextmanager
def _transaction(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection, connection.begin():
        yield connection


@cache
def migrations() -> ScriptDirectory:
    """The migrations of Dagster's SQLite files; they take a tenth of a second to read."""
    return ScriptDirectory.from_config(get_alembic_config(sqlite_event_log.__file__))


def _has_newest_schema(engine: Engine) -> bool:
    """Whether a run's file has the newest tables; an empty one gets them. Others are Dagster's to bring up to date."""
    with suppress(DatabaseError), engine.connect() as connection:
        schema = MigrationContext.configure(connection)
        current = schema.get_current_revision()
        if current is None and not inspect(connection).get_table_names():
            connection.execute(text("PRAGMA journal_mode=WAL"))
            SqlEventLogStorageMetadata.create_all(connection)
            schema.stamp(migrations(), "head")
            connection.commit()
            return True
        return current == migrations().get_current_head()
    return False  # another process makes it at this moment: Dagster's own way tries again


class EventLog(GatheringEventLog, SqliteEventLogStorage):
    """Events, a file for each run and one over all."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._begin_gathering()
        self.kept = KeptEngines()
        super().__init__(base_dir, inst_data)

    def _initdb(self, engine: Engine, for_index_shard: bool = False) -> None:
        if for_index_shard or not _has_newest_schema(engine):
            super()._initdb(engine, for_index_shard)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        self.write_gathered()
        with self._db_lock:
            engine = self.kept.of(self.conn_string_for_shard(shard))
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with _transaction(engine) as connection:
                yield connection

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Keep events of one run; those of assets, checks left out, in two transactions instead of three each."""
        runs = {event.run_id for event in events}
        if len(runs) != 1 or any(not _is_of_an_asset(event) for event in events):
            return super().store_event_batch(events)
        return self._write(events)

    def _write(self, events: Sequence[EventLogEntry]) -> None:
        """Events in the file of their run; those of assets and checks in that of all too, with what stands beside."""
        for run in dict.fromkeys(event.run_id for event in events):
            with self.run_connection(run) as connection:
                for event in events:
                    if event.run_id == run:
                        connection.execute(self.prepare_insert_event(event))
        indexed = [event for event in events if kind_of(event) in OF_ASSETS | PLANNED]
        with self.index_transaction() as connection:
            numbers = [
                connection.execute(self.prepare_insert_event(event)).inserted_primary_key[0]  # type: ignore[index]
                for event in indexed
            ]
            self._write_beside(connection, indexed, numbers)

    def watch(self, run_id: str, cursor: str | None, callback: EventHandlerFn) -> None:
        """Call back at each new event of a run, which is how Dagster's page follows it."""
        observer: Any = self._obs
        if observer is None:
            self._obs = observer = Observer()  # type: ignore[assignment]
            observer.start()
        watchdog = _NewEvents(self, run_id, callback, cursor)
        self._watchers[run_id][callback] = watchdog, observer.schedule(watchdog, self._base_dir, recursive=True)

    def dispose(self) -> None:
        """Close the files; Dagster calls it where an instance ends."""
        super().dispose()
        for watchdogs in self._watchers.values():
            for watchdog, _ in watchdogs.values():
                watchdog.close()
        self.kept.close()


class _NewEvents(SqliteEventLogStorageWatchdog):
    """Looks at a run's events whenever its file is written.

    What is written lies in SQLite's log beside the file until that is brought in, so both are looked at; and it can be
    read a moment after the write alone, so there is a second look.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._patterns = [self._log_path, f"{self._log_path}-wal"]
        self._one_look, self._second_look = Lock(), Timer(0, self._look)

    def on_modified(self, event: FileSystemEvent) -> None:
        """Call back with what is new."""
        self._look()
        self.close()
        self._second_look = Timer(SECOND_LOOK_SECONDS, self._look)
        self._second_look.daemon = True
        self._second_look.start()

    def close(self) -> None:
        """Look no more, unless the file is written again."""
        self._second_look.cancel()

    def _look(self) -> None:
        with self._one_look:
            self._process_log()


class _KeptConnection:
    """A storage of one file, whose connection stays open; Dagster's own opens it for each of its questions."""

    _conn_string: str

    @cached_property
    def kept(self) -> KeptEngines:
        """The engine of the file."""
        return KeptEngines()

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A transaction."""
        with _transaction(self.kept.of(self._conn_string)) as connection:
            yield connection


class Runs(_KeptConnection, SqliteRunStorage):
    """Runs, their tags, and the heartbeats of daemons."""

    def dispose(self) -> None:
        """Close the files; Dagster calls it where an instance ends."""
        super().dispose()
        self.kept.close()


class Schedules(_KeptConnection, SqliteScheduleStorage):
    """Sensors and schedules: whether they are on, their cursors and ticks."""


class SqliteStorage(DagsterSqliteStorage):
    """All three in Dagster's folder ``base_dir``, where Dagster's own storage has them. See ``home.places``."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        # Not its own: that would open Dagster's storages.
        super(DagsterSqliteStorage, self).__init__()
        self.base_dir, self._inst_data = base_dir, inst_data
        runs, events, schedules = (str(Path(base_dir, file).parent) for file in (RUNS, EVENTS, SCHEDULES))
        self._event_log_storage = EventLog(events)
        self._run_storage = Runs.from_local(runs)
        self._schedule_storage = Schedules.from_local(schedules)
        for storage in (self._run_storage, self._schedule_storage):  # of these Dagster tells one that it closes
            assert isinstance(storage, Runs | Schedules)  # noqa: S101
            storage.kept.close()
            storage.kept = self._event_log_storage.kept

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Any) -> Self:
        """As ``dagster.yaml`` names it."""
        return cls.from_local(inst_data=inst_data, **config_value)
