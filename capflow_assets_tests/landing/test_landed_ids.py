"""Ids as they land, guests and ids that name nobody; and the erasure of ids that older versions landed unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from capflow_assets.customers.customer import parse_customer
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.erasure.erased_rows import UserRows
from capflow_assets.errors import CustomerError
from capflow_assets_doubles.landings import TABLES, Shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SIX = ("U1", "U1\t", "U1\u00a0", "\u3000U1", "\ufeffU1", "U1\u200b")
NOON = "2024-03-01 12:00:00"
BILLS = {"bill_id": "no", "user_id": "card", "billed_at": "time", "amount": "total", "store_id": "shop"}
HEAD = 'name = "shop"\nvertical = "fashion"\ncurrency = "EUR"\ntime_zone = "UTC"\nbase = "/in"\n'
TABLE = '[tables.bills]\nsource = "csv"\nlocation = "in.csv"\n[tables.bills.columns]\n' + "\n".join(
    f'{name} = "{column}"' for name, column in BILLS.items()
)


@pytest.fixture
def shop(tmp_path: Path, spark: SparkSession) -> Shop:
    return Shop(tmp_path, spark)


def sends_bills(shop: Shop, *users: str | None, store: str = "s") -> None:
    rows = ((f"b{n}\u00a0", user, NOON, 1, store) for n, user in enumerate(users))
    shop.sends("bills", ("no", "card", "time", "total", "shop"), rows)


def test_six_spellings_are_one_user(shop: Shop) -> None:
    sends_bills(shop, *SIX, "Rene\u0301", "Ren\u00e9", "007", "\u200b", store="\u3000s\u200b")
    assert shop.landed("bills", columns=BILLS).counts == {"came": 10}
    rows = shop.rows("raw/bills")
    assert [row["user_id"] for row in rows] == ["U1"] * 6 + ["Ren\u00e9"] * 2 + ["007", None]
    assert {row["store_id"] for row in rows} == {"s"}
    assert [row["bill_id"] for row in rows] == [f"b{n}" for n in range(10)]
    assert set(rows[0]) == set(TABLES["bills"].names)
    # Landing the same again changes nothing.
    files = shop.files()
    shop.landed("bills", columns=BILLS)
    assert shop.files() == files


def test_blank_keys_are_rejected_and_attributes_stay_as_they_come(shop: Shop) -> None:
    shop.sends("items", ("id", "name"), [("pen\u00a0", " A pen\u00a0"), ("\u3000", "nothing")])
    result = shop.landed("items", columns={"item_id": "id", "name": "name"})
    assert result.counts == {"came": 2, "rejected": 1}
    assert [(row["item_id"], row["name"]) for row in shop.rows("raw/items")] == [("pen", " A pen\u00a0")]
    assert shop.rows("raw/items_rejected")[0]["rejected_because"] == "item_id is empty"


def lands(shop: Shop, table: str, columns: dict[str, str], words: list[str], most: float = 5) -> object:
    """Land a table of a customer with ``not_a_user``."""
    import tomlkit

    from capflow_assets.tables.runner import TableRunner

    of_table = {"source": "csv", "location": f"{table}.csv", "max_rejected_pct": most, "columns": columns}
    head = {"name": "shop", "vertical": "x", "currency": "EUR", "time_zone": "UTC", "base": str(shop.folder)}
    text = tomlkit.dumps(head | {"not_a_user": words, "tables": {table: of_table}})
    customer = parse_customer(text, "shop.toml", TABLES, SOURCES)
    (result,) = TableRunner(shop.lake, STAGES, SOURCES, customer, frozenset({f"raw/{table}"})).run()
    return result


def test_those_who_are_no_users_are_nobody_on_bills(shop: Shop) -> None:
    sends_bills(shop, "0", "GUEST\u00a0", "guest", "00", "GA\u0308ST", "ann")
    result = lands(shop, "bills", BILLS, ["0", " GUEST", "G\u00c4ST"])
    assert (result.status, result.counts) == ("done", {"came": 6})
    assert [row["user_id"] for row in shop.rows("raw/bills")] == [None, None, "guest", "00", None, "ann"]


def test_guests_of_a_list_of_users_are_no_broken_rows(shop: Shop) -> None:
    rows = [("ann", "Rome"), ("", "Oslo"), ("\u00a0", "Bern"), ("GUEST", "Bonn"), ("bob", "Pisa")]
    shop.sends("users", ("id", "city"), rows)
    result = lands(shop, "users", {"user_id": "id", "city": "city"}, ["GUEST"], most=0)
    assert (result.status, result.counts) == ("done", {"came": 5, "guests": 3})
    assert [row["user_id"] for row in shop.rows("raw/users")] == ["ann", "bob"]
    aside = shop.rows("raw/users_rejected")
    assert {row["rejected_because"] for row in aside} == {"guest: no user stands on the row"}
    assert len(aside) == 3
    (landed,) = (finding for _, finding in result.findings if finding.check == "landed")
    assert landed.passed
    assert "3 are guests" in landed.message


def test_broken_rows_are_reported_beside_guests_and_count(shop: Shop) -> None:
    shop.sends("users", ("id", "joined"), [("ann", NOON), ("", NOON), ("bob", "soon"), ("cem", NOON)])
    columns = {"user_id": "id", "joined_at": "joined"}
    result = lands(shop, "users", columns, [], most=25)
    assert result.counts == {"came": 4, "rejected": 1, "guests": 1}
    assert "1 of 4 rows of users were rejected (25.0 %)" in lands(shop, "users", columns, [], most=24).reason


def test_a_list_of_guests_alone_is_a_wrong_column(shop: Shop) -> None:
    shop.sends("users", ("id", "city"), [("", "Rome"), (" ", "Oslo")])
    result = lands(shop, "users", {"user_id": "id", "city": "city"}, [])
    assert result.status == "failed"
    assert "None of 2 rows of users has a user" in result.reason
    assert shop.rows("raw/users") == []


def test_a_message_to_nobody_is_broken_and_one_to_a_guest_is_none(shop: Shop) -> None:
    shop.sends("messages", ("campaign", "user"), [("c1", "ann"), ("c1", ""), ("c1", "0")])
    result = lands(shop, "messages", {"campaign_id": "campaign", "user_id": "user"}, ["0"], most=40)
    assert result.counts == {"came": 3, "rejected": 1, "guests": 1}


def test_what_older_versions_landed_is_forgotten_in_every_spelling(shop: Shop) -> None:
    """Tables as they were written before ids had a normal form: all six are U1's, and no more than those."""
    users = [*SIX, "U10", "u1", "Rene\u0301", None, "\u00a0"]
    rows = {"bill_id": [f"b{n}\u00a0" for n in range(len(users))], "user_id": users}
    write_deltalake(shop.lake.path("shop", "raw/bills"), pa.table(rows))
    lines = {"bill_id": ["b0", "b9", "\u3000b1"], "user_id": [None, None, "\u200b"], "item_id": ["pen"] * 3}
    write_deltalake(shop.lake.path("shop", "raw/line_items"), pa.table(lines))
    held = UserRows(shop.lake, STAGES, parse_customer(HEAD + TABLE, "shop.toml", TABLES, SOURCES))
    traces = held.traces("U1")
    assert (traces.is_known, traces.bills) == (True, {f"b{n}" for n in range(6)})
    assert held.delete(traces, of_nobody=True) == {"raw/line_items": 2}
    assert held.delete(traces, of_nobody=False) == {"raw/bills": 6}
    assert {row["user_id"] for row in shop.rows("raw/bills")} == {"U10", "u1", "Rene\u0301", None, "\u00a0"}
    assert [row["bill_id"] for row in shop.rows("raw/line_items")] == ["b9"]
    assert held.delete(held.traces("Ren\u00e9"), of_nobody=False) == {"raw/bills": 1}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ('not_a_user = ["0", " "]', "what is blank is no user anyway"),
        ('not_a_user = "0"', 'a list, such as ["one", "two"]'),
        ("not_a_user = [0]", "not_a_user"),
    ],
)
def test_what_not_a_user_may_be(given: str, said: str) -> None:
    with pytest.raises(CustomerError) as problem:
        parse_customer(f"{given}\n{HEAD}{TABLE}", "shop.toml", TABLES, SOURCES)
    assert said in str(problem.value)
    assert "not_a_user" in str(problem.value)
