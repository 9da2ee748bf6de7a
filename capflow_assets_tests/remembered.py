"""What Dagster and MLflow make anew at every look at a database, made once a process: a sixth of the tests' time.

A home is opened thousands of times in a round of tests. Each time the scripts of ninety migrations were executed to
learn which one is the newest, and each statement on a SQLite file had an engine of its own, which compiles it anew.
Neither depends on what a test does. Processes that tests start do all of it, as those of users do.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

import sqlalchemy
from alembic.config import Config
from alembic.script import ScriptDirectory
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage

# Each run has a file of its own: engines of those that are over need not be kept.
ENGINES = 32


def remember() -> None:
    """From here on this process executes migrations' scripts once, and keeps the engines of SQLite files."""
    _remember_scripts()
    for storage in (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage):
        storage.create_engine = _create_engine  # type: ignore[attr-defined]


@cache  # once a process
def _remember_scripts() -> None:
    read = ScriptDirectory.from_config
    known: dict[tuple[str | None, str | None], ScriptDirectory] = {}

    def from_config(config: Config) -> ScriptDirectory:
        place = (config.get_main_option("script_location"), config.get_main_option("version_locations"))
        if place not in known:
            known[place] = read(config)
        return known[place]

    ScriptDirectory.from_config = from_config  # type: ignore[method-assign, assignment]


def _create_engine(
    url: str, poolclass: type[sqlalchemy.Pool], connect_args: Mapping[str, Any] | None = None
) -> sqlalchemy.Engine:
    """As SQLAlchemy's; connections are opened anew each time, which is what ``NullPool`` is for."""
    assert poolclass is sqlalchemy.NullPool
    return _kept(url, tuple((connect_args or {}).items()))


@lru_cache(maxsize=ENGINES)
def _kept(url: str, connect_args: tuple[tuple[str, Any], ...]) -> sqlalchemy.Engine:
    return sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, connect_args=dict(connect_args))
