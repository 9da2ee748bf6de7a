"""Bills' ids of several parts: what they are on both engines, what a TOML may say, and that bills and lines meet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tomlkit

from capflow_assets.customers.customer import parse_customer
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.erasure.erased_rows import UserRows
from capflow_assets.errors import CustomerError, MappingError
from capflow_assets.landing.canonical_rows import conform
from capflow_assets.raw.bills import TABLE as BILLS
from capflow_assets_doubles.landings import TABLES, Shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SCHEMA = "time string, store string, receipt string, card string, total double, till int"
MAPPING = {"bill_id": "receipt", "user_id": "card", "store_id": "store", "billed_at": "time", "amount": "total"}
HEAD = {"name": "shop", "vertical": "fashion", "currency": "EUR", "time_zone": "UTC"}


def ids(session: SparkSession, rows: list[tuple[Any, ...]], key: list[str], **how: Any) -> list[tuple[Any, Any]]:
    """Each row's id and why it is rejected, in the order of the amounts."""
    how = {"mapping": MAPPING, "zone": "UTC", **how}
    landed = conform(session.createDataFrame(rows, SCHEMA), BILLS, bill_key=key, **how).orderBy("amount")
    return [(row.bill_id, row.rejected_because) for row in landed.collect()]


@pytest.fixture(params=["spark", "jvm"])
def engine(request: pytest.FixtureRequest) -> SparkSession:
    session: SparkSession = request.getfixturevalue(request.param)
    return session


def test_an_id_is_made_of_its_parts(engine: SparkSession) -> None:
    """The day is the customer's: 23:30 in UTC is the next one in Berlin. No list of parts makes another's id."""
    rows = [
        ("2024-03-01 09:00:00", "A", "1", "c1", 1.0, 7),
        ("2024-03-01T23:30:00Z", " B ", "1 ", None, 2.0, 7),
        ("2024-03-01 09:00:00", None, "1", "c1", 3.0, 7),
        ("2024-03-01 09:00:00", "A|B", "1", "c1", 4.0, 7),
        ("2024-03-01 09:00:00", "A\\", "|1", "c1", 5.0, 7),
        ("2024-03-01 09:00:00", "A", " ", "c1", 6.0, 7),
        ("soon", "A", "1", "c1", 7.0, None),
    ]
    no_number = "bill_id: parts of its bill_key are empty: bill"
    no_day = (
        "bill_id: parts of its bill_key are empty: day; "
        "billed_at: 'soon' is not a timestamp written as yyyy-MM-dd HH:mm:ss, years 1900 to 2199"
    )
    assert ids(engine, rows, ["store", "day", "bill"], zone="Europe/Berlin") == [
        ("A|2024-03-01|1", None),
        ("B|2024-03-02|1", None),
        ("|2024-03-01|1", None),
        ("A\\|B|2024-03-01|1", None),
        ("A\\\\|2024-03-01|\\|1", None),
        (None, no_number),
        (None, no_day),
    ]
    unnumbered = {name: text for name, text in MAPPING.items() if name != "bill_id"}
    assert ids(engine, rows, ["till", "user", "billed_at"], mapping=unnumbered)[:2] == [
        ("7|c1|2024-03-01 09:00:00", None),
        ("7||2024-03-01 23:30:00", None),
    ]


def test_a_part_that_is_no_column_is_named_with_the_nearest(spark: SparkSession) -> None:
    with pytest.raises(MappingError, match=r"(?s)'stoer'.*Where: \[tables.bills\].*did you mean 'store'"):
        ids(spark, [], ["stoer", "bill"], name="[tables.bills]")


def read(**tables: Any) -> Any:
    """The customer of bills and line items that say so much of their keys."""
    line_items = {"bill_id": "receipt", "item_id": "item", "quantity": "pieces", "amount": "total", "store_id": "store"}
    columns = {"bills": MAPPING, "line_items": line_items}
    declared = {}
    for name, given in tables.items():
        declared[name] = {
            "source": "csv",
            "location": "in.csv",
            "columns": columns.get(name, {"user_id": "card"}),
        } | given
    return parse_customer(tomlkit.dumps(HEAD | {"tables": declared}), "shop.toml", TABLES, SOURCES)


