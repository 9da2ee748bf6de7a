"""The sensor of nights, tick by tick: who is due, what is launched once and only once, what is said of the rest."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.execution.plan.objects import StepFailureData, UserFailureData

from capflow_assets.definitions import STAGES
from capflow_assets.graph.failures import AssetFailure, step_failure
from capflow_assets.graph.night_history import costs_of
from capflow_assets.graph.night_runs import NightRun, halves
from capflow_assets.graph.night_status import night_rows
from capflow_assets_doubles.homes import own_environment
from capflow_assets_tests.graph.night_daemon import EVENING, NIGHT, Daemon, deployment_in


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dagster's and MLflow's databases, which take seconds to be made. Do not change them."""
    root = tmp_path_factory.mktemp("empty")
    (root / "dagster").mkdir()
    (root / "home" / "customers").mkdir(parents=True)
    with own_environment(), dg.DagsterInstance.local_temp(str(root / "dagster")):
        assert deployment_in(root).registry.models("nobody") == []
    return root


@contextmanager
def daemon_of(empty: Path, root: Path, runs_at_once: int) -> Iterator[Daemon]:
    root = Path(shutil.copytree(empty, root))
    overrides = {"concurrency": {"runs": {"max_concurrent_runs": runs_at_once}}}
    with own_environment(), dg.DagsterInstance.local_temp(str(root / "dagster"), overrides) as instance:
        os.environ["CAPFLOW_HOME"] = str(root / "home")
        yield Daemon(deployment_in(root), instance, root)


@pytest.fixture
def daemon(empty: Path, tmp_path: Path) -> Iterator[Daemon]:
    with daemon_of(empty, tmp_path / "daemon", runs_at_once=2) as daemon:
        yield daemon


def test_who_has_no_night_starts_nothing(daemon: Daemon) -> None:
    daemon.onboard("ann", night="")
    assert daemon.tick() == []
    assert daemon.tick(EVENING) == []
    assert daemon.status() == {}


def test_a_night_is_landed_and_scored_and_what_fails_says_why(daemon: Daemon) -> None:
    daemon.onboard("ann")
    daemon.onboard("bob", sends=False)
    assert daemon.tick() == []
    assert daemon.status()["ann"][0] == "not begun"
    assert daemon.tick(EVENING) == ["tables of ann", "tables of bob"]
    keys = {key.to_user_string() for request in daemon.requests for key in request.asset_selection or []}
    assert {"raw/bills", "features/rfm"} <= keys
    assert not [key for key in keys if key.startswith("models/")]
    daemon.launch()
    assert daemon.tick(EVENING + timedelta(minutes=1)) == ["scoring of ann"]
    keys = {key.to_user_string() for key in daemon.requests[0].asset_selection or []}
    assert keys >= {"predictions/rfm_segments", "health/rfm_segments"}
    assert {key.split("/")[1] for key in keys} == {"rfm_segments"}, "of the model that it has, and no training"
    daemon.launch()
    assert daemon.tick(EVENING + timedelta(minutes=2)) == []
    cost = costs_of(STAGES, daemon.instance, {"ann": "footwear"}, datetime.now(UTC).timestamp()).own["ann", "tables"]
    records = daemon.instance.get_run_records(dg.RunsFilter(tags={"capflow/night_customers": "ann"}))
    tables = records[-1]
    assert cost.seconds == (tables.end_time or 0) - (tables.start_time or 0)
    assert cost.memory_gib == int(tables.dagster_run.tags["capflow/peak_mib"]) / 1024
    assert 0.1 < cost.memory_gib < 64
    assert daemon.status()["ann"] == ("done", "scoring", None)
    state, part, why = daemon.status()["bob"]
    assert (state, part) == ("failed", "tables")
    assert "raw/bills" in str(why)
    assert daemon.tick(EVENING + timedelta(hours=12)) == [], "not before the next evening"
    assert daemon.tick(EVENING + timedelta(days=1)) == ["tables of ann", "tables of bob"]


def test_a_restart_neither_loses_nor_doubles_a_night(daemon: Daemon) -> None:
    """The process dies after the runs were recorded, and before the cursor was."""
    daemon.onboard("ann")
    daemon.tick()
    before = daemon.cursor
    assert daemon.tick(EVENING) == ["tables of ann"]
    first = daemon.requests[0].run_key
    daemon.cursor = before
    assert daemon.tick() == ["tables of ann"], "nothing was launched yet"
    assert daemon.requests[0].run_key == first, "by which Dagster knows it again"
    daemon.begin()
    daemon.cursor = before
    assert daemon.tick() == []
    assert daemon.status()["ann"][:2] == ("running", "tables")


