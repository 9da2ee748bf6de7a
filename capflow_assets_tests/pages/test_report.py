"""The page of a customer, made of tables in a lake, and opened in a browser where there is one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.customers.customer import Customer
from capflow_assets.errors import NotFoundError
from capflow_assets.pages.charts import Bar, columns
from capflow_assets.pages.model_cards import ModelCard, keep_card
from capflow_assets.pages.report import PAGE, TABLES, read_page, write_page
from capflow_assets.stores.lake import Lake
from capflow_assets.validation.distributions import distributions
from capflow_assets.validation.kpis import kpis
from capflow_assets.validation.report import report
from capflow_assets.validation.retention import retention
from capflow_assets_tests.features.shoppers import ZONE, bill, bills_of
from capflow_assets_tests.platform.browser import browsing, chromium

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

AS_OF = datetime(2024, 8, 20, 12, tzinfo=UTC)
CUSTOMER = Customer.model_validate(
    {
        "name": "boots",
        "vertical": "shoes",
        "currency": "EUR",
        "time_zone": ZONE,
        "tables": {"bills": {"source": "csv", "location": "/bills.csv", "columns": {"bill_id": "id"}}},
    }
)
EVIL = '<script>alert("s")</script>'


def trade() -> Iterator[dict[str, Any]]:
    """Forty bills of 10 a month and one each month in the store of an evil name; July brings four times the money."""
    for month in range(12):
        first = date(2023 + (month + 8) // 12, (month + 8) % 12 + 1, 1)
        amount = 40.0 if first == date(2024, 7, 1) else 10.0 + month / 10
        for n in range(40):
            day = first + timedelta(days=n % 15)
            yield bill(f"u{n % 9 + month % 3}", day.isoformat(), amount) | {"store_id": "s1", "line_items": 1 + n % 3}
        yield bill(None, first.isoformat(), 1.0) | {"store_id": EVIL}


def filled(lake: Lake, spark: SparkSession, rows: list[dict[str, Any]]) -> Lake:
    bills = bills_of(spark, rows)
    lake.write(report(bills, AS_OF, ZONE, "EUR"), "boots", "validation/report")
    lake.write(kpis(bills, AS_OF, ZONE, "EUR"), "boots", "validation/kpis")
    lake.write(distributions(bills, AS_OF, ZONE, "EUR"), "boots", "validation/distributions")
    lake.write(retention(bills, AS_OF, ZONE), "boots", "validation/retention")
    return lake


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return filled(Lake(str(tmp_path_factory.mktemp("lake")), lambda: spark), spark, list(trade()))


class Reader(HTMLParser):
    """The tags of a page, which must close in order, and its words."""

    VOID = frozenset({"meta", "br", "link", "img", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words += f" {data}"

    @property
    def text(self) -> str:
        return " ".join(self.words.split())


def test_the_page_says_the_figures(lake):
    reader = Reader(read_page(lake, CUSTOMER))
    assert reader.open == []
    text = reader.text
    assert "boots" in text
    assert "bills from 1 September 2023 to 15 August 2024 · as of 20 August 2024, 14:00" in text
    # 40 bills of 40 and one of 1 in July; the median of the ten months before is 400 + 40 x 0.45 + 1.
    assert "July 2024" in text
    assert "Net amount 1,601 EUR unusual +282 % from the usual 419 EUR" in text
    assert "Store s1 Net amount 1,600 EUR 418 EUR +283 %" in text
    assert "Rows of bills 492" in text
    assert "Line items of a bill 480 bills" in text


def test_small_stores_are_listed_and_never_called_unusual(lake):
    page = read_page(lake, CUSTOMER)
    assert EVIL not in page
    assert page.count("&lt;script&gt;") == 1
    stands_out = Reader(page).text.split("What stands out")[1].split("How users come")[0]
    assert "script" not in stands_out


def test_the_page_fetches_nothing_and_runs_nothing(lake):
    page = read_page(lake, CUSTOMER)
    reader = Reader(page)
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in reader.tags}
    assert not re.findall(r"https?:|url\(|@import|src=|href=|\son\w+=", page)


def test_pictures_and_scrolled_tables_have_names(lake):
    tags = Reader(read_page(lake, CUSTOMER)).tags
    pictures = [attributes["aria-label"] for tag, attributes in tags if tag == "svg"]
    assert "Net amount by month, 2023-09 to 2024-08; the last: August 2024: 445 EUR, not a whole month" in pictures
    assert all(attributes["role"] == "img" for tag, attributes in tags if tag == "svg")
    scrolled = [attributes for _, attributes in tags if "scroll" in (attributes.get("class") or "")]
    assert len(scrolled) == 3
    assert all(attributes["tabindex"] == "0" and attributes["aria-label"] for attributes in scrolled)


def test_the_page_lies_beside_the_tables_and_equal_tables_give_equal_bytes(lake):
    place = Path(write_page(lake, CUSTOMER))
    assert place == Path(lake.root) / "boots" / PAGE
    first = place.read_bytes()
    assert Path(write_page(lake, CUSTOMER)).read_bytes() == first
    assert len(first) < 200_000
    assert set(TABLES) <= set(lake.tables("boots"))


def test_models_are_shown_with_what_their_trainings_decided(lake, tmp_path):
    """The page fetches nothing: its pictures are in it."""
    copy = Lake(str(shutil.copytree(lake.root, tmp_path / "lake")), lake.spark)
    card = ModelCard("churn", 2, "Who goes?", AS_OF.isoformat(), "asks", EVIL, "roc_auc", "0.7 (0.6 to 0.8)", "0.5")
    keep_card(copy, "boots", card, {"holdout.png": b"one", "gain_curve.png": b"two"})
    text = read_page(copy, CUSTOMER)
    reader = Reader(text)
    assert reader.open == []
    assert "Version 2: asks As of 20 August 2024, 14:00 · roc_auc 0.7 (0.6 to 0.8) · baseline 0.5" in reader.text
    assert EVIL not in text
    pictures = {attributes["alt"]: attributes["src"] for tag, attributes in reader.tags if tag == "img"}
    assert pictures == {
        "churn, version 2: holdout": "data:image/png;base64,b25l",
        "churn, version 2: gain curve": "data:image/png;base64,dHdv",
    }


def test_a_customer_without_history_has_a_page(spark, tmp_path):
    """One day of bills: no whole month, no usual value, nobody who could have come back."""
    young = filled(Lake(str(tmp_path), lambda: spark), spark, [bill("ana", "2024-08-19", 5.0)])
    text = Reader(read_page(young, CUSTOMER)).text
    assert "No month was seen from end to end yet." in text
    assert "Who comes back" not in text
    assert "What stands out" not in text


def test_a_missing_table_is_named_with_what_to_do(spark, tmp_path):
    with pytest.raises(NotFoundError, match="capflow run boots"):
        read_page(Lake(str(tmp_path), lambda: spark), CUSTOMER)


def test_columns_stand_on_zero_and_hang_below_it():
    bars = [Bar("a", 3.0, None, "three", True), Bar("b", -1.0, 3.0, "minus one", False), Bar("c", None, 3.0, "", True)]
    drawn = str(columns(bars, "seen", ("3", "0", "-1")))
    (above, below) = (
        {name: float(value) for name, value in re.findall(r'(y|height)="([\d.]+)"', shape)}
        for shape in re.findall(r"<rect[^>]*>", drawn)
    )
    assert above["height"] == pytest.approx(3 * below["height"])
    assert above["y"] + above["height"] == pytest.approx(below["y"])
    assert "<title>minus one</title>" in drawn
    assert drawn.count('class="part"') == 1


@pytest.mark.skipif(chromium() is None, reason="needs Chromium, which apt has: apt-get install chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it_wide_and_narrow(lake, scheme):
    place = write_page(lake, CUSTOMER)
    with browsing() as browser:
        for width in (1280, 360):
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            requests: list[str] = []
            said: list[str] = []
            page.on("request", lambda request, requests=requests: requests.append(request.url))
            page.on("console", lambda message, said=said: said.append(message.text))
            page.goto(Path(place).resolve().as_uri())
            assert page.get_by_role("heading", name="July 2024", exact=True).is_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert (len(requests), said) == (1, [])
            ink, back = (
                page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor")
            )
            light = [sum(map(int, re.findall(r"\d+", colour))) for colour in (ink, back)]
            assert (light[0] < light[1]) == (scheme == "light")
            page.close()
