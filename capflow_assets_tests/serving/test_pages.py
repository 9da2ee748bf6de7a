"""The fleet's pages in a real browser, in light and dark and on a phone; and that nobody else may press a button."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.errors import ModelError
from capflow_assets.graph.engine import deployment
from capflow_assets.graph.fleet_reading import FleetReader
from capflow_assets.home.places import Home
from capflow_assets.serving.app import create_app
from capflow_assets.serving.fleet import FleetState, fares, matching, matrix, waiting
from capflow_assets.serving.tokens import OPERATOR, issue
from capflow_assets_tests.homes import TestHome
from capflow_assets_tests.platform.browser import browsing, chromium
from capflow_assets_tests.serving.homes import listening

EVIL = "<script>document.title='owned'</script>"


def row(customer: str, model: str, **parts: Any) -> dict[str, Any]:
    usual = {
        "customer": customer,
        "model": model,
        "status": "promoted",
        "champion": 3,
        "challenger": None,
        "frozen": False,
        "metric": "average precision",
        "value": 0.61,
        "interval": "0.58 to 0.64",
        "baseline": "0.4, recency",
        "as_of": "2024-05-01",
        "scored_users": 12_345,
        "drift": 0.03,
        "drifted": False,
        "reason": "better",
        "readiness": "ready",
        "readiness_reason": "",
        "answers": 3,
        "broken": "",
        "removed": "",
    }
    return usual | parts


def night(customer: str, **parts: Any) -> dict[str, Any]:
    began = "2024-05-01 02:00 UTC"
    return {"customer": customer, "run": "r1", "state": "done", "began": began, "minutes": 4.0, "why": None} | parts


@dataclass
class WrittenFleet:
    """A fleet of rows that are written down; it remembers what was decided."""

    rows: tuple[dict[str, Any], ...]
    nights: tuple[dict[str, Any], ...]
    decided: list[tuple[str, ...]] = field(default_factory=list)

    def state(self) -> FleetState:
        return FleetState(datetime(2024, 5, 1, 8, tzinfo=UTC), self.rows, self.nights)

    def features(self, customer: str) -> list[dict[str, Any]]:
        words = {"formula": None, "unit": "days", "source_tables": "clean/bills", "models": "churn"}
        return [{"block": "features/rfm", "feature": "recency_days", "description": "Days since.", **words}]

    def decide(self, action: str, customer: str, model: str, reason: str) -> str:
        if customer == "boots":
            raise ModelError(f"{customer}.{model} is frozen", do="thaw it")
        self.decided.append((action, customer, model, reason))
        return f"{action} of {customer}.{model} is done"


@pytest.fixture(scope="module")
def fleet() -> WrittenFleet:
    rows = (
        row("acme", "churn", challenger=4, status="asks", reason=f"no better {EVIL}", readiness="at risk"),
        row(
            "acme", "lifetime_value", readiness="not ready", champion=None, value=None, readiness_reason="60 days lack"
        ),
        row("boots", "churn", value=0.2, challenger=9),
        row("boots", "lifetime_value", readiness="off", status="off"),
    )
    return WrittenFleet(rows, (night("acme", state="failed", why="failed: clean__bills"), night("boots")))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    place = Home.of(tmp_path_factory.mktemp("fleet"), {})
    place.customers.mkdir()
    return place


@pytest.fixture(scope="module")
def token(home: Home) -> str:
    return issue(home, OPERATOR)


@pytest.fixture(scope="module")
def address(home: Home, fleet: WrittenFleet, token: str) -> Iterator[str]:
    with listening(app_of(home, fleet)) as place:
        yield place


def app_of(home: Home, fleet: Any) -> FastAPI:
    return create_app(deployment(STAGES, SOURCES, home=home), fleet=fleet, dagster_url="http://dagster.example:3000")


@pytest.fixture
def client(address: str, token: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, auth=("ops", token), timeout=60) as one:
        yield one


def test_the_matrix_and_what_waits(fleet):
    shown = matrix(fleet.rows)
    assert shown.models == ("churn", "lifetime_value")
    assert [name for name, _ in shown.lines] == ["acme", "boots"]
    assert shown.counts == {"at risk": 1, "not ready": 1, "ready": 1, "off": 1}
    assert [(one["customer"], one["model"]) for one in waiting(fleet.rows)] == [("acme", "churn"), ("boots", "churn")]
    assert [one["customer"] for one in fares(fleet.rows, "churn")] == ["boots", "acme"]
    assert matching(fleet.features("acme"), "DAYS bills")
    assert not matching(fleet.features("acme"), "days weather")


@pytest.mark.parametrize("path", ["/", "/waiting", "/features", "/customers/acme", "/models/churn"])
def test_no_page_opens_without_the_operators_token(address, home, path):
    (home.customers / "acme.toml").write_text('name = "acme"')
    foreign = issue(home, "acme")
    for auth in (None, ("ops", "wrong"), ("ops", foreign)):
        response = httpx.get(address + path, auth=auth)
        assert (response.status_code, "Basic" in response.headers["www-authenticate"]) == (401, True)
        assert "boots" not in response.text


def test_a_button_of_another_page_is_not_pressed(client, fleet):
    form = {"action": "freeze", "customer": "acme", "model": "churn", "reason": "a test"}
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert client.post("/decide", data=form, headers=headers).status_code == 422
    assert fleet.decided == []
    assert client.post("/decide", data={**form, "reason": " "}).status_code == 422
    assert client.post("/decide", data={**form, "action": "drop"}).status_code == 422


def test_what_does_not_exist_is_not_found(client):
    assert [client.get(path).status_code for path in ("/customers/nobody", "/models/nothing")] == [404, 404]


def test_three_hundred_customers_and_thirty_five_models_render_within_a_second(home, token):
    rows = tuple(row(f"c{c:03}", f"m{m:02}") for c in range(300) for m in range(35))
    large = WrittenFleet(rows, tuple(night(f"c{c:03}") for c in range(300)))
    with listening(app_of(home, large)) as place, httpx.Client(base_url=place, auth=("ops", token), timeout=60) as one:
        first = one.get("/")
        took = []
        for _ in range(3):
            began = time.perf_counter()
            assert one.get("/").text == first.text
            took.append(time.perf_counter() - began)
    assert first.text.count("<td><a class") == 300 * 35
    assert len(took) == 3


@pytest.mark.skipif(chromium() is None, reason="there is no Chromium")
def test_the_pages_in_a_browser(address, token, fleet, tmp_path: Path):
    with browsing() as browser:
        for scheme, width in (("light", 1280), ("dark", 1280), ("light", 390)):
            context = browser.new_context(
                http_credentials={"username": "ops", "password": token},
                color_scheme=scheme,
                viewport={"width": width, "height": 800},
                base_url=address,
            )
            page, errors = context.new_page(), []
            page.on("pageerror", lambda error, errors=errors: errors.append(error))
            page.set_default_timeout(30_000)
            page.goto("/")
            assert page.get_by_role("link", name="failed").get_attribute("href").endswith("/runs/r1")
            background = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert background == {"light": "rgb(246, 247, 249)", "dark": "rgb(20, 23, 27)"}[scheme]
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.get_by_role("link", name="✗").click()
            page.get_by_text("60 days lack").wait_for()
            page.goto("/waiting")
            assert EVIL in page.get_by_text("no better").inner_text()
            assert "owned" not in page.title()
            if scheme == "dark":
                line = page.get_by_role("row", name="acme")
                line.get_by_label("Reason").fill("looks right")
                line.get_by_role("button", name="Promote 4").click()
                assert page.get_by_role("status").inner_text() == "promote of acme.churn is done"
                line = page.get_by_role("row", name="boots")
                line.get_by_label("Reason").fill("looks right")
                line.get_by_role("button", name="Promote 9").click()
                assert "boots.churn is frozen" in page.get_by_role("status").inner_text()
            page.goto("/features?q=days")
            page.get_by_text("recency_days").wait_for()
            assert errors == []
            context.close()
    assert fleet.decided == [("promote", "acme", "churn", "looks right")]


def test_the_pages_of_a_home_that_was_run_say_what_status_says(acme: TestHome, tmp_path: Path):
    copied = acme.copied(tmp_path / "home")
    opened = deployment(STAGES, SOURCES, home=Home.of(copied.root, {}))
    reader, status = FleetReader(opened), copied.status("acme")
    state = reader.state()
    assert {one["model"]: one["readiness"] for one in state.rows} == {
        name: one["readiness"] for name, one in status.items()
    }
    assert [(one["customer"], one["state"]) for one in state.nights] == [("acme", "done")]
    assert matching(reader.features("acme"), "recency_days")
    said = reader.decide("freeze", "acme", "rfm_segments", "a test")
    assert said == "acme.rfm_segments is frozen"
    assert copied.status("acme")["rfm_segments"]["frozen"]
