"""Customers that come in as dropped files, and a model that is retrained because its customer's world changed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from capflow_assets.definitions import defs
from capflow_assets.graph.launch import QUIET, dagster_instance
from capflow_assets.home.places import Home
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import World, simulate
from capflow_assets_doubles.homes import FEW_FEATURES, FEW_MODELS, TestHome, features_of, own_environment
from capflow_assets_tests.platform.conftest import BAD, DROPPED, Backfilled

TICKS = """
query Ticks($sensor: SensorSelector!) {
  sensorOrError(sensorSelector: $sensor) { ... on Sensor { sensorState { ticks(limit: 1000) {
    status skipReason dynamicPartitionsRequestResults { partitionKeys }
  } } } }
}
"""
MODEL = "purchase_propensity"
SHIFTED = date(2025, 3, 3)
# Weeks from the shift on at which new data land and are scored.
WEEKS = (-2, -1, 0, 2, 3, 4)
SETTINGS = {
    **FEW_FEATURES,
    **FEW_MODELS,
    "models": {MODEL: {"rounds": 60, "moments": 3, "min_child_weight": 5.0}},
    "retraining": {"psi": 0.25, "k": 2, "n": 3, "cooldown_days": 28},
}


@contextmanager
def opened(home: TestHome) -> Iterator[dg.DagsterInstance]:
    """The home's Dagster, and the environment that points at the home, as the daemon's processes have it."""
    with own_environment(), dagster_instance(Home.of(home.root)) as instance:
        yield instance


@dataclass
class Sensor:
    """One sensor of the graph, evaluated as the daemon does: each tick goes on from the cursor of the one before."""

    home: TestHome
    name: str
    cursor: str | None = None
    log: list[str] = field(default_factory=list)

    def tick(self) -> Any:
        with opened(self.home) as instance:
            with dg.SensorEvaluationContext(
                instance_ref=instance.get_ref(),
                last_tick_completion_time=None,
                last_run_key=None,
                cursor=self.cursor,
                log_key=None,
                repository_name="__repository__",
                repository_def=defs.get_repository_def(),
            ) as context:
                result = defs.resolve_sensor_def(self.name).evaluate_tick(context)
            for request in result.dynamic_partitions_requests or []:
                instance.add_dynamic_partitions(request.partitions_def_name, request.partition_keys)
        self.cursor = result.cursor
        return result


def partitions(home: TestHome) -> list[str]:
    with opened(home) as instance:
        return list(instance.get_dynamic_partitions("customer"))


@pytest.fixture
def young(tmp_path: Path) -> Path:
    """The TOML of a customer that is not onboarded, with its file."""
    return write(simulate(tiny("young", seed=5, users=20, days=60, sends=("bills",))), tmp_path / "young")


@pytest.fixture
def empty(tmp_path: Path) -> TestHome:
    home = TestHome(tmp_path / "home")
    (home.root / "customers").mkdir(parents=True)
    return home


def drop(toml: Path, home: TestHome, name: str) -> Path:
    """A copy of a customer's TOML in the home; its file stays where it is."""
    text = toml.read_text().replace('"bills.csv"', f'"{toml.parent / "bills.csv"}"')
    file = home.root / "customers" / name
    file.write_text(text)
    return file


def test_a_dropped_file_becomes_a_customer_once(young, empty):
    sensor = Sensor(empty, "onboarding")
    assert sensor.tick().skip_message == "no new customer"
    drop(young, empty, "young.toml")
    sensor.tick()
    assert partitions(empty) == ["young"]
    again = sensor.tick()
    assert again.dynamic_partitions_requests in (None, [])
    assert again.skip_message == "no new customer"
    empty.ok("run", "young", "--select", "raw/bills")
    assert len(empty.rows("raw/bills", "young")) > 10


def test_a_wrong_file_is_refused_with_its_reason_and_the_good_one_still_comes(young, empty):
    drop(young, empty, "young.toml")
    drop(young, empty, "stranger.toml")
    bad = drop(young, empty, "bad.toml")
    bad.write_text(bad.read_text().replace('source = "csv"', 'source = "cvs"'))
    sensor = Sensor(empty, "onboarding")
    said = sensor.tick()
    assert partitions(empty) == ["young"]
    assert "refused bad.toml: " in said.skip_message
    assert "tables.bills" in said.skip_message
    assert "'cvs'" in said.skip_message
    assert "refused stranger.toml: The file is not called after its customer" in said.skip_message
    assert "Expected: young.toml" in said.skip_message
    drop(young, empty, "stranger.toml").unlink()
    bad.unlink()
    assert sensor.tick().skip_message == "no new customer"


def test_a_mended_file_is_looked_at_again(young, empty):
    file = drop(young, empty, "young.toml")
    good = file.read_text()
    file.write_text(good.replace('time_zone = "UTC"', 'time_zone = "Mars"'))
    sensor = Sensor(empty, "onboarding")
    assert "Mars" in sensor.tick().skip_message
    assert partitions(empty) == []
    file.write_text(good)
    sensor.tick()
    assert partitions(empty) == ["young"]


