"""Dagster's records with connections that stay open: Dagster's own storage reads the same of the same files."""

from __future__ import annotations

import logging
import os
import queue
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import AssetObservationData, DagsterEvent, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from sqlalchemy import text

from capflow_assets.graph.sqlite_storage import MOST_FILES, KeptEngines, SqliteStorage
from capflow_assets.home.places import dagster_yaml
from capflow_assets_doubles.homes import own_environment

KEY = dg.AssetKey("bills")


@dg.asset
def bills() -> None:
    """Nothing."""


GRAPH = dg.Definitions(assets=[bills]).resolve_asset_graph()


@contextmanager
def opened(folder: Path, *, is_ours: bool = True) -> Iterator[dg.DagsterInstance]:
    folder.mkdir(exist_ok=True)
    (folder / "dagster.yaml").write_text(dagster_yaml(None) if is_ours else "")
    with own_environment():
        os.environ["DAGSTER_HOME"] = str(folder)
        with dg.DagsterInstance.get() as instance:
            yield instance


def report(instance: dg.DagsterInstance, rows: int) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization(KEY, metadata={"rows": rows}))


def rows_of(instance: dg.DagsterInstance) -> list[object]:
    records = instance.fetch_materializations(KEY, limit=100, ascending=True).records
    return [record.asset_materialization.metadata["rows"].value for record in records if record.asset_materialization]


def open_files(folder: Path) -> list[str]:
    links = list(Path("/proc/self/fd").iterdir())
    return [
        str(link.readlink()) for link in links if link.is_symlink() and str(link.readlink()).startswith(str(folder))
    ]


def test_a_home_can_be_opened_with_either_storage_in_turn(tmp_path: Path) -> None:
    for rows, is_ours in enumerate((True, False, True)):
        with opened(tmp_path / "dagster", is_ours=is_ours) as instance:
            assert isinstance(instance._ref.storage, SqliteStorage) == is_ours
            report(instance, rows)
            instance.add_dynamic_partitions("customer", [f"c{rows}"])
    with opened(tmp_path / "dagster", is_ours=False) as instance:
        assert rows_of(instance) == [0, 1, 2]
        assert sorted(instance.get_dynamic_partitions("customer")) == ["c0", "c1", "c2"]


def test_events_that_are_kept_at_once_are_those_that_dagster_keeps_one_by_one(tmp_path: Path) -> None:
    """Two assets and an observation, in a run; what Dagster's own storage reads of either is the same."""
    other = dg.AssetKey("items")
    materializations = [
        dg.AssetMaterialization(
            key, partition=f"c{place}", metadata={"rows": place}, tags={"dagster/data_version": "1"}
        )
        for place, key in enumerate((KEY, other, KEY, KEY))
    ]
    read = []
    for folder, is_at_once in ((tmp_path / "at_once", True), (tmp_path / "one_by_one", False)):
        with opened(folder, is_ours=is_at_once) as instance:
            run = instance.add_run(dg.DagsterRun("job", "11111111-1111-4111-8111-111111111111"))
            events = [
                entry(run, event, float(at))
                for at, event in enumerate([*materializations, dg.AssetObservation(other)], 1)
            ]
            instance.event_log_storage.store_event_batch(events)
        with opened(folder, is_ours=False) as instance:
            storage, kind = instance.event_log_storage, dg.DagsterEventType.ASSET_MATERIALIZATION
            records = storage.get_asset_records([KEY, other])
            newest = {record.asset_entry.asset_key: record.asset_entry.last_materialization for record in records}
            tags = storage.get_latest_tags_by_partition(KEY, kind, ["dagster/data_version"])
            read.append((instance.all_logs(run.run_id), newest, tags, rows_of(instance)))
    assert read[0] == read[1]
    assert read[0][3] == [0, 2, 3]


def entry(run: dg.DagsterRun, event: dg.AssetMaterialization | dg.AssetObservation, at: float) -> EventLogEntry:
    data: StepMaterializationData | AssetObservationData
    if isinstance(event, dg.AssetMaterialization):
        kind, data = dg.DagsterEventType.ASSET_MATERIALIZATION, StepMaterializationData(event)
    else:
        kind, data = dg.DagsterEventType.ASSET_OBSERVATION, AssetObservationData(event)
    of_dagster = DagsterEvent(kind.value, job_name=run.job_name, event_specific_data=data)
    return EventLogEntry(None, logging.INFO, "", run.run_id, at, job_name=run.job_name, dagster_event=of_dagster)


