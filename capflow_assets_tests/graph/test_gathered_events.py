"""Events that are written together: the same records as one by one, never unread by who wrote them, never lost."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.definitions.partitions.subset import DefaultPartitionsSubset
from dagster._core.events import (
    AssetMaterializationPlannedData,
    AssetObservationData,
    DagsterEvent,
    StepMaterializationData,
)
from dagster._core.events.log import EventLogEntry
from dagster._core.execution.plan.outputs import StepOutputData, StepOutputHandle

from capflow_assets.graph.gathering import together
from capflow_assets.graph.sqlite_storage import EventLog
from capflow_assets.home.places import dagster_yaml
from capflow_assets_doubles.homes import own_environment
from capflow_assets_doubles.sql_servers import postgres

BILLS, ITEMS = dg.AssetKey("bills"), dg.AssetKey("items")
RUN = "11111111-1111-4111-8111-111111111111"
KIND = dg.DagsterEventType


@contextmanager
def opened(folder: Path, *, is_ours: bool = True, url: str | None = None) -> Iterator[dg.DagsterInstance]:
    folder.mkdir(exist_ok=True)
    (folder / "dagster.yaml").write_text(dagster_yaml(url) if is_ours else "")
    with own_environment(), pytest.MonkeyPatch.context() as variables:
        variables.setenv("DAGSTER_HOME", str(folder))
        variables.setenv("CAPFLOW_POSTGRES_URL", url or "")
        with dg.DagsterInstance.get() as instance:
            yield instance


def entry(kind: dg.DagsterEventType, data: Any, at: float) -> EventLogEntry:
    event = DagsterEvent(kind.value, job_name="job", event_specific_data=data)
    return EventLogEntry(None, logging.INFO, "", RUN, at, job_name="job", dagster_event=event)


def of_a_run_that_begins() -> list[EventLogEntry]:
    """What is planned of it, as Dagster collects it: tables of two customers or of none, and their checks."""
    both = DefaultPartitionsSubset({"a", "b"})
    contents = [
        (KIND.ASSET_MATERIALIZATION_PLANNED, AssetMaterializationPlannedData(BILLS, partition="a")),
        (KIND.ASSET_MATERIALIZATION_PLANNED, AssetMaterializationPlannedData(BILLS, partition="b")),
        (KIND.ASSET_CHECK_EVALUATION_PLANNED, planned("schema")),
        (KIND.ASSET_CHECK_EVALUATION_PLANNED, planned("other", both)),
        (KIND.ASSET_CHECK_EVALUATION_PLANNED, planned("fleet", None)),
        (KIND.ASSET_MATERIALIZATION_PLANNED, AssetMaterializationPlannedData(ITEMS)),
    ]
    return [entry(kind, data, float(at)) for at, (kind, data) in enumerate(contents)]


ONE = DefaultPartitionsSubset({"a"})


def planned(check: str, customers: DefaultPartitionsSubset | None = ONE) -> AssetCheckEvaluationPlanned:
    return AssetCheckEvaluationPlanned(asset_key=BILLS, check_name=check, partitions_subset=customers)


def materialized(key: dg.AssetKey, customer: str, rows: int) -> StepMaterializationData:
    tags = {"dagster/data_version": str(rows)}
    return StepMaterializationData(dg.AssetMaterialization(key, partition=customer, metadata={"rows": rows}, tags=tags))


def evaluated(check: str, customer: str, *, passed: bool) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=BILLS, check_name=check, passed=passed, metadata={"rows": 3}, partition=customer, blocking=False
    )


def of_two_customers() -> list[EventLogEntry]:
    """Two tables of two customers, an observation, and checks: some planned for their partition, some not."""
    contents = [
        (KIND.ASSET_MATERIALIZATION, materialized(BILLS, "a", 1)),
        (KIND.ASSET_CHECK_EVALUATION, evaluated("schema", "a", passed=True)),
        (KIND.STEP_OUTPUT, StepOutputData(StepOutputHandle("step", "bills_schema"))),
        (KIND.ASSET_CHECK_EVALUATION, evaluated("fresh", "a", passed=False)),
        (KIND.ASSET_MATERIALIZATION, materialized(BILLS, "b", 2)),
        (KIND.ASSET_CHECK_EVALUATION, evaluated("schema", "b", passed=False)),
        (KIND.ASSET_MATERIALIZATION, materialized(ITEMS, "b", 3)),
        (KIND.ASSET_OBSERVATION, AssetObservationData(dg.AssetObservation(BILLS, partition="b"))),
    ]
    return [entry(kind, data, float(at)) for at, (kind, data) in enumerate(contents, 10)]


def keep(instance: dg.DagsterInstance, events: Sequence[EventLogEntry], *, is_together: bool) -> None:
    instance.add_run(dg.DagsterRun("job", RUN))
    storage = instance.event_log_storage
    if is_together:
        storage.store_event_batch(of_a_run_that_begins())
        gather(instance, events=events)
    else:
        for event in [*of_a_run_that_begins(), *events]:
            storage.store_event(event)


def gather(
    instance: dg.DagsterInstance, then: Exception | None = None, events: Sequence[EventLogEntry] | None = None
) -> None:
    with together(instance):
        for event in events or of_two_customers():
            instance.event_log_storage.store_event(event)
        if then:
            raise then


def records(instance: dg.DagsterInstance) -> list[object]:
    """All that Dagster's page reads of the events."""
    storage = instance.event_log_storage
    checks = [
        [
            (row.id, row.partition, row.status, row.event, row.create_timestamp is not None)
            for row in storage.get_asset_check_execution_history(dg.AssetCheckKey(BILLS, name), limit=10)
        ]
        for name in ("schema", "fresh", "other", "fleet")
    ]
    assets = {record.asset_entry.asset_key: record for record in storage.get_asset_records([BILLS, ITEMS])}
    newest = [assets[key].asset_entry.last_materialization_record for key in (BILLS, ITEMS)]
    newest += [storage.get_latest_planned_materialization_info(key, "a") for key in (BILLS, ITEMS)]
    tags = storage.get_latest_tags_by_partition(BILLS, KIND.ASSET_MATERIALIZATION, ["dagster/data_version"])
    return [instance.all_logs(RUN), checks, newest, tags]


