"""What Dagster's database remembers of long ago: what newer records have superseded goes, the rest stays.

A night of a small customer leaves some 2.4 MB there, a year of three hundred customers 260 GB. Once a record is older
than ``CAPFLOW_RECORDS_DAYS`` (90; 0 keeps all) it is removed, unless it is one of these:

- the newest of its kind for an asset and a customer, which pages, status and staleness read
- a measurement of a model's health, of which the retraining policy reads a hundred
- the start, the end or a failure of a run; and the runs themselves, with their tags

With them goes what steps have printed on this machine. In a bucket, a lifecycle rule of the bucket does that.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import dagster as dg

from capflow_assets.errors import CapflowError

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Table

DAYS = "CAPFLOW_RECORDS_DAYS"
DEFAULT_DAYS = 90
# Records that one statement looks at, and that one deletes.
LOOKED_AT = 2000
BATCH = 500
KIND = dg.DagsterEventType
OF_RUNS = tuple(
    kind.value for kind in (KIND.RUN_START, KIND.RUN_SUCCESS, KIND.RUN_FAILURE, KIND.RUN_CANCELED, KIND.STEP_FAILURE)
)
HISTORY_OF = "health"


@dataclass
class Place:
    """How far the records were looked through: the number of the last event, and of the last verdict of a check."""

    event: int = 0
    verdict: int = 0


def kept_since(now: datetime) -> datetime | None:
    """Superseded records of before that moment go; None where all are kept.

    Raises:
        CapflowError: ``CAPFLOW_RECORDS_DAYS`` is no number of days.
    """
    text = os.environ.get(DAYS) or str(DEFAULT_DAYS)
    if not text.isdecimal():
        raise CapflowError(
            f"{DAYS} cannot be used", expected="a whole number of days, or 0 to keep all", came=repr(text)
        )
    return now - timedelta(days=int(text)) if int(text) else None


def thin_out(instance: dg.DagsterInstance, place: Place, since: datetime, seconds: float) -> tuple[int, bool]:
    """Remove superseded records of before ``since``, for so long, from ``place`` on, which moves.

    Returns:
        How many records and files went, and whether all were looked at.
    """
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable

    storage: Any = instance.event_log_storage
    if not hasattr(storage, "index_connection"):  # none that keeps its records in SQL
        return 0, True
    until, removed = time.monotonic() + seconds, 0
    for name, table in {"event": SqlEventLogStorageTable, "verdict": AssetCheckExecutionsTable}.items():
        while True:
            if time.monotonic() > until:
                return removed, False
            with storage.index_connection() as connection:
                numbers = _next(connection, table, getattr(place, name), since)
                if not numbers:
                    setattr(place, name, min(getattr(place, name), _newest(connection, table)))
                    break
                removed += _remove(connection, table, numbers)
            setattr(place, name, numbers[-1])
    files, is_done = _thin_out_files(instance, since, until)
    return removed + files, is_done


def _time_of(table: Table) -> ColumnElement[Any]:
    return table.c.timestamp if "timestamp" in table.c else table.c.create_timestamp


def _next(connection: Connection, table: Table, after: int, since: datetime) -> Sequence[int]:
    """The numbers of the next old records; those that lie between and say that they are newer are left."""
    from sqlalchemy import select

    rows = connection.execute(
        select(table.c.id, _time_of(table)).where(table.c.id > after).order_by(table.c.id).limit(LOOKED_AT)
    ).fetchall()
    moment = since.astimezone(UTC).replace(tzinfo=None)
    return [number for number, at in rows if at is not None and at.replace(tzinfo=None) < moment]


def _newest(connection: Connection, table: Table) -> int:
    """The largest number of a record: SQLite gives numbers of removed ones again."""
    from sqlalchemy import func, select

    return connection.execute(select(func.max(table.c.id))).scalar() or 0


def _remove(connection: Connection, table: Table, numbers: Sequence[int]) -> int:
    from dagster._core.storage.event_log.schema import AssetEventTagsTable as Tags
    from sqlalchemy import select

    removed = 0
    for start in range(0, len(numbers), BATCH):
        among = numbers[start : start + BATCH]
        for condition in _superfluous(table):
            query = select(table.c.id).where(table.c.id.in_(among), condition)
            some = connection.execute(query).scalars().all()
            if some and "timestamp" in table.c:
                connection.execute(Tags.delete().where(Tags.c.event_id.in_(some)))
            if some:
                removed += connection.execute(table.delete().where(table.c.id.in_(some))).rowcount
    return removed


def _superfluous(table: Table) -> Sequence[ColumnElement[bool]]:
    """What makes a record one to remove."""
    from sqlalchemy import and_, exists, or_

    newer = table.alias("newer")
    if "timestamp" in table.c:
        of_health = table.c.asset_key.startswith(f'["{HISTORY_OF}", ', autoescape=True)
        same = [newer.c.asset_key == table.c.asset_key, newer.c.dagster_event_type == table.c.dagster_event_type]
        may_go = and_(table.c.asset_key.is_not(None), ~of_health)
        noise = [
            and_(
                table.c.asset_key.is_(None),
                or_(table.c.dagster_event_type.is_(None), table.c.dagster_event_type.not_in(OF_RUNS)),
            )
        ]
    else:
        same = [newer.c.asset_key == table.c.asset_key, newer.c.check_name == table.c.check_name]
        same.append(newer.c.execution_status.in_(("SUCCEEDED", "FAILED")))
        may_go, noise = table.c.asset_key.is_not(None), []
    same.append(newer.c.id > table.c.id)
    of_customer = and_(may_go, table.c.partition.is_not(None))
    of_fleet = and_(may_go, table.c.partition.is_(None))
    return [
        *noise,
        and_(of_customer, exists().where(*same, newer.c.partition == table.c.partition)),
        and_(of_fleet, exists().where(*same, newer.c.partition.is_(None))),
    ]


def _thin_out_files(instance: dg.DagsterInstance, since: datetime, until: float) -> tuple[int, bool]:
    """Remove what steps have printed and, in SQLite, the events of single runs; of a failed one its reasons stay.

    Files of runs that are not over stay whole.
    """
    storage: Any = instance.event_log_storage
    folders = [Path(instance.storage_directory())]
    if hasattr(storage, "path_for_shard"):
        folders.append(Path(storage.path_for_shard("index")).parent)
    removed = 0
    for file in (file for folder in folders if folder.is_dir() for file in sorted(folder.iterdir())):
        if time.monotonic() > until:
            return removed, False
        if not _is_of_a_run(file) or file.stat().st_mtime >= since.timestamp():
            continue
        run = instance.get_run_by_id(file.stem)
        if run is None or run.is_finished:
            with suppress(OSError, sqlite3.Error):  # damaged, or another's: it stays, and is tried again tomorrow
                _thin_out_file(file, has_failed=run is not None and run.is_failure)
                removed += 1
    return removed, True


def _is_of_a_run(file: Path) -> bool:
    try:
        return str(UUID(file.stem)) == file.stem and file.suffix in ("", ".db")
    except ValueError:
        return False


def _thin_out_file(file: Path, *, has_failed: bool) -> None:
    if file.is_dir():
        shutil.rmtree(file)
    elif has_failed:
        places = ", ".join("?" * len(OF_RUNS))
        with closing(sqlite3.connect(file, timeout=30)) as connection:
            connection.execute(
                f"delete from event_logs where coalesce(dagster_event_type, '') not in ({places})",  # noqa: S608
                OF_RUNS,
            )
            connection.commit()
            connection.execute("vacuum")
    else:
        for end in ("", "-wal", "-shm", "-journal"):
            Path(f"{file}{end}").unlink(missing_ok=True)
