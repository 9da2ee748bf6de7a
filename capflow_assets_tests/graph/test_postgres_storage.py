"""Dagster's records in a PostgreSQL: one connection for many events, and a server that restarts is found again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import dagster as dg
import pytest
import yaml

from capflow_assets.graph.postgres_storage import PostgresStorage
from capflow_assets.home.places import dagster_yaml
from capflow_assets_doubles.homes import own_environment
from capflow_assets_doubles.sql_servers import Server, postgres
from capflow_assets_tests.deploy.files import POSTGRES_STORAGES, values

KEY = dg.AssetKey("bills")
OPEN = "select pid from pg_stat_activity where usename = 'postgres' and pid <> pg_backend_pid() and datname = 'shop'"


@pytest.fixture(scope="module")
def database() -> Iterator[Server]:
    with postgres() as server:
        yield server


@contextmanager
def opened(folder: Path, server: Server) -> Iterator[dg.DagsterInstance]:
    url = server.location().replace("postgresql://", "postgresql+psycopg2://postgres@")
    (folder / "dagster.yaml").write_text(dagster_yaml(url))
    with own_environment(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(folder))
        patch.setenv("CAPFLOW_POSTGRES_URL", url)
        with dg.DagsterInstance.get() as instance:
            yield instance


@contextmanager
def opened_by_chart(folder: Path, server: Server) -> Iterator[dg.DagsterInstance]:
    """With Dagster's own storages named, as Dagster's chart names them, and what our values add to its file."""
    url = server.location().replace("postgresql://", "postgresql+psycopg2://postgres@")
    storages = {
        name: {"module": m, "class": c, "config": {"postgres_url": url}} for name, (m, c) in POSTGRES_STORAGES.items()
    }
    (folder / "dagster.yaml").write_text(yaml.safe_dump(storages | values()["additionalInstanceConfig"]))
    with own_environment(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(folder))
        with dg.DagsterInstance.get() as instance:
            yield instance


def report(instance: dg.DagsterInstance, rows: int) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization(KEY, metadata={"rows": rows}))


def rows_of(instance: dg.DagsterInstance) -> list[object]:
    records = instance.fetch_materializations(KEY, limit=100, ascending=True).records
    return [record.asset_materialization.metadata["rows"].value for record in records if record.asset_materialization]


def connections(server: Server, expected: int) -> list[tuple[int, ...]]:
    """The connections to Dagster's database; a server process ends a moment after who it served has left."""
    until = time.monotonic() + 60
    while len(pids := server.run(OPEN)) != expected and time.monotonic() < until:
        time.sleep(0.05)
    return pids


@pytest.mark.parametrize("way", [opened, opened_by_chart])
def test_questions_about_runs_and_sensors_take_the_same_connection(
    way: Callable[[Path, Server], AbstractContextManager[dg.DagsterInstance]], tmp_path: Path, database: Server
) -> None:
    with way(tmp_path, database) as instance:
        report(instance, 0)
        before = connections(database, 1)
        instance.get_runs_count()
        assert "FROM runs" in str(database.run(OPEN.replace("pid", "query", 1)))
        instance.all_instigator_state()
        assert "FROM instigators" in str(database.run(OPEN.replace("pid", "query", 1)))
        assert connections(database, 1) == before


def test_events_share_a_connection_and_a_restart_costs_none(tmp_path: Path, database: Server) -> None:
    with opened(tmp_path, database) as instance:
        assert isinstance(instance._ref.storage, PostgresStorage)
        report(instance, 0)
        before = connections(database, 1)
        report(instance, 1)
        assert len(before) == 1
        assert connections(database, 1) == before
        database.stop()
        database.start()
        report(instance, 2)
        assert rows_of(instance)[-3:] == [0, 1, 2]
        assert len(connections(database, 1)) == 1
    assert connections(database, 0) == []


def test_the_event_log_that_a_chart_names_shares_a_connection_as_well(tmp_path: Path, database: Server) -> None:
    with opened_by_chart(tmp_path, database) as instance:
        report(instance, 3)
        before = connections(database, 1)
        report(instance, 4)
        assert len(before) == 1
        assert connections(database, 1) == before
        assert rows_of(instance)[-2:] == [3, 4]
        again = dg.DagsterInstance.from_ref(instance.get_ref())
        with again:
            assert rows_of(again)[-2:] == [3, 4]
    assert connections(database, 0) == []
