"""What other shops' programs export, as customers of one run: every bill, line, user and cent of them is known."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.customers.customer import read_customer
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.stores.lake import Lake
from capflow_assets.tables.runner import TableRunner
from capflow_assets.tables.table_result import TableResult
from capflow_assets_doubles.homes import TestHome
from capflow_assets_doubles.landings import KEY
from capflow_assets_doubles.landings import TABLES as RAW
from capflow_assets_tests.shapes import etsy, northwind, olist, shopify, square, stripe, woocommerce
from capflow_assets_tests.shapes.shop import NOTHING, Truth

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

EXAMPLES = Path(__file__).parents[2] / "examples"
SHAPES: Mapping[str, Callable[[Path], Truth]] = {
    "etsy": etsy.write,
    "northwind": northwind.write_database,
    "northwind-csv": northwind.write_files,
    "olist": olist.write,
    "shopify": shopify.write,
    "square": square.write,
    "stripe": stripe.write_payments,
    "stripe-balance": stripe.write_balance,
    "woocommerce": woocommerce.write_columns,
    "woocommerce-json": woocommerce.write_json,
}
TABLES = frozenset(spec.key for spec in STAGES.tables.values() if spec.stage in ("raw", "clean"))


class Shops:
    """All of them onboarded in one home and run once, as a cohort runs each customer, and the truth of each."""

    def __init__(self, root: Path, spark: SparkSession) -> None:
        self.root, self.home, self.lake = root, TestHome(root / "home"), Lake(str(root / "lake"), lambda: spark)
        self.truth: dict[str, Truth] = {}
        self.results: dict[str, dict[str, TableResult]] = {}
        for name, write in SHAPES.items():
            folder = root / name
            folder.mkdir()
            self.truth[name] = write(folder)
            shutil.copy(EXAMPLES / f"{name}.toml", folder)
            said = self.home.capflow("onboard", str(folder / f"{name}.toml"))
            if said.code:  # the others' tests are theirs
                self.results[name] = {"onboard": TableResult("onboard", "failed", said.err)}
                continue
            customer = read_customer(self.home.root / "customers" / f"{name}.toml", RAW, SOURCES)
            runner = TableRunner(self.lake, STAGES, SOURCES, customer, TABLES, key=lambda: KEY)
            self.results[name] = {result.key: result for result in runner.run()}

    def rows(self, name: str, table: str) -> list[dict[str, Any]]:
        return self.lake.arrow(name, table).to_pylist() if self.lake.exists(name, table) else []


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Shops:
    return Shops(tmp_path_factory.mktemp("shapes"), spark)


def cents(amount: float | Decimal) -> int:
    """Hundredths of a cent: sums are exact to the fourth decimal."""
    return round(amount * 10_000)


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_declared_lands_whole_and_is_cleaned(shops, name):
    results = shops.results[name]
    assert {key: result.reason for key, result in results.items() if result.status not in ("done", "absent")} == {}
    assert [key for key, result in results.items() if result.counts.get("rejected")] == []
    left_out = {key: result.counts["left_out"] for key, result in results.items() if result.counts.get("left_out")}
    assert left_out == shops.truth[name].left_out


@pytest.mark.parametrize("name", SHAPES)
def test_the_bills_are_those_that_were_paid_to_the_cent_and_the_second(shops, name):
    truth = shops.truth[name].bills
    bills = {row["bill_id"]: row for row in shops.rows(name, "clean/bills")}
    assert {bill: cents(row["amount"]) for bill, row in bills.items()} == {
        bill: cents(known.amount) for bill, known in truth.items()
    }
    assert {bill: row["billed_at"] for bill, row in bills.items()} == {bill: known.at for bill, known in truth.items()}
    pieces = {bill: known.pieces for bill, known in truth.items()}
    assert {bill: row["quantity"] for bill, row in bills.items()} == pieces


@pytest.mark.parametrize("name", SHAPES)
def test_users_guests_revenue_and_returns_are_known(shops, name):
    truth, bills = shops.truth[name].bills, shops.rows(name, "clean/bills")
    # Ids may be written otherwise, or hashed: each user is one all the same.
    pairs = {(truth[row["bill_id"]].user, row["user_id"]) for row in bills}
    users = {user for user, _ in pairs if user}
    assert len({theirs for _, theirs in pairs if theirs}) == len(users) == sum(user is not None for user, _ in pairs)
    assert {theirs for user, theirs in pairs if user is None} <= {None}
    assert sum(row["is_anonymous"] for row in bills) == sum(bill.user is None for bill in truth.values())
    assert sum(row["is_return"] for row in bills) == sum(bill.amount < 0 for bill in truth.values())
    revenue = sum((bill.amount for bill in truth.values()), NOTHING)
    assert cents(sum(Decimal(str(row["amount"])) for row in bills)) == cents(revenue)
    assert len(shops.rows(name, "clean/users")) == len(users | shops.truth[name].listed_users)


@pytest.mark.parametrize("name", SHAPES)
def test_the_lines_are_those_of_the_bills_and_their_items_are_known(shops, name):
    truth, lines = shops.truth[name], shops.rows(name, "clean/line_items")
    rows = Counter((row["bill_id"], row["item_id"], row["quantity"], cents(row["amount"])) for row in lines)
    known = truth.lines or Counter()
    assert rows == Counter({(*line, cents(amount)): count for (*line, amount), count in known.items()})
    flags = Counter(flag for row in lines for flag in row["flags"].split(",") if flag)
    assert not {"unknown_item", "unknown_bill", "negative_price"} & set(flags)
    items = shops.rows(name, "clean/items")
    assert {row["item_id"] for row in items} == (truth.items or set())
    assert {row["item_id"] for row in items if row["is_item"] is False} == truth.no_goods


def test_users_known_by_their_e_mail_are_hashed(shops):
    users = {row["user_id"] for table in ("raw/bills", "clean/users") for row in shops.rows("shopify", table)}
    assert all(len(user) == 64 and "@" not in user for user in users if user is not None)


def test_there_is_a_customer_to_copy_for_each_and_the_readme_names_it():
    files = sorted(file.name for file in EXAMPLES.glob("*.toml"))
    assert files == sorted(f"{name}.toml" for name in SHAPES)
    readme = (EXAMPLES / "README.md").read_text()
    assert [file for file in files if f"`{file}`" not in readme] == []


@pytest.mark.long
def test_a_person_at_a_terminal_gets_the_same(shops):
    said = shops.home.capflow("run", *SHAPES, "--select", "raw,clean")
    assert said.code == 0, said.err + said.out
    for name in SHAPES:
        assert f"✓ {name}: " in said.err + said.out
        bills = shops.home.rows("clean/bills", name)
        amounts = {bill: cents(known.amount) for bill, known in shops.truth[name].bills.items()}
        assert {row["bill_id"]: cents(row["amount"]) for row in bills} == amounts
