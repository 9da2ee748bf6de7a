"""Customers side by side: what kills a process costs the asset in hand, and nothing of anybody else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
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
from capflow_assets_doubles.homes import FEW_FEATURES, FEW_MODELS, TestHome
from capflow_assets_tests.graph.dying_work import work

KEYS = [
    "clean/bills",
    "features/rfm",
    *(f"{part}/{name}" for name in ("churn", "rfm_segments") for part in ("models", "predictions", "health")),
]


NBA = [f"{part}/next_best_action" for part in ("models", "predictions", "health")]
HOLD = """
import sys
from capflow_assets.processes.customer_lock import customer_lock
from capflow_assets.home.places import Home

with customer_lock(Home.of(sys.argv[1]), sys.argv[2], "somebody else", 0):
    print("held", flush=True)
    sys.stdin.read()
"""


def task(dies: dict[str, str], meeting: str, keys: Sequence[str]) -> Task:
    arguments = {"keys": list(keys), "dies": dies, "meeting": meeting}
    return Task("capflow_assets.definitions", "sail", {}, work, arguments, takes_lock=True)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that knows three customers of whom nothing is read."""
    root = tmp_path / "home"
    monkeypatch.setenv("CAPFLOW_HOME", str(root))
    (root / "customers").mkdir(parents=True)
    for name in ("ann", "bob", "cid"):
        (root / "customers" / f"{name}.toml").touch()
    return root


def outcome(
    keys_of: dict[str, list[str]],
    dies: dict[str, str] | None = None,
    meeting: str = "",
    say: Callable[[str], object] = print,
    wait: float | None = None,
) -> dict[str, Finished]:
    """What became of customers in two processes, as it was watched."""
    watched: list[Progress] = []
    with dg.DagsterInstance.ephemeral() as instance:
        place = deployment(STAGES, SOURCES)
        work = SideBySide(place, instance, partial(task, dies or {}, meeting), watched.append, say, wait)
        results = work.run(keys_of, 2)
    assert {(seen.customer, seen.key) for seen in watched} == {
        (result.customer, key) for result in results for key in result.done
    }
    for result in results:
        order = [key for key in keys_of[result.customer] if key in result.done]
        assert list(result.done) == order, "whoever was first, they stand as they were asked for"
    return {result.customer: result for result in results}


@pytest.mark.usefixtures("home")
def test_a_model_that_kills_its_process_costs_that_model_and_what_is_made_of_it() -> None:
    results = outcome({"ann": KEYS, "bob": [*KEYS, *NBA], "cid": KEYS}, {"bob": "models/churn"})
    assert results["ann"].ok
    assert results["cid"].ok
    bob = results["bob"]
    assert set(bob.failures) == {"models/churn", "predictions/churn", "health/churn", *NBA}
    assert "killed by SIGKILL" in bob.failures["models/churn"].reason
    assert list(bob.root_causes) == ["models/churn"]
    assert bob.failures["models/next_best_action"].consequence_of[:1] == ("models/churn",)
    assert set(bob.done) == set(KEYS) - set(bob.failures)


@pytest.mark.usefixtures("home")
def test_a_customer_is_over_where_all_that_is_left_is_made_of_the_dead() -> None:
    (ann,) = outcome({"ann": ["models/churn", "predictions/churn", *NBA]}, {"ann": "models/churn"}).values()
    assert not ann.done
    assert set(ann.failures) == {"models/churn", "predictions/churn", *NBA}


@pytest.mark.usefixtures("home")
def test_a_table_that_kills_its_process_costs_the_customer() -> None:
    results = outcome(dict.fromkeys(("ann", "bob", "cid"), KEYS), {"bob": "features/rfm"})
    assert results["ann"].ok
    assert results["cid"].ok
    assert set(results["bob"].done) == {"clean/bills"}
    assert list(results["bob"].root_causes) == ["features/rfm"]
    assert set(results["bob"].failures) == set(KEYS) - {"clean/bills"}


@pytest.mark.usefixtures("home")
def test_two_models_of_one_customer_are_made_at_the_same_time_in_two_processes(tmp_path: Path) -> None:
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    done = outcome({"ann": KEYS}, meeting=str(meeting))["ann"].done
    assert [done[f"models/{name}"]["met"] for name in ("churn", "rfm_segments")] == [1, 1]
    assert done["models/churn"]["process"] != done["models/rfm_segments"]["process"]


def test_a_customer_that_somebody_else_writes_is_waited_for(home: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home), "ann"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline().strip() == "held"
    with holder:
        refused = outcome({"ann": KEYS, "bob": KEYS}, wait=0)
        assert refused["bob"].ok
        assert "ann is in use by somebody else" in refused["ann"].failures["customer"].reason
        heard: list[str] = []

        def hear(words: str) -> None:
            heard.append(words)
            holder.stdin.close()  # type: ignore[union-attr]  (then it ends)

        results = outcome({"ann": KEYS, "bob": KEYS}, say=hear)
    assert all(result.ok for result in results.values())
    assert [words.split(",")[0] for words in heard] == ["waiting for ann"]


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
    assert "predictions/churn" in upstream(STAGES.edges, ["models/next_best_action"])
    assert {*KEYS, *NBA} <= set(STAGES.edges)
