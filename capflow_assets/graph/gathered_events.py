"""Dagster's events of one moment, written together: what an asset and its checks say costs one trip and not dozens.

A database keeps an event in three statements at least, each of which is waited for; a table with eight checks has nine
of them. Within ``together`` a thread's events are gathered and written at its end, in the order in which they came, or
before this thread reads anything, so that it finds what it wrote. What is gathered is of one asset that has just been
written: a process that is killed meanwhile loses no more than one that is killed before it writes the first of them.
"""

from __future__ import annotations

import signal
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import current_thread, local, main_thread
from typing import Any

from dagster._core.events import ASSET_EVENTS, DagsterEventType
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as Status
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Checks
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._serdes import serialize_value
from dagster._utils.interrupts import capture_interrupts, check_captured_interrupt
from sqlalchemy import Connection, bindparam, select

EVALUATION = DagsterEventType.ASSET_CHECK_EVALUATION
OF_ASSETS = frozenset({DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_OBSERVATION, EVALUATION})
GATHERED = OF_ASSETS | {DagsterEventType.STEP_OUTPUT}
# What is written down of a run before it begins, for each of its assets and checks.
PLANNED_CHECK = DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
PLANNED = frozenset({DagsterEventType.ASSET_MATERIALIZATION_PLANNED, PLANNED_CHECK})


class _Gathered(local):
    """A thread's events that are not written yet; None where it gathers none."""

    events: list[EventLogEntry] | None = None


