"""What a person sees and does in Dagster's page, in a real browser."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from capflow_assets.definitions import STAGES
from capflow_assets_tests.platform.browser import GROUPS, box, browsing, chromium, open_graph, visiting
from capflow_assets_tests.platform.conftest import CUSTOMERS, DROPPED, GOOD, Backfilled

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.skipif(chromium() is None, reason="needs Chromium, which apt has: apt-get install chromium")
MATERIALIZED = """
query Materialized($key: AssetKeyInput!) {
  assetOrError(assetKey: $key) { ... on Asset { assetMaterializations(limit: 100) { partition runId } } }
}
"""


@pytest.fixture(scope="module")
def page(backfilled: Backfilled) -> Iterator[Page]:
    with browsing() as browser, visiting(browser, backfilled.platform.server) as page:
        yield page


def test_the_graph_shows_the_stages_in_the_order_of_the_data(page: Page):
    open_graph(page)
    left = {group: box(page, group).bounding_box()["x"] for group in GROUPS}
    assert left["raw"] < left["clean"] < left["features"] < left["models"] < left["predictions"] < left["health"]
    assert left["clean"] < left["validation"]


def test_a_stage_opens_into_its_assets(page: Page):
    open_graph(page, ["models"])
    # Long names are shortened in the middle; of many models those in sight are drawn.
    names = "|".join(f"{model[:5]}.*{model[-5:]}" for model in STAGES.models)
    shown = page.get_by_text(re.compile(f"^({names})$"))
    shown.last.wait_for()
    places = [place["x"] for place in (text.bounding_box() for text in shown.all()) if place]
    assert sum(x > box(page, "clean").bounding_box()["x"] for x in places) >= 5


def test_an_asset_says_what_it_is_and_which_columns_it_has(page: Page):
    page.goto("/assets/features/rfm")
    first_line = STAGES.tables["features/rfm"].description.split("\n")[0].rstrip(".")
    page.get_by_text(first_line.split("``")[0].strip()).first.wait_for()
    page.get_by_text("recency_days", exact=True).first.wait_for()
    page.get_by_text("Delta Lake").first.wait_for()


def test_a_customer_has_figures_and_a_plot(page: Page):
    page.goto("/assets/models/lifetime_value?view=partitions&partition=c1")
    for name in (*CUSTOMERS, DROPPED):
        page.get_by_text(name, exact=True).first.wait_for(state="attached")
    page.get_by_text("rmse_purchases", exact=True).first.wait_for()
    page.get_by_text("Show Markdown").click()
    picture = page.locator("img[src^='data:image/png;base64,']")
    picture.wait_for()
    content = base64.b64decode(picture.get_attribute("src").split(",", 1)[1])
    assert content.startswith(b"\x89PNG")
    assert len(content) < 40_000
    assert picture.evaluate("image => image.naturalWidth") > 300
    page.get_by_text("Close", exact=True).click()


def test_a_models_card_is_reached_by_a_click(page: Page):
    page.goto("/assets/models/lifetime_value?view=partitions&partition=c1")
    card = page.locator("a[href$='/customers/c1/models/lifetime_value']").first
    card.wait_for()
    with page.context.expect_page() as opened:
        card.click()
    opened.value.get_by_role("heading", name="c1.lifetime_value").wait_for()
    opened.value.get_by_text("standing", exact=True).wait_for()
    opened.value.close()


def test_a_partition_is_materialized_by_clicking(page: Page, backfilled: Backfilled):
    server = backfilled.platform.server

    def runs() -> set[str]:
        events = server.ask(MATERIALIZED, key={"path": ["raw", "bills"]})["assetOrError"]["assetMaterializations"]
        return {event["runId"] for event in events if event["partition"] == GOOD[-1]}

    before = runs()
    page.goto("/assets/raw/bills")
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_text("Select a partition or create one").click()
    page.get_by_placeholder("Filter partitions").fill(GOOD[-1])
    page.get_by_text("Select all (1)").click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Launch 1 run").click()
    assert server.wait(lambda: runs() - before, 120)
