"""`capflow doctor` on this machine: what is right is left alone, what is broken is reported, no check takes long."""

from __future__ import annotations

import csv
import io
import json
import re
import socket
import threading
from collections import namedtuple
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import dagster as dg
import pytest
from pydantic import BaseModel

import capflow_assets
from capflow_assets import doctor
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.doctor import configuration
from capflow_assets.doctor.case import broken, ok
from capflow_assets.doctor.examination import within_its_time
from capflow_assets.doctor.sources import unanswered
from capflow_assets.graph.engine import deployment
from capflow_assets.home.places import Home
from capflow_assets_doubles.engines import free_port
from capflow_assets_tests.doctor.examinations import examined, only

Usage = namedtuple("Usage", "total used free")


FAILED = "this examination itself failed"


def test_the_table_in_the_docstring_names_every_check():
    named = re.findall(r"^\| ``([a-z_]+\.[a-z_0-9]+)`` \|", doctor.__doc__ or "", re.MULTILINE)
    assert sorted(named) == sorted(doctor.checks())
    assert len(named) == len(set(named))


def test_every_variable_that_the_package_reads_is_known():
    package = Path(capflow_assets.__file__).parent
    named = {
        name for file in package.rglob("*.py") for name in re.findall(r"\bCAPFLOW_[A-Z_]*[A-Z]\b", file.read_text())
    }
    assert named - {"CAPFLOW_"} <= set(configuration.KNOWN)


def test_a_good_home_has_nothing_broken_and_is_left_as_it_was(home):
    before = sorted(path for path in home.root.rglob("*") if path.name != "dagster.yaml")
    said = home.capflow("doctor", "--format", "json")
    rows = json.loads(said.out)
    assert said.code == 0, [row for row in rows if row["state"] == "broken"]
    assert {row["check"] for row in rows} == set(doctor.checks())
    assert all(set(row) == set(doctor.COLUMNS) for row in rows)
    assert all(row["to_do"] for row in rows if row["state"] in ("warning", "broken"))
    by_check = {row["check"]: row for row in rows}
    assert by_check["configuration.customers"]["found"] == "1 of 1 files are right"
    assert by_check["sources.reachable"]["found"] == "1 of 1 tables are there"
    assert by_check["lake.delta"]["state"] == "ok"
    assert "computed in" in by_check["services.engine"]["found"]
    assert sorted(path for path in home.root.rglob("*") if path.name != "dagster.yaml") == before


def test_a_home_that_is_not_there_is_not_made(tmp_path):
    results = examined(tmp_path / "a" / "b", "[cl][oa]*")
    assert not [result for result in results if result.state == "broken"]
    assert any("is made by the first command" in result.found for result in results)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("root", ["file/home", "/proc/capflow"])
def test_a_home_that_cannot_be_written_is_reported(tmp_path, root):
    (tmp_path / "file").write_text("")
    place = tmp_path / root
    result = only(examined(place, "configuration.home"))
    assert result.state == "broken"
    assert str(place) in result.to_do
    if root.startswith("/"):
        assert only(examined(place, "lake.reachable")).state == "broken"


def test_the_command_ends_with_1_and_tells_what_to_do(home, monkeypatch):
    monkeypatch.setenv("CAPFLOW_ENGINE", f"sc://127.0.0.1:{free_port()}")
    monkeypatch.setenv("CAPFLOW_HOMES", "typo")
    said = home.capflow("doctor", "--format", "csv")
    assert said.code == 1
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert {row["check"] for row in rows if row["state"] == "warning"} >= {"configuration.variables"}
    wide = home.capflow("doctor")
    assert "did you mean CAPFLOW_HOME?" in wide.out
    assert "to do" in wide.out
    assert re.search(r"\d+ ok, \d+ warnings?, \d+ broken, \d+ skipped", wide.out)


def test_a_narrow_screen_has_what_to_do_below_what_was_found():
    from rich.console import Console

    results = [doctor.Result("lake.delta", "broken", "it is [red] hot", "cool it")]
    for width, lines in ((80, ["it is [red] hot", "→ cool it"]), (160, ["it is [red] hot"])):
        screen = Console(width=width, file=io.StringIO(), force_terminal=False)
        screen.print(doctor.grid(results, width))
        text = screen.file.getvalue()
        assert all(line in text for line in lines)
        assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize(
    ("name", "value", "state", "words"),
    [
        ("CAPFLOW_ENGNE", "sail", "warning", "did you mean CAPFLOW_ENGINE?"),
        ("CAPFLOW_ENGINE", "spark", "broken", "sail, cluster or sc://host:port"),
        ("CAPFLOW_LAKE", "gs://bucket/x", "broken", "s3://bucket/prefix"),
        ("DATABRICKS_TOKEN", "dapi123\n", "broken", "begins or ends with a space"),
        ("MLFLOW_TRACKING_URI", "postgresql://ann:hunter2@db/mlflow", "broken", "names no driver"),
        ("DAGSTER_HOME", "/elsewhere", "warning", "/elsewhere"),
    ],
)
def test_variables_that_cannot_be_meant(tmp_path, monkeypatch, name, value, state, words):
    monkeypatch.setenv(name, value)
    result = only(examined(tmp_path, "configuration.variables"))
    assert result.state == state
    assert words in result.found + result.to_do
    assert "hunter2" not in result.found + result.to_do
    assert "dapi123" not in result.found + result.to_do