class GatheringEventLog(SqlEventLogStorage):
    """A storage that can gather events; a subclass calls ``write_gathered`` before it connects, and says ``_write``."""

    def _begin_gathering(self) -> None:
        self._gathered, self._tables = _Gathered(), set[str]()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Gather the events of this thread, and write them at the end."""
        if self._gathered.events is not None:  # whoever began it writes them
            yield
            return
        self._gathered.events = []
        try:
            yield
        finally:
            self.write_gathered()
            self._gathered.events = None

    def store_event(self, event: EventLogEntry) -> None:
        """Keep an event, or gather it; other kinds than an asset's are kept as they come."""
        if self._gathered.events is not None and event.run_id and kind_of(event) in GATHERED:
            self._gathered.events.append(_bare_output(event))
        else:
            self._store_one(event)

    def write_gathered(self) -> None:
        """Write what this thread has gathered."""
        events = self._gathered.events
        if not events:
            return
        self._gathered.events = None  # what follows connects, and may log
        try:
            with _uninterrupted():
                if len(events) == 1:
                    self._store_one(events[0])
                else:
                    self._write(events)
        finally:
            self._gathered.events = []

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Keep events that Dagster has collected: all that is planned for a run at once, others as Dagster does."""
        if events and PLANNED.issuperset(map(kind_of, events)):
            with _uninterrupted():
                self._write(events)
        else:
            super().store_event_batch(events)

    def _store_one(self, event: EventLogEntry) -> None:
        super().store_event(event)

    def _write(self, events: Sequence[EventLogEntry]) -> None:
        raise NotImplementedError

    def _write_beside(self, connection: Connection, events: Sequence[EventLogEntry], numbers: Sequence[int]) -> None:
        """What Dagster keeps of events beside them: tags, each asset's newest event, verdicts. In one transaction."""
        numbered = list(zip(events, numbers, strict=True))
        of_assets = [(event, number) for event, number in numbered if kind_of(event) in ASSET_EVENTS]
        if of_assets:
            self._store_asset_event_tags(connection, *zip(*of_assets, strict=True))
            newest = {(event.dagster_event.asset_key, kind_of(event)): (event, number) for event, number in of_assets}  # type: ignore[union-attr]
            for event, number in newest.values():
                self._store_asset_event(connection, event, number)
        planned = [row for event, number in numbered for row in self._planned_verdicts(event, number)]
        if planned:
            connection.execute(Checks.insert(), planned)
        checked = [(event, number) for event, number in numbered if kind_of(event) == EVALUATION]
        if checked:
            self._write_verdicts(connection, checked)

    def _write_verdicts(self, connection: Connection, checked: Sequence[tuple[EventLogEntry, int]]) -> None:
        """The row of each check that was planned for a partition of the run is filled in; others are added."""
        planned = _planned(connection, [event for event, _ in checked])
        rows: dict[bool, list[dict[str, Any]]] = defaultdict(list)
        for event, number in checked:
            row = self._verdict(event, number)
            place = planned.get((row["run_id"], row["asset_key"], row["check_name"], row["partition"]))
            rows[place is not None].append(row if place is None else {**row, "planned": place})
        if rows[False]:
            connection.execute(Checks.insert(), rows[False])
        if rows[True]:
            connection.execute(Checks.update().where(Checks.c.id == bindparam("planned")), rows[True])

    def _planned_verdicts(self, event: EventLogEntry, number: int) -> Iterator[dict[str, Any]]:
        """The rows of a planned check, one for each partition, that its evaluations fill in."""
        if kind_of(event) != PLANNED_CHECK:
            return
        data = event.get_dagster_event().asset_check_planned_data
        for partition in data.partitions_subset.get_partition_keys() if data.partitions_subset else [None]:
            yield {
                "asset_key": data.asset_key.to_string(),
                "check_name": data.check_name,
                "partition": partition,
                "run_id": event.run_id,
                "execution_status": Status.PLANNED.value,
                "evaluation_event": serialize_value(event),
                "evaluation_event_timestamp": self._event_insert_timestamp(event),
                "evaluation_event_storage_id": number,
            }

    def _verdict(self, event: EventLogEntry, number: int) -> dict[str, Any]:
        data = event.get_dagster_event().asset_check_evaluation_data
        target = data.target_materialization_data
        return {
            "asset_key": data.asset_key.to_string(),
            "check_name": data.check_name,
            "partition": data.partition,
            "run_id": event.run_id,
            "execution_status": (Status.SUCCEEDED if data.passed else Status.FAILED).value,
            "evaluation_event": serialize_value(event),
            "evaluation_event_timestamp": self._event_insert_timestamp(event),
            "evaluation_event_storage_id": number,
            "materialization_event_storage_id": target.storage_id if target else None,
        }

    def has_table(self, table_name: str) -> bool:
        """Whether there is a table. One that is there stays, and Dagster asks with each event."""
        if table_name not in self._tables and super().has_table(table_name):  # type: ignore[safe-super]
            self._tables.add(table_name)
        return table_name in self._tables


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let an interrupt wait until the end, as it does while Dagster writes an event by itself."""
    if current_thread() is not main_thread():
        yield
        return
    is_interrupted = False
    try:
        with capture_interrupts():
            try:
                yield
            finally:
                is_interrupted = check_captured_interrupt()
    finally:
        if is_interrupted:
            signal.raise_signal(signal.SIGINT)


def _bare_output(event: EventLogEntry) -> EventLogEntry:
    """A step's output without its metadata, which Dagster writes again into the materialization that follows.

    Pictures, columns and lineage are half of all that is kept of a night. Dagster's pages read the materialization.
    """
    if kind_of(event) != DagsterEventType.STEP_OUTPUT:
        return event
    output = event.get_dagster_event()
    bare = output.step_output_data._replace(metadata={})
    return event._replace(dagster_event=output._replace(event_specific_data=bare))


def kind_of(event: EventLogEntry) -> DagsterEventType | None:
    """What an event of Dagster's own tells of; None of a line that was logged."""
    return event.dagster_event_type if event.is_dagster_event else None


def _planned(connection: Connection, events: Sequence[EventLogEntry]) -> Mapping[tuple[str, str, str, str | None], int]:
    """The rows that stand for evaluations of these runs' checks, by run, asset, check and partition."""
    keys = [event.get_dagster_event().asset_check_evaluation_data.asset_check_key for event in events]
    rows = connection.execute(
        select(Checks.c.run_id, Checks.c.asset_key, Checks.c.check_name, Checks.c.partition, Checks.c.id).where(
            Checks.c.asset_key.in_({key.asset_key.to_string() for key in keys}),
            Checks.c.check_name.in_({key.name for key in keys}),
            Checks.c.run_id.in_({event.run_id for event in events}),
        )
    )
    return {(run, asset, name, partition): number for run, asset, name, partition, number in rows.fetchall()}
