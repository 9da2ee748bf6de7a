"""Damaged databases: one clear message, what can go on goes on, and the way back in ``deploy/backup.md``."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from capflow_assets.home import databases
from capflow_assets_doubles.homes import TestHome
from capflow_assets_tests.commands import fenced

DOCUMENT = Path(__file__).parents[1] / "deploy" / "backup.md"
DAGSTER = tuple(f"dagster/{name}" for name in databases.DAGSTER_TABLES)


@pytest.fixture
def home(bills_only, tmp_path, monkeypatch) -> TestHome:
    monkeypatch.setattr(databases, "SECONDS_OF_MAKING", 0)
    monkeypatch.setattr(databases, "SECONDS_OF_A_LOCK", 0.1)
    return bills_only.copied(tmp_path / "home")


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def garbled(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.write(b"\xa7" * 4096)


def without_tables(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as database:
        database.execute("create table other (id integer)")
        database.commit()


def damage(home: TestHome, name: str, how) -> Path:
    file = home.root / name
    for end in ("-wal", "-shm"):
        file.with_name(file.name + end).unlink(missing_ok=True)
    how(file)
    return file


@pytest.mark.parametrize("how", [emptied, garbled, without_tables])
@pytest.mark.parametrize("name", DAGSTER)
def test_a_damaged_file_of_dagster_is_named_with_the_way_back(home, name, how):
    file = damage(home, name, how)
    for command in (("show", "raw/bills", "-c", "young"), ("run", "young", "-s", "raw")):
        said = home.capflow(*command)
        assert said.code == 1
        assert str(file) in said.err
        assert "deploy/backup.md" in said.err
        assert "Traceback" not in said.err


@pytest.mark.parametrize("how", [emptied, garbled, without_tables])
def test_a_damaged_mlflow_stops_models_and_nothing_else(home, how):
    file = damage(home, "mlflow.db", how)
    assert home.rows("raw/bills", "young")
    home.ok("run", "young", "-s", "raw")
    for command in (("status",), ("explain", "young", "rfm_segments"), ("freeze", "young", "rfm_segments")):
        said = home.capflow(*command)
        assert said.code == 1
        assert str(file) in said.err
        assert "deploy/backup.md" in said.err
        assert "Traceback" not in said.err


def test_a_damaged_record_of_one_run_stops_nothing(home):
    for file in (home.root / "dagster/history/runs").glob("*-*.db"):
        garbled(file)
    assert home.rows("raw/bills", "young")
    home.ok("status")
    home.ok("run", "young", "-s", "raw")


def test_a_file_that_another_process_holds_is_not_called_damaged(home):
    file = home.root / "mlflow.db"
    with closing(sqlite3.connect(file)) as holder:
        holder.execute("begin exclusive")
        said = home.capflow("status")
    assert said.code == 1
    assert "locked by another process" in said.err
    assert str(file) in said.err
    home.ok("status")


def test_damage_inside_a_file_is_found_by_doctor(home):
    file = home.root / "dagster/history/runs/index.db"
    damage(home, "dagster/history/runs/index.db", lambda there: None)
    with closing(sqlite3.connect(file)) as database:
        database.execute("pragma wal_checkpoint(truncate)")
    size = file.stat().st_size
    with file.open("r+b") as stream:
        stream.seek(size // 4096 // 2 * 4096)
        stream.write(b"\xa7" * 8192)
    said = home.capflow("doctor", "-f", "csv")
    assert said.code == 1
    assert [line for line in said.out.splitlines() if line.startswith("services.dagster,broken") and str(file) in line]


def commands(name: str, home: Path, backup: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    given = {**os.environ, "PATH": path, "CAPFLOW_HOME": str(home), "BACKUP": str(backup)}
    subprocess.run(["bash", "-euc", fenced(DOCUMENT, name)], env=given, check=True, timeout=120)


def test_the_way_back_from_a_backup_and_without_one(acme_copy, tmp_path):
    home, backup = acme_copy, tmp_path / "backup"
    backup.mkdir()
    before, bills = statuses(home), len(home.rows("raw/bills", "acme"))
    commands("sqlite-backup", home.root, backup)
    garbled(home.root / "dagster/history/runs.db")
    emptied(home.root / "mlflow.db")
    commands("sqlite-restore", home.root, backup)
    assert statuses(home) == before

    shutil.rmtree(home.root / "damaged")
    garbled(home.root / "dagster/history/runs/index.db")
    commands("sqlite-anew-dagster", home.root, backup)
    anew = statuses(home)
    assert {row["status"] for row in anew.values()} == {"never run"}
    assert {name: row["champion"] for name, row in anew.items()} == {name: r["champion"] for name, r in before.items()}

    garbled(home.root / "mlflow.db")
    commands("sqlite-anew-mlflow", home.root, backup)
    assert statuses(home)["rfm_segments"]["champion"] is None
    assert len(home.rows("raw/bills", "acme")) == bills
    home.ok("run", "acme", "-s", "models/rfm_segments,predictions/rfm_segments")
    assert statuses(home)["rfm_segments"]["champion"] == 1


def statuses(home: TestHome) -> dict[str, dict[str, Any]]:
    """The rows of the customer's models, read in a copy: a store of MLflow that was opened stays open."""
    with tempfile.TemporaryDirectory() as folder:
        rows = home.copied(Path(folder) / "home").status("acme")
    return {model: row for model, row in rows.items() if row["status"] != "off"}
