"""Dagster's records in PostgreSQL, whose event log keeps one connection a process.

Dagster's own storage connects for each event, which is half of what an event costs, and keeps none so that many
processes stay below the server's bound. One each is what a run needs: its events come one after another.

``PostgresStorage`` is for a ``dagster.yaml`` of ours (``home.places``). ``PooledInstance`` is for one that names
Dagster's own storages, as Dagster's chart writes it: ``instance_class`` is the one entry by which they are replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import dagster as dg
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log import EventLogStorage
from dagster._serdes import ConfigurableClassData
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.storage import DagsterPostgresStorage
from dagster_postgres.utils import create_pg_engine, get_token_provider_from_config, pg_url_from_config

# A connection is opened anew after an hour: servers and what stands before them close those that are older.
RENEWED_AFTER_SECONDS = 3600


class EventLog(PostgresEventLogStorage):
    """Events. A server that was restarted since is connected to anew."""

    def __init__(self, postgres_url: str, should_autocreate_tables: bool = True, token_provider: Any = None) -> None:
        super().__init__(postgres_url, should_autocreate_tables, token_provider=token_provider)
        self._engine = create_pg_engine(
            postgres_url,
            token_provider,
            isolation_level="AUTOCOMMIT",
            pool_size=1,
            max_overflow=-1,  # more for a moment, where threads ask at once
            pool_pre_ping=True,
            pool_recycle=RENEWED_AFTER_SECONDS,
        )

    def dispose(self) -> None:
        """Close the connection; Dagster calls it where an instance ends."""
        super().dispose()
        self._engine.dispose()


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