@pytest.mark.parametrize(
    ("url", "lacking"),
    [
        ("postgresql://ann:hunter2@db/dagster", "the driver postgresql+psycopg2"),
        ("postgresql+psycopg2://ann:hunter2@/dagster", "a host"),
        ("postgresql+psycopg2://ann:hunter2@db", "a database"),
        ("ann:hunter2@db:none", "no URL"),
    ],
)
def test_a_database_url_that_lacks_something(tmp_path, monkeypatch, url, lacking):
    monkeypatch.setenv("CAPFLOW_POSTGRES_URL", url)
    result = only(examined(tmp_path, "configuration.postgres_url"))
    assert result.state == "broken"
    assert lacking in result.found
    assert "hunter2" not in result.found + result.to_do


def test_dagsters_file_is_read_as_dagster_reads_it(home, monkeypatch):
    assert only(examined(home.root, "configuration.dagster")).state == "ok"
    file = home.root / "dagster" / "dagster.yaml"
    file.write_text("concurrency:\n  runs:\n    max: 3\n")
    result = only(examined(home.root, "configuration.dagster"))
    assert (result.state, 'entry "max" at path root:concurrency:runs' in result.found) == ("broken", True), result
    file.write_text("a: [1\n")
    assert "is not YAML" in only(examined(home.root, "configuration.dagster")).found
    monkeypatch.setenv("CAPFLOW_COMPUTE_LOGS", "bucket")
    assert "s3://bucket/prefix" in only(examined(home.root, "configuration.dagster")).found


def test_bad_customers_are_named_and_the_good_ones_still_looked_at(home):
    folder = home.root / "customers"
    good = (folder / "shop.toml").read_text()
    (folder / "boots.toml").write_text(good.replace('"shop"', '"boots"').replace('source = "', 'source = "un'))
    (folder / "cafe.toml").write_text("name = ")
    results = examined(home.root, "configuration.customers")
    assert [result.state for result in results] == ["broken", "broken", "ok"]
    assert "tables.bills.source" in results[0].found
    assert str(folder / "cafe.toml") in results[1].to_do
    assert results[2].found == "1 of 3 files are right"
    assert only(examined(home.root, "configuration.customers", customer="shop")).state == "ok"
    result = only(examined(home.root, "configuration.customers", customer="shp"))
    assert (result.state, "did you mean 'shop'" in result.to_do) == ("broken", True)


def test_a_source_that_is_gone(home):
    bills = next(path for path in (home.root.parent / "files").rglob("bills*") if path.is_file())
    bills.rename(bills.with_name("moved"))
    result = only(examined(home.root, "sources.reachable"))
    assert (result.state, result.found.startswith("shop, bills: nothing at")) == ("broken", True)


def test_a_variable_that_a_source_names_and_nobody_set(home, monkeypatch):
    class Options(BaseModel):
        password: dict[str, str]

    shelf = ModuleType("shelf")
    shelf.Options = Options
    place = Home.of(home.root)
    file = home.root / "customers" / "shop.toml"
    text = re.sub(r"^options = .*\n|^\[tables.bills.options\]\n(.+\n)*", "", file.read_text(), flags=re.MULTILINE)
    file.write_text(re.sub(r'source = "\w+"', 'source = "shelf"\noptions.password = { env = "SHOP_PASSWORD" }', text))
    case = doctor.Case(place, lambda: deployment(STAGES, {**SOURCES, "shelf": shelf}, home=place))
    results = list(doctor.examine(case, pattern="sources.variables"))
    assert only(results, "broken").found == "shop, bills: SHOP_PASSWORD is not set"
    monkeypatch.setenv("SHOP_PASSWORD", "planted")
    assert only(list(doctor.examine(case, pattern="sources.variables"))).state == "ok"


def test_a_database_as_a_source_is_knocked_at():
    port = free_port()
    assert unanswered(f"postgresql://127.0.0.1:{port}/crm", 1) == f"nothing listens at 127.0.0.1:{port}"
    assert unanswered("dynamodb://eu-west-1/bills", 1) == ""
    with socket.create_server(("127.0.0.1", port)):
        assert unanswered(f"mongodb://127.0.0.1:{port},127.0.0.1:1/crm/bills", 1) == ""


