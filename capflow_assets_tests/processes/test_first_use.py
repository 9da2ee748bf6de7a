"""A fresh home that several processes open at once works, and one that was broken so is mended."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from capflow_assets.doctor import records
from capflow_assets.errors import CapflowError
from capflow_assets.graph.instance import open_instance
from capflow_assets.home.places import Home, write_if_changed
from capflow_assets.processes.sqlite_schemas import double_schemas
from capflow_assets_doubles.homes import own_environment
from capflow_assets_doubles.page_server import environment
from capflow_assets_tests.platform.services import postgres, with_driver
from capflow_assets_tests.reliability import record

OPEN = """
import sys
from capflow_assets.graph.instance import open_instance
from capflow_assets.home.places import Home
from capflow_assets.stores.registry import Registry

home = Home.of(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
with open_instance(home) as instance:
    instance.get_runs()
    instance.add_dynamic_partitions("customer", [sys.argv[2]])
if len(sys.argv) > 3:
    Registry(home.mlflow_uri, home.lake).client.search_registered_models()
"""
AT_ONCE, MANY_AT_ONCE = 3, 8
# The newest number of Dagster's schema, and the one before it.
OLDER = "5771160a95ad"


def open_at_once(root: Path, *more: str, processes: int = AT_ONCE, **variables: str) -> None:
    """Processes that have imported everything, and then open a fresh home at the same moment."""
    begun = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(root), f"c{number}", *more],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(**variables),
        )
        for number in range(processes)
    ]
    for process in begun:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in begun:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate()[1] for process in begun]
    assert [process.returncode for process in begun] == [0] * processes, "\n".join(said)


def partitions(root: Path) -> list[str]:
    with own_environment(), open_instance(Home.of(root)) as instance:
        return sorted(instance.get_dynamic_partitions("customer"))


def test_a_fresh_home_and_its_model_store_that_processes_open_at_once_work(tmp_path):
    open_at_once(tmp_path / "home", "and models")
    assert partitions(tmp_path / "home") == [f"c{number}" for number in range(AT_ONCE)]
    assert list(double_schemas(Home.of(tmp_path / "home", {}))) == []


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres(["dagster"]) as databases:
        yield with_driver(databases["dagster"])


def test_a_fresh_database_too(tmp_path, server):
    open_at_once(tmp_path / "home", processes=3, CAPFLOW_POSTGRES_URL=server)


@pytest.mark.long
@pytest.mark.timeout(3600)  # two hundred processes
def test_fifty_fresh_homes(tmp_path):
    for number in range(50):
        open_at_once(tmp_path / f"home{number}", processes=MANY_AT_ONCE)
        assert len(partitions(tmp_path / f"home{number}")) == MANY_AT_ONCE
        shutil.rmtree(tmp_path / f"home{number}")
    record("fresh homes opened at once", homes=50, processes=MANY_AT_ONCE, broken=0)


def test_a_home_that_was_broken_so_is_reported_and_mended(tmp_path):
    home = Home.of(tmp_path / "home", {})
    assert partitions(home.root) == []
    for store in ("history/runs.db", "schedules/schedules.db"):
        with closing(sqlite3.connect(home.dagster / store)) as database, database:
            (newest,) = database.execute("select version_num from alembic_version").fetchone()
            database.execute("insert into alembic_version values (?)", (OLDER,))
    with pytest.raises(CapflowError, match=r"has 2 numbers of its schema[\s\S]*capflow doctor --mend"):
        partitions(home.root)
    assert [(double.newest, len(double.revisions)) for double in double_schemas(home)] == [(newest, 2)] * 2
    with own_environment():
        assert len(records.mend_schemas(home)) == 2
        assert records.mend_schemas(home) == []
    assert partitions(home.root) == []


def test_configuration_is_written_once_and_as_a_whole(tmp_path):
    home = Home.of(tmp_path / "home", {})
    with own_environment():
        home.prepare()
        before = (home.dagster / "dagster.yaml").stat()
        home.prepare()
    after = (home.dagster / "dagster.yaml").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    write_if_changed(home.dagster / "dagster.yaml", "another")
    assert (home.dagster / "dagster.yaml").stat().st_ino != before.st_ino
    assert [file.name for file in home.dagster.iterdir()] == ["dagster.yaml"]
