"""A user's id in Dagster's records of a customer: samples of checks, messages of failures, the output of steps.

The records stay, with ``(forgotten)`` in the place of the id. A text that is the id is replaced; inside of longer texts
the id is replaced as a word, and an id of digits alone only where it is quoted or follows ``user_id``: ``12`` in "12
rows" is somebody's number of rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetKeyTable,
    SqlEventLogStorageTable,
)

from capflow_assets.errors import CapflowError

PARTITION = "dagster/partition"
RANGE = "dagster/asset_partition_range_start"
INSTEAD = "(forgotten)"
RUNS_A_PAGE = 200


@dataclass(frozen=True, slots=True)
class Redaction:
    """One id, and how it is found in texts.

    >>> Redaction.of("u-7").text('user u-7 and u-77; ["u-7"]')
    'user (forgotten) and u-77; ["(forgotten)"]'
    >>> Redaction.of("12").text("12 rows; user_id: 12; '12' came; 112")
    "12 rows; user_id: (forgotten); '(forgotten)' came; 112"
    """

    whole: frozenset[str]
    inside: re.Pattern[str]
    sign: str

    @classmethod
    def of(cls, user: str) -> Redaction:
        """The redaction of one user's id, as it is and as JSON writes it inside of texts."""
        forms = sorted({user, json.dumps(user)[1:-1], json.dumps(user, ensure_ascii=False)[1:-1]}, key=len)
        any_form = "|".join(re.escape(form) for form in reversed(forms))
        if user.isdigit():
            quote = r"(?:(?<=[\"'])|(?<=user_id[=:])|(?<=user_id[=:] )|(?<=user_id ))"
            inside = re.compile(f"{quote}(?:{any_form})(?!\\w)")
        else:
            inside = re.compile(f"(?<!\\w)(?:{any_form})(?!\\w)")
        # The longest run that every encoding writes alike, for the database to look for.
        return cls(frozenset(forms), inside, max(re.findall(r"[A-Za-z0-9]+", user) or [""], key=len))

    def text(self, text: str) -> str:
        """A text without the id."""
        return INSTEAD if text in self.whole else self.inside.sub(INSTEAD, text)

    def value(self, value: Any) -> Any:
        """A JSON value without the id in any of its texts."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(each) for each in value]
        if isinstance(value, dict):
            return {self.text(name): self.value(each) for name, each in value.items()}
        return value

    def document(self, text: str) -> str:
        """A JSON document without the id; what is none, as text."""
        try:
            value = json.loads(text)
        except ValueError:
            return self.text(text)
        redacted = self.value(value)
        return text if redacted == value else json.dumps(redacted)


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
    found = instance.get_runs(dg.RunsFilter(statuses=states))
    busy = [run.run_id[:8] for run in found if run.tags.get(PARTITION) == customer or RANGE in run.tags]
    if busy:
        raise CapflowError(
            f"{customer} is at work, or may be: {len(busy)} runs have not ended",
            came=", ".join(busy),
            do="wait for them; what ran on other machines: end it in Dagster's page, or use --anyway",
        )


def redact_events(instance: dg.DagsterInstance, customer: str, user: str) -> dict[str, int]:
    """Replace a user's id in all records of a customer; how many ``events`` and ``logs`` that were."""
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
    from sqlalchemy import select

    overwrite_deleted(connection)
    owner = table.c.last_run_id if table is AssetKeyTable else table.c.run_id
    partition = table.c.partition if "partition" in table.c else None
    kept = table.c[column]
    asked = [table.c.id, owner, kept, *([partition] if partition is not None else [])]
    rows = connection.execute(select(*asked).where(kept.contains(redaction.sign, autoescape=True))).fetchall()
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
    """The files of what the steps of a run have printed, as far as they lie on this machine."""
    folder = Path(instance.storage_directory()) / run
    return sorted(file for file in folder.rglob("*") if file.is_file()) if run and folder.is_dir() else []


def has_local_logs(instance: dg.DagsterInstance) -> bool:
    """Whether what steps print is kept on this machine alone."""
    from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

    return isinstance(instance.compute_log_manager, LocalComputeLogManager)