@pytest.mark.parametrize(("free", "state"), [(50e9, "ok"), (5e9, "warning"), (0.5e9, "broken")])
def test_little_disk(tmp_path, free, state):
    results = examined(tmp_path, "machine.disk", disk_usage=lambda path: Usage(1e12, 1e12 - free, free))
    assert {result.state for result in results} == {state}


def test_a_lake_wants_twice_its_size(tmp_path, monkeypatch):
    monkeypatch.setattr("capflow_assets.doctor.machine.size_bytes", lambda folder: 30e9)
    results = examined(tmp_path, "machine.disk", disk_usage=lambda path: Usage(1e12, 0, 50e9))
    assert any(result.state == "warning" and "60 GB wanted" in result.found for result in results)


def test_files_that_everybody_may_write(home):
    assert only(examined(home.root, "permissions.files")).state == "ok"
    (home.root / "customers").chmod(0o777)
    result = only(examined(home.root, "permissions.files"))
    assert (result.state, result.to_do) == ("warning", f"chmod o-w {home.root / 'customers'}")


def test_a_check_that_fails_or_hangs_is_a_finding(tmp_path):
    case = doctor.Case(Home.of(tmp_path), lambda: None, check_seconds=1.5)
    may_end = threading.Event()

    def failing(case):
        yield ok("so far")
        raise RuntimeError("it fell over\nand more")

    def hanging(case):
        yield ok("so far")
        may_end.wait(60)
        yield broken("too late", "")

    assert [result.found for result in within_its_time(failing, case)] == [
        "so far",
        f"{FAILED}: RuntimeError: it fell over",
    ]
    try:
        assert [result.found for result in within_its_time(hanging, case)] == ["so far", "no answer within 1.5 s"]
    finally:
        may_end.set()


def test_code_that_does_not_load_is_a_finding(tmp_path):
    def deploy():
        raise ImportError("no module named churn")

    (tmp_path / "customers").mkdir()
    (tmp_path / "customers" / "shop.toml").write_text("")
    case = doctor.Case(Home.of(tmp_path), deploy)
    result = only(list(doctor.examine(case, pattern="configuration.customers")))
    assert (result.state, result.found) == ("broken", f"{FAILED}: ImportError: no module named churn")


def test_the_daemons_signs_of_life(home):
    from dagster._daemon.types import DaemonHeartbeat

    assert "no daemon has ever run" in only(examined(home.root, "daemon.heartbeat")).found
    now = datetime.now(UTC)
    with dg.DagsterInstance.from_config(str(home.root / "dagster")) as instance:
        kinds = instance.get_required_daemon_types()
        for kind in kinds:
            instance.add_daemon_heartbeat(DaemonHeartbeat(now.timestamp() - 20, kind, "it", []))
    assert only(examined(home.root, "daemon.heartbeat")).found.startswith("last sign of life 2")
    later = only(examined(home.root, "daemon.heartbeat", now=lambda: now + timedelta(hours=2)))
    assert (later.state, later.found) == ("warning", "no sign of life for 120 minutes")
    with dg.DagsterInstance.from_config(str(home.root / "dagster")) as instance:
        instance.add_daemon_heartbeat(DaemonHeartbeat(now.timestamp() - 3600, "SENSOR", "it", []))
    assert only(examined(home.root, "daemon.heartbeat"), "warning").found == "no sign of life of sensor"


def test_sensors_that_are_off_or_failed(home):
    from dagster._core.remote_origin import (
        RegisteredCodeLocationOrigin,
        RemoteInstigatorOrigin,
        RemoteRepositoryOrigin,
    )
    from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorType, TickData
    from dagster._core.scheduler.instigation import TickStatus as Tick
    from dagster._utils.error import SerializableErrorInfo

    assert only(examined(home.root, "daemon.sensors")).state == "skipped"
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("capflow"), "__repository__")
    with dg.DagsterInstance.from_config(str(home.root / "dagster")) as instance:
        for name, status in (("onboarding", InstigatorStatus.STOPPED), ("retraining", InstigatorStatus.RUNNING)):
            origin = RemoteInstigatorOrigin(repository, name)
            instance.add_instigator_state(InstigatorState(origin, InstigatorType.SENSOR, status))
        error = SerializableErrorInfo("it lost its way\nand more", [], "ValueError")
        tick = TickData(
            origin.get_id(), name, InstigatorType.SENSOR, Tick.FAILURE, 1.0, selector_id=origin.get_selector().get_id(),
            error=error,
        )  # fmt: skip
        instance.create_tick(tick)
    problems = [(result.state, result.found) for result in examined(home.root, "daemon.sensors")]
    assert sorted(problems) == [("warning", "onboarding is off"), ("warning", "retraining failed: it lost its way")]
