"""What the sensors remember: no scoring of a moment ahead of now, and nothing of a customer that was retired."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.deployment import Deployment
from capflow_assets.graph.engine import Engine
from capflow_assets.graph.housekeeping import housekeeping_sensor
from capflow_assets.graph.onboarding import onboard
from capflow_assets.graph.partitions import partition_signs
from capflow_assets.graph.retirement import retire
from capflow_assets.graph.retraining_sensor import retraining_sensor
from capflow_assets.home.places import Home
from capflow_assets_tests.homes import own_environment

MODEL = "rfm_segments"
START = datetime(2024, 1, 1, tzinfo=UTC)
AHEAD = datetime.now(UTC) + timedelta(days=365)
TOML = """
name = "NAME"
vertical = "footwear"
currency = "EUR"
time_zone = "UTC"
[tables.bills]
source = "csv"
location = "bills.csv"
columns = { bill_id = "id", billed_at = "at", amount = "amount", user_id = "user" }
[retraining]
k = 2
n = 2
cooldown_days = 28
"""


@dataclass
class Daemon:
    """A home's sensors, evaluated one tick after the other, each from the cursor that the last one left."""

    deployment: Deployment
    instance: dg.DagsterInstance
    files: Path
    cursors: dict[str, str | None]

    def onboard(self, name: str) -> None:
        file = self.files / name / f"{name}.toml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(TOML.replace("NAME", name))
        onboard(self.deployment, self.instance, file)

    def measure(self, customer: str, *points: tuple[datetime, bool]) -> None:
        """Record scorings by version 1: the moment, and whether a column drifted."""
        for moment, is_over in points:
            psi = 0.5 if is_over else 0.01
            metadata = {"as_of": moment.isoformat(), "champion": 1, "psi_max": psi, "worst": "visits", "over": is_over}
            event = dg.AssetMaterialization(dg.AssetKey(["health", MODEL]), partition=customer, metadata=metadata)
            self.instance.report_runless_asset_event(event)

    def tick(self) -> list[str]:
        """The customers whose model the retraining sensor asks to train."""
        result = self._evaluated("retraining", retraining_sensor(STAGES, lambda: self.deployment))
        return [str(request.partition_key) for request in result.run_requests or []]

    def clean(self) -> dict[str, str]:
        """When each customer was last cleaned, after another tick of the housekeeping."""
        self._evaluated("housekeeping", housekeeping_sensor(lambda: self.deployment))
        return dict(json.loads(self.cursors["housekeeping"] or "{}")["cleaned"])

    def _evaluated(self, name: str, sensor: dg.SensorDefinition) -> Any:
        with dg.build_sensor_context(self.instance, cursor=self.cursors.get(name)) as context:
            result: Any = sensor(context)
        self.cursors[name] = result.cursor
        return result


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dagster's and MLflow's databases, which take seconds to be made. Do not change them."""
    root = tmp_path_factory.mktemp("empty")
    (root / "dagster").mkdir()
    (root / "home" / "customers").mkdir(parents=True)
    with own_environment(), dg.DagsterInstance.local_temp(str(root / "dagster")):
        assert deployment_in(root).registry.models("nobody") == []
    return root


@pytest.fixture
def daemon(empty: Path, tmp_path: Path) -> Iterator[Daemon]:
    root = Path(shutil.copytree(empty, tmp_path / "daemon"))
    with own_environment(), dg.DagsterInstance.local_temp(str(root / "dagster")) as instance:
        yield Daemon(deployment_in(root), instance, root, {})


def deployment_in(root: Path) -> Deployment:
    return Deployment(Home.of(root / "home", {}), STAGES, SOURCES, Engine())


def drifted(*days: int) -> list[tuple[datetime, bool]]:
    return [(START + timedelta(days=day), True) for day in days]


def test_a_scoring_of_a_moment_ahead_of_now_stops_no_retraining(daemon: Daemon) -> None:
    daemon.onboard("ann")
    daemon.measure("ann", (AHEAD, False), *drifted(0))
    assert daemon.tick() == []
    daemon.measure("ann", *drifted(7))
    assert daemon.tick() == ["ann"]


def test_a_drifted_scoring_of_a_moment_ahead_of_now_asks_for_none(daemon: Daemon) -> None:
    daemon.onboard("ann")
    daemon.measure("ann", (AHEAD, True), *drifted(0))
    assert daemon.tick() == []


def test_a_request_as_of_a_moment_ahead_of_now_is_no_cool_down(daemon: Daemon) -> None:
    """As an earlier release left it in its cursor."""
    daemon.onboard("ann")
    daemon.measure("ann", *drifted(0, 7))
    asked = {f"ann.{MODEL}": AHEAD.isoformat()}
    daemon.cursors["retraining"] = json.dumps({"read": {}, "asked": asked})
    assert daemon.tick() == ["ann"]
    daemon.measure("ann", *drifted(14))
    assert daemon.tick() == []


def test_the_cool_down_of_an_earlier_releases_cursor_holds(daemon: Daemon) -> None:
    daemon.onboard("ann")
    daemon.measure("ann", *drifted(0, 7))
    asked = {f"ann.{MODEL}": START.isoformat(), f"gone.{MODEL}": START.isoformat()}
    daemon.cursors["retraining"] = json.dumps({"read": {}, "asked": asked})
    assert daemon.tick() == []
    assert list(json.loads(daemon.cursors["retraining"] or "{}")["asked"]) == [f"ann.{MODEL}"]


def test_a_retired_customers_name_comes_without_its_cool_down_and_its_history(daemon: Daemon) -> None:
    """No tick sees that the name was gone, and the numbers of the records that went are given again."""
    daemon.onboard("ann")
    daemon.onboard("bob")
    daemon.measure("bob", *drifted(0, 7))
    daemon.measure("ann", *drifted(0, 7))
    assert daemon.tick() == ["bob", "ann"]
    before = partition_signs(daemon.instance)
    retire(daemon.deployment, daemon.instance, "ann", "contract ended")
    daemon.onboard("ann")
    after = partition_signs(daemon.instance)
    assert (before["bob"] == after["bob"], before["ann"] == after["ann"]) == (True, False)
    daemon.measure("ann", *drifted(14))
    assert daemon.tick() == [], "of the old one's scorings none counts"
    daemon.measure("ann", *drifted(15))
    daemon.measure("bob", *drifted(14, 15))
    assert daemon.tick() == ["ann"], "the cool-down of bob goes on"


def test_news_are_read_where_the_newest_records_went_with_a_customer(daemon: Daemon) -> None:
    daemon.onboard("ann")
    daemon.onboard("bob")
    daemon.measure("bob", *drifted(0))
    daemon.measure("ann", *[(START + timedelta(days=day), False) for day in range(9)])
    assert daemon.tick() == []
    retire(daemon.deployment, daemon.instance, "ann", "contract ended")
    daemon.measure("bob", *drifted(7))
    assert daemon.tick() == ["bob"]


def test_a_customer_that_comes_again_is_cleaned_again(daemon: Daemon) -> None:
    daemon.onboard("ann")
    daemon.onboard("bob")
    first = daemon.clean()
    assert daemon.clean() == first, "once a day"
    retire(daemon.deployment, daemon.instance, "ann", "contract ended")
    daemon.onboard("ann")
    again = daemon.clean()
    assert again["bob"] == first["bob"]
    assert again["ann"] > first["ann"]
