"""The SQLite files of a home: whether they are sound, what to say where they are not, and a copy for who only looks.

Dagster's and MLflow's own words for a damaged file are a traceback of a hundred lines that names no file.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

from capflow_assets.errors import CapflowError, StoreError
from capflow_assets.foreign import NOT_ALLOWED, READ_ONLY, disk_error, first_words, kind_of
from capflow_assets.home.places import SQLITE, Home, dagster_yaml

# The tables without which a file is none of Dagster's or MLflow's.
RUNS, EVENTS, SCHEDULES = "history/runs.db", "history/runs/index.db", "schedules/schedules.db"
DAGSTER_TABLES = {RUNS: "runs", EVENTS: "event_logs", SCHEDULES: "jobs"}
WHOSE = {
    RUNS: "Dagster's list of runs",
    EVENTS: "Dagster's record of what was materialized",
    SCHEDULES: "Dagster's state of sensors and schedules",
}
# All tables that Dagster makes in any of the three.
DAGSTERS_OWN = frozenset(
    [
        "alembic_version",
        "asset_check_executions",
        "asset_daemon_asset_evaluations",
        "asset_event_tags",
        "asset_keys",
        "backfill_tags",
        "bulk_actions",
        "concurrency_limits",
        "concurrency_slots",
        "daemon_heartbeats",
        "dynamic_partitions",
        "event_logs",
        "instance_info",
        "instigators",
        "job_ticks",
        "jobs",
        "kvs",
        "pending_steps",
        "run_tags",
        "runs",
        "secondary_indexes",
        "snapshots",
    ]
)
MLFLOW_TABLE = "registered_models"
EMPTY = "a file without a table"
SECONDS_OF_MAKING = 5
SECONDS_OF_A_LOCK = 10
# Of SQLite, where it may not write beside a file, or not into what it keeps there.
NOT_TO_BE_WRITTEN = ("unable to open", "disk I/O error", "readonly database")
NOT_TO_BE_READ = "this user may not read it"
COPIES_TRIED = 10
RECOVER = "deploy/backup.md"
SEE = f"see {RECOVER}, “SQLite”: restore it from a backup, or begin anew without it"
LEAST_ROOM_BYTES = 1 << 20
LOOK_ONLY = "capflow show, status, report -o FILE, explain and doctor work on it as it is"


def require_sound_dagster(home: Home) -> None:
    """Refuse a home whose Dagster would break on a damaged file.

    Raises:
        StoreError: names the file, what is wrong with it, and what to do.
    """
    if "CAPFLOW_POSTGRES_URL" in os.environ:
        return
    for name, table in DAGSTER_TABLES.items():
        require_sound(home.dagster / name, table, WHOSE[name])


def require_sound_mlflow(uri: str) -> None:
    """Refuse a model store whose file is damaged.

    Raises:
        StoreError: names the file, what is wrong with it, and what to do.
    """
    if uri.startswith(SQLITE):
        require_sound(Path(uri.removeprefix(SQLITE)), MLFLOW_TABLE, "MLflow's database (models and champions)")


def require_sound(file: Path, table: str, what: str) -> None:
    """Refuse a file that is there and is no database, or not the right one.

    Raises:
        StoreError: names the file, what is wrong with it, and what to do.
    """
    wrong = what_is_wrong(file, table)
    for _ in range(10 * SECONDS_OF_MAKING):
        if wrong != EMPTY:  # else another process may be making it at this moment
            break
        time.sleep(0.1)
        wrong = what_is_wrong(file, table)
    if wrong:
        raise damaged(file, wrong, what)


def damaged(file: Path, wrong: str, what: str) -> StoreError:
    """The one message about a file that cannot be used."""
    if not has_room(file.parent):
        full = OSError(errno.ENOSPC, "No space left on device", str(file))
        return cast(StoreError, disk_error(full, (str(file.parent),)))
    if wrong == NOT_TO_BE_READ:
        do = "let this user read the whole home, or run this as the user whose home it is"
        return StoreError(f"{what} may not be read", came=wrong, where=str(file), do=do)
    if "locked" in wrong:
        do = "wait for the process that holds it, or end it (fuser FILE names it), then run it again"
        return StoreError(f"{what} is locked by another process", came=wrong, where=str(file), do=do)
    return StoreError(f"{what} cannot be read", expected="a sound SQLite file", came=wrong, where=str(file), do=SEE)


def what_is_wrong(file: Path, table: str) -> str:
    """What is wrong with a file at first sight; nothing where it is not there yet."""
    if not file.exists():
        return ""
    try:
        names = {name for (name,) in _asked(file, "select name from sqlite_master where type = 'table'")}
    except sqlite3.DatabaseError as error:
        return str(error)
    if table in names:
        return ""
    if not names:
        return EMPTY
    return "" if _is_unfinished(file, names) else f"no table {table!r} in it"


def _is_unfinished(file: Path, names: Collection[str]) -> bool:
    """Whether a file was being made when its process was killed: it has tables of Dagster's, none of which has a row.

    Whoever opens it next makes the tables that it lacks.
    """
    if not set(names) <= DAGSTERS_OWN:
        return False
    try:
        rows = (_asked(file, f"select 1 from {_quoted(name)} limit 1") for name in names)  # noqa: S608
        return not any(rows)
    except sqlite3.DatabaseError:
        return False


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _asked(file: Path, query: str) -> list[tuple[str]]:
    """What a query gives, of a file that may lie in a folder where nothing can be written."""
    if not os.access(file, os.R_OK):
        raise sqlite3.OperationalError(NOT_TO_BE_READ)
    try:
        # SQLite leaves files behind where it may only read, and opens what it may not write.
        return _answer(file, "mode=rw", query)
    except sqlite3.OperationalError as error:
        if not any(sign in str(error) for sign in NOT_TO_BE_WRITTEN):
            raise
    if not _size(Path(f"{file}-wal")):
        return _answer(file, "immutable=1", query)  # without the files that SQLite keeps beside it
    with tempfile.TemporaryDirectory(prefix="capflow-") as folder:
        copy = Path(folder, file.name)
        copy_files(file, copy)
        return _answer(copy, "mode=rw", query)


def _answer(file: Path, how: str, query: str) -> list[tuple[str]]:
    with closing(sqlite3.connect(f"{file.as_uri()}?{how}", uri=True, timeout=SECONDS_OF_A_LOCK)) as database:
        return database.execute(query).fetchall()


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def has_room(folder: Path) -> bool:
    """Whether SQLite can keep its files beside a database there."""
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    return shutil.disk_usage(existing).free > LEAST_ROOM_BYTES


def wrong_in_depth(file: Path) -> str:
    """What SQLite's own examination finds in a file; nothing where it is sound or not there. Reads all of it."""
    if not file.exists():
        return ""
    try:
        ((first,),) = _asked(file, "pragma quick_check(1)")
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if first == "ok" else str(first).replace("\n", " ")[:300]