def test_a_run_that_was_killed_is_tried_again_three_times_in_all(daemon: Daemon) -> None:
    daemon.onboard("ann")
    daemon.tick()
    keys = []
    for minute in range(3):
        assert daemon.tick(EVENING + timedelta(minutes=minute)) == ["tables of ann"]
        keys.append(daemon.requests[0].run_key)
        for run in daemon.begin():
            daemon.instance.report_run_failed(run, "Its process is gone.")
    assert len(set(keys)) == 3
    assert daemon.tick(EVENING + timedelta(minutes=5)) == []
    assert daemon.status()["ann"] == ("failed", "tables", "its process was killed, and tried again in vain")


def test_a_run_that_was_killed_after_a_failure_is_tried_again(daemon: Daemon) -> None:
    """The failure is another's; what the run had not come to by then is done for nobody."""
    daemon.onboard("ann")
    daemon.tick()
    daemon.tick(EVENING)
    (run,) = daemon.begin()
    failure = step_failure(["ann", "zoe"], [AssetFailure("zoe", "raw/bills", "it is broken")])
    data = StepFailureData(None, UserFailureData("Failure", failure.description, failure.metadata))
    event = dg.DagsterEvent("STEP_FAILURE", run.job_name, step_key="tables", event_specific_data=data)
    daemon.instance.report_dagster_event(event, run.run_id)
    daemon.instance.report_run_failed(run, "Its process is gone.")
    assert daemon.tick(EVENING + timedelta(minutes=1)) == ["tables of ann"]


def test_a_run_that_never_ends_is_ended_and_not_tried_again(daemon: Daemon) -> None:
    """Nothing is known of it, so it should take a minute and a bit; the least that is waited is an hour."""
    daemon.onboard("ann")
    daemon.tick()
    daemon.tick(EVENING)
    assert daemon.requests[0].tags["dagster/max_runtime"] == "3600"
    ended = NightRun("1", "2031-06-01", "tables", ("ann",), dg.DagsterRunStatus.FAILURE, 0.0, 3600.0, longest=3600.0)
    half = halves(daemon.instance, [ended], {"ann": "2031-06-01"}, {"tables": ["raw/bills"]})["ann", "tables"]
    assert half.state == "overdue"


def test_nights_that_were_missed_become_one(daemon: Daemon) -> None:
    daemon.onboard("ann")
    daemon.tick()
    assert daemon.tick(EVENING + timedelta(days=5, hours=10)) == ["tables of ann"]
    assert daemon.requests[0].tags["capflow/night"] == "2031-06-06"
    row = night_rows(STAGES, daemon.instance, daemon.cursor, daemon.now.timestamp(), ["ann"])[0]
    assert (row["night"], row["late_minutes"]) == ("2031-06-06", 120), "from 06:00 to 08:00"


def test_no_more_is_queued_than_there_are_free_slots_and_who_waits_is_told(daemon: Daemon) -> None:
    for name in ("ann", "bob", "cid", "dan"):
        daemon.onboard(name)
    daemon.tick()
    assert len(daemon.tick(EVENING)) == 2
    started = {request.tags["capflow/night_customers"] for request in daemon.requests}
    daemon.begin()
    assert daemon.tick(EVENING + timedelta(seconds=15)) == []
    waiting = {name: row for name, row in daemon.status().items() if row[0] == "waits"}
    assert set(waiting) == {"ann", "bob", "cid", "dan"} - started
    assert all("in the pool local; due later" in str(why) for _, _, why in waiting.values())
    untils = json.loads(daemon.cursor or "{}")["waits"]
    assert all(until > daemon.now.timestamp() for _, _, until in untils.values())


def test_a_queue_that_lets_nothing_through_starts_nothing_and_is_the_reason(empty: Path, tmp_path: Path) -> None:
    with daemon_of(empty, tmp_path / "daemon", runs_at_once=0) as daemon:
        daemon.onboard("ann")
        daemon.tick()
        assert daemon.tick(EVENING) == []
        state, part, why = daemon.status()["ann"]
    assert (state, part) == ("waits", "tables")
    assert why == "the pool local has no capacity"


def test_small_neighbours_share_a_run(daemon: Daemon) -> None:
    """Each is known to take a second, so many fit into a run; that of their partitions is a range."""
    names = [f"c{number:02}" for number in range(24)]
    for name in names:
        daemon.onboard(name)
        event = dg.AssetMaterialization(dg.AssetKey(["features", "rfm"]), partition=name, metadata={"seconds": 1.0})
        daemon.instance.report_runless_asset_event(event)
    daemon.tick()
    daemon.tick(EVENING)
    assert len(daemon.requests) == 2
    for request in daemon.requests:
        customers = request.tags["capflow/night_customers"].split(",")
        assert len(customers) == 3, "a quarter of what a slot has to do"
        assert request.partition_key is None
        ends = (request.tags["dagster/asset_partition_range_start"], request.tags["dagster/asset_partition_range_end"])
        assert ends == (customers[0], customers[-1])
        assert customers == names[names.index(ends[0]) : names.index(ends[1]) + 1]


