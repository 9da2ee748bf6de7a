"""Customers that come in several at once, by command or dropped into the folder, and their first run."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest

from capflow_assets.cli.options import opened
from capflow_assets.graph.onboarding import onboarding_sensor
from capflow_assets_doubles.homes import TestHome

TOML = """name = "{name}"
vertical = "fashion"
currency = "EUR"
time_zone = "UTC"
only_models = ["rfm_segments"]
{more}
[tables.bills]
source = "csv"
location = "{folder}/{name}/bills.csv"

[tables.bills.columns]
bill_id = "bill"
billed_at = "at"
amount = "amount"
"""


@pytest.fixture
def home(tmp_path: Path) -> TestHome:
    return TestHome(tmp_path / "home")


def toml(folder: Path, name: str, more: str = "", to: str = "") -> Path:
    (folder / name).mkdir()  # one may not read what is another's
    (folder / name / "bills.csv").write_text("bill,at,amount\n1,2024-01-05,2.50\n2,2024-01-06,3.50\n")
    file = folder / to / f"{name}.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(TOML.format(name=name, more=more, folder=folder))
    return file


def test_several_files_come_in_at_once_and_a_wrong_one_leaves_the_others_alone(home, tmp_path):
    files = [toml(tmp_path, "boots"), toml(tmp_path, "hats", "colour = 'red'"), toml(tmp_path, "shoes")]
    said = home.capflow("onboard", *map(str, files))
    assert said.code == 1
    assert "onboarded boots with bills" in said.out
    assert "onboarded shoes with bills" in said.out
    assert "hats.toml has 1 problem" in said.err
    assert "1 of 3 files were refused" in said.err
    assert sorted(file.stem for file in (home.root / "customers").glob("*.toml")) == ["boots", "shoes"]


def test_new_customers_are_run_and_those_that_ran_before_are_not(home, tmp_path):
    home.ok("onboard", str(toml(tmp_path, "boots")))
    assert "name customers, or say --new" in home.capflow("run").err
    home.ok("run", "--new", "--select", "raw")
    home.ok("onboard", str(toml(tmp_path, "shoes")))
    said = home.capflow("run", "--new", "--select", "raw")
    assert said.code == 0, said.err
    assert "shoes" in said.err + said.out
    assert "boots" not in said.err + said.out
    assert "no customer is new" in home.capflow("run", "--new").err


def test_the_first_run_of_a_dropped_file_starts_where_its_toml_asks_for_it_and_a_wrong_file_is_named(home, tmp_path):
    for name, more in (("asks", "onboarding.run = true"), ("waits", ""), ("wrong", "onboarding.run = 'soon'")):
        toml(tmp_path, name, more, to="home/customers")
    context = type("Context", (), {"obj": home.root})()
    with opened(context, home.root) as (deployment, instance):
        sensor = onboarding_sensor(lambda: deployment, deployment.stages)
        first = sensor(dg.build_sensor_context(instance=instance))
        assert isinstance(first, dg.SensorResult)
        (request,) = first.run_requests or []
        added = [key for asked in first.dynamic_partitions_requests or [] for key in asked.partition_keys]
        instance.add_dynamic_partitions("customer", added)
        again = sensor(dg.build_sensor_context(instance=instance, cursor=first.cursor))
        (home.root / "customers" / "wrong.toml").unlink()
        mended = sensor(dg.build_sensor_context(instance=instance, cursor=again.cursor))
    assert sorted(added) == ["asks", "waits"]
    assert request.partition_key == "asks"
    keys = {key.to_user_string() for key in request.asset_selection or ()}
    assert {"raw/bills", "features/rfm", "predictions/rfm_segments"} <= keys
    assert "models/churn" not in keys
    assert isinstance(again, dg.SensorResult)
    assert not again.run_requests
    assert again.skip_reason is not None
    assert "wrong.toml has 1 problem" in str(again.skip_reason.skip_message)
    (check,) = first.asset_events
    assert isinstance(check, dg.AssetCheckEvaluation)
    assert (check.asset_key.to_user_string(), check.check_name, check.passed) == (
        "fleet/readiness",
        "customer_files",
        False,
    )
    assert "wrong.toml has 1 problem" in str(check.description)
    assert not again.asset_events, "it is said once"
    assert isinstance(mended, dg.SensorResult)
    assert [event.passed for event in mended.asset_events if isinstance(event, dg.AssetCheckEvaluation)] == [True]


def test_files_for_which_a_tick_has_no_time_left_come_in_at_the_next_one(home, tmp_path, monkeypatch):
    monkeypatch.setattr("capflow_assets.graph.onboarding.SECONDS_A_TICK", -1.0)
    for name in ("ann", "bob"):
        toml(tmp_path, name, to="home/customers")
    context = type("Context", (), {"obj": home.root})()
    added, cursor = [], None
    with opened(context, home.root) as (deployment, instance):
        sensor = onboarding_sensor(lambda: deployment, deployment.stages)
        for _ in range(3):
            result = sensor(dg.build_sensor_context(instance=instance, cursor=cursor))
            assert isinstance(result, dg.SensorResult)
            new = [key for asked in result.dynamic_partitions_requests or [] for key in asked.partition_keys]
            instance.add_dynamic_partitions("customer", new)
            added.append(new)
            cursor = result.cursor
    assert added == [["ann"], ["bob"], []]


def test_a_file_refused_for_the_sake_of_another_comes_in_once_that_one_gives_way(home, tmp_path):
    first, second = (toml(tmp_path, name, to="home/customers") for name in ("ann", "bob"))
    second.write_text(second.read_text().replace("/bob/bills.csv", "/ann/bills.csv"))
    context = type("Context", (), {"obj": home.root})()
    with opened(context, home.root) as (deployment, instance):
        sensor = onboarding_sensor(lambda: deployment, deployment.stages)
        refused = sensor(dg.build_sensor_context(instance=instance))
        assert isinstance(refused, dg.SensorResult)
        first.unlink()
        mended = sensor(dg.build_sensor_context(instance=instance, cursor=refused.cursor))
    assert [json.loads(result.cursor)["bob.toml"][1] == "" for result in (refused, mended)] == [False, True]
    assert [asked.partition_keys for asked in mended.dynamic_partitions_requests or []] == [["bob"]]
