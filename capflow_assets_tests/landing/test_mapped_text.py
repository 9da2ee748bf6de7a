"""Text where an expression asks for a number, a truth or a time: it is converted, or its row is rejected."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.contract import Column, Table
from capflow_assets.landing import row_expressions
from capflow_assets.landing.canonical_rows import conform
from capflow_assets.landing.number_formats import NumberFormat
from capflow_assets.landing.row_expressions.kinds import Meaning
from capflow_assets_doubles.landings import Shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LINES = ["No", "Item", "Pieces", "Unit price", "Card"]
ROWS: list[tuple[str, str | None, str | None, str | None, str | None]] = [
    ("1", "2", " 1.50 ", "a,5,c", "yes"),
    ("2", "n/a", "2", "7", "no"),
    ("3", None, "2.5", "x,oops", "maybe"),
    ("4", "0", "1d", "", None),
]
SCHEMA = "i string, p string, u string, l string, g string, b int"


# A JVM takes a minute to make code of so much at once.
@pytest.fixture(params=["spark", pytest.param("jvm", marks=pytest.mark.long)])
def engine(request: pytest.FixtureRequest) -> SparkSession:
    session: SparkSession = request.getfixturevalue(request.param)
    return session


def landed(session: SparkSession, mapping: dict[str, tuple[str, str]], **how: Any) -> dict[str, list[Any]]:
    """The values of each text (of a type), in the order of the rows; where a row is rejected for it, the reason."""
    values: dict[str, list[Any]] = {name: [] for name in mapping}
    table = Table("row", tuple(Column(name, to, "") for name, (_, to) in mapping.items()))
    frame = session.createDataFrame([(*row, int(row[0])) for row in ROWS], SCHEMA)
    texts = {name: text for name, (text, _) in mapping.items()}
    for row in conform(frame.coalesce(1), table, texts, zone="UTC", **how).collect():
        reasons = dict(reason.split(": ", 1) for reason in (row.rejected_because or "").split("; ") if reason)
        for name in mapping:
            values[name].append(reasons.get(name, row[name]))
    return values


NOT_A_NUMBER = "'n/a' is not a number"


def test_text_is_coerced_and_what_cannot_be_read_is_reported(engine: SparkSession) -> None:
    cases: dict[str, tuple[str, str, list[Any]]] = {
        "product": ("2 * p", "double", [4.0, NOT_A_NUMBER, None, 0.0]),
        "of_two": ("`u` * `p`", "double", [3.0, NOT_A_NUMBER, None, "'1d' is not a number"]),
        "rounded": ("round(u + 1, 1)", "double", [2.5, 3.0, 3.5, "'1d' is not a number"]),
        "by_nothing": ("b / p", "double", [0.5, NOT_A_NUMBER, None, None]),
        "negated": ("-p", "double", [-2.0, NOT_A_NUMBER, None, 0.0]),
        "compared": ("p >= 1", "boolean", [True, NOT_A_NUMBER, None, False]),
        "as_double": ("cast(p as double)", "double", [2.0, NOT_A_NUMBER, None, 0.0]),
        "as_int": ("p::int + 1", "int", [3, "'n/a' is not a whole number", None, 1]),
        "as_day": ("cast(p as date)", "date", ["'2' is not a day", "'n/a' is not a day", None, "'0' is not a day"]),
        "truth": ("g and true", "boolean", [True, False, "'maybe' is not true or false", None]),
        "of_a_list": ("split(l, ',')[1] * 2", "double", [10.0, None, "'oops' is not a number", None]),
        # What is written for the case is what is meant.
        "tried": ("try_cast(p as double)", "double", [2.0, None, None, 0.0]),
        "else_zero": ("coalesce(2 * p, 0)", "double", [4.0, 0.0, 0.0, 0.0]),
        "unless": ("2 * nullif(p, 'n/a')", "double", [4.0, None, None, 0.0]),
        "asked": ("cast(p as double) is null", "boolean", [False, True, True, False]),
        "other_branch": ("case when p = 'n/a' then 0 else p * 2 end", "double", [4.0, 0.0, None, 0.0]),
        "decided": ("p = 'n/a' or p > 1", "boolean", [True, True, None, False]),
        "condition": ("if(p > 1, 'many', 'few')", "string", ["many", NOT_A_NUMBER, "few", "few"]),
        # Ids stay as they are written.
        "id": ("nullif(l, 7)", "string", ["a,5,c", None, "x,oops", None]),
        "number_or_text": ("coalesce(p, b)", "string", ["2", "n/a", "3", "0"]),
    }
    columns = landed(engine, {name: (text, to) for name, (text, to, _) in cases.items()})
    for name, (text, _, expected) in cases.items():
        values = [2.0 * 0 if value == 0 and value is not False else value for value in columns[name]]
        assert values == expected, text


def test_a_jvm_coerces_as_well(jvm: SparkSession) -> None:
    frame = jvm.createDataFrame([(*row, int(row[0])) for row in ROWS], SCHEMA).coalesce(1)
    meaning = Meaning({field.name: field.dataType for field in frame.schema.fields})
    both = [row_expressions.converted(text, frame.columns, meaning) for text in ("u * p", "p::int", "p > 1")]
    rows = frame.select(
        *(expression.alias(f"c{place}") for place, pair in enumerate(both) for expression in pair)
    ).collect()
    assert [tuple(row[::2]) for row in rows[:2]] == [(3.0, 2, True), (None, None, None)]
    assert tuple(rows[1][1::2]) == (NOT_A_NUMBER, "'n/a' is not a whole number", NOT_A_NUMBER)


def test_a_columns_own_text_is_read_as_the_source_writes_numbers(spark: SparkSession) -> None:
    table = Table("row", tuple(Column(name, "double", "") for name in ("a", "b", "c")))
    frame = spark.createDataFrame([("1.234,50", "1.5"), ("-2", "2")], "p string, q string")
    texts = {"a": "2 * p", "b": "concat(q, '') * 2", "c": "p"}
    rows = conform(frame, table, texts, zone="UTC", numbers=NumberFormat(decimal_comma=True)).collect()
    assert [tuple(row)[:3] for row in rows] == [(2469.0, 3.0, 1234.5), (-4.0, 4.0, -2.0)]


def test_a_shop_whose_amounts_are_products(spark: SparkSession, tmp_path: Path) -> None:
    shop = Shop(tmp_path, spark)
    shop.sends("line_items", LINES, [("1", "pen", "2", "1.50", "c1"), ("2", "cup", "n/a", "7", "c2")])
    columns = {"bill_id": "No", "item_id": "Item", "user_id": "Card", "quantity": "Pieces"}
    result = shop.landed(
        "line_items", columns={**columns, "quantity": "1 * Pieces", "amount": "`Unit price` * `Pieces`"}
    )
    assert [(row["bill_id"], row["quantity"], row["amount"]) for row in shop.rows("raw/line_items")] == [
        ("1", 2.0, 3.0)
    ]
    (rejected,) = shop.rows("raw/line_items_rejected")
    assert rejected["rejected_because"] == f"quantity: {NOT_A_NUMBER}; amount: {NOT_A_NUMBER}"
    assert rejected["source_position"] == "line_items.csv:3"
    assert result.status == "done"
    # Values of personal columns are not told.
    shop.sends("line_items", LINES, [("1", "pen", "2", "1.50", "secret")])
    shop.lands("line_items", {**columns, "item_name": "Card * 2", "amount": "Pieces"}, personal=["item_name"])
    (rejected,) = shop.rows("raw/line_items_rejected")
    assert rejected["rejected_because"] == "item_name: a value (not shown) is not what its expression reads"
