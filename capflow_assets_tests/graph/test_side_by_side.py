"""Customers side by side: what kills a process costs the asset in hand, and nothing of anybody else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path

import dagster as dg
import pytest

from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.graph.cohort_process import Task
from capflow_assets.graph.engine import deployment
from capflow_assets.graph.launch import Finished, Progress, upstream
from capflow_assets.graph.side_by_side import SideBySide
from capflow_assets.home.capacity import PROCESS_BYTES, free_bytes, processes_that_fit
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets_tests.graph.dying_work import work
from capflow_assets_tests.homes import FEW_FEATURES, FEW_MODELS, TestHome

KEYS = [
    "clean/bills",
    "features/rfm",
    *(f"{part}/{name}" for name in ("churn", "rfm_segments") for part in ("models", "predictions", "health")),
]


def task(dies: dict[str, str], keys: Sequence[str]) -> Task:
    return Task("capflow_assets.definitions", "sail", {}, work, {"keys": list(keys), "dies": dies}, takes_lock=True)


def outcome(dies: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Finished]:
    monkeypatch.setenv("CAPFLOW_HOME", str(tmp_path))
    watched: list[Progress] = []
    (tmp_path / "customers").mkdir()
    for name in ("ann", "bob", "cid"):
        (tmp_path / "customers" / f"{name}.toml").touch()
    with dg.DagsterInstance.ephemeral() as instance:
        side_by_side = SideBySide(deployment(STAGES, SOURCES), instance, partial(task, dies), watched.append, print)
        results = side_by_side.run({"ann": KEYS, "bob": KEYS, "cid": KEYS}, 2)
    assert {(seen.customer, seen.key) for seen in watched} == {
        (result.customer, key) for result in results for key in result.done
    }
    return {result.customer: result for result in results}


def test_a_model_that_kills_its_process_costs_that_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = outcome({"bob": "models/churn"}, tmp_path, monkeypatch)
    assert results["ann"].ok
    assert results["cid"].ok
    bob = results["bob"]
    assert set(bob.failures) == {"models/churn", "predictions/churn", "health/churn"}
    assert "killed by SIGKILL" in bob.failures["models/churn"].reason
    assert list(bob.root_causes) == ["models/churn"]
    assert set(bob.done) == set(KEYS) - set(bob.failures)


def test_a_table_that_kills_its_process_costs_the_customer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = outcome({"bob": "features/rfm"}, tmp_path, monkeypatch)
    assert results["ann"].ok
    assert results["cid"].ok
    assert set(results["bob"].done) == {"clean/bills"}
    assert list(results["bob"].root_causes) == ["features/rfm"]
    assert set(results["bob"].failures) == set(KEYS) - {"clean/bills"}


def test_two_brands_at_once_are_as_one_after_the_other(tmp_path: Path) -> None:
    both = TestHome(tmp_path / "both")
    for name in ("ann", "bob"):
        brand = tiny(name, seed=7, users=150, days=200)
        both.ok("onboard", str(write(simulate(brand), tmp_path / name, settings={**FEW_FEATURES, **FEW_MODELS})))
    single = both.copied(tmp_path / "single")
    both.ok("run", "ann", "bob", "--select", "+features/rfm", "--processes", "2")
    single.ok("run", "ann", "--select", "+features/rfm")
    for name in ("ann", "bob"):
        assert {row["user_id"] for row in both.rows("features/rfm", name)} <= {
            row["user_id"] for row in both.rows("clean/bills", name)
        }
    apart, alone = (sorted(home.rows("features/rfm", "ann"), key=itemgetter("user_id")) for home in (both, single))
    assert apart == alone
    assert alone
    runs = json.loads(both.ok("status", "--format", "json"))
    assert {row["customer"] for row in runs} == {"ann", "bob"}


def test_as_many_processes_as_cores_memory_and_customers_allow() -> None:
    free = free_bytes()
    assert free is None or free > 0
    assert processes_that_fit(1) == 1
    assert 1 <= processes_that_fit(100) <= max(1, (free or 1 << 60) // PROCESS_BYTES + 1)


def test_the_keys_of_the_test_are_assets() -> None:
    assert not upstream(STAGES.edges, ["models/churn"]) & {"models/rfm_segments"}
    assert set(KEYS) <= set(STAGES.edges)