def in_our_words(error: Exception, home: Home) -> CapflowError | None:
    """What to say of an error of this home's disk or databases; None for any other."""
    known = disk_error(error, (str(home.root), home.lake, tempfile.gettempdir()))
    if known is not None or not is_of_a_database(error):
        return known
    files = [home.dagster / name for name in DAGSTER_TABLES]
    files += [Path(home.mlflow_uri.removeprefix(SQLITE))] if home.mlflow_uri.startswith(SQLITE) else []
    for file in files:
        wrong = wrong_in_depth(file)
        if wrong or not has_room(file.parent):
            return damaged(file, wrong, "A database of this home")
    received, do = (
        first_words(error),
        f"wait for other processes on this home, then run it again; capflow doctor; {SEE}",
    )
    return StoreError("A database of this home cannot be used", came=received, where=str(home.root), do=do)


def is_of_a_database(error: BaseException) -> bool:
    """Whether SQLite, directly or through the libraries above it, says that a file is damaged or held."""
    from capflow_assets.foreign import causes

    signs = ("sqlite3.DatabaseError", "sqlite3.OperationalError", "sqlite3.IntegrityError")
    return any(isinstance(cause, sqlite3.Error) or any(sign in str(cause) for sign in signs) for cause in causes(error))


def require_writable(home: Home) -> None:
    """Refuse a command that writes, on a home that cannot be written.

    Raises:
        StoreError: names the home and what can be done with it all the same.
    """
    if not home.is_writable:
        received = "a home that this user or its disk lets nobody write"
        raise StoreError("This command writes to the home", came=received, where=str(home.root), do=LOOK_ONLY)


@contextmanager
def looked_at(home: Home) -> Iterator[Home]:
    """The home with copies of its databases, for a command that only looks at one that cannot be written.

    SQLite and the libraries above it write beside a database even where they only read it.
    """
    with tempfile.TemporaryDirectory(prefix="capflow-") as folder:
        dagster = Path(folder, "dagster")
        for name in DAGSTER_TABLES:
            (dagster / name).parent.mkdir(parents=True, exist_ok=True)
            copy_database(home.dagster / name, dagster / name)
        text = dagster_yaml(os.environ.get("CAPFLOW_POSTGRES_URL"), None)
        (dagster / "dagster.yaml").write_text(text, encoding="utf-8")
        os.environ["CAPFLOW_HOME"], os.environ["DAGSTER_HOME"] = str(home.root), str(dagster)
        own = home.mlflow_uri.startswith(SQLITE)
        if own:
            copy_database(Path(home.mlflow_uri.removeprefix(SQLITE)), Path(folder, "mlflow.db"))
        yield replace(home, mlflow_uri=f"{SQLITE}{folder}/mlflow.db") if own else home


def copy_database(source: Path, target: Path) -> None:
    """A database with what was not yet brought into its file; as it lies there where SQLite cannot open it."""
    if not source.exists():
        return
    with suppress(sqlite3.DatabaseError):
        with (
            closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True)) as there,
            closing(sqlite3.connect(target)) as here,
        ):
            there.backup(here)
        return
    copy_files(source, target)


def copy_files(source: Path, target: Path) -> None:
    """A database and what was not yet brought into its file, of one moment, though a process elsewhere may write."""
    parts = [(Path(f"{source}{end}"), Path(f"{target}{end}")) for end in ("", "-wal")]
    for _ in range(COPIES_TRIED):
        before = _stamps(part for part, _ in parts)
        for part, copy in parts:
            copy.unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                shutil.copyfile(part, copy)
        if _stamps(part for part, _ in parts) == before:
            return


def _stamps(files: Iterable[Path]) -> list[tuple[int, int] | None]:
    return [(file.stat().st_mtime_ns, file.stat().st_size) if file.exists() else None for file in files]


def is_refusal_to_write(error: BaseException) -> bool:
    """Whether an error is of a place that lets this user not write."""
    return kind_of(error, (READ_ONLY, NOT_ALLOWED)) is not None