def test_nights_of_different_days_do_not_share_a_run(daemon: Daemon) -> None:
    """It is the morning of the second where it is seven o'clock in Tokyo."""
    tokyo = '\n[night]\nstart = "07:00"\nzone = "Asia/Tokyo"\n'
    names = [f"c{number:02}" for number in range(24)]
    for name in names:
        daemon.onboard(name, night=NIGHT.replace('deadline = "06:00"\n', "") if name in names[:2] else tokyo)
        event = dg.AssetMaterialization(dg.AssetKey(["features", "rfm"]), partition=name, metadata={"seconds": 1.0})
        daemon.instance.report_runless_asset_event(event)
    daemon.tick()
    daemon.tick(EVENING)
    assert len(daemon.requests) == 2
    for request in daemon.requests:
        customers = request.tags["capflow/night_customers"].split(",")
        assert len(customers) > 1
        days = {"2031-06-01" if name in names[:2] else "2031-06-02" for name in customers}
        assert days == {request.tags["capflow/night"]}


def test_a_toml_that_goes_bad_is_refused_and_the_neighbours_go_on(daemon: Daemon) -> None:
    daemon.onboard("ann")
    daemon.onboard("bob")
    daemon.tick()
    good = (daemon.deployment.home.customers / "ann.toml").read_text()
    daemon.rewrite("ann", good.replace("06:00", "21:00"))
    assert daemon.tick(EVENING) == ["tables of bob"]
    assert daemon.status()["ann"][0] == "refused"
    assert "21:00 lies before it" in str(daemon.status()["ann"][2])
    daemon.rewrite("ann", good + "# mended\n")
    daemon.begin()
    assert daemon.tick(EVENING + timedelta(minutes=3)) == ["tables of ann"]


def test_a_toml_that_is_away_for_a_moment_loses_no_night(daemon: Daemon) -> None:
    daemon.onboard("ann")
    daemon.tick()
    file = daemon.deployment.home.customers / "ann.toml"
    text = file.read_text()
    file.unlink()
    assert daemon.tick(EVENING) == []
    file.write_text(text)
    assert daemon.tick(EVENING + timedelta(minutes=1)) == ["tables of ann"]


def test_a_toml_that_goes_bad_between_tables_and_scoring_waits_with_its_reason(daemon: Daemon) -> None:
    daemon.onboard("ann")
    daemon.tick()
    daemon.tick(EVENING)
    (run,) = daemon.begin()
    daemon.instance.report_dagster_event(dg.DagsterEvent("PIPELINE_SUCCESS", run.job_name), run.run_id)
    good = (daemon.deployment.home.customers / "ann.toml").read_text()
    daemon.rewrite("ann", good.replace('currency = "EUR"', 'currency = "euros"'))
    assert daemon.tick(EVENING + timedelta(minutes=1)) == []
    state, part, why = daemon.status()["ann"]
    assert (state, part) == ("waits", "scoring")
    assert "euros" in str(why)
    daemon.rewrite("ann", good + "# mended\n")
    assert daemon.tick(EVENING + timedelta(minutes=2)) == ["scoring of ann"]


def test_a_toml_that_goes_bad_after_a_night_is_refused_in_sight(daemon: Daemon) -> None:
    daemon.onboard("ann")
    daemon.tick()
    daemon.tick(EVENING)
    (run,) = daemon.begin()
    daemon.instance.report_run_canceled(run)
    assert daemon.tick() == []
    good = (daemon.deployment.home.customers / "ann.toml").read_text()
    daemon.rewrite("ann", good.replace("06:00", "21:00"))
    assert daemon.tick(EVENING + timedelta(days=1)) == []
    assert daemon.status()["ann"][0] == "refused"
    assert "21:00 lies before it" in str(daemon.status()["ann"][2])


def test_a_customer_whose_zone_changes_has_one_night_a_day(daemon: Daemon) -> None:
    daemon.onboard("ann")
    daemon.tick()
    assert daemon.tick(EVENING) == ["tables of ann"]
    for run in daemon.begin():
        daemon.instance.report_run_canceled(run)
    assert daemon.tick() == []
    assert daemon.status()["ann"] == ("failed", "tables", "its run was cancelled")
    file = daemon.deployment.home.customers / "ann.toml"
    daemon.rewrite("ann", file.read_text() + 'zone = "America/Los_Angeles"\n')
    assert daemon.tick(EVENING + timedelta(hours=7)) == [], "22:00 of the same day there"
    assert daemon.tick(EVENING + timedelta(hours=31)) == ["tables of ann"]
