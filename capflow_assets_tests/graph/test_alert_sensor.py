"""The sensor that tells people: nothing without a file, once what is new, again what could not be sent."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import dagster as dg
import pytest

from capflow_assets.alerts.settings import FILE
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.deployment import Deployment
from capflow_assets.graph import alert_sensor as sensor_module
from capflow_assets.graph.alarms import alarms_of_customers, alarms_of_row
from capflow_assets.graph.alert_sensor import alert_sensor
from capflow_assets.graph.engine import Engine, deployment
from capflow_assets.graph.launch import dagster_instance
from capflow_assets.graph.partitions import CUSTOMERS
from capflow_assets.graph.records import PARTITION
from capflow_assets.home.places import Home
from capflow_assets_doubles.alert_servers import web_server
from capflow_assets_doubles.homes import own_environment

RULE = (
    '[[alert]]\nname = "chat"\nwhat = ["customer failed"]\nslack = { url = { env = "CHAT" }, allow_private = true }\n'
)
TOML = """
name = "boots"
vertical = "footwear"
currency = "EUR"
time_zone = "UTC"
[tables.bills]
source = "csv"
location = "/nowhere/bills.csv"
columns = { bill_id = "id", billed_at = "at", amount = "amount", user_id = "user" }
"""


@pytest.fixture
def place(tmp_path: Path) -> Deployment:
    home = Home.of(tmp_path, {})
    home.prepare()
    (home.customers / "boots.toml").write_text(TOML)
    return deployment(STAGES, SOURCES, home=home, engine=Engine())


def tick(place: Deployment, instance: dg.DagsterInstance, cursor: str | None) -> tuple[str, str | None]:
    context = dg.build_sensor_context(instance, cursor=cursor)
    data = alert_sensor(lambda: place).evaluate_tick(context)
    return data.skip_message or "", data.cursor


def test_without_a_file_nobody_is_told(place: Deployment) -> None:
    with own_environment(), dagster_instance(place.home) as instance:
        words, _ = tick(place, instance, None)
    assert f"no {FILE}" in words


def test_a_failed_customer_is_told_once_and_again_what_could_not_be_sent(
    place: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place.home.root / FILE).write_text(RULE)
    with own_environment(), dagster_instance(place.home) as instance, web_server() as posts:
        monkeypatch.setenv("CHAT", posts.url)
        instance.add_dynamic_partitions(str(CUSTOMERS.name), ["boots"])
        words, cursor = tick(place, instance, None)
        assert words == "nothing new"
        tags = {PARTITION: "boots"}
        instance.add_run(dg.DagsterRun("tables", str(uuid.uuid4()), status=dg.DagsterRunStatus.FAILURE, tags=tags))
        posts.status = 503
        words, cursor = tick(place, instance, cursor)
        assert "refused" in words
        posts.status = 200
        words, cursor = tick(place, instance, cursor)
        assert words == "told chat: CapFlow: 1 customer failed"
        words, cursor = tick(place, instance, cursor)
        assert words == "nothing new"
        instance.add_run(dg.DagsterRun("tables", str(uuid.uuid4()), status=dg.DagsterRunStatus.SUCCESS, tags=tags))
        words, cursor = tick(place, instance, cursor)
        assert words == "told chat: CapFlow: 1 over"
    assert [body["text"].splitlines()[0] for body in posts.bodies[-2:]] == [
        "*CapFlow: 1 customer failed*",
        "*CapFlow: 1 over*",
    ]


def test_a_wrong_file_is_said_at_each_tick(place: Deployment) -> None:
    (place.home.root / FILE).write_text("[[alert]]\nname = 'a'\n")
    with own_environment(), dagster_instance(place.home) as instance:
        words, _ = tick(place, instance, None)
    assert "one of email, slack and pagerduty" in words


def test_models_are_looked_at_in_turn_and_what_waits_is_not_said_to_be_over(
    place: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensor_module, "SECONDS_A_TICK", 0.0)  # one customer a tick
    (place.home.root / FILE).write_text(RULE.replace('"customer failed"', '"asks waiting", "customer failed"'))
    for name in ("acorn", "cedar"):
        (place.home.customers / f"{name}.toml").write_text(TOML.replace("boots", name))
    known = {f"asks waiting|{name}|churn": "a sign" for name in ("acorn", "boots", "cedar", "gone")}
    with own_environment(), dagster_instance(place.home) as instance, web_server() as posts:
        monkeypatch.setenv("CHAT", posts.url)
        cursor: str | None = json.dumps({"signs": {"chat": known}, "next_customer": "boots"})
        over = []
        for _ in range(3):
            words, cursor = tick(place, instance, cursor)
            over.append([name for name in ("acorn", "boots", "cedar", "gone") if name in posts.bodies[-1]["text"]])
    assert over == [["boots", "gone"], ["cedar"], ["acorn"]]
    assert "2 customers' models are looked at in the next ticks" in words


def test_who_has_a_new_record_comes_before_whose_turn_it_is(place: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensor_module, "SECONDS_A_TICK", 0.0)  # one customer a tick
    (place.home.root / FILE).write_text(RULE.replace('"customer failed"', '"drifted"'))
    for name in ("acorn", "cedar", "elder"):
        (place.home.customers / f"{name}.toml").write_text(TOML.replace("boots", name))
    with own_environment(), dagster_instance(place.home) as instance, web_server() as posts:
        monkeypatch.setenv("CHAT", posts.url)
        for name in ("cedar", "elder", "gone"):
            health = dg.AssetMaterialization(["health", "churn"], partition=name, metadata={"over": True})
            instance.report_runless_asset_event(health)
        turns = []
        cursor: str | None = json.dumps({"signs": {}, "next_customer": "boots"})
        for _ in range(4):
            words, cursor = tick(place, instance, cursor)
            memory = sensor_module.Memory.parse(cursor)
            turns.append((words.partition(";")[2], memory.changed, memory.next_customer))
    told = " told chat: CapFlow: 1 drifted"
    assert turns == [(told, ["elder"], "boots"), (told, [], "boots"), ("", [], "cedar"), ("", [], "elder")]


def test_a_cursor_of_an_earlier_release_keeps_what_was_reported() -> None:
    signs = {"chat": {"asks waiting|boots|churn": "a sign"}}
    assert sensor_module.Memory.parse(json.dumps(signs)).signs == signs


def test_a_trouble_leads_to_the_page_where_it_is_seen(place: Deployment) -> None:
    with own_environment(), dagster_instance(place.home) as instance:
        run_id = str(uuid.uuid4())
        tags = {PARTITION: "boots"}
        instance.add_run(dg.DagsterRun("tables", run_id, status=dg.DagsterRunStatus.FAILURE, tags=tags))
        alarms = alarms_of_customers(place, instance, "http://dagster")
    assert [alarm.link for alarm in alarms] == [f"http://dagster/runs/{run_id}"]
    row = {"customer": "boots", "model": "churn", "broken": "", "status": "asks", "reason": "few users", "drifted": 1}
    links = {alarm.what: alarm.link for alarm in alarms_of_row(row, "http://dagster")}
    assert links == dict.fromkeys(("asks waiting", "drifted"), "http://dagster/customers/boots/models/churn")
