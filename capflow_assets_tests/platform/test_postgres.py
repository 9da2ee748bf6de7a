"""The grown storage on a real PostgreSQL, by configuration alone: what ran, and the models, are kept there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets_tests.platform.services import capflow, postgres, several, with_driver

SELECT = "raw/bills,clean/bills,features/rfm,*/lifetime_value"


@pytest.fixture(scope="module")
def databases() -> Iterator[dict[str, str]]:
    """A database for Dagster and one for MLflow (both keep a table of their own schema's version) on one server."""
    with postgres() as databases:
        yield databases


@pytest.fixture(scope="module")
def grown(databases: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A home whose states lie in PostgreSQL, and in which one customer was run."""
    folder = tmp_path_factory.mktemp("grown")
    variables = {
        "CAPFLOW_POSTGRES_URL": with_driver(databases["dagster"]),
        "MLFLOW_TRACKING_URI": with_driver(databases["mlflow"]),
    }
    brand = tiny("shop", seed=3, users=200, campaigns=0, affinities=0, sends=("bills",))
    toml = write(simulate(brand), folder / "files", settings={"models": {"lifetime_value": {"moments": 2}}})
    for said in several(folder / "home", f"onboard {toml}", f"run shop --select {SELECT}", **variables):
        assert said.code == 0, said
    return folder / "home", variables


def test_status_comes_back_from_postgresql(grown):
    home, variables = grown
    said = capflow(home, "status", "--format", "json", **variables)
    rows = {row["model"]: row for row in json.loads(said.stdout)}
    assert rows["lifetime_value"]["status"] == "promoted"
    assert rows["lifetime_value"]["champion"] == 1
    assert rows["lifetime_value"]["scored_users"] > 100
    assert rows["rfm_segments"]["status"] == "never run"


def test_the_home_keeps_no_database_of_its_own(grown):
    home, _ = grown
    assert [path.name for path in (home / "lake" / "shop").iterdir()]
    assert [str(path) for path in home.rglob("*.db*")] == []


def test_the_events_and_the_models_are_rows_there(grown):
    import psycopg2

    _, variables = grown
    queries = {
        "CAPFLOW_POSTGRES_URL": "select count(*) from event_logs where dagster_event_type = 'ASSET_MATERIALIZATION'",
        "MLFLOW_TRACKING_URI": "select count(*) from model_versions where name = 'shop.lifetime_value'",
    }
    counts = {}
    for name, query in queries.items():
        connection = psycopg2.connect(variables[name].replace("+psycopg2", ""))
        with connection, connection.cursor() as cursor:
            cursor.execute(query)
            counts[name] = cursor.fetchone()[0]
        connection.close()
    # Tables, and of the model its training, answers, health and delivery.
    assert counts == {"CAPFLOW_POSTGRES_URL": 7, "MLFLOW_TRACKING_URI": 1}


def test_a_url_without_its_driver_is_refused_in_words(tmp_path):
    said = capflow(tmp_path / "home", "status", CAPFLOW_POSTGRES_URL="postgresql://ann:secret@db/dagster")
    assert said.returncode == 1
    assert "postgresql+psycopg2://" in said.stderr
    assert "secret" not in said.stderr
    assert "Traceback" not in said.stderr