def test_the_daemon_onboards_and_refuses_by_itself(backfilled: Backfilled):
    server = backfilled.platform.server
    selector = {"repositoryName": "__repository__", "repositoryLocationName": "capflow", "sensorName": "onboarding"}
    ticks = server.ask(TICKS, sensor=selector)["sensorOrError"]["sensorState"]["ticks"]
    added = [
        key for tick in ticks for request in tick["dynamicPartitionsRequestResults"] for key in request["partitionKeys"]
    ]
    assert added == [DROPPED]
    assert DROPPED in server.partitions("raw/bills")["unmaterialized"]
    assert BAD not in server.partitions("raw/bills")["unmaterialized"]
    assert any(f"refused {BAD}.toml: " in (tick["skipReason"] or "") for tick in ticks)


@dataclass(frozen=True)
class Shifted:
    """A customer whose users suddenly buy and pay three times as much, and what its sensor said week by week."""

    home: TestHome
    said: dict[int, Any]
    worst: dict[int, tuple[str, float]]


def land(world: World, folder: Path, week: int) -> Path:
    """What is known at the end of the Sunday ``week`` weeks after the shift (which is on a Monday)."""
    moment = datetime.combine(SHIFTED, datetime.min.time(), tzinfo=UTC) + timedelta(weeks=week)
    return write(world, folder, upto=moment, settings=SETTINGS)


@pytest.fixture(scope="module")
def shifted(tmp_path_factory: pytest.TempPathFactory) -> Shifted:
    folder = tmp_path_factory.mktemp("shifted")
    brand = tiny(
        "moved",
        seed=7,
        users=800,
        days=500,
        campaigns=0,
        affinities=0,
        a=0.2,
        b=8,
        r=0.7,
        alpha_weeks=2.5,
        shift_on=SHIFTED,
        shift_factor=3.0,
        sends=("bills",),
    )
    world = simulate(brand)
    home = TestHome(folder / "home", has_pictures=False)
    home.ok("onboard", str(land(world, folder / "files", -4)))
    tables = f"raw/bills,clean/bills,{features_of(MODEL)}"
    home.ok("run", "moved", "--select", f"{tables},*/{MODEL}")
    sensor, said, worst = Sensor(home, "retraining"), {}, {}
    for week in WEEKS:
        land(world, folder / "files", week)
        home.ok("run", "moved", "--select", f"{tables},predictions/{MODEL},health/{MODEL}")
        said[week] = sensor.tick()
        row = home.status("moved")[MODEL]
        worst[week] = (row["drifted"], row["drift"])
    return Shifted(home, said, worst)


def test_the_sensor_is_quiet_while_nothing_happens(shifted: Shifted):
    for week in (week for week in WEEKS if week <= 0):
        assert shifted.said[week].run_requests in (None, []), shifted.worst
        assert "no champion's health calls for a run" in shifted.said[week].skip_message
        drifted, psi = shifted.worst[week]
        assert not drifted
        assert psi < 0.1


def test_it_asks_once_after_the_shift_and_then_keeps_still(shifted: Shifted):
    requests = {week: said.run_requests for week, said in shifted.said.items() if said.run_requests}
    assert len(requests) == 1, shifted.worst
    ((week, (request,)),) = requests.items()
    over = [earlier for earlier in WEEKS if earlier <= week and shifted.worst[earlier][0]]
    assert len(over) == 2
    assert 0 < week < WEEKS[-1]
    # What follows is as bad or worse, and in the cool-down.
    assert all(shifted.worst[later][0] for later in WEEKS if later >= week)
    assert request.partition_key == "moved"
    assert request.asset_selection == [dg.AssetKey([part, MODEL]) for part in ("models", "predictions", "health")]
    assert request.tags["capflow/cause"] == "drift"
    assert "2 of the last 3 scorings by version 1 drifted" in request.tags["capflow/reason"]


def test_the_requested_run_makes_a_new_champion_or_says_why_not(shifted: Shifted, tmp_path):
    home = shifted.home.copied(tmp_path / "home")
    ((request,),) = [said.run_requests for said in shifted.said.values() if said.run_requests]
    with opened(home) as instance:
        done = defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            partition_key=request.partition_key,
            asset_selection=request.asset_selection,
            tags=request.tags,
            run_config=QUIET,
        )
        kept = instance.get_run_by_id(done.run_id)
    assert done.success
    assert kept is not None
    assert "drifted" in kept.tags["capflow/reason"]
    row = home.status("moved")[MODEL]
    decision = home.report("moved", MODEL)["promotion"]
    rows = home.rows(f"health/{MODEL}", "moved")
    newest = [scoring for scoring in rows if scoring["as_of"] == max(other["as_of"] for other in rows)]
    if row["champion"] == 2:
        assert decision["action"] == "promote"
        assert {scoring["is_over"] for scoring in newest if scoring["model_version"] == 2} == {False}
    else:
        assert row["challenger"] == 2
        assert row["status"] in ("asks", "kept the champion")
        assert row["reason"]
    assert {row["model_version"] for row in home.rows(f"predictions/{MODEL}", "moved")} == {row["champion"]}
    shutil.rmtree(home.root)
