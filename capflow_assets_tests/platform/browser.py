"""A real Chromium on the platform's pages, and where on them things are."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from capflow_assets_doubles.page_server import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

GROUPS = ("raw", "clean", "validation", "features", "models", "predictions", "health")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-quic",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str | None:
    """Where the system's Chromium is; playwright's own would have to be downloaded."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def browsing(*options: str) -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=[*QUIET, *options])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visiting(browser: Browser, server: Server) -> Iterator[Page]:
    """A page of a person who has been here before: the first visit of all shows a dialog over everything."""
    server.ask("mutation { setNuxSeen }")
    page = browser.new_page(viewport={"width": 1600, "height": 900}, base_url=server.url)
    page.set_default_timeout(30_000)
    try:
        yield page
    finally:
        page.close()


def open_graph(page: Page, expanded: Sequence[str] = ()) -> None:
    """The global asset graph, with some groups expanded and the others as one box each; those in sight are drawn."""
    groups = ",".join(f"global@global:{group}" for group in expanded)
    page.goto(f"/asset-groups?expanded={groups}")
    for group in ("clean", "features") if expanded else GROUPS:
        box(page, group).wait_for()


def box(page: Page, name: str):  # type: ignore[no-untyped-def]
    """A group's or an asset's box in the graph; the list beside the graph comes before it on the page."""
    return page.get_by_text(name, exact=True).last
