"""A customer's TOML: what it gives, and every way in which it can be wrong, all reported at once."""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pydantic
import pytest
from pydantic import ValidationError

from capflow_assets.contract import Column, Table
from capflow_assets.customers.customer import Customer, onboarded_text, parse_customer, read_customer
from capflow_assets.customers.own_places import refuse_own_places
from capflow_assets.errors import CustomerError, SourceError
from capflow_assets.sources import csv, parquet

TABLES = {
    "bills": Table(
        grain="bill",
        columns=(
            Column("bill_id", "string", "", required=True),
            Column("billed_at", "timestamp", "", required=True),
            Column("amount", "double", "", required=True),
            Column("quantity", "double", ""),
        ),
        key=("bill_id",),
    ),
    "users": Table(grain="user", columns=(Column("user_id", "string", "", True),), key=("user_id",), open=True),
}
SOURCES = {"csv": csv, "parquet": parquet}
GOOD = """
name = "boots"  # the shop
vertical = "footwear"
currency = "GBP"
time_zone = "Europe/London"
[tables.bills]
source = "csv"
location = "bills.csv"
options = { delimiter = ";", names = ["No", "Date", "Total"] }
[tables.bills.columns]
bill_id = "Receipt No"
billed_at = "Date"
amount = "Total"
[tables.users]
source = "parquet"
location = "package://lifetimes/datasets/users.parquet"
columns = { user_id = "Card", loyalty_tier = "Tier" }
[models.purchase_propensity]
horizon_days = 30
"""


def parse(text: str, models: Any = ("purchase_propensity",)) -> Customer:
    return parse_customer(text, "boots.toml", TABLES, SOURCES, models)  # type: ignore[arg-type]


def refused(text: str) -> str:
    with pytest.raises(CustomerError) as caught:
        parse(text)
    return str(caught.value)


def test_a_good_one() -> None:
    customer = parse(GOOD)
    assert (customer.name, customer.currency, customer.time_zone) == ("boots", "GBP", "Europe/London")
    assert customer.tables["bills"].options == {"delimiter": ";", "names": ["No", "Date", "Total"]}
    assert customer.tables["bills"].max_rejected_pct == 5
    assert customer.tables["users"].columns == {"user_id": "Card", "loyalty_tier": "Tier"}
    assert customer.models == {"purchase_propensity": {"horizon_days": 30}}
    named = {"psi", "k", "n", "cooldown_days", "age_days", "most_a_night", "cost"}
    assert customer.retraining.model_dump(include=named) == {
        "psi": 0.25,
        "k": 2,
        "n": 3,
        "cooldown_days": 7,
        "age_days": 365,
        "most_a_night": 10,
        "cost": None,
    }
    with pytest.raises(ValidationError):
        customer.name = "other"  # type: ignore[misc]


