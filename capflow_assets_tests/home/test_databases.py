"""SQLite files that others write and this user may only look at: they are read, and nobody is told to restore them."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from capflow_assets.errors import StoreError
from capflow_assets.home.databases import DAGSTERS_OWN, RUNS, copy_files, require_sound

ROWS = 50
# What `capflow` asks of a file at first sight and in depth, and what is in the copy that a command looks at.
LOOK = """
import sqlite3, sys, tempfile
from pathlib import Path
from capflow_assets.home.databases import copy_database, what_is_wrong, wrong_in_depth

file = Path(sys.argv[1])
print(what_is_wrong(file, "runs") or "sound")
print(wrong_in_depth(file) or "sound")
if len(sys.argv) > 2:
    with tempfile.TemporaryDirectory() as folder:
        copy_database(file, Path(folder, "copy.db"))
        print(sqlite3.connect(Path(folder, "copy.db")).execute("select count(*) from runs").fetchone()[0])
"""


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Path]:
    """A database whose rows are all still in the file beside it: a process has it open."""
    file = tmp_path / "busy" / "runs.db"
    file.parent.mkdir()
    with closing(sqlite3.connect(file, check_same_thread=False)) as database:
        database.execute("pragma journal_mode = wal")
        database.execute("pragma wal_autocheckpoint = 0")
        database.execute("create table runs (id integer, text text)")
        database.executemany("insert into runs values (?, ?)", ((row, "x" * 500) for row in range(ROWS)))
        database.commit()
        yield file


def as_one_who_may_not_write(*arguments: str) -> list[str]:
    """What LOOK prints, without what root may do although a file's mode says no."""
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root may write everywhere")
    caps = "-dac_override,-dac_read_search,-fowner"
    less = ["setpriv", f"--bounding-set={caps}", "--inh-caps=-all"] if os.geteuid() == 0 else []
    command = [*less, sys.executable, "-c", LOOK, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()


@pytest.mark.parametrize("ends", [("", "-wal", "-shm"), ("", "-wal"), ("",)], ids=["in use", "killed", "closed"])
def test_a_database_that_may_not_be_written_is_read_with_all_its_rows(busy: Path, tmp_path: Path, ends):
    kept = tmp_path / "kept"
    kept.mkdir()
    if len(ends) == 1:
        with closing(sqlite3.connect(busy)) as database:
            database.execute("pragma wal_checkpoint(truncate)")
    for end in ends:
        shutil.copyfile(f"{busy}{end}", kept / f"runs.db{end}")
    for path in (*kept.iterdir(), kept):
        path.chmod(0o555)
    try:
        assert as_one_who_may_not_write(str(kept / "runs.db"), "copied") == ["sound", "sound", str(ROWS)]
    finally:
        kept.chmod(0o755)


def test_a_database_that_may_not_be_read_is_not_said_to_be_damaged(busy: Path):
    busy.chmod(0)
    assert as_one_who_may_not_write(str(busy)) == ["this user may not read it"] * 2


def test_a_copy_is_of_one_moment_while_another_process_writes(busy: Path, tmp_path: Path):
    is_over = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(busy, timeout=30)) as database:
            while not is_over.wait(0.001):
                database.execute("insert into runs select id, text from runs limit 7")
                database.execute("delete from runs where rowid in (select rowid from runs limit 7)")
                database.commit()
                database.execute("pragma wal_checkpoint(passive)")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for place in range(20):
            copy = tmp_path / f"{place}.db"
            copy_files(busy, copy)
            with closing(sqlite3.connect(copy)) as database:
                assert database.execute("pragma quick_check").fetchall() == [("ok",)]
                assert database.execute("select count(*) from runs").fetchone() == (ROWS,)
    finally:
        is_over.set()
        writer.join()


def test_a_file_whose_making_was_killed_is_made_to_the_end_and_one_of_another_is_refused(tmp_path: Path):
    """Dagster makes its tables one by one; until all are there, the file has no row."""
    import dagster as dg
    from dagster._core.storage.runs.schema import RunStorageSqlMetadata
    from sqlalchemy import create_engine

    file = tmp_path / RUNS
    file.parent.mkdir(parents=True)
    RunStorageSqlMetadata.tables["kvs"].create(create_engine(f"sqlite:///{file}"))
    require_sound(file, "runs", "Dagster's list of runs")
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert instance.get_runs() == []
    require_sound(file, "runs", "Dagster's list of runs")
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("drop table runs")
        database.execute("create table others (id integer)")
        database.execute("insert into others values (1)")
    with pytest.raises(StoreError, match="no table 'runs' in it"):
        require_sound(file, "runs", "Dagster's list of runs")


def test_dagsters_tables_are_those_that_it_makes():
    from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
    from dagster._core.storage.runs.schema import RunStorageSqlMetadata
    from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata

    schemas = (SqlEventLogStorageMetadata, RunStorageSqlMetadata, ScheduleStorageSqlMetadata)
    assert {"alembic_version", *(name for metadata in schemas for name in metadata.tables)} == DAGSTERS_OWN
