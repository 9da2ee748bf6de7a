"""Dagster's records of a customer, as erasure needs them: samples of checks, messages of failures, output of steps.

How an id is replaced in a text is in ``erasure.redaction``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from capflow_assets.erasure.redaction import Redaction
from capflow_assets.errors import CapflowError

PARTITION = "dagster/partition"
RANGE = "dagster/asset_partition_range_start"
RUNS_A_PAGE = 200


@dataclass(frozen=True, slots=True)
class DagsterRecords:
    """``erasure.redaction.Records`` of one Dagster instance."""

    instance: dg.DagsterInstance

    @property
    def is_local(self) -> bool:
        """Whether what steps print is kept on this machine alone."""
        from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

        return isinstance(self.instance.compute_log_manager, LocalComputeLogManager)

    def refuse_running(self, customer: str) -> None:
        """Refuse to take data away under a run that is at it; ``CapflowError`` names the runs."""
        refuse_running(self.instance, customer)

    def redact(self, customer: str, user: str) -> dict[str, int]:
        """Replace a user's id in all records of a customer; how many ``events`` and ``logs`` that were."""
        return redact_events(self.instance, customer, user)


def runs_of(instance: dg.DagsterInstance, customer: str) -> Iterator[dg.DagsterRun]:
    """The runs of one customer alone, the newest first."""
    filters = dg.RunsFilter(tags={PARTITION: customer})
    cursor = None
    while runs := instance.get_runs(filters, cursor=cursor, limit=RUNS_A_PAGE):
        yield from runs
        cursor = runs[-1].run_id


def refuse_running(instance: dg.DagsterInstance, customer: str) -> None:
    """Refuse to take data away under a run that is at it: what it has read, it would write again.

    Raises:
        CapflowError: names the runs.
    """
    states = [dg.DagsterRunStatus[name] for name in ("STARTING", "STARTED", "CANCELING")]
    active_runs = instance.get_runs(dg.RunsFilter(statuses=states))
    busy = [run.run_id[:8] for run in active_runs if run.tags.get(PARTITION) == customer or RANGE in run.tags]
    if busy:
        raise CapflowError(
            f"{customer} is at work, or may be: {len(busy)} runs have not ended",
            came=", ".join(busy),
            do="wait for them; what ran on other machines: end it in Dagster's page, or use --anyway",
        )


def redact_events(instance: dg.DagsterInstance, customer: str, user: str) -> dict[str, int]:
    """Replace a user's id in all records of a customer; how many ``events`` and ``logs`` that were."""
    from dagster._core.storage.event_log.schema import (
        AssetCheckExecutionsTable,
        AssetKeyTable,
        SqlEventLogStorageTable,
    )

    redaction = Redaction.of(user)
    storage: Any = instance.event_log_storage
    runs = [run.run_id for run in runs_of(instance, customer)]
    events = 0
    for run in runs:
        with storage.run_connection(run) as connection:
            events += _redact(connection, SqlEventLogStorageTable, "event", redaction, customer, {run})
    with storage.index_connection() as connection:
        known = frozenset(runs)
        events += _redact(connection, SqlEventLogStorageTable, "event", redaction, customer, known)
        events += _redact(connection, AssetCheckExecutionsTable, "evaluation_event", redaction, customer, known)
        _redact(connection, AssetKeyTable, "last_materialization", redaction, customer, known)
    return {"events": events, "logs": sum(_redact_logs(instance, run, redaction) for run in runs)}


def _redact(
    connection: Any, table: Any, column: str, redaction: Redaction, customer: str, runs: set[str] | frozenset[str]
) -> int:
    """Rows of a table changed: of the customer's partition or runs, and those of cohorts that name the customer."""
    from dagster._core.storage.event_log.schema import AssetKeyTable
    from sqlalchemy import select

    overwrite_deleted(connection)
    owner = table.c.last_run_id if table is AssetKeyTable else table.c.run_id
    partition = table.c.partition if "partition" in table.c else None
    text_column = table.c[column]
    selected = [table.c.id, owner, text_column, *([partition] if partition is not None else [])]
    rows = connection.execute(select(*selected).where(text_column.contains(redaction.sign, autoescape=True))).fetchall()
    named = re.compile(rf"(?<![\w-]){re.escape(customer)}(?![\w-])")
    changed = 0
    for identifier, run, text, *rest in rows:
        if not (run in runs or customer in rest or named.search(text)):
            continue
        redacted = redaction.document(text)
        if redacted != text:
            connection.execute(table.update().where(table.c.id == identifier).values({column: redacted}))
            changed += 1
    return changed


def overwrite_deleted(connection: Any) -> None:
    """Let SQLite overwrite what it deletes; it would keep it in the file otherwise."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete = ON")


def _redact_logs(instance: dg.DagsterInstance, run: str, redaction: Redaction) -> int:
    """Files changed of what the steps of a run have printed, where they lie on this machine."""
    changed = 0
    for file in log_files(instance, run):
        with suppress(UnicodeDecodeError):
            text = file.read_text(encoding="utf-8")
            redacted = redaction.text(text)
            if redacted != text:
                file.write_text(redacted, encoding="utf-8")
                changed += 1
    return changed


def log_files(instance: dg.DagsterInstance, run: str) -> list[Path]:
    """The files on this machine with what the steps of a run have printed."""
    folder = Path(instance.storage_directory()) / run
    return sorted(file for file in folder.rglob("*") if file.is_file()) if run and folder.is_dir() else []
