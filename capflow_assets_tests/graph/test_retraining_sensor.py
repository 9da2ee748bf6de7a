"""What the sensors remember: no scoring of a moment ahead of now, and nothing of a customer that was retired."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
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
from capflow_assets.monitoring.observations import Live, Night, Reliability
from capflow_assets.stores.moments import replace_moment
from capflow_assets_doubles.homes import own_environment

MODEL = "rfm_segments"
START = datetime(2024, 1, 1, tzinfo=UTC)
LEDGER = [
    ("version", pa.int32()),
    *((name, pa.string()) for name in ("cause", "action", "decision")),
    ("gain", pa.float64()),
]
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

    def observe(self, model: str, *nights: Night) -> None:
        """Record nights of bob's model as health records them."""
        for night in nights:
            metadata = {"psi_max": night.psi_max, "night": dg.MetadataValue.json(night.to_json())}
            event = dg.AssetMaterialization(dg.AssetKey(["health", model]), partition="bob", metadata=metadata)
            self.instance.report_runless_asset_event(event)

    def requests(self) -> list[dg.RunRequest]:
        """The runs that the retraining sensor asks for."""
        result = self._evaluated("retraining", retraining_sensor(STAGES, lambda: self.deployment))
        return list(result.run_requests or [])

    def tick(self) -> list[str]:
        """The customers whose model the retraining sensor asks to train."""
        return [str(request.partition_key) for request in self.requests()]

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


def nights(*days: int, **changes: Any) -> list[Night]:
    calm = Night(START, 1, 0.01, "visits", False)
    return [replace(calm, as_of=START + timedelta(days=day), **changes) for day in days]


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


def test_who_is_trained_again_is_whom_pandas_finds_over_on_the_newest_nights_up_to_now(daemon: Daemon) -> None:
    """Two of the last two scorings, whatever was recorded of moments ahead of now, and whenever."""
    random = np.random.default_rng(5)
    rows = pd.DataFrame({"customer": np.repeat([f"c{n}" for n in range(6)], 6)})
    rows["as_of"] = [*map(pd.Timestamp, [START + timedelta(days=7 * n) for n in range(4)] + [AHEAD] * 2)] * 6
    rows["as_of"] += pd.to_timedelta(rows.index % 6, unit="h")
    # Known nights are recorded one after the other, those of moments ahead anywhere between them.
    rows["recorded"] = np.where(rows.index % 6 < 4, rows.index % 6, random.uniform(0, 4, len(rows)))
    rows["is_over"] = random.random(len(rows)) < 0.7
    known = rows[rows["as_of"] <= pd.Timestamp(datetime.now(UTC))].sort_values("as_of")
    is_due = known.groupby("customer")["is_over"].apply(lambda over: over.tail(2).sum() >= 2)
    assert 0 < is_due.sum() < len(is_due)
    for customer, of in rows.sort_values("recorded").groupby("customer"):
        daemon.onboard(str(customer))
        daemon.measure(str(customer), *((row.as_of.to_pydatetime(), bool(row.is_over)) for row in of.itertuples()))
    trained, cursor = [], None
    while daemon.cursors.get("retraining") != cursor or cursor is None:
        cursor = daemon.cursors.get("retraining")
        trained += daemon.tick()
    assert sorted(trained) == sorted(is_due.index[is_due])


def test_a_request_as_of_a_moment_ahead_of_now_is_no_cool_down(daemon: Daemon) -> None:
    """As an earlier release left it in its cursor."""
    daemon.onboard("ann")
    daemon.measure("ann", *drifted(0, 7))
    requests = {f"ann.{MODEL}": AHEAD.isoformat()}
    daemon.cursors["retraining"] = json.dumps({"read": {}, "asked": requests})
    assert daemon.tick() == ["ann"]
    daemon.measure("ann", *drifted(14))
    assert daemon.tick() == []


