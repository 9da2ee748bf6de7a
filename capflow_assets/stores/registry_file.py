"""What MLflow's registry keeps of many models, read from its SQLite file as it is, without MLflow.

Who only reads it, again and again, need not hold MLflow, SQLAlchemy and Alembic in memory: 80 MB.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from capflow_assets.home.places import SQLITE
from capflow_assets.stores.registry import Registry
from capflow_assets.stores.registry_snapshot import MOST_NAMED, ModelEntry, Snapshot, VersionEntry

WAIT_SECONDS = 30.0
# MLflow's name for the versions that were deleted, and its column where models of several groups share a database.
DELETED, WORKSPACE, DEFAULT = "Deleted_Internal", "workspace", "default"
TABLES = {
    "registered_models": ("name",),
    "registered_model_tags": ("name", "key", "value"),
    "registered_model_aliases": ("name", "alias", "version"),
    "model_versions": ("name", "version", "run_id", "source", "current_stage"),
    "model_version_tags": ("name", "version", "key", "value"),
}


def file_snapshot(registry: Registry, customers: Collection[str]) -> Registry | None:
    """As ``registry_snapshot.snapshot``; None where MLflow's store is no file, or not of the shape that is known here.

    Raises:
        sqlite3.Error: the file is damaged, or held for longer than half a minute.
    """
    if not registry.uri.startswith(SQLITE) or "MLFLOW_ENABLE_WORKSPACES" in os.environ:
        return None
    file = Path(registry.uri.removeprefix(SQLITE)).absolute()
    prefixes = sorted(f"{customer}." for customer in customers) if len(customers) <= MOST_NAMED else [""]
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=WAIT_SECONDS)) as database:
        database.execute("PRAGMA query_only = ON")
        if not all(set(columns) <= _columns(database, table) for table, columns in TABLES.items()):
            return None
        database.execute("BEGIN")  # one moment for all of them
        return replace(registry, reader=Snapshot(_models(database, prefixes)))


def _models(database: sqlite3.Connection, prefixes: Collection[str]) -> dict[str, ModelEntry]:
    models = {name: ModelEntry() for (name,) in _rows(database, "registered_models", prefixes)}
    for name, key, value in _rows(database, "registered_model_tags", prefixes):
        models[name].tags[key] = value
    for name, alias, version in _rows(database, "registered_model_aliases", prefixes):
        models[name].aliases[alias] = version
    for name, version, run, source, stage in _rows(database, "model_versions", prefixes):
        if stage != DELETED:
            models[name].versions[version] = VersionEntry(version, run, source)
    for name, version, key, value in _rows(database, "model_version_tags", prefixes):
        if version in models[name].versions:
            models[name].versions[version].tags[key] = value
    return models


def _rows(database: sqlite3.Connection, table: str, prefixes: Collection[str]) -> Iterator[tuple[Any, ...]]:
    """The rows of models whose names begin with one of ``prefixes``, in the order of ``TABLES``."""
    own = f" AND {WORKSPACE} = '{DEFAULT}'" if WORKSPACE in _columns(database, table) else ""
    query = f"SELECT {', '.join(TABLES[table])} FROM {table} WHERE substr(name, 1, ?) = ?{own}"  # noqa: S608
    for prefix in prefixes:
        yield from database.execute(query, (len(prefix), prefix))


def _columns(database: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
