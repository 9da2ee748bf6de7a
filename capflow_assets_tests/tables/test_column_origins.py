"""The lineage of columns: what stands beside the code is what the code does, and planted changes stay within it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.contract import Column
from capflow_assets.definitions import STAGES
from capflow_assets.tables.column_lineage import as_text, kept, kept_text, parsed, sources_of
from capflow_assets.tables.column_origins import derived
from capflow_assets_tests.features.worlds import World, outcome, usual

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Rows = dict[tuple[Any, ...], dict[str, Any]]
# Blocks that encode media and texts read files; recursive features are named by their formulas.
ENCODED = ("call_sounds", "item_pictures", "text", "reviews", "recursive")
PLANTED = tuple(key for key in kept() if key.startswith("features/") and key.split("/")[1] not in ENCODED)
QUICK = ("features/rfm", "features/sequence", "features/store_days")


def test_what_is_kept_is_what_the_code_does(spark: SparkSession) -> None:
    assert kept_text() == as_text(derived(spark, STAGES)), (
        "the lineage of columns has changed: run `make graph` and review it"
    )


def test_text_says_it_all() -> None:
    assert parsed(as_text(kept())) == kept()


def test_every_column_of_every_table_says_what_it_is_made_from() -> None:
    """But for what is the same for everybody at a moment."""
    constant = {("features/user_item", "decay_from_on")}
    for key, spec in STAGES.tables.items():
        if spec.function is not None and not spec.table.intermediate:
            declared = {name for name in spec.table.names if name != "as_of"}
            assert {(key, name) for name in declared - set(sources_of(kept(), spec, declared))} <= constant


def test_sources_are_columns_that_there_are() -> None:
    for key, lines in kept().items():
        inputs = {source.table for source in STAGES.tables[key].inputs}
        for sources in lines.values():
            assert {table for table, _ in sources} <= inputs
            assert all(column == "*" or column in STAGES.tables[table].table.names for table, column in sources)


def test_figures_held_by_hand() -> None:
    assert kept()["clean/items"]["price"] == (("raw/items", "price"),)
    assert kept()["features/rfm"]["tenure_days"] == (("clean/bills", "billed_at"), ("clean/bills", "billed_on"))
    assert kept()["features/sequence"]["basket_amount"] == (("clean/bills", "amount"), ("clean/bills", "billed_at"))
    distances = {
        column for table, column in kept()["features/stores"]["other_stores_distance_avg_km"] if table == "raw/stores"
    }
    assert {"latitude", "longitude"} <= distances


def test_bills_are_made_of_line_items_where_no_bills_are_sent() -> None:
    spec = STAGES.tables["clean/bills"]
    assert sources_of(kept(), spec, ["billed_at"]) == {"billed_at": (("raw/bills", "billed_at"),)}
    absent = ["raw/bills"]
    assert sources_of(kept(), spec, ["billed_at"], absent) == {"billed_at": (("clean/line_items", "billed_at"),)}
    amount = sources_of(kept(), spec, ["amount"], absent)["amount"]
    assert ("clean/line_items", "amount") in amount
    assert {table for table, _ in amount} == {"clean/line_items"}


def test_columns_that_a_customer_adds_are_those_of_the_table_above() -> None:
    assert sources_of(kept(), STAGES.tables["clean/users"], ["city"]) == {"city": (("raw/users", "city"),)}


def test_recursive_features_are_made_of_the_columns_in_their_formulas() -> None:
    spec = STAGES.tables["features/recursive"]
    name = "bills_mean_of_line_items_max_unit_price"
    expected = (("clean/line_items", "amount"), ("clean/line_items", "quantity"))
    assert sources_of(kept(), spec, [name]) == {name: expected}


@pytest.mark.parametrize("key", QUICK)
def test_planted_changes_reach_only_columns_that_say_so(spark: SparkSession, key: str) -> None:
    assert list(_unsaid(spark, key)) == []


@pytest.mark.long
@pytest.mark.parametrize("key", [key for key in PLANTED if key not in QUICK])
def test_planted_changes_reach_only_columns_that_say_so_in_every_block(spark: SparkSession, key: str) -> None:
    assert list(_unsaid(spark, key)) == []


def _unsaid(spark: SparkSession, key: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Columns of a block that a change of a column above reaches though they do not say that they are made from it."""
    for source, changed in _reached(spark, key):
        yield from ((name, source) for name in changed if source not in kept()[key].get(name, ()))


def _reached(spark: SparkSession, key: str) -> Iterator[tuple[tuple[str, str], set[str]]]:
    """For each column above that is part of no key, the columns of the block in which its change is seen."""
    spec, world = STAGES.tables[key], usual(bills=60)
    before = _rows(spark, key, world)
    in_keys = {source for name in spec.table.key for source in kept()[key].get(name, ())}
    for source in spec.inputs:
        if source.table not in world.tables:
            continue
        for column in STAGES.tables[source.table].table.columns:
            if (source.table, column.name) in in_keys or column.name in spec.table.key:
                continue
            after = _rows(spark, key, _planted(world, source.table, column))
            shared = before.keys() & after.keys()
            names = {name for row in shared for name, value in before[row].items() if value != after[row][name]}
            yield (source.table, column.name), names - set(spec.table.key)


def _rows(spark: SparkSession, key: str, world: World) -> Rows:
    spec = STAGES.tables[key]
    rows = outcome(spec, spark, world, world.moments[0]).toArrow().to_pylist()
    return {tuple(row[name] for name in spec.table.key): row for row in rows}


def _planted(world: World, table: str, column: Column) -> World:
    """The world with other values in a column of a table, in every other row."""
    rows = [
        {**row, column.name: _other(column, row.get(column.name))} if place % 2 else row
        for place, row in enumerate(world.tables[table])
    ]
    return replace(world, tables={**world.tables, table: rows})


def _other(column: Column, value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return type(value)(value * 3 + 1)
    if isinstance(value, datetime | date):
        return value - timedelta(days=3)
    return f"{value or ''}x" if column.type == "string" else value