def test_the_cool_down_of_an_earlier_releases_cursor_holds(daemon: Daemon) -> None:
    daemon.onboard("ann")
    daemon.measure("ann", *drifted(0, 7))
    requests = {f"ann.{MODEL}": START.isoformat(), f"gone.{MODEL}": START.isoformat()}
    daemon.cursors["retraining"] = json.dumps({"read": {}, "asked": requests})
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


def test_chances_that_are_off_start_a_recalibration_with_its_cause(daemon: Daemon) -> None:
    live = Live("roc_auc", 0.8, 0.78, 0.82, 0.8, 0.78, 0.82)
    daemon.onboard("bob")
    daemon.observe(MODEL, *nights(0, 7, live=live, reliability=Reliability(0.3, 0.2, 0.18, 0.22)))
    [request] = daemon.requests()
    assert request.run_config == {
        "ops": {f"{MODEL}_model": {"config": {"action": "recalibrate", "cause": "prior shift"}}}
    }
    assert (request.tags["capflow/action"], request.tags["capflow/cause"]) == ("recalibrate", "prior shift")
    assert request.tags["capflow/reason"].startswith("The chances of 2 of the last 2 scorings by version 1 are off")


def test_a_broken_feed_starts_nothing_until_it_is_mended(daemon: Daemon) -> None:
    daemon.onboard("bob")
    daemon.observe(MODEL, *nights(0, 7, over=True, faults=("half a feed",)))
    assert daemon.tick() == []
    daemon.observe(MODEL, *nights(14, 21, over=True))
    assert daemon.tick() == ["bob"]


def test_a_nights_budget_goes_to_what_is_most_urgent(daemon: Daemon) -> None:
    daemon.onboard("bob")
    file = daemon.deployment.home.customers / "bob.toml"
    file.write_text(file.read_text() + "most_a_night = 1\n")
    daemon.observe("churn", *nights(0, 7, over=True))
    worse = Live("roc_auc", 0.6, 0.58, 0.62, 0.8, 0.78, 0.82)
    daemon.observe("winback", *nights(0, 7, live=worse))
    [request] = daemon.requests()
    assert (request.tags["capflow/model"], request.tags["capflow/cause"]) == ("winback", "decay")
    daemon.observe("churn", *nights(8, over=True))
    [next_night] = daemon.requests()
    assert next_night.tags["capflow/model"] == "churn"


def test_a_tick_that_has_no_time_left_leaves_the_rest_to_the_next_one(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capflow_assets.graph.retraining_sensor.SECONDS_A_TICK", -1.0)
    daemon.onboard("ann")
    daemon.onboard("bob")
    daemon.measure("ann", *drifted(0, 7))
    daemon.measure("bob", *drifted(0, 7))
    # Each record has a tick of its own, in which the one after it is known already.
    assert [daemon.tick() for _ in range(5)] == [["ann"], [], ["bob"], [], []]


def test_a_training_in_the_ledger_is_a_cool_down_and_two_that_did_not_help_ask(daemon: Daemon) -> None:
    daemon.onboard("bob")
    keep_training(daemon.deployment, 2, START - timedelta(days=60))
    daemon.observe(MODEL, *nights(0, 7, over=True))
    assert daemon.tick() == ["bob"]
    keep_training(daemon.deployment, 3, START + timedelta(days=7))
    daemon.observe(MODEL, *nights(35, 36, model_version=3, over=True))
    assert daemon.tick() == [], "a person is asked"


def keep_training(deployment: Deployment, version: int, as_of: datetime) -> None:
    """A retraining for drift that was kept as a challenger, 0.01 behind the champion."""
    row = {"as_of": as_of, "version": version, "cause": "drift", "action": "retrain", "decision": "keep", "gain": -0.01}
    rows = pa.Table.from_pylist([row], schema=pa.schema([("as_of", pa.timestamp("us", "UTC")), *LEDGER]))
    replace_moment(deployment.lake, "bob", f"retrainings/{MODEL}", as_of, rows.to_reader())
