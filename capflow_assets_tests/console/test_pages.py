"""The pages of a home that was run: figures are those of the commands, decisions are carried out, a phone can read."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette

from capflow_assets.console.app import Console
from capflow_assets.console.features_index import features_of, matching
from capflow_assets.console.fleet_view import STATES, Fleet, state_of
from capflow_assets.console.page_views import Pages
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.graph.engine import Engine, deployment
from capflow_assets.graph.launch import dagster_instance
from capflow_assets.home.places import Home
from capflow_assets.serving.tokens import Gate
from capflow_assets_doubles.homes import TestHome, own_environment
from capflow_assets_tests.platform.browser import browsing, chromium


@contextmanager
def served(home: TestHome) -> Iterator[httpx.Client]:
    place = Home.of(home.root, {})
    with own_environment(), dagster_instance(place) as instance:
        fleet = Fleet(deployment(STAGES, SOURCES, home=place, engine=Engine()), instance, first_wait=300)
        app = Starlette()
        console = Console(fleet, Gate(place), "http://127.0.0.1:3000")
        console.mount(app)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
        thread = threading.Thread(target=server.run, daemon=True)
        console.begin()
        thread.start()
        while not server.started:
            time.sleep(0.02)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join(timeout=10)
            console.end()


@pytest.fixture(scope="module")
def client(acme: TestHome) -> Iterator[httpx.Client]:
    with served(acme) as own:
        yield own


def test_the_matrix_says_what_status_says(client: httpx.Client, acme: TestHome) -> None:
    html = client.get("/models").text
    rows = acme.status("acme")
    assert rows
    for model, row in rows.items():
        link = re.search(rf'<a class="([\w-]+)" href="/customers/acme/models/{model}"', html)
        assert link, model
        assert link[1] == state_of(row).replace(" ", "-")
    assert all(words in unescape(html) for _, words in STATES.values())


def test_a_customers_page_has_every_model_and_the_same_figures(client: httpx.Client, acme: TestHome) -> None:
    html = client.get("/customers/acme").text
    for model, row in acme.status("acme").items():
        assert f"/customers/acme/models/{model}" in html
        if isinstance(row["value"], float):
            assert f"{row['value']:.3f}" in html


def test_a_card_says_what_explain_says_and_shows_its_pictures(client: httpx.Client, acme: TestHome) -> None:
    report = acme.report("acme", "purchase_propensity")
    html = client.get("/customers/acme/models/purchase_propensity").text
    assert report["question"] in html
    picture = re.search(r'src="(/customers/acme/models/purchase_propensity/[^"]+\.png)"', html)
    assert picture
    answer = client.get(picture[1])
    assert answer.headers["content-type"] == "image/png"
    assert answer.content.startswith(b"\x89PNG")
    assert client.get(picture[1].rpartition("/")[0] + "/other.png").status_code == 404


def test_the_night_the_models_page_the_report_and_the_search_are_there(client: httpx.Client) -> None:
    assert re.search(r'id="acme".*?done', client.get("/").text, re.DOTALL)
    assert "No night yet" in client.get("/queue").text
    assert "purchase" in client.get("/models/purchase_propensity").text
    assert client.get("/customers/acme/report").text.startswith("<!doctype html>")
    page = client.get("/features", params={"q": "gap days"}).text
    assert "gap_days_avg" in page
    assert "returns_total" not in page
    assert "Nothing was delivered yet" in client.get("/deliveries").text


def test_what_is_not_there_is_said(client: httpx.Client) -> None:
    for path in ("/customers/nobody", "/models/nothing", "/customers/acme/models/nothing"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert "acme" in answer.text or "bill_anomaly" in answer.text


def test_a_foreign_name_reads_nothing_and_nobody_decides_without_a_token(client: httpx.Client) -> None:
    answer = client.get("/", headers={"host": "evil.example"})
    assert answer.status_code == 403
    assert "acme" not in answer.text
    form = {"action": "freeze", "customer": "acme", "model": "churn"}
    assert client.post("/decisions", data=form).status_code == 403
    assert "script-src" not in client.get("/").headers["content-security-policy"]
    assert client.get("/").headers["content-security-policy"].startswith("default-src 'none'")


def test_words_in_the_search_are_no_markup(client: httpx.Client) -> None:
    assert "<script>" not in client.get("/features", params={"q": "<script>alert(1)</script>"}).text


def test_a_page_takes_no_time(client: httpx.Client) -> None:
    """The figures are gathered beside the requests: a page asks no store."""
    client.get("/models")
    first, second = (re.search(r"As of ([^,]+),", client.get("/models").text) for _ in range(2))
    assert first
    assert second
    assert first[1] == second[1]


def test_who_signs_in_decides_and_the_decision_is_kept(acme_copy: TestHome) -> None:
    token = acme_copy.ok("serve", "token", "--operator").strip()
    with served(acme_copy) as client:
        assert client.get("/").status_code == 303
        assert client.post("/sign-in", data={"token": "wrong"}).status_code == 403
        assert client.post("/decisions", data={"action": "freeze"}).status_code == 403
        answer = client.post("/sign-in", data={"token": token, "next": "//evil.example"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert "HttpOnly" in answer.headers["set-cookie"]
        assert "SameSite=strict" in answer.headers["set-cookie"]
        assert client.get("/").status_code == 200
        form = {"customer": "acme", "model": "rfm_segments", "reason": "tried on the page", "next": "/customers/acme"}
        answer = client.post("/decisions", data={**form, "action": "freeze"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/customers/acme")
        assert "frozen" in client.get("/customers/acme").text
        assert client.post("/decisions", data={**form, "action": "promote"}).status_code == 409
        assert client.post("/decisions", data={**form, "action": "drop"}).status_code == 404
        assert client.post("/decisions", data={**form, "customer": "nobody", "action": "thaw"}).status_code == 404
        assert client.post("/decisions", content=b"x" * 20_000).status_code == 404
    status = acme_copy.status("acme")["rfm_segments"]
    assert status["frozen"]


def test_features_are_found_by_words_and_by_the_models_that_read_them() -> None:
    entries = features_of(STAGES)
    assert matching(entries, "gap_days_avg")[0].name == "gap_days_avg", "by name first"
    assert "gap_days_cv" in {entry.name for entry in matching(entries, "gap_days_avg")}, "which is made of it"
    read = matching(entries, "purchase_propensity")
    assert {(e.block, e.name) for e in read} >= {
        (reads.table, name) for reads in STAGES.model("purchase_propensity").model.joined for name in reads.columns
    }
    assert matching(entries, "no such words") == []


@pytest.mark.skipif(chromium() is None, reason="needs Chromium, which apt has: apt-get install chromium")
def test_a_real_browser_shows_them_on_a_screen_and_on_a_phone(client: httpx.Client, tmp_path: Path) -> None:
    with browsing() as browser:
        for width, scheme in ((1280, "light"), (390, "dark")):
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            problems: list[str] = []
            page.on("console", lambda message, problems=problems: problems.append(message.text))
            for path in (
                "/",
                "/queue",
                "/models",
                "/customers/acme",
                "/customers/acme/models/purchase_propensity",
                "/features",
            ):
                assert page.goto(f"{client.base_url}{path}").ok
                assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, "nothing is cut off")
            assert not problems
            page.close()


def test_a_refused_file_and_its_reason_stand_on_the_first_page(tmp_path: Path) -> None:
    home = TestHome(tmp_path / "home")
    Home.of(home.root, {}).prepare()
    (home.root / "customers" / "hats.toml").write_text('name = "hats"\ncolour = "<b>red</b>"\n')
    with served(home) as client:
        html = client.get("/").text
    assert "1 of the TOMLs in the customers' folder is refused" in unescape(html)
    assert "hats.toml has" in html
    assert "<b>red" not in html


def test_pages_of_a_fleet_that_nobody_has_looked_at_yet_say_so_and_not_that_it_is_empty(acme: TestHome) -> None:
    place = Home.of(acme.root, {})
    with own_environment(), dagster_instance(place) as instance:
        fleet = Fleet(deployment(STAGES, SOURCES, home=place, engine=Engine()), instance, first_wait=0.0)
        html = bytes(Pages(fleet, "", may_sign_in=False).page("night.html", "Last night", "/night").body).decode()
    assert "being read for the first time" in html
    assert '<meta http-equiv="refresh"' in html
    assert "No customers yet" not in html


def test_a_champion_with_nothing_to_decide_asks_for_no_decision(client: httpx.Client, acme: TestHome) -> None:
    rows = acme.status("acme")
    model = next(name for name, row in rows.items() if row["champion"] and not row["challenger"])
    assert rows[model]["status"] != "asks"
    assert "to decide" not in client.get(f"/customers/acme/models/{model}").text


def test_a_feature_leads_to_the_columns_it_is_made_from_and_they_to_all_that_is_made_from_them(
    client: httpx.Client,
) -> None:
    html = client.get("/features", params={"q": "recency_days"}).text
    assert '<a href="/features?q=clean/bills.billed_at">billed_at</a>' in html
    below = {(entry.block, entry.name) for entry in matching(features_of(STAGES), "clean/bills.billed_at")}
    assert {("features/rfm", "recency_days"), ("features/rfm", "visits_28d")} <= below
    assert ("features/assortment", "items_bought") not in {
        (entry.block, entry.name) for entry in matching(features_of(STAGES), "clean/reviews.rating")
    }
