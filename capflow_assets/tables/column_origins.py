"""What each column of a table is made from, derived from the code.

A table's function is called on tables without rows, and the plan that it returns is read (``plan_origins``). What tells
a table's rows apart, its key, is what the key's columns are made from, and is not repeated at the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from capflow_assets.blueprint.calls import call
from capflow_assets.blueprint.specs import AS_OF, TableSpec
from capflow_assets.blueprint.stages import Stages
from capflow_assets.contract import Table
from capflow_assets.errors import CapflowError
from capflow_assets.tables.column_lineage import OTHERS, WITHOUT, Lineage, Source
from capflow_assets.tables.plan_origins import Origin, Tracer, one_by_one

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Any values will do: there are no rows. No store of vectors: what it kept from earlier is made of the same columns.
VALUES = {
    "as_of": datetime(2024, 6, 30, 21, 59, 59, 999999, tzinfo=UTC),
    "zone": "Europe/Berlin",
    "currency": "EUR",
    "kept": None,
    "equal_lines": "removed",
    "ordered_exports": (),
}


def derived(spark: SparkSession, stages: Stages) -> Lineage:
    """The columns of every table that a function makes and models or people read, with what each is made from.

    A column that is made of others where an optional table is absent has a line for that, named ``column without
    table``.
    """
    read = (spec for spec in stages.tables.values() if spec.function is not None and not spec.table.intermediate)
    return {spec.key: _of_table(spark, stages, spec) for spec in read}


def _of_table(spark: SparkSession, stages: Stages, spec: TableSpec) -> dict[str, tuple[Source, ...]]:
    whole = traced_columns(spark, stages, spec)
    lines = dict(whole)
    for absent in (source.table for source in spec.inputs if source.optional):
        try:
            less = traced_columns(spark, stages, spec, frozenset({absent}))
        except CapflowError:  # there is nothing to make the table from
            continue
        for name, sources in less.items():
            if not set(sources) <= set(whole.get(name, ())):
                lines[f"{name}{WITHOUT}{absent}"] = sources
    return lines


def traced_columns(
    spark: SparkSession, stages: Stages, spec: TableSpec, absent: frozenset[str] = frozenset()
) -> dict[str, tuple[Source, ...]]:
    """The columns of a table as its function makes them of tables without rows, of which some are absent."""
    tracer = Tracer()
    frames: dict[str, DataFrame | None] = {}
    for source in spec.inputs:
        if source.table in absent:
            frames[source.parameter] = None
            continue
        table = stages.tables[source.table].table
        frame = empty(spark, table)
        tracer.bases[tracer.number(frame)] = one_by_one(source.table, frame.columns, table.key)
        frames[source.parameter] = frame
    with _watched(spark, tracer):
        traced = tracer.frame(call(spec, frames, VALUES))
    origins = {name: traced.column(name) for name in spec.table.names if name != AS_OF}
    keys = frozenset[Source]().union(*(origins[name].value for name in spec.table.key if name != AS_OF))
    if spec.table.open and OTHERS in traced.columns:
        origins[OTHERS] = traced.columns[OTHERS]
    return {name: _sources(origin, keys, spec.table.key) for name, origin in origins.items()}


def _sources(origin: Origin, keys: frozenset[Source], names: tuple[str, ...]) -> tuple[Source, ...]:
    conditions = {source for source in origin.condition - keys if source[1] not in names}
    sources = origin.value | conditions or origin.condition
    return tuple(sorted(source for source in sources if source[1] != AS_OF))


def empty(spark: SparkSession, table: Table) -> DataFrame:
    """A table without rows; one that is open has a column that stands for those that a customer adds."""
    columns = [(column.name, column.type) for column in table.columns] + [(OTHERS, "string")] * table.open
    return spark.createDataFrame([], ", ".join(f"`{name}` {kind}" for name, kind in columns))


@contextmanager
def _watched(spark: SparkSession, tracer: Tracer) -> Iterator[None]:
    """Tell the tracer of every frame whose rows are brought to Python."""
    client = spark._client  # type: ignore[attr-defined]
    spark._client = _WatchedClient(client, tracer)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        spark._client = client  # type: ignore[attr-defined]


class _WatchedClient:
    """A session's client that reads plans before they are computed."""

    def __init__(self, client: Any, tracer: Tracer) -> None:
        self._client, self._tracer = client, tracer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def to_table(self, plan: Any, *arguments: Any, **named: Any) -> Any:
        self._tracer.collect(plan)
        return self._client.to_table(plan, *arguments, **named)

    def to_pandas(self, plan: Any, *arguments: Any, **named: Any) -> Any:
        self._tracer.collect(plan)
        return self._client.to_pandas(plan, *arguments, **named)
