"""Every table of every stage is equal on Sail and on Spark's JVM, from the same inputs, and so is every check.

The tables are read off the packages, so a new one is held against both engines without a line here.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets import clean, features, raw, validation
from capflow_assets.blueprint.reading import read_stages
from capflow_assets.blueprint.specs import CheckSpec, TableSpec
from capflow_assets.blueprint.stages import Stages
from capflow_assets_doubles.engines import frame_of
from capflow_assets_tests.random_rows import AS_OF, ordered, raw_rows

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

ZONE = "Europe/Madrid"
VALUES: dict[str, Any] = {
    "as_of": AS_OF,
    "zone": ZONE,
    "currency": "EUR",
    "equal_lines": "keep",
    "ordered_exports": frozenset(),
    # Nothing is kept from one engine to the next: vectors are made anew.
    "kept": None,
}


def read_all_stages() -> Stages:
    """The packages as the graph reads them, but for the models, which make no table of their own here."""
    none = ModuleType("none")
    none.__path__ = []
    return read_stages({"raw": raw, "clean": clean, "validation": validation, "features": features, "models": none})


@pytest.fixture(scope="module")
def stages() -> Stages:
    return read_all_stages()


def kept(table: pa.Table) -> pa.Table:
    """What the runner would write: the rows that cleaning does not set aside."""
    import pyarrow.compute as pc

    if "removed_because" not in table.column_names:
        return table
    return table.filter(pc.is_null(table["removed_because"])).drop_columns(["removed_because"])


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


def inputs_of(spec: TableSpec | CheckSpec, tables: dict[str, pa.Table], without: frozenset[str]) -> dict[str, Any]:
    return {one.parameter: None if one.table in without else tables[one.table] for one in spec.inputs}


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
    tables: dict[str, pa.Table] = {}
    for key in stages.order:
        spec = stages.tables[key]
        required = {one.table for one in spec.inputs if not one.optional}
        if key in without or required & without:
            continue
        if spec.function is None:
            tables[key] = frame_of(spark, spec.table, raw_rows(spec.name, spec.table)).toArrow()
            continue
        sail, java = both(spec.function, inputs_of(spec, tables, without), spec.injected, engines)
        assert sail.dtypes == java.dtypes, key
        left, right = sail.toArrow(), java.toArrow()
        assert left.num_rows > 0, f"{key} has no rows to compare"
        assert ordered(left) == ordered(right), key
        tables[key] = kept(left)
    for check in stages.checks:
        if not {one.table for one in check.inputs if not one.optional} & without:
            sail, java = both(check.function, inputs_of(check, tables, without), check.injected, engines)
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