def test_they_are_the_records_that_dagster_keeps_one_by_one(tmp_path: Path) -> None:
    rows = []
    for folder, is_ours in ((tmp_path / "together", True), (tmp_path / "one_by_one", False)):
        with opened(folder, is_ours=is_ours) as instance:
            keep(instance, of_two_customers(), is_together=is_ours)
        with opened(folder, is_ours=False) as instance:
            rows.append(records(instance))
    assert rows[0] == rows[1]


def test_in_postgresql_they_are_those_that_are_kept_one_by_one(tmp_path: Path) -> None:
    rows = []
    for is_together in (True, False):
        with postgres() as server:
            url = server.location().replace("postgresql://", "postgresql+psycopg2://postgres@")
            with opened(tmp_path, url=url) as instance:
                keep(instance, of_two_customers(), is_together=is_together)
                rows.append(records(instance))
    assert rows[0] == rows[1]


def test_what_an_output_says_is_kept_once(tmp_path: Path) -> None:
    columns: dict[str, dg.MetadataValue[Any]] = {"columns": dg.MetadataValue.md("a " * 1000)}
    output = StepOutputData(StepOutputHandle("step", "bills"), version="1", metadata=columns)
    table = StepMaterializationData(dg.AssetMaterialization(BILLS, partition="a", metadata=columns))
    events = [entry(KIND.STEP_OUTPUT, output, 1.0), entry(KIND.ASSET_MATERIALIZATION, table, 2.0)]
    with opened(tmp_path) as instance:
        instance.add_run(dg.DagsterRun("job", RUN))
        gather(instance, events=events)
        logged = [event.get_dagster_event() for event in instance.all_logs(RUN)]
    assert logged[0].step_output_data == StepOutputData(StepOutputHandle("step", "bills"), version="1")
    assert logged[1].materialization.metadata == columns


def test_what_is_read_on_the_way_is_there(tmp_path: Path) -> None:
    with opened(tmp_path) as instance, together(instance):
        instance.add_run(dg.DagsterRun("job", RUN))
        instance.event_log_storage.store_event(entry(KIND.ASSET_MATERIALIZATION, materialized(BILLS, "a", 1), 1.0))
        read = instance.fetch_materializations(BILLS, limit=1).records[0].asset_materialization
        assert read is not None
        assert read.partition == "a"


def test_what_was_gathered_when_work_breaks_off_is_kept(tmp_path: Path) -> None:
    with opened(tmp_path) as instance:
        instance.add_run(dg.DagsterRun("job", RUN))
        with pytest.raises(RuntimeError, match="midway"):
            gather(instance, RuntimeError("midway"))
        assert len(instance.all_logs(RUN)) == 8


def test_another_thread_gathers_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as instance, opened(tmp_path) as reader, together(instance):
        instance.add_run(dg.DagsterRun("job", RUN))
        event = entry(KIND.ASSET_MATERIALIZATION, materialized(BILLS, "a", 1), 1.0)
        thread = Thread(target=instance.event_log_storage.store_event, args=[event])
        thread.start()
        thread.join()
        assert len(reader.all_logs(RUN)) == 1


def test_an_interrupt_while_they_are_written_comes_once_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = EventLog._write

    def interrupted(self: EventLog, events: Sequence[EventLogEntry]) -> None:
        signal.raise_signal(signal.SIGINT)
        write(self, events)

    with opened(tmp_path) as instance:
        instance.add_run(dg.DagsterRun("job", RUN))
        monkeypatch.setattr(EventLog, "_write", interrupted)
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                gather(instance)
        finally:
            signal.signal(signal.SIGINT, before)
        assert len(instance.all_logs(RUN)) == 8