def test_a_bill_id_may_be_left_to_landing() -> None:
    assert "bill_id" not in parse(GOOD.replace('bill_id = "Receipt No"\n', "")).tables["bills"].columns


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "boots"', 'name = "../boots"', ["1. name.", "'../boots'", "at most 63 of a to z, 0 to 9, - and _"]),
        ('name = "boots"', 'name = "Boots"', ["1. name."]),
        ('name = "boots"  # the shop\n', "", ["1. name.", "Came: nothing"]),
        ('"GBP"', '"pounds"', ["1. currency.", "'pounds'"]),
        ('"GBP"', "7", ["1. currency.", "text in quotes"]),
        ('"Europe/London"', '"Europe/Londn"', ["1. time_zone.", "did you mean 'Europe/London'?"]),
        ("[tables.bills]", 'base = "data"\n[tables.bills]', ["1. base.", "absolute"]),
        ("[tables.bills]", 'nmae = "x"\n[tables.bills]', ["1. nmae is no key that is known.", "did you mean 'name'?"]),
        ("[tables.users]", "[tables.uzers]", ["1. tables.uzers.", "did you mean 'users'?"]),
        ('source = "csv"', 'source = "cvs"', ["1. tables.bills.source.", "did you mean 'csv'?"]),
        ("delimiter =", "delimeter =", ["1. tables.bills.options.delimeter is no", "did you mean 'delimiter'?"]),
        ('";"', '"||"', ["1. tables.bills.options.delimiter.", "'||'"]),
        ("options = {", 'options = { encoding = "klingon",', ["1. tables.bills.options.encoding.", "utf-8"]),
        ("options = {", 'options = { date_format = "DD.MM.YYYY",', ["options.date_format.", "'DD' is not a part"]),
        (
            'amount = "Total"',
            'amont = "Total"',
            [
                "1. tables.bills.columns.amont.",
                "did you mean 'amount'?",
                "2. tables.bills.columns.amount.",
                "Came: nothing",
            ],
        ),
        ('billed_at = "Date"\n', "", ["1. tables.bills.columns.billed_at.", "Came: nothing"]),
        ('amount = "Total"', "amount = 3", ["1. tables.bills.columns.amount.", "Came: 3"]),
        ('amount = "Total"', 'amount = " "', ["1. tables.bills.columns.amount."]),
        ("loyalty_tier =", "Loyalty =", ["1. tables.users.columns.Loyalty.", "loyalty_tier"]),
        ("loyalty_tier =", "source_row =", ["1. tables.users.columns.source_row."]),
        ('location = "bills.csv"', 'location = "ftp://x/y"', ["1. tables.bills.location.", "s3://bucket/key"]),
        ('location = "bills.csv"', 'location = "s3://x/../y"', ["1. tables.bills.location.", "without '..'"]),
        ('location = "bills.csv"', "", ["1. tables.bills.location.", "Came: nothing"]),
        (
            "[models.purchase_propensity]",
            "[models.purchase_propensty]",
            ["1. models.purchase_propensty.", "did you mean 'purchase_propensity'?"],
        ),
        ("[models.", "[retraining]\nk = 4\n[models.", ["1. retraining.", "k at most n, which is 3"]),
        ("[models.", "[retraining]\ncost = 40\n[models.", ["1. retraining.", "cost and gain_value together"]),
        ("[models.", '[retraining]\npsi = "0.5"\n[models.', ["1. retraining.psi.", "Came: '0.5'"]),
        (
            "[models.",
            "[retraining]\ncooldown = 5\n[models.",
            ["1. retraining.cooldown is no", "did you mean 'cooldown_days'?"],
        ),
        ('source = "csv"', 'source = "csv"\nmax_rejected_pct = 101', ["1. tables.bills.max_rejected_pct.", "101"]),
    ],
)
def test_what_can_be_wrong(old: str, new: str, words: list[str]) -> None:
    assert old in GOOD
    message = refused(GOOD.replace(old, new, 1))
    assert message.startswith("boots.toml has ")
    for word in words:
        assert word in message


def test_every_problem_is_reported_at_once() -> None:
    text = GOOD.replace('"GBP"', '"gbp"').replace('"Europe/London"', '"Mars"').replace('"csv"', '"cvs"')
    message = refused(text.replace("loyalty_tier", "Tier").replace("horizon_days", "[models.x]\nhorizon_days"))
    assert message.startswith("boots.toml has 5 problems.")
    for key in ("currency", "time_zone", "tables.bills.source", "tables.users.columns.Tier", "models.x"):
        assert f". {key}." in message


def test_models_are_checked_only_where_they_are_known() -> None:
    assert "x" in parse(GOOD + "[models.x]\n", models=None).models


@pytest.mark.parametrize("wrong", ['tables = 3\nname = "x"', "tables = { bills = 3 }", "[tables.bills]\ncolumns = []"])
def test_wrong_shapes(wrong: str) -> None:
    assert "tables" in refused(wrong)


def test_no_toml() -> None:
    assert "line 3, column" in refused('name = "x"\n\nvertical = \n')
    assert "line 2" in refused('name = "x"\nname = "y"\n')
    assert "The file is empty" in refused("  \n")