def test_two_that_are_open_see_what_the_other_wrote(tmp_path: Path) -> None:
    with opened(tmp_path / "dagster") as one, opened(tmp_path / "dagster") as other:
        for rows in range(4):
            report((one, other)[rows % 2], rows)
            assert rows_of(one) == rows_of(other) == list(range(rows + 1))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="Linux alone shows what is open")
def test_nothing_stays_open_after_an_instance(tmp_path: Path) -> None:
    with opened(tmp_path / "dagster") as instance:
        report(instance, 1)
        instance.all_instigator_state()
        assert open_files(tmp_path)
    assert not open_files(tmp_path)
    assert not list(tmp_path.rglob("*-wal")), "what was written is in the files"


def test_files_that_are_replaced_by_those_of_a_backup_are_read_anew(tmp_path: Path) -> None:
    with opened(tmp_path / "dagster") as instance:
        report(instance, 1)
    shutil.copytree(tmp_path / "dagster", tmp_path / "backup")
    with opened(tmp_path / "dagster") as instance:
        report(instance, 2)
        assert rows_of(instance) == [1, 2]
        for file in (tmp_path / "dagster" / "history").rglob("*.db*"):
            file.unlink()
        shutil.copytree(tmp_path / "backup", tmp_path / "dagster", dirs_exist_ok=True)
        assert rows_of(instance) == [1]


def test_few_files_are_kept_open(tmp_path: Path) -> None:
    kept = KeptEngines()
    for number in range(MOST_FILES + 5):
        with kept.of(f"sqlite:///{tmp_path}/{number}.db").begin() as connection:
            connection.execute(text("create table bills (id integer)"))
    names = {Path(name).stem for name in open_files(tmp_path)}
    assert names == {str(number) for number in range(5, MOST_FILES + 5)}
    with kept.of(f"sqlite:///{tmp_path}/0.db").connect() as connection:
        assert connection.execute(text("select count(*) from bills")).scalar() == 0
    kept.close()
    assert not open_files(tmp_path)


def test_the_file_of_a_run_is_as_dagster_makes_it(tmp_path: Path) -> None:
    """Tables, indexes, version of the schema and journal, by SQLite's own words."""
    schemas = []
    for name in ("ours", "dagsters"):
        with opened(tmp_path / name, is_ours=name == "ours") as instance:
            run = dg.materialize([bills], instance=instance).dagster_run.run_id
        with closing(sqlite3.connect(tmp_path / name / "history" / "runs" / f"{run}.db")) as file:
            tables = sorted(file.execute("select type, name, sql from sqlite_master").fetchall())
            version = file.execute("select version_num from alembic_version").fetchall()
            schemas.append((tables, version, file.execute("pragma journal_mode").fetchone()))
    assert schemas[0] == schemas[1]


def test_a_file_that_was_left_half_made_is_finished(tmp_path: Path) -> None:
    with opened(tmp_path / "dagster") as instance:
        run = instance.create_run_for_job(job_def=dg.define_asset_job("all").resolve(asset_graph=GRAPH)).run_id
        file = tmp_path / "dagster" / "history" / "runs" / f"{run}.db"
        with instance.event_log_storage.run_connection(run) as connection:
            connection.execute(text("delete from alembic_version"))
        with opened(tmp_path / "dagster") as again:
            assert again.all_logs(run) is not None
        with closing(sqlite3.connect(file)) as kept:
            assert len(kept.execute("select version_num from alembic_version").fetchall()) == 1


def test_who_watches_a_run_hears_of_what_another_writes_while_it_is_open(tmp_path: Path) -> None:
    """As the page's websocket hears of a run's process, which keeps the file open until it ends."""
    heard: queue.Queue[str | None] = queue.Queue()
    with opened(tmp_path / "dagster") as page, opened(tmp_path / "dagster") as process:
        run = process.create_run_for_job(job_def=dg.define_asset_job("all").resolve(asset_graph=GRAPH))
        page.event_log_storage.watch(run.run_id, None, lambda entry, _: heard.put(entry.get_dagster_event().message))
        for words in ("first", "second"):
            process.report_engine_event(words, run)
            while heard.get(timeout=60) != words:
                pass
