"""The feature catalogue: what it says of each feature, where it is shown, and that it follows the tables."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from capflow_assets.definitions import STAGES
from capflow_assets.graph.customer_tables import feature_schema
from capflow_assets.pages.catalogue_page import box
from capflow_assets.tables.catalogue import CATALOGUE, users_of

BLOCKS = {spec.name: spec for spec in STAGES.tables.values() if spec.is_catalogued}


@pytest.fixture(scope="module")
def rows(acme):
    return json.loads(acme.ok("show", "features", "--catalogue", "--customer", "acme", "--format", "json"))


def test_every_feature_of_every_table_is_there(acme, rows):
    listed = {(row["block"], row["feature"]) for row in rows}
    for name in BLOCKS.keys() - {"reviews", "call_sounds", "item_pictures"}:  # which acme does not send
        spec = BLOCKS[name]
        columns = acme.ok("show", spec.key, "--customer", "acme", "--format", "csv", "--limit", "0").split("\n")[0]
        expected = {(name, column) for column in columns.split(",") if column not in spec.table.key}
        assert expected == {pair for pair in listed if pair[0] == name}
    assert len(listed) > 300
    assert [*rows[0]] == list(CATALOGUE.names)


def test_figures_are_those_of_the_table(acme, rows):
    (feature,) = (row for row in rows if (row["block"], row["feature"]) == ("rhythm", "gap_days_avg"))
    gaps = [row["gap_days_avg"] for row in acme.rows("features/rhythm", "acme")]
    known = sorted(gap for gap in gaps if gap is not None)
    assert feature["rows"] == len(gaps)
    assert feature["fill_pct"] == pytest.approx(100 * len(known) / len(gaps))
    assert (feature["min"], feature["max"]) == (known[0], known[-1])
    assert feature["mean"] == pytest.approx(sum(known) / len(known))
    assert known[len(known) // 2 - 1] <= feature["median"] <= known[len(known) // 2 + 1]
    assert feature["zero_pct"] == 0
    assert (feature["unit"], feature["window"], feature["owner"], feature["version"]) == ("days", "all", "team:data", 1)
    assert feature["source_tables"] == "clean/bills"
    assert feature["models"] == ",".join(users_of(STAGES, "rhythm")["gap_days_avg"])
    assert "purchase_propensity" in feature["models"]


def test_texts_have_their_most_frequent_value(acme, rows):
    (feature,) = (row for row in rows if row["feature"] == "top_category")
    values = [row["top_category"] for row in acme.rows("features/assortment", "acme")]
    known = [value for value in values if value is not None]
    most = max(sorted(set(known)), key=known.count)
    assert feature["top_value"] == most
    assert feature["top_pct"] == pytest.approx(100 * known.count(most) / len(known))


def test_a_recursive_feature_says_its_formula(rows):
    recursive = [row for row in rows if row["block"] == "recursive"]
    assert len(recursive) > 50
    assert all("(" in row["formula"] for row in recursive)
    assert {row["window"] for row in recursive} >= {"all", "91 days"}


def test_no_user_stands_in_it(acme, rows):
    users = {row["user_id"] for row in acme.rows("features/rfm", "acme")}
    assert not users & {row["top_value"] for row in rows}


def test_one_table_alone_and_on_the_screen(acme):
    text = acme.ok("show", "features/rfm", "--catalogue", "--customer", "acme", "--format", "csv")
    assert {row["block"] for row in csv.DictReader(io.StringIO(text))} == {"rfm"}
    screen = acme.ok("show", "features/rfm", "--catalogue", "--customer", "acme")
    assert "recency_days" in screen
    assert "purchase_propensity" in screen


def test_the_screen_opens_with_a_page_of_blocks(acme, rows):
    screen = acme.ok("show", "features", "--catalogue", "--customer", "acme")
    blocks = {row["block"] for row in rows}
    assert all(f"features/{block}, " in screen for block in blocks)
    assert "recency_days" in screen
    assert f"{len(blocks)} of {len(blocks)} blocks, {len(rows)} features of acme" in screen
    assert "capflow show features/" in screen


@pytest.mark.parametrize(
    ("query", "words"),
    [("features/rmf", "did you mean 'rfm'?"), ("clean/bills", "Only features have a catalogue")],
)
def test_a_mistake_is_answered_in_words(acme, query, words):
    said = acme.capflow("show", query, "--catalogue", "--customer", "acme")
    assert said.code == 1
    assert words in said.err


def test_the_page_names_every_feature(acme, rows, tmp_path):
    acme.ok("show", "features", "--catalogue", "--customer", "acme", "-o", str(tmp_path / "features.html"))
    page = (tmp_path / "features.html").read_text("utf-8")
    assert page == (acme.root / "lake" / "acme" / "pages" / "features.html").read_text("utf-8")
    assert set(re.findall(r"<code>(\w+)</code>", page.replace("<wbr>", ""))) == {row["feature"] for row in rows}
    assert not re.search(r"<script|https?://", page)


def test_it_follows_a_table_that_is_made_anew(acme_copy):
    before = acme_copy.rows("features/catalogue", "acme")
    acme_copy.ok("run", "acme", "--select", "features/rfm", "--as-of", "2024-06-30")
    after = acme_copy.rows("features/catalogue", "acme")
    changed = {row["block"] for row in after if row not in before}
    assert changed == {"rfm"}
    assert len(after) == len(before)
    (moment,) = {row["as_of"] for row in after if row["block"] == "rfm"}
    assert moment < min(row["as_of"] for row in after if row["block"] != "rfm")


def test_the_ui_shows_how_each_column_turned_out(rows):
    own = [row for row in rows if row["block"] == "rhythm"]
    column = next(column for column in feature_schema(own, {}).columns if column.name == "gap_days_avg")
    for words in ("Average days between visits", "unit: days", "window: all", "filled: ", "median ", "purchase_prop"):
        assert words in (column.description or "")


def test_a_box_holds_the_middle_and_outliers_do_not_squeeze_it():
    plain, squeezed = box(0, 1, 3, 5, 7, 9, 10), box(0, 1, 3, 5, 7, 9, 1e9)
    assert "median 5" in plain
    assert "greatest 1G" in squeezed

    def width(shape: str) -> float:
        return float(re.search(r'class="whole" x="[\d.]+" width="([\d.]+)"', shape)[1])  # type: ignore[index]

    assert width(squeezed) > width(plain) / 4
    assert "nan" not in box(1, 1, 1, 1, 1, 1, 1)
