"""SQLite stores of a home whose schema has two numbers, found and mended.

Before stores were made by one process at a time, two that came first at once could each write the number of the schema:
the tables are whole, but nobody can open them. The older number is taken away, which is all that is wrong.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from capflow_assets.home.places import Home
from capflow_assets.processes.first_use import alone_in_home

DAGSTER = ("dagster", "_core/storage/alembic")
MLFLOW = ("mlflow", "store/db_migrations")
STORES = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
SQLITE = "sqlite:///"


@dataclass(frozen=True, slots=True)
class DoubleSchema:
    """A store with several numbers of its schema; ``newest`` is the one to keep, None where the code knows none."""

    file: Path
    revisions: tuple[str, ...]
    newest: str | None

    def words(self) -> str:
        """The store as a person is told of it."""
        return f"{self.file} has {len(self.revisions)} numbers of its schema, {', '.join(self.revisions)}"


def double_schemas(home: Home) -> Iterator[DoubleSchema]:
    """The stores of a home that two processes made at once."""
    for file, scripts in _stores(home):
        revisions = _revisions(file)
        if len(revisions) > 1:
            known = [revision for revision in _newest_first(scripts) if revision in revisions]
            yield DoubleSchema(file, revisions, known[0] if known else None)


def mend_double_schemas(home: Home) -> list[str]:
    """Leave the newest number alone; in words, what was done. To be called while nothing else works on the home."""
    done = []
    with alone_in_home(home):
        for double in double_schemas(home):
            if double.newest is not None:
                with closing(sqlite3.connect(double.file)) as database, database:
                    database.execute("delete from alembic_version where version_num <> ?", (double.newest,))
                done.append(f"{double.file}: the schema is {double.newest}")
    return done


def _stores(home: Home) -> Iterator[tuple[Path, tuple[str, str]]]:
    runs = sorted((home.dagster / "history" / "runs").glob("*.db"))
    named = [home.dagster / name for name in STORES]
    for file in dict.fromkeys([*named, *runs]):
        if file.exists():
            yield file, DAGSTER
    models = Path(home.mlflow_uri.removeprefix(SQLITE))
    if home.mlflow_uri.startswith(SQLITE) and models.exists():
        yield models, MLFLOW


def _revisions(file: Path) -> tuple[str, ...]:
    """The numbers that stand in a store; none where it cannot be read, which is another's to tell."""
    try:
        # Whoever opens one for reading alone leaves SQLite's files of shared memory beside it.
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True)) as database:
            return tuple(sorted(row[0] for row in database.execute("select version_num from alembic_version")))
    except sqlite3.Error:
        return ()


def _newest_first(scripts: tuple[str, str]) -> list[str]:
    from alembic.script import ScriptDirectory

    package, folder = scripts
    spec = find_spec(package)
    place = next(iter(spec.submodule_search_locations or ())) if spec else ""
    return [script.revision for script in ScriptDirectory(str(Path(place, folder))).walk_revisions()]
