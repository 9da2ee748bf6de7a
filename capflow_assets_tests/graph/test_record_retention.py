"""Superseded records of long ago go; what pages, status and policies read stays, to the record."""

import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from dagster._core.events import DagsterEvent
from dagster._core.events.log import EventLogEntry
from sqlalchemy import text

from capflow_assets.errors import CapflowError
from capflow_assets.graph.housekeeping import Cursor, tidy_records
from capflow_assets.graph.record_retention import OF_RUNS, Place, kept_since, thin_out
from capflow_assets.home.places import dagster_yaml
from capflow_assets_doubles.homes import own_environment
from capflow_assets_doubles.sql_servers import postgres

NOW = datetime(2026, 6, 1, tzinfo=UTC)
CUSTOMERS = dg.StaticPartitionsDefinition(["a", "b"])
SECONDS = 600.0


@dg.asset(
    key=["features", "rfm"],
    partitions_def=CUSTOMERS,
    check_specs=[dg.AssetCheckSpec("schema", asset=["features", "rfm"])],
)
def rfm(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
    verdict = dg.AssetCheckResult(check_name="schema", passed=True)
    yield dg.MaterializeResult(metadata={"run": context.run.run_id}, check_results=[verdict])


@dg.asset(key=["health", "churn"], partitions_def=CUSTOMERS)
def health(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    return dg.MaterializeResult(metadata={"run": context.run.run_id})


@dg.asset(key=["fleet", "readiness"])
def fleet(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    return dg.MaterializeResult(metadata={"run": context.run.run_id})


@dg.asset(key=["features", "broken"], partitions_def=CUSTOMERS)
def broken() -> None:
    raise ValueError("the file of bills is empty")


@contextmanager
def instance_of(folder: Path, kind: str) -> Iterator[dg.DagsterInstance]:
    with own_environment(), ExitStack() as stack:
        url = None
        if kind == "postgres":
            location = stack.enter_context(postgres()).location()
            url = location.replace("postgresql://", "postgresql+psycopg2://postgres@")
        (folder / "dagster.yaml").write_text(dagster_yaml(url))
        variables = stack.enter_context(pytest.MonkeyPatch.context())
        variables.setenv("DAGSTER_HOME", str(folder))
        variables.setenv("CAPFLOW_POSTGRES_URL", url or "")
        yield stack.enter_context(dg.DagsterInstance.get())


def nights(instance: dg.DagsterInstance) -> None:
    """Three nights of customer a, the first of them of b too, and one that failed; the last is of yesterday."""
    for days, customers in ((200, "ab"), (150, "a"), (1, "a")):
        begun = _newest_event(instance)
        for customer in customers:
            run = dg.materialize([rfm, health], instance=instance, partition_key=customer).run_id
            _check(instance, run, customer)
        dg.materialize([fleet], instance=instance)
        if days == 150:
            dg.materialize([broken], instance=instance, partition_key="a", raise_on_error=False)
        _date(instance, begun, NOW - timedelta(days=days))


def _check(instance: dg.DagsterInstance, run: str, customer: str) -> None:
    """A verdict on one customer's table, as runs of several customers log it."""
    verdict = dg.AssetCheckEvaluation(
        asset_key=rfm.key, check_name="fresh", passed=True, metadata={}, partition=customer
    )
    event = DagsterEvent(dg.DagsterEventType.ASSET_CHECK_EVALUATION.value, "job", event_specific_data=verdict)
    entry = EventLogEntry(None, logging.INFO, "", run, time.time(), job_name="job", dagster_event=event)
    instance.event_log_storage.store_event(entry)


def _newest_event(instance: dg.DagsterInstance) -> dict[str, int]:
    return {table: max((row["id"] for row in rows(instance, table)), default=0) for table in TIMES}


TIMES = {"event_logs": "timestamp", "asset_check_executions": "create_timestamp"}


def _date(instance: dg.DagsterInstance, begun: dict[str, int], moment: datetime) -> None:
    storage: Any = instance.event_log_storage
    for table, column in TIMES.items():
        with storage.index_connection() as connection:
            dated = text(f"update {table} set {column} = :moment where id > :number")
            connection.execute(dated, {"moment": f"{moment:%Y-%m-%d %H:%M:%S}.000000", "number": begun[table]})
            if not connection.in_transaction():
                connection.commit()
    for run in instance.get_runs():
        for file in shards(instance, run.run_id):
            if file.stat().st_mtime > NOW.timestamp():
                os.utime(file, (moment.timestamp(),) * 2)


def shards(instance: dg.DagsterInstance, run: str) -> list[Path]:
    storage: Any = instance.event_log_storage
    if not hasattr(storage, "path_for_shard"):
        return []
    storage.dispose()
    return [file for file in [Path(storage.path_for_shard(run))] if file.exists()]


def rows(instance: dg.DagsterInstance, table: str) -> list[dict[str, Any]]:
    storage: Any = instance.event_log_storage
    with storage.index_connection() as connection:
        return [dict(row) for row in connection.execute(text(f"select * from {table}")).mappings()]


def expected(events: pd.DataFrame, since: datetime) -> set[int]:
    """The events that stay, by pandas."""
    events["moment"] = pd.to_datetime(events["timestamp"])
    of_assets = events["asset_key"].notna()
    same = ["asset_key", "dagster_event_type", "partition"]
    newest = events[of_assets].groupby(same, dropna=False)["id"].transform("max")
    is_newest = events["id"] == newest.reindex(events.index)
    is_health = events["asset_key"].fillna("").str.startswith('["health"')
    is_recent = events["moment"] >= since.replace(tzinfo=None)
    of_runs = ~of_assets & events["dagster_event_type"].isin(OF_RUNS)
    return set(events.loc[is_newest | is_health | is_recent | of_runs, "id"])


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_what_is_superseded_goes_and_what_is_read_stays(tmp_path: Path, kind: str) -> None:
    since = NOW - timedelta(days=90)
    with instance_of(tmp_path, kind) as instance:
        nights(instance)
        before = pd.DataFrame(rows(instance, "event_logs"))
        read = read_by_pages(instance)
        removed, is_done = thin_out(instance, Place(), since, SECONDS)
        after = rows(instance, "event_logs")
        assert {row["id"] for row in after} == expected(before, since)
        assert len(after) < len(before)
        assert removed >= len(before) - len(after)
        assert is_done
        assert read_by_pages(instance) == read
        verdicts = pd.DataFrame(rows(instance, "asset_check_executions"))
        by_check = verdicts.sort_values("partition").groupby("check_name")["partition"].agg(list).to_dict()
        assert by_check == {"fresh": ["a", "b"], "schema": [None]}, "the newest of each check and customer"


def read_by_pages(instance: dg.DagsterInstance) -> list[object]:
    keys = [rfm.key, health.key, fleet.key]
    newest = [instance.get_latest_materialization_event(key) for key in keys]
    partitions = [instance.get_materialized_partitions(key) for key in keys]
    by_customer = [
        instance.fetch_materializations(dg.AssetRecordsFilter(rfm.key, asset_partitions=[customer]), limit=1).records
        for customer in "ab"
    ]
    history = instance.fetch_materializations(health.key, limit=100).records
    checks = [dg.AssetCheckKey(rfm.key, name) for name in ("schema", "fresh")]
    verdicts = instance.event_log_storage.get_latest_asset_check_execution_by_key(checks)
    runs = sorted(run.run_id for run in instance.get_runs())
    return [newest, partitions, by_customer, history, verdicts, runs]


def test_a_failure_keeps_its_reason_and_a_run_of_yesterday_all(tmp_path: Path) -> None:
    with instance_of(tmp_path, "sqlite") as instance:
        nights(instance)
        failed = next(run for run in instance.get_runs() if run.is_failure)
        recent, oldest = instance.get_runs()[0], instance.get_runs()[-1]
        logged = len(instance.all_logs(recent.run_id))
        thin_out(instance, Place(), NOW - timedelta(days=90), SECONDS)
        instance.event_log_storage.dispose()
        assert len(instance.all_logs(recent.run_id)) == logged
        kinds = [event.dagster_event_type for event in instance.all_logs(failed.run_id)]
        assert kinds == [
            dg.DagsterEventType.RUN_START,
            dg.DagsterEventType.STEP_FAILURE,
            dg.DagsterEventType.RUN_FAILURE,
        ]
        assert "the file of bills is empty" in str(instance.all_logs(failed.run_id))
        assert shards(instance, oldest.run_id) == []


def test_it_goes_on_where_it_was_stopped_and_does_nothing_twice(tmp_path: Path) -> None:
    since = NOW - timedelta(days=90)
    with instance_of(tmp_path, "sqlite") as instance:
        nights(instance)
        place = Place()
        assert thin_out(instance, place, since, 0) == (0, False)
        assert thin_out(instance, place, since, SECONDS)[1]
        assert place.event > 0
        left = rows(instance, "event_logs")
        assert thin_out(instance, place, since, SECONDS) == (0, True)
        assert thin_out(instance, Place(10**9, 10**9), since, SECONDS) == (0, True)
        assert rows(instance, "event_logs") == left


def test_the_sensor_does_it_once_a_day(tmp_path: Path) -> None:
    with instance_of(tmp_path, "sqlite") as instance:
        nights(instance)
        cursor = Cursor()
        assert "records of before 2026-03-03" in tidy_records(instance, cursor, NOW)[0]
        assert tidy_records(instance, Cursor.parse(cursor.text()), NOW + timedelta(hours=1)) == []
        assert Cursor.parse(cursor.text()).records["event"] > 0


def test_days_are_a_number_and_none_keeps_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept_since(NOW) == NOW - timedelta(days=90)
    monkeypatch.setenv("CAPFLOW_RECORDS_DAYS", "0")
    assert kept_since(NOW) is None
    monkeypatch.setenv("CAPFLOW_RECORDS_DAYS", "soon")
    with pytest.raises(CapflowError, match="CAPFLOW_RECORDS_DAYS cannot be used"):
        kept_since(NOW)


def test_a_damaged_file_stays_and_keeps_no_other(tmp_path: Path) -> None:
    with instance_of(tmp_path, "sqlite") as instance:
        nights(instance)
        failed = next(run for run in instance.get_runs() if run.is_failure)
        oldest = instance.get_runs()[-1]
        (file,) = shards(instance, failed.run_id)
        file.write_bytes(b"no database at all")
        os.utime(file, (NOW.timestamp() - 200 * 86400,) * 2)
        assert thin_out(instance, Place(), NOW - timedelta(days=90), SECONDS)[1]
        assert file.read_bytes() == b"no database at all"
        assert shards(instance, oldest.run_id) == []


def test_the_file_of_a_failed_run_is_small_afterwards(tmp_path: Path) -> None:
    with instance_of(tmp_path, "sqlite") as instance:
        nights(instance)
        failed = next(run for run in instance.get_runs() if run.is_failure)
        thin_out(instance, Place(), NOW - timedelta(days=90), SECONDS)
        (file,) = shards(instance, failed.run_id)
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("select count(*) from event_logs").fetchone() == (3,)
        assert connection.execute("pragma freelist_count").fetchone() == (0,)
