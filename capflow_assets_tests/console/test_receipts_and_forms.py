"""What a page draws of deliveries, and what its buttons send."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from jinja2 import Environment, PackageLoader

from capflow_assets.console.fleet_view import MOST_RECEIPTS, gathered
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.deployment import Deployment
from capflow_assets.graph.engine import deployment
from capflow_assets.home.places import Home
from capflow_assets.nights.ledger import Ledger, Receipt

TOML = """
vertical = "grocery"
currency = "EUR"
time_zone = "UTC"
[tables.bills]
source = "csv"
location = "/nowhere/bills.csv"
columns = { bill_id = "id", billed_at = "at", amount = "amount", user_id = "user" }
"""


@pytest.fixture
def place(tmp_path: Path) -> Deployment:
    home = Home.of(tmp_path, {}).prepare()
    for name in ("acme", "boots"):
        (home.customers / f"{name}.toml").write_text(f'name = "{name}"\n{TOML}')
    return deployment(STAGES, SOURCES, home=home)


def delivered(place: Deployment, customer: str, number: int) -> None:
    at = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=number)
    name = f"delivery {number}"
    receipt = Receipt(name, number, customer, "churn", 1, at, at, "crm", "csv", "email", "delivered", began_at=at)
    Ledger(place.lake, customer).write(receipt)


def test_the_newest_receipts_are_shown_and_a_broken_lake_hides_no_neighbours(place, monkeypatch):
    assert MOST_RECEIPTS > 3
    monkeypatch.setattr("capflow_assets.console.fleet_view.MOST_RECEIPTS", 3)
    for number in range(5):
        delivered(place, "acme", number)
    delivered(place, "boots", 9)
    file = next(Path(place.lake.path("boots", "delivery/receipts")).glob("*.parquet"))
    file.write_bytes(b"no table")
    with dg.DagsterInstance.ephemeral() as instance:
        receipts = gathered(place, instance).receipts
    assert [receipt["delivery"] for receipt in receipts] == ["delivery 4", "delivery 3", "delivery 2"]


def test_a_promotion_names_the_version_that_its_button_names():
    row = {"customer": "acme", "model": "churn", "challenger": 7, "champion": 3, "frozen": False}
    decide = Environment(loader=PackageLoader("capflow_assets.console"), autoescape=True).get_template("decide.html")
    html = str(decide.make_module().decide(row, "/", True))
    assert "promote version 7" in html
    assert re.search(r'name="version" value="7"', html)
