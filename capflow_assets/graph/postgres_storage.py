"""Dagster's records in PostgreSQL, of which a process keeps one connection.

Dagster's own storages connect for each event and each question, which is half of what an event costs, and keep none so
that many processes stay below the server's bound. One each is what a run needs: its events come one after another.

``PostgresStorage`` is for a ``dagster.yaml`` of ours (``home.places``). ``PooledInstance`` is for one that names
Dagster's own storages, as Dagster's chart writes it: ``instance_class`` is the one entry by which they are replaced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

import dagster as dg
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log import AssetKeyTable, EventLogStorage, SqlEventLogStorageTable
from dagster._core.storage.event_log.migration import ASSET_KEY_INDEX_COLS
from dagster._serdes import ConfigurableClassData
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.run_storage import PostgresRunStorage
from dagster_postgres.schedule_storage import PostgresScheduleStorage
from dagster_postgres.storage import DagsterPostgresStorage
from dagster_postgres.utils import create_pg_engine, get_token_provider_from_config, pg_url_from_config
from sqlalchemy import Connection, Engine

from capflow_assets.graph.gathered_events import GatheringEventLog

# A connection is opened anew after an hour: servers and what stands before them close those that are older.
RENEWED_AFTER_SECONDS = 3600
OTHERS = (PostgresRunStorage, PostgresScheduleStorage)
# Events that Dagster keeps something of beside them.
BESIDE = ASSET_EVENTS | ASSET_CHECK_EVENTS
INSERT = SqlEventLogStorageTable.insert().returning(SqlEventLogStorageTable.c.id, sort_by_parameter_order=True)


class EventLog(GatheringEventLog, PostgresEventLogStorage):
    """Events. A server that was restarted since is connected to anew."""

    def __init__(self, postgres_url: str, should_autocreate_tables: bool = True, token_provider: Any = None) -> None:
        self._begin_gathering()
        super().__init__(postgres_url, should_autocreate_tables, token_provider=token_provider)
        self._engine = kept_engine(postgres_url, token_provider)

    def _connect(self) -> AbstractContextManager[Connection]:
        self.write_gathered()
        return super()._connect()

    def _store_one(self, event: EventLogEntry) -> None:
        """As Dagster does, without the message to listeners that its versions of before 1.1 wait for."""
        if event.dagster_event_type in ASSET_CHECK_EVENTS:
            super()._store_one(event)
        else:
            self._write([event])

    def _write(self, events: Sequence[EventLogEntry]) -> None:
        """The events in one statement, which others read from then on; then what stands beside them."""
        rows = [self._event_to_row(event) for event in events]
        with self._connect() as connection:
            numbers = connection.execute(INSERT, rows).scalars().all()
            connection.commit()
            if any(event.dagster_event_type in BESIDE for event in events):
                transaction = connection.execution_options(isolation_level="READ COMMITTED")
                with transaction.begin():
                    self._write_beside(transaction, events, numbers)

    def _store_asset_event(self, conn: Connection, event: EventLogEntry, event_id: int) -> None:
        """Change the row of an asset; where there is none yet, Dagster adds it."""
        values = self._get_asset_entry_values(event, event_id, self.has_secondary_index(ASSET_KEY_INDEX_COLS))
        key = event.get_dagster_event().asset_key
        if not (key and values):
            return
        update = AssetKeyTable.update().where(AssetKeyTable.c.asset_key == key.to_string()).values(**values)
        if not conn.execute(update).rowcount:
            super()._store_asset_event(conn, event, event_id)

    def lend_connection(self, *others: object) -> None:
        """Let storages of the same database use the connection; Dagster's own connect for each of their questions."""
        for other in others:
            if isinstance(other, OTHERS) and other.postgres_url == self.postgres_url:
                other._engine = self._engine

    def dispose(self) -> None:
        """Close the connection; Dagster calls it where an instance ends."""
        super().dispose()
        self._engine.dispose()


def kept_engine(postgres_url: str, token_provider: Any) -> Engine:
    """An engine that keeps one connection, as Dagster sets it up."""
    return create_pg_engine(
        postgres_url,
        token_provider,
        isolation_level="AUTOCOMMIT",
        pool_size=1,
        max_overflow=-1,  # more for a moment, where threads ask at once
        pool_pre_ping=True,
        pool_recycle=RENEWED_AFTER_SECONDS,
    )


class PostgresStorage(DagsterPostgresStorage):
    """Dagster's own, with that event log. See ``home.places``."""

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
        token_provider: Any = None,
    ) -> None:
        super().__init__(postgres_url, should_autocreate_tables, inst_data, token_provider)
        self._event_log_storage = EventLog(postgres_url, should_autocreate_tables, token_provider)
        self._event_log_storage.lend_connection(self._run_storage, self._schedule_storage)

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """As ``dagster.yaml`` names it."""
        return cls(
            inst_data=inst_data,
            postgres_url=pg_url_from_config(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            token_provider=get_token_provider_from_config(config_value),
        )


class PooledInstance(dg.DagsterInstance):
    """Dagster's own instance, with that event log in the place of Dagster's in the same PostgreSQL."""

    def __init__(self, *, event_storage: EventLogStorage, **others: Any) -> None:
        if isinstance(event_storage, PostgresEventLogStorage):
            named = event_storage
            event_storage = EventLog(named.postgres_url, named.should_autocreate_tables, named._token_provider)
            event_storage.lend_connection(others.get("run_storage"), others.get("schedule_storage"))
            named.dispose()
        super().__init__(event_storage=event_storage, **others)

    @classmethod
    def config_schema(cls) -> Mapping[str, Any]:
        """What ``dagster.yaml`` may say of this class alone: nothing."""
        return {}

    @classmethod
    def config_defaults(cls, base_dir: str) -> Mapping[str, Any]:
        """What holds where ``dagster.yaml`` says nothing: as Dagster has it."""
        return InstanceRef.config_defaults(base_dir)
