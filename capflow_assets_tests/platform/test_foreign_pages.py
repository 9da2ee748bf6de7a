"""Other pages in the reader's browser: whatever they try on the platform's page, nothing changes and nothing is read.

A real Chromium, the real page, and pages of other origins: another port of this machine, another of its names, and a
name that was made to lead here (DNS rebinding).
"""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets_doubles.homes import TestHome
from capflow_assets_doubles.page_server import Server, serving
from capflow_assets_tests.platform.browser import browsing, chromium, visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.skipif(chromium() is None, reason="needs Chromium, which apt has: apt-get install chromium")
EVIL = "evil.example"
NAMES = """
{ assetNodeOrError(assetKey: {path: ["raw", "bills"]}) { ... on AssetNode { partitionKeys } } }
"""
REPORTED = """
{ assetNodeOrError(assetKey: {path: ["raw", "bills"]}) { ... on AssetNode {
  assetMaterializations(limit: 9) { partition }
} } }
"""
ADD = """
mutation Add($name: String!) {
  addDynamicPartition(partitionsDefName: "customer", partitionKey: $name, repositorySelector:
    {repositoryName: "__repository__", repositoryLocationName: "capflow"}) { __typename }
}
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def attacker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server of other pages on this machine."""
    folder = tmp_path_factory.mktemp("attacker")
    shutil.copy(Path(__file__).with_name("attack.html"), folder / "attack.html")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The platform of one customer, of whom nothing was landed yet."""
    folder = tmp_path_factory.mktemp("foreign")
    home = TestHome(folder / "home")
    brand = tiny("young", seed=2, users=150, days=70, sends=("bills",))
    home.ok("onboard", str(write(simulate(brand), folder / "files")))
    with serving(home.root) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing("--host-resolver-rules=MAP *.example 127.0.0.1") as browser:
        yield browser


def names(server: Server) -> set[str]:
    return set(server.ask(NAMES)["assetNodeOrError"]["partitionKeys"])


def state(server: Server) -> tuple[set[str], int]:
    return names(server), len(server.ask(REPORTED)["assetNodeOrError"]["assetMaterializations"])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", EVIL])
def test_a_page_of_another_origin_changes_nothing_and_reads_nothing(server, browser, attacker, host):
    before = state(server)
    page = browser.new_page()
    page.goto(f"http://{host}:{attacker}/attack.html")
    page.evaluate("target => changing(target)", server.url)
    read = page.evaluate("target => reading(target)", server.url)
    # A link that opens the page for trying GraphQL shows the mutation, and does not execute it.
    page.goto(page.evaluate("target => link(target, 'navigation')", server.url))
    page.wait_for_timeout(500)
    page.close()
    assert state(server) == before
    assert read == dict.fromkeys(("info", "query", "page", "debug", "socket", "frame"))
    # What they tried does change it when the page itself sends it.
    own = f"own-{host.replace('.', '-')}"
    server.ask(ADD, name=own)
    assert names(server) == before[0] | {own}


def test_a_name_that_was_made_to_lead_here_reads_nothing(server, browser):
    port = server.url.rpartition(":")[2]
    page = browser.new_page()
    for path in ("", "server_info", "graphql?query={version}", "download_debug/x", "logs/x", "notebook", "assets"):
        answer = page.goto(f"http://{EVIL}:{port}/{path}")
        assert answer is not None
        assert answer.status == 421, path
        assert "does not answer to that name" in answer.text()
    # From there, as a page of that very origin.
    sent = """async () => { const answer = await fetch("/graphql", {method: "POST", body: '{"query":"{version}"}',
        headers: {"Content-Type": "application/json"}}); return [answer.status, await answer.text()] }"""
    status, text = page.evaluate(sent)
    page.close()
    assert status == 421
    assert "version" not in text


def test_the_page_itself_launches_a_run_and_follows_it(server, browser):
    with visiting(browser, server) as page:
        refused: list[str] = []
        page.on(
            "response", lambda answer: refused.append(answer.url) if answer.status in (403, 405, 415, 421) else None
        )
        frames: list[str] = []
        page.on("websocket", lambda socket: socket.on("framereceived", lambda text: frames.append(str(text))))
        page.goto("/assets/raw/bills")
        page.get_by_role("button", name="Materialize").first.click()
        page.get_by_text("Select a partition or create one").click()
        page.get_by_placeholder("Filter partitions").fill("young")
        page.get_by_text("Select all (1)").click()
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Launch 1 run").click()
        runs = "{ runsOrError(limit: 1) { ... on Runs { results { runId status } } } }"
        (run,) = server.wait(lambda: server.ask(runs)["runsOrError"]["results"], 60)
        assert run["status"] not in ("SUCCESS", "FAILURE")
        page.goto(f"/runs/{run['runId']}")
        # Its events come by the websocket, without the page being loaded again.
        page.get_by_text("RUN_SUCCESS").first.wait_for(timeout=120_000)
        assert any("RunSuccessEvent" in text for text in frames)
        page.goto("/graphql")
        page.get_by_role("button", name="Execute query").or_(page.locator(".graphiql-execute-button")).first.wait_for()
        page.goto("/asset-groups")
        page.get_by_text("features", exact=True).last.wait_for()
        assert not refused
