"""Every table of every stage is equal on Sail and on Spark's JVM, from the same inputs, and so is every check.

The tables are read off the packages, so a new one is held against both engines without a line here.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets import clean, features, raw, validation
from capflow_assets.blueprint.reading import read_stages
from capflow_assets.blueprint.specs import CheckSpec, TableSpec
from capflow_assets.blueprint.stages import Stages
from capflow_assets.contract import Column, Table
from capflow_assets_tests.engines import frame_of

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

ZONE = "Europe/Madrid"
AS_OF = datetime(2024, 11, 15, 22, 59, 59, tzinfo=UTC)
VALUES: dict[str, Any] = {
    "as_of": AS_OF,
    "zone": ZONE,
    "currency": "EUR",
    "equal_lines": "keep",
    "ordered_exports": frozenset(),
}
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


def read_all_stages() -> Stages:
    """The packages as the graph reads them, but for the models, which make no table of their own here."""
    none = ModuleType("none")
    none.__path__ = []
    return read_stages({"raw": raw, "clean": clean, "validation": validation, "features": features, "models": none})


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
    return rows


@pytest.fixture(scope="module")
def stages() -> Stages:
    return read_all_stages()


def kept(table: pa.Table) -> pa.Table:
    """What the runner would write: the rows that cleaning does not set aside."""
    import pyarrow.compute as pc

    if "removed_because" not in table.column_names:
        return table
    return table.filter(pc.is_null(table["removed_because"])).drop_columns(["removed_because"])


def ordered(table: pa.Table) -> list[str]:
    """The rows as text: so that nulls and NaN sort, -0.0 differs from 0.0, and a difference can be read."""
    return sorted(repr(tuple(row.values())) for row in table.to_pylist())


def both(
    function: Any, inputs: dict[str, pa.Table | None], injected: tuple[str, ...], engines: tuple[SparkSession, ...]
) -> list[Any]:
    """What a function makes of the same inputs on each engine."""
    results = []
    for engine in engines:
        frames: dict[str, DataFrame | None] = {
            name: None if table is None else engine.createDataFrame(table) for name, table in inputs.items()
        }
        results.append(function(**frames, **{name: VALUES[name] for name in injected}))
    return results


def inputs_of(spec: TableSpec | CheckSpec, made: dict[str, pa.Table], without: frozenset[str]) -> dict[str, Any]:
    return {one.parameter: None if one.table in without else made[one.table] for one in spec.inputs}


# What a customer may lack: each case is a way through the functions with optional inputs.
LACKING = {
    "all tables": frozenset[str](),
    "bills alone": frozenset({"raw/line_items", "clean/line_items", "raw/items", "clean/items", "raw/users"}),
    "line items alone": frozenset({"raw/bills", "raw/items", "clean/items", "raw/users"}),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", LACKING)
def test_every_table_and_check_is_equal_on_both_engines(
    spark: SparkSession, jvm: SparkSession, stages: Stages, case: str
) -> None:
    without = LACKING[case]
    engines = (spark, jvm)
    made: dict[str, pa.Table] = {}
    for key in stages.order:
        spec = stages.tables[key]
        required = {one.table for one in spec.inputs if not one.optional}
        if key in without or required & without:
            continue
        if spec.function is None:
            made[key] = frame_of(spark, spec.table, raw_rows(spec.name, spec.table)).toArrow()
            continue
        sail, java = both(spec.function, inputs_of(spec, made, without), spec.injected, engines)
        assert sail.dtypes == java.dtypes, key
        left, right = sail.toArrow(), java.toArrow()
        assert left.num_rows > 0, f"{key} has no rows to compare"
        assert ordered(left) == ordered(right), key
        made[key] = kept(left)
    for check in stages.checks:
        if not {one.table for one in check.inputs if not one.optional} & without:
            sail, java = both(check.function, inputs_of(check, made, without), check.injected, engines)
            assert sail == java, check.name


@pytest.mark.timeout(300)
def test_every_table_of_no_rows_is_equal_on_both_engines(
    spark: SparkSession, jvm: SparkSession, stages: Stages
) -> None:
    for key in stages.order:
        spec = stages.tables[key]
        if spec.function is None:
            continue
        results = []
        for engine in (spark, jvm):
            frames = {one.parameter: frame_of(engine, stages.tables[one.table].table, []) for one in spec.inputs}
            results.append(spec.function(**frames, **{name: VALUES[name] for name in spec.injected}))
        assert results[0].dtypes == results[1].dtypes, key
        assert ordered(results[0].toArrow()) == ordered(results[1].toArrow()), key