def test_reading_files(tmp_path: Path) -> None:
    file = tmp_path / "boots.toml"
    file.write_text("\ufeff" + GOOD, encoding="utf-8")
    customer = read_customer(file, TABLES, SOURCES)
    assert customer.base == str(tmp_path)
    assert customer.location("bills") == f"{tmp_path}/bills.csv"
    for content, words in (
        (b"\xff\xfe", "byte 0xff at place 0"),
        (b"#" * (1 << 20) + b"#", "too large"),
        (b"", "empty"),
    ):
        file.write_bytes(content)
        with pytest.raises(CustomerError, match=words):
            read_customer(file, TABLES, SOURCES)
    with pytest.raises(CustomerError, match="cannot be read"):
        read_customer(tmp_path / "none.toml", TABLES, SOURCES)
    with pytest.raises(CustomerError, match="cannot be read"):
        read_customer(tmp_path, TABLES, SOURCES)


@pytest.mark.parametrize(
    ("base", "location", "expected"),
    [
        ("/data", "in/*.csv", "/data/in/*.csv"),
        ("s3://bucket/boots/", "bills.csv", "s3://bucket/boots/bills.csv"),
        ("/data", "/other/bills.csv", "/other/bills.csv"),
        ("/data", "s3://bucket/a b.csv", "s3://bucket/a b.csv"),
    ],
)
def test_locations(base: str, location: str, expected: str) -> None:
    text = f'base = "{base}"\n' + GOOD.replace('"bills.csv"', f'"{location}"')
    assert parse(text).location("bills") == expected


def test_a_location_in_a_package() -> None:
    def of(location: str) -> str:
        return parse(GOOD.replace('"bills.csv"', f'"{location}"')).location("bills")

    assert of("package://pydantic/main.py") == pydantic.main.__file__
    with pytest.raises(SourceError, match="not installed"):
        of("package://no_such_package/data.csv")
    with pytest.raises(SourceError, match="no folder to start from"):
        of("bills.csv")


def test_onboarding_fills_in_the_base_and_keeps_the_rest() -> None:
    text = onboarded_text(GOOD, "/data/boots")
    assert tomllib.loads(text) == tomllib.loads(GOOD) | {"base": "/data/boots"}
    assert "# the shop" in text
    assert parse(text).location("bills") == "/data/boots/bills.csv"
    assert onboarded_text(text, "/elsewhere") == text


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("postgresql://ann:hunter2@db/crm", ["a location without credentials", "(not shown)@db/crm"]),
        ("postgresql://db/crm", ["s3://bucket/key"]),
        ("mailto:hunter2@db", []),
    ],
)
def test_a_location_with_credentials_is_refused_and_not_shown(location: str, words: list[str]) -> None:
    text = GOOD.replace('"bills.csv"', f'"{location}"')
    if not words:
        assert parse(text).tables["bills"].location == location
        return
    message = refused(text)
    assert "hunter2" not in message
    for word in words:
        assert word in message


def test_a_source_says_itself_which_locations_it_has() -> None:
    class Stores(ModuleType):
        Options = csv.Options

        @staticmethod
        def check_location(location: str) -> None:
            if location != "shop://here":
                raise SourceError("That is no shop", came=location)

    sources = SOURCES | {"csv": Stores("stores")}
    good = GOOD.replace('"bills.csv"', '"shop://here"')
    assert parse_customer(good, "boots.toml", TABLES, sources).location("bills") == "shop://here"
    with pytest.raises(CustomerError, match=r"1\. tables\.bills\.location\.\s+Expected: That is no shop"):
        parse_customer(good.replace("here", "there"), "boots.toml", TABLES, sources)


@pytest.mark.parametrize("location", ["sqlite:////home/lake/x.db", "/home/lake", "/home/*/boots", "s3://b/lake/x"])
def test_what_capflow_keeps_is_no_source(location: str) -> None:
    class Everywhere(ModuleType):
        Options = csv.Options
        check_location = staticmethod(str)

    text = GOOD.replace('"bills.csv"', f'"{location}"')
    customer = parse_customer(text, "boots.toml", TABLES, SOURCES | {"csv": Everywhere("all")})
    with pytest.raises(CustomerError, match="outside of what CapFlow keeps"):
        refuse_own_places(customer, "boots.toml", ["/home/lake", "s3://b/lake"])
    refuse_own_places(customer, "boots.toml", ["/elsewhere", "s3://c/lake"])