def test_a_key_is_read_with_every_problem_at_once() -> None:
    key = ["store", "bill"]
    read(bills={"bill_key": key}, line_items={"bill_key": key})
    read(line_items={"bill_key": ["till", "bill"]})
    with pytest.raises(CustomerError) as refused:
        read(bills={"bill_key": ["store", "day", "amount"]}, line_items={"bill_key": ["user", "day", "bill", "bill"]})
    for words in (
        "has 5 problems",
        "tables.bills.bill_key.\n     Expected: parts that are ids, texts or times\n     Came: 'amount'",
        "Came: 'user'\n     To do: map user_id",
        "parts whose columns are mapped: bill, store, item_id",
        "Came: 'day'\n     To do: map billed_at",
        "Expected: each part once",
        "Came: 3 parts instead of 4",
    ):
        assert words in str(refused.value)
    with pytest.raises(CustomerError, match=r'(?s)tables.bills.bill_key.*nothing.*bill_key = \["store", "bill"\]'):
        read(bills={}, line_items={"bill_key": key})
    with pytest.raises(CustomerError, match="rows of this table stand on no bill"):
        read(users={"bill_key": ["user"]})


def test_a_bill_needs_an_amount_or_lines_that_have_one() -> None:
    columns = {name: text for name, text in MAPPING.items() if name != "amount"}
    read(bills={"columns": columns}, line_items={})
    with pytest.raises(CustomerError, match=r"(?s)tables.bills.columns.amount.*\[tables.line_items\].*map it"):
        read(bills={"columns": columns})


def test_newer_rows_replace_those_of_the_same_made_id(tmp_path: Path, spark: SparkSession) -> None:
    """Bill 1 of store A is corrected; bill 1 of store B, which landed before, stays."""
    shop = Shop(tmp_path, spark)
    how = {"columns": MAPPING, "watermark": "at", "bill_key": ["store", "day", "bill"]}
    names = ("time", "store", "receipt", "card", "total", "at")
    first = [("2024-03-01 09:00:00", store, "1", "c1", total, 1) for store, total in (("A", 5), ("B", 7))]
    shop.sends("bills", names, first)
    assert shop.landed("bills", **how).how == "everything, since nothing had landed"
    shop.sends("bills", names, [*first, ("2024-03-01 09:30:00", "A", "1", "c1", 6, 2)])
    assert shop.landed("bills", **how).how.startswith("rows since")
    assert {row["bill_id"]: row["amount"] for row in shop.rows("raw/bills")} == {
        "A|2024-03-01|1": 6.0,
        "B|2024-03-01|1": 7.0,
    }
    other = how | {"bill_key": ["store", "bill"]}
    assert "in another way than before" in shop.landed("bills", **other).how


def test_a_personal_part_makes_the_whole_id_a_hash(tmp_path: Path, spark: SparkSession) -> None:
    shop = Shop(tmp_path, spark)
    columns = {"item_id": "item", "quantity": "pieces", "amount": "total", "item_name": "mail", "billed_at": "time"}
    shop.sends(
        "line_items", ("time", "mail", "item", "pieces", "total"), [("2024-03-01 09:00", "a@b.example", "x", 1, 2)]
    )
    shop.landed("line_items", columns=columns, bill_key=["mail", "day"], personal=["item_name"])
    (row,) = shop.rows("raw/line_items")
    assert len(row["bill_id"]) == 64
    assert "a@b.example" not in str(row)


def test_a_rejected_row_without_a_user_on_a_forgotten_users_bill_is_found_by_its_generated_id(
    tmp_path: Path, spark: SparkSession
) -> None:
    """Bill 1 of store A is the user's, that of store B on the same day is another's: only the former's row goes."""
    shop = Shop(tmp_path, spark)
    key = {"bill_key": ["store", "day", "bill"]}
    names = ("time", "store", "receipt", "card", "total")
    rows = [("01.03.2024", "A", "1", "c1", 5), ("01.03.2024", "A", "1", "", "x"), ("01.03.2024", "B", "1", "", "y")]
    shop.sends("bills", names, rows)
    how = {"options": {"date_format": "dd.MM.yyyy"}, **key}
    assert shop.landed("bills", columns=MAPPING, **how).counts == {"came": 3, "rejected": 2}
    users = UserRows(shop.lake, STAGES, read(bills=how).model_copy(update={"base": str(tmp_path)}))
    traces = users.traces("c1")
    assert traces.bills == {"A|2024-03-01|1"}
    assert users.delete(traces, of_nobody=True) == {"raw/bills_rejected": 1}
    (left,) = shop.rows("raw/bills_rejected")
    assert '"total":"y"' in left["source_row"]
