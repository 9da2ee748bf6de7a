"""Who may look at the pages and who may decide."""

from __future__ import annotations

import asyncio
from pathlib import Path

import dagster as dg
import httpx
import pytest
from starlette.applications import Starlette

from capflow_assets.console.access import COOKIE, Access
from capflow_assets.console.app import Console
from capflow_assets.console.fleet_view import Fleet
from capflow_assets.console.page_views import own_path
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.graph.engine import deployment
from capflow_assets.home.places import Home
from capflow_assets.serving.tokens import OPERATOR, Gate, issue, revoke


def access(root: Path) -> Access:
    home = Home.of(root, {})
    return Access(home, Gate(home))


@pytest.mark.parametrize(
    ("host", "may"),
    [("127.0.0.1:8080", True), ("localhost", True), ("[::1]:80", True), ("evil.example", False), ("", False)],
)
def test_without_a_token_this_machine_alone_may_look(tmp_path: Path, host: str, may: bool) -> None:
    own = access(tmp_path)
    assert own.may_look(host, "127.0.0.1", None) is may
    assert not own.is_operator("")
    assert not own.is_operator(None)


def test_behind_the_guard_of_dagsters_page_whoever_reaches_it_may_look_and_nobody_decides(tmp_path: Path) -> None:
    home = Home.of(tmp_path, {})
    issue(home, OPERATOR)
    own = Access(home, Gate(home), is_guarded=True)
    assert own.may_look("capflow.example.com", "10.0.0.9", None)
    assert not own.is_operator(None)


def test_a_request_from_elsewhere_that_calls_this_machine_localhost_sees_nothing(tmp_path: Path) -> None:
    own = access(tmp_path)
    assert own.may_look("localhost", "::1", None)
    assert not own.may_look("localhost", "203.0.113.7", None)
    assert not own.may_look("localhost", "", None)


def test_with_a_token_whoever_has_it_may_look_from_anywhere(tmp_path: Path) -> None:
    token = issue(Home.of(tmp_path, {}), OPERATOR)
    own = access(tmp_path)
    assert own.may_look("fleet.example", "203.0.113.7", token)
    assert not own.may_look("127.0.0.1", "127.0.0.1", None)
    assert not own.may_look("127.0.0.1", "127.0.0.1", token[:-1])
    assert own.is_operator(token)


def test_a_customers_token_opens_no_page(tmp_path: Path) -> None:
    home = Home.of(tmp_path, {})
    home.prepare()
    (home.customers / "acme.toml").write_text("")
    issue(home, OPERATOR)
    assert not access(tmp_path).is_operator(issue(home, "acme"))


def test_a_revoked_token_is_worth_nothing(tmp_path: Path) -> None:
    home = Home.of(tmp_path, {})
    token = issue(home, OPERATOR)
    revoke(home, OPERATOR)
    assert not access(tmp_path).is_operator(token)


@pytest.mark.parametrize(
    "path", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", ""]
)
def test_nobody_is_sent_elsewhere(path: str) -> None:
    assert own_path(path) == "/"


def test_a_file_of_the_operators_tokens_that_is_damaged_opens_nothing(tmp_path: Path) -> None:
    home = Home.of(tmp_path, {})
    token = issue(home, OPERATOR)
    next((tmp_path / "serving_tokens").iterdir()).write_text("[{")
    own = access(tmp_path)
    assert own.has_token
    assert not own.may_look("localhost", "127.0.0.1", None)
    assert not own.may_look("localhost", "127.0.0.1", token)


@pytest.mark.parametrize(
    ("site", "status"), [("same-origin", 404), (None, 404), ("same-site", 403), ("cross-site", 403), ("none", 403)]
)
def test_a_form_of_another_server_of_the_same_name_decides_nothing(
    tmp_path: Path, site: str | None, status: int
) -> None:
    home = Home.of(tmp_path, {})
    app = Starlette()
    with dg.DagsterInstance.ephemeral() as instance:
        Console(Fleet(deployment(STAGES, SOURCES, home=home), instance), Gate(home), "").mount(app)
        headers = {"cookie": f"{COOKIE}={issue(home, OPERATOR)}", **({} if site is None else {"sec-fetch-site": site})}

        async def decided() -> int:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
                return (await client.post("/decisions", data={"action": "drop"}, headers=headers)).status_code

        assert asyncio.run(decided()) == status  # there is no such action: who gets as far as that may decide
