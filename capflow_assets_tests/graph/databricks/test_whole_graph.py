"""The graph of a small world on Databricks (Spark on a JVM) equals the embedded one, table by table.

One model with all that it is made of, from bills to its health, as part of every run of the tests; the whole graph in
``make test-long``. That all tables are equal on a JVM is also what ``test_parity`` is about.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from capflow_assets.definitions import STAGES
from capflow_assets.graph.launch import asset_edges
from capflow_assets.life.verdicts import FLEET
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets_doubles.databricks.steps import COMPUTE, environment, settings
from capflow_assets_doubles.databricks.workspace import LocalWorkspace
from capflow_assets_doubles.homes import FEW_FEATURES, FEW_MODELS, TestHome

# Some forty steps, each a process of its own over there.
pytestmark = pytest.mark.timeout(1500)
SETTINGS = {
    **FEW_FEATURES,
    **FEW_MODELS,
    "models": {
        "purchase_propensity": {"rounds": 20, "moments": 3},
        "lifetime_value": {"moments": 2},
        "rfm_segments": {"horizon_days": 60},
    },
}
MODEL = "lifetime_value"
# Names and times of a run, which no two runs share.
OWN = {"model_version", "trained_at", "run_id", "scored_at"}


def with_ancestors(*assets: str) -> list[str]:
    """These assets and all that they are made of."""
    edges, selected = asset_edges(STAGES), set(assets)
    waiting = list(assets)
    while waiting:
        parents = edges[waiting.pop()] - selected
        selected |= parents
        waiting += parents
    return sorted(selected)


@pytest.fixture(scope="module", params=["one model", pytest.param("all", marks=pytest.mark.long)])
def selection(request: pytest.FixtureRequest) -> list[str]:
    """What is run: the assets of one model, or those of all."""
    return (
        with_ancestors(f"health/{MODEL}", "validation/report")
        if request.param == "one model"
        else sorted(set(asset_edges(STAGES)) - {FLEET})
    )


@pytest.fixture(scope="module")
def homes(
    selection: list[str], spark_workspace: LocalWorkspace, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TestHome, TestHome]:
    """The same customer in two homes: one ran embedded, every step of the other on a cluster."""
    folder = tmp_path_factory.mktemp("whole")
    toml = write(simulate(tiny("acme", seed=4, users=200, days=260)), folder / "files", settings=SETTINGS)
    here, there = TestHome(folder / "here"), TestHome(folder / "there")
    for home in (here, there):
        home.ok("onboard", str(toml))
    run = ("run", "acme", "--select", ",".join(selection))
    here.ok(*run)
    file = settings(folder, runs_on={"*": "dedicated"}, compute=COMPUTE)
    with environment(
        CAPFLOW_DATABRICKS=str(file), DATABRICKS_HOST=spark_workspace.url, DATABRICKS_TOKEN=spark_workspace.token
    ):
        there.ok(*run)
    return here, there


def tables(home: TestHome) -> list[str]:
    lake = home.root / "lake" / "acme"
    folders = (path.parent.relative_to(lake) for path in lake.glob("*/*/_delta_log"))
    return sorted("/".join(path.parts) for path in folders)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9) or (math.isnan(one) and math.isnan(other))
    return bool(one == other)


def test_every_table_is_equal(homes: tuple[TestHome, TestHome]) -> None:
    here, there = homes
    assert tables(here) == tables(there)
    assert {"raw/bills", "clean/line_items", "validation/report", "features/rfm"} <= set(tables(here))
    assert f"predictions/{MODEL}" in tables(here)
    for table in tables(here):
        ours, theirs = (sorted(home.rows(table, "acme"), key=repr) for home in homes)
        assert len(ours) == len(theirs), table
        for one, other in zip(ours, theirs, strict=True):
            different = [name for name in one if name not in OWN and not same(one[name], other[name])]
            assert not different, (table, different, one, other)


def test_the_models_end_alike(homes: tuple[TestHome, TestHome]) -> None:
    columns = ("status", "metric", "value", "baseline", "reason")
    ours, theirs = ({m: [row.get(c) for c in columns] for m, row in home.status("acme").items()} for home in homes)
    assert ours == theirs


def test_each_step_was_one_run(
    selection: list[str], homes: tuple[TestHome, TestHome], spark_workspace: LocalWorkspace
) -> None:
    steps = {"customer_tables", *(key for key in selection if key.startswith("models/"))}
    names = [run.name for run in spark_workspace.jobs.runs.values() if "acme" in run.name]
    assert len(set(names)) == len(names) >= len(steps), names


def test_what_was_staged_is_gone(homes: tuple[TestHome, TestHome], spark_workspace: LocalWorkspace) -> None:
    staged = spark_workspace.storage.place("/Volumes/main/capflow/staging")
    assert not list(Path(staged).glob("runs/*/*"))
