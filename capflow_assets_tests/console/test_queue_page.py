"""The queue's page: of the same source as ``capflow status --night``, what runs, what waits, why and until when."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from html import unescape

import dagster as dg
import httpx
import pytest
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorType, SensorInstigatorData
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from starlette.applications import Starlette

from capflow_assets.console.app import Console
from capflow_assets.console.fleet_view import Fleet
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.graph.engine import deployment
from capflow_assets.graph.night_cursor import Active, Cursor, Due
from capflow_assets.graph.night_history import DAY, KIND, OF
from capflow_assets.graph.night_sensor import NAME
from capflow_assets.home.places import Home
from capflow_assets.serving.tokens import Gate

TOML = """
vertical = "grocery"
currency = "EUR"
time_zone = "UTC"
[night]
start = "22:00"
[tables.bills]
source = "csv"
location = "/nowhere/bills.csv"
columns = { bill_id = "id", billed_at = "at", amount = "amount", user_id = "user" }
"""
TONIGHT, TOMORROW = datetime(2031, 6, 1, 22, tzinfo=UTC).timestamp(), datetime(2031, 6, 2, 22, tzinfo=UTC).timestamp()
LATER = datetime(2031, 6, 1, 23, 40, tzinfo=UTC).timestamp()
WHY = "2 of 2 <places> are taken, cid has had less"


def add(instance: dg.DagsterInstance, status: str, customer: str, kind: str) -> None:
    tags = {DAY: "2031-06-01", KIND: kind, OF: customer, "dagster/partition": customer}
    instance.add_run(dg.DagsterRun("nights", status=dg.DagsterRunStatus[status], tags=tags))


def remember(instance: dg.DagsterInstance, cursor: Cursor) -> None:
    """Have the sensor of nights remember this, as the daemon keeps it."""
    target = LoadableTargetOrigin(module_name="capflow_assets.definitions", attribute="defs")
    location = ManagedGrpcPythonEnvCodeLocationOrigin(target, "capflow")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), NAME)
    data = SensorInstigatorData(cursor=cursor.text())
    instance.add_instigator_state(InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, data))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The pages where one night is under way, one waits, one is over, and one customer's cannot be read."""
    root = tmp_path_factory.mktemp("queue")
    due = Due("1", "2031-06-01", TONIGHT + 60, TOMORROW)
    cursor = Cursor(
        due={"ann": due, "bob": due, "cid": due, "dan": Due("1", next_start=TOMORROW, refusal="start = 25:00")},
        active={name: Active("2031-06-01", TONIGHT, 0.0, "grocery") for name in ("ann", "bob")},
        waits={"bob": ("tables", WHY, LATER)},
    )
    home = Home.of(root, {}).prepare()
    for name in cursor.due:
        (home.customers / f"{name}.toml").write_text(f'name = "{name}"\n{TOML}')
    with dg.DagsterInstance.local_temp(str(home.dagster)) as instance:
        remember(instance, cursor)
        add(instance, "STARTED", "ann", "tables")
        add(instance, "SUCCESS", "cid", "tables")
        add(instance, "SUCCESS", "cid", "scoring")
        fleet, app = Fleet(deployment(STAGES, SOURCES, home=home), instance, first_wait=300), Starlette()
        Console(fleet, Gate(home), "http://dagster").mount(app)
        fleet.begin()
        try:
            fleet.view()
            return asyncio.run(texts_of(app, "/queue", "/customers/bob"))
        finally:
            fleet.end()


async def texts_of(app: Starlette, *paths: str) -> dict[str, str]:
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return {path: (await client.get(path)).text for path in paths}


def test_what_runs_and_what_waits_is_said_with_why_and_until_when(pages: dict[str, str]) -> None:
    html = pages["/queue"]
    rows = dict(re.findall(r'<tr id="(\w+)">(.*?)</tr>', html, re.DOTALL))
    states = [(name, re.findall(r'<span class="([\w-]+)">', row)[0]) for name, row in rows.items()]
    assert states == [("ann", "running"), ("bob", "waits"), ("dan", "refused"), ("cid", "done")]
    assert "http://dagster/runs/" in rows["ann"]
    assert WHY in unescape(rows["bob"])
    assert "<places>" not in html
    assert "2031-06-01 23:40 UTC" in rows["bob"]
    assert "start = 25:00" in rows["dan"]


def test_a_customers_page_says_how_its_night_stands(pages: dict[str, str]) -> None:
    assert WHY in unescape(pages["/customers/bob"])
    assert "until 2031-06-01 23:40 UTC" in pages["/customers/bob"]
