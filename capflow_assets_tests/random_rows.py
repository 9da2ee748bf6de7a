"""Rows of raw tables by chance, odd ones among them, and rows as text to compare."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Column, Table

if TYPE_CHECKING:
    import pyarrow as pa

AS_OF = datetime(2024, 11, 15, 22, 59, 59, tzinfo=UTC)
USERS = ["ana", " ana", "Ünal", "漢字", "😀", "o'hara", "ΣΊΣΥΦΟΣ", "", " ", None, *(f"u{n}" for n in range(40))]
# Around both changes of the clock in Madrid, the leap day, new year and midnight.
TURNS = [
    datetime(2024, 3, 30, 22, 30, tzinfo=UTC),
    datetime(2024, 3, 31, 0, 59, 59, 999999, tzinfo=UTC),
    datetime(2024, 3, 31, 1, 0, tzinfo=UTC),
    datetime(2024, 10, 27, 0, 30, tzinfo=UTC),
    datetime(2024, 10, 27, 1, 30, tzinfo=UTC),
    datetime(2024, 2, 28, 23, 0, tzinfo=UTC),
    datetime(2024, 2, 29, 22, 59, 59, tzinfo=UTC),
    datetime(2023, 12, 31, 23, 0, tzinfo=UTC),
    AS_OF,
    AS_OF + timedelta(microseconds=1),
]


def moment(random: Random) -> datetime:
    if random.random() < 0.2:
        return random.choice(TURNS)
    return datetime(2023, 9, 1, tzinfo=UTC) + timedelta(minutes=random.randrange(640_000))


def amount(random: Random) -> float | None:
    """Amounts with ties, returns, zeros, four decimals, halves of a cent and numbers that are none."""
    common: list[float | None] = [0.0, -0.0, 0.1, 0.2, 0.3, 0.125, 2.675, 1.005, 1e6, float("nan"), float("inf"), None]
    if random.random() < 0.4:
        return random.choice(common)
    return round(random.uniform(-20, 100), random.choice([0, 1, 2, 4]))


def raw_bills(random: Random) -> list[dict[str, Any]]:
    rows = [
        {
            "bill_id": random.choice([f"b{n}", f" b{n} "]) if random.random() < 0.98 else random.choice(["", None]),
            "user_id": random.choice(USERS),
            "store_id": random.choice(["s1", "s2", " s2", "", None]),
            "billed_at": moment(random) if random.random() < 0.98 else None,
            "amount": amount(random),
            "discount": random.choice([None, 0.0, 0.5, 1.25]),
            "quantity": random.choice([None, 1.0, 2.5, -1.0]),
        }
        for n in range(400)
    ]
    doubles = [dict(random.choice(rows)) for _ in range(40)]
    corrected = [{**random.choice(rows), "amount": 7.0, "billed_at": moment(random)} for _ in range(40)]
    return rows + doubles + corrected


def raw_line_items(random: Random) -> list[dict[str, Any]]:
    rows = [
        {
            "bill_id": f"b{random.randrange(420)}",
            "item_id": random.choice(["tea", " tea", "ñandú", "i1", "i2", "ghost", "", None]),
            "user_id": random.choice(USERS) if random.random() < 0.3 else None,
            "store_id": random.choice(["s1", None]),
            "billed_at": moment(random) if random.random() < 0.5 else None,
            "quantity": random.choice([0.0, 1.0, 2.0, -1.0, 0.333, None]),
            "amount": amount(random),
            "discount": random.choice([None, 0.0, 0.1]),
        }
        for _ in range(900)
    ]
    return rows + [dict(random.choice(rows)) for _ in range(60)]


def value_of(column: Column, random: Random) -> Any:
    """Any value that fits a column: for tables of which nothing more is known here."""
    if not column.required and random.random() < 0.2:
        return None
    kinds: dict[str, Any] = {
        "string": random.choice(["x", "Ünal", "漢字", " y "]) if column.name != "user_id" else random.choice(USERS),
        "double": random.choice([0.0, 1.5, 2.25]),
        "boolean": random.random() < 0.5,
        "timestamp": moment(random),
        "int": random.randrange(5),
        "bigint": random.randrange(5),
        "date": moment(random).date(),
    }
    return kinds[column.type]


def raw_rows(name: str, table: Table) -> list[dict[str, Any]]:
    random = Random(f"parity of {name}")
    if name == "bills":
        return raw_bills(random)
    if name == "line_items":
        return raw_line_items(random)
    rows = [{column.name: value_of(column, random) for column in table.columns} for _ in range(60)]
    if name == "items":
        rows = [{**row, "item_id": random.choice(["tea", " tea", "i1", "i2", "ñandú", None])} for row in rows]
        # One at least is surely an item, of a category, whatever chance says of the others.
        rows = [{**row, "is_item": True, "category": "x"} if row["item_id"] == "i2" else row for row in rows]
    if name == "media":
        rows = [{**row, "kind": random.choice(["image", "audio", "text", "other"])} for row in rows]
    return rows


def ordered(table: pa.Table) -> list[str]:
    """The rows as text: so that nulls and NaN sort, -0.0 differs from 0.0, and a difference can be read."""
    return sorted(repr(tuple(row.values())) for row in table.to_pylist())
