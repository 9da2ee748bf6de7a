"""Drafts of what is no text: workbooks of several sheets, Parquet of a real shop, a database without keys."""

from __future__ import annotations

import sqlite3
import tomllib
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter

from capflow_assets.drafting.draft import draft
from capflow_assets_doubles.sql_servers import PASSWORD, PASSWORD_ENV, READER, Server, postgres

RETAIL = Path(__file__).parents[3] / "shared" / "data" / "online_retail.parquet"
DAYS = [datetime(2024, 1, day) for day in range(1, 29)]  # noqa: DTZ001  (of a file without zones)


def tables(*places: Path) -> dict[str, dict]:
    proposal = draft([str(place) for place in places], places[0].parent, {})
    return tomllib.loads(proposal.text)["tables"]


def test_the_sheets_of_a_workbook_are_tables_below_their_banners(tmp_path):
    with xlsxwriter.Workbook(tmp_path / "shop.xlsx", {"default_date_format": "yyyy-mm-dd"}) as book:
        sales, people = book.add_worksheet("Sales"), book.add_worksheet("People")
        sales.write(0, 0, "Sales of the year")
        sales.write_row(2, 0, ["Invoice No", "Customer No", "Invoice Date", "Product No", "Qty", "Line Total"])
        for place in range(60):
            sales.write_row(3 + place, 0, [f"I{place // 3}", f"C{place // 3 % 5}"])
            sales.write_datetime(3 + place, 2, datetime(2024, 1, 1 + place // 3))  # noqa: DTZ001  (cells have no zone)
            sales.write_row(3 + place, 3, [f"P{place % 7}", 2, 12.5])
        sales.write(63, 5, 750)
        people.write_row(0, 0, ["Customer No", "City", "Full Name"])
        for place in range(5):
            people.write_row(1 + place, 0, [f"C{place}", "Oslo", "Ann Example"])
    drafted = tables(tmp_path / "shop.xlsx")
    assert drafted["line_items"]["options"] == {"sheet": "Sales", "header_row": 3, "skip_last": 1}
    assert drafted["line_items"]["columns"] == {
        "bill_id": "Invoice No",
        "item_id": "Product No",
        "user_id": "Customer No",
        "billed_at": "Invoice Date",
        "quantity": "Qty",
        "amount": "Line Total",
    }
    assert drafted["users"]["options"] == {"sheet": "People"}
    assert drafted["users"]["columns"] == {"user_id": "Customer No", "city": "City"}


@pytest.mark.parametrize("last", [["Summe / Total", "", "", "", "", 750], []])
def test_a_sheet_a_month_of_the_same_columns_is_one_table(last, tmp_path):
    with xlsxwriter.Workbook(tmp_path / "shop.xlsx", {"default_date_format": "yyyy-mm-dd"}) as book:
        for month in (1, 2, 3):
            sheet = book.add_worksheet(f"Month {month}")
            sheet.write_row(0, 0, ["Invoice No", "Customer No", "Invoice Date", "Product No", "Qty", "Line Total"])
            for place in range(30):
                sheet.write_row(1 + place, 0, [f"I{month}{place // 3}", f"C{place // 3 % 5}"])
                sheet.write_datetime(1 + place, 2, datetime(2024, month, 1 + place // 3))  # noqa: DTZ001
                sheet.write_row(1 + place, 3, [f"P{place % 7}", 2, 12.5])
            sheet.write_row(31, 0, last if month == 3 else ["Total", "", "", "", "", 750])
    proposal = draft([str(tmp_path)], tmp_path, {})
    drafted = tomllib.loads(proposal.text)["tables"]["line_items"]
    assert drafted["options"] == {"sheet": "*", **({"skip_last": 1} if last else {})}
    assert not any("as well as" in question for question in proposal.questions)


def test_sheets_of_the_same_columns_beside_others_are_one_table_by_their_names(tmp_path):
    with xlsxwriter.Workbook(tmp_path / "shop.xlsx") as book:
        for city in ("Oslo", "Bergen"):
            sheet = book.add_worksheet(city)
            sheet.write_row(0, 0, ["Belegnr.", "Kunden-Nr.", "Datum", "Art.-Nr.", "Menge", "Betrag"])
            for n in range(30):
                sheet.write_row(
                    1 + n, 0, [f"{city}{n // 3}", f"C{n % 5}", f"2024-01-{1 + n // 3:02}", f"P{n % 7}", 2, 12.5]
                )
        legend = book.add_worksheet("Legende")
        legend.write_row(0, 0, ["Wort", "Sinn"])
        legend.write_row(1, 0, ["Menge", "Anzahl"])
    lines = tables(tmp_path / "shop.xlsx")["line_items"]
    assert lines["options"] == {"sheet": ["Oslo", "Bergen"]}
    assert lines["columns"]["item_id"] == "Art.-Nr."


def test_an_array_in_parquet_is_a_table_of_lines_by_a_query(tmp_path):
    orders = [
        {"order_id": f"O{place}", "customer": {"id": f"C{place % 7}"}, "ordered_at": DAYS[place % 28],
         "lines": [{"sku": f"P{place % 5}", "qty": 2, "line_total": Decimal("12.50")}], "total": Decimal("12.50")}
        for place in range(60)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(orders), tmp_path / "orders.parquet")
    drafted = tables(tmp_path / "orders.parquet")
    assert drafted["bills"]["columns"] == {
        "bill_id": "order_id", "user_id": "customer.id", "billed_at": "ordered_at", "amount": "total",
    }  # fmt: skip
    lines = drafted["line_items"]
    assert lines["query"].splitlines() == [
        "select order_id, customer, ordered_at, total, explode(lines) as lines", "from records",
    ]  # fmt: skip
    assert lines["columns"] == {
        "bill_id": "order_id", "item_id": "lines.sku", "quantity": "lines.qty", "amount": "lines.line_total",
    }  # fmt: skip


def test_a_database_without_keys_is_joined_by_its_columns(tmp_path):
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database, database:
        database.execute("create table sales_head (sale_id, client_id, sale_date)")
        database.execute("create table sales_lines (sale_id, article_id, quantity, price)")
        for sale in range(40):
            database.execute("insert into sales_head values (?, ?, ?)", (sale, sale % 7, f"2024-01-{1 + sale % 28:02}"))
            database.executemany("insert into sales_lines values (?, ?, 2, 1.5)", [(sale, 1), (sale, sale % 5 + 2)])
    drafted = tables(tmp_path / "shop.db")
    assert drafted["bills"]["columns"] == {"bill_id": "sale_id", "user_id": "client_id", "billed_at": "sale_date"}
    assert drafted["line_items"]["columns"] == {
        "bill_id": "sale_id", "item_id": "article_id", "quantity": "quantity", "amount": "price * quantity",
    }  # fmt: skip


@pytest.mark.skipif(not RETAIL.exists(), reason="the real data is not here")
def test_online_retail_is_drafted_as_a_person_wrote_it(tmp_path):
    (tmp_path / "online_retail.parquet").symlink_to(RETAIL)
    drafted = tables(tmp_path / "online_retail.parquet")
    assert drafted["line_items"]["columns"] == {
        "bill_id": "InvoiceNo",
        "item_id": "StockCode",
        "item_name": "Description",
        "user_id": "regexp_replace(CustomerID, '[.]0$', '')",
        "billed_at": "InvoiceDate",
        "quantity": "Quantity",
        "amount": "UnitPrice * Quantity",
    }
    assert drafted["items"]["columns"] == {"item_id": "StockCode", "name": "Description"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch, postgres() as database:
        patch.setenv(PASSWORD_ENV, PASSWORD)
        yield database


def test_a_postgresql_is_drafted_without_its_partitions_with_its_schemas_and_by_an_enum_called_state(server):
    server.run(
        "create schema crm",
        "create type state as enum ('new', 'paid', 'cancelled')",
        "create table crm.customers (id int primary key, country text, created_at timestamptz)",
        """create table orders (id int, customer_id int, state state, "placedAt" timestamptz, total money)
           partition by range (id)""",
        "create table orders_old partition of orders for values from (0) to (30)",
        "create table orders_new partition of orders for values from (30) to (1000)",
        "create table order_items (order_id int, product_id int, quantity int, price money)",
        "insert into crm.customers select i, 'NO', timestamptz '2024-01-01 00:00Z' from generate_series(0, 6) i",
        """insert into orders select i, i % 7, (case when i % 5 = 0 then 'cancelled' else 'paid' end)::state,
           timestamptz '2024-01-01 00:00Z' + i * interval '1 day', 20 from generate_series(0, 99) i""",
        "insert into order_items select i % 100, i % 9, 2, 5 from generate_series(0, 199) i",
    )
    proposal = draft([server.location()], None, {}, READER, PASSWORD_ENV)
    drafted = tomllib.loads(proposal.text)["tables"]
    assert not any("orders_" in line for line in (*proposal.questions, *proposal.text.splitlines()))
    assert drafted["users"]["options"]["table"] == "crm.customers"
    assert drafted["bills"]["where"] == "coalesce(state, '') not in ('cancelled')"
    assert drafted["line_items"]["inputs"]["heads"]["options"]["table"] == "orders"
    assert "where coalesce(head.state, '') not in ('cancelled')" in drafted["line_items"]["query"]
