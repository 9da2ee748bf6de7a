"""Rows that a program keeps and calls deleted are left out by a draft, of bills and of lines."""

from __future__ import annotations

import sqlite3
import tomllib
from contextlib import closing
from pathlib import Path

import pytest

from capflow_assets.drafting.deletions import kept_rows
from capflow_assets.drafting.draft import draft
from capflow_assets.drafting.meanings import Meanings
from capflow_assets.drafting.samples import Sample

MOMENT = 1_704_100_000_000


def shop(file: Path) -> None:
    """Write 60 orders of two lines in a database: one order and one line in ten are deleted, some are cancelled."""
    with closing(sqlite3.connect(file)) as database, database:
        database.execute('create table "order" (id, customer_id, placed_at, status, total_cents, deleted_at)')
        database.execute(
            "create table order_line (id, order_id, product_id, quantity, unit_price_cents, discount_cents, deleted_at)"
        )
        for order in range(60):
            at = MOMENT + order * 86_400_000
            status, deleted = ("cancelled" if order % 7 == 0 else "paid"), (at if order % 10 == 3 else None)
            database.execute('insert into "order" values (?, ?, ?, ?, 700, ?)', (order, order % 9, at, status, deleted))
            lines = [(2 * order + place, order, order % 5 + place, 2, 200, 50) for place in range(2)]
            database.executemany("insert into order_line values (?, ?, ?, ?, ?, ?, null)", lines)
            database.execute("insert into order_line values (?, ?, 1, 1, 999, 0, ?)", (1000 + order, order, at))


def test_rows_that_are_marked_as_deleted_are_left_out_and_cents_are_hundredths(tmp_path):
    shop(tmp_path / "shop.db")
    tables = tomllib.loads(draft([str(tmp_path / "shop.db")], tmp_path, {}).text)["tables"]
    bills, lines = tables["bills"], tables["line_items"]
    assert bills["where"] == "coalesce(status, '') not in ('cancelled') and deleted_at is null"
    assert bills["columns"]["amount"] == "total_cents / 100"
    assert lines["where"] == "deleted_at is null"
    assert lines["columns"]["amount"] == "(unit_price_cents * quantity - coalesce(discount_cents, 0)) / 100"
    assert lines["columns"]["discount"] == "discount_cents / 100"
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database:
        for name, origin in lines["inputs"].items():
            database.execute(f'create temp view {name} as select * from "{origin["options"]["table"]}"')
        rows = database.execute(f"select * from ({lines['query']}) where {lines['where']}").fetchall()
    assert {row[1] for row in rows} == {order for order in range(60) if order % 7 and order % 10 != 3}
    assert {row[6] for row in rows} == {None}


@pytest.mark.parametrize(
    ("name", "values", "condition"),
    [
        ("Deleted At", ("2024-01-02 10:00:00", None, None), "`Deleted At` is null"),
        ("is_deleted", (1, 0, 0), "coalesce(is_deleted, 0) = 0"),
        ("_fivetran_deleted", (True, False, False), "not coalesce(_fivetran_deleted, false)"),
        ("deleted", ("Yes", "No", "No"), "coalesce(lower(deleted), '') not in ("),
        ("deleted_at", (None, None, None), ""),
        ("is_deleted", (0, 0, 0), ""),
        ("deleted_by", ("ann", None, None), ""),
    ],
)
def test_a_mark_is_a_time_or_a_flag_that_some_rows_have(name, values, condition):
    sample = Sample("orders", "csv", "", ("id", name), tuple(enumerate(values)))
    guess = kept_rows(Meanings(sample))
    assert (guess.value if guess else "").startswith(condition)
    assert bool(guess) == bool(condition)
