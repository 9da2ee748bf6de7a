"""Computes the features of ``_synthesis``, however many, in one scan of the rows. No table of its own.

The engine reads what is asked of each row: its own columns, its parents', the transforms of one row. Line items get
their bill's user, and one shuffle brings all rows of a user to one worker, which puts them in order (``_shards``) and
sums them up (``_rollup``) for all moments and windows. An engine that were to do this by itself would take longer to
plan hundreds of aggregates than a worker takes to compute them, and would hold the states of every bill.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from functools import partial
from typing import TYPE_CHECKING

from capflow_assets.features._entities import ENTITIES, Variable
from capflow_assets.features._moments import KNOWN_FROM, Moments, in_order, known, local_day_of
from capflow_assets.features._rollup import Plan, feature_rows
from capflow_assets.features._shards import COLUMNS, TYPES, shard_of, slots
from capflow_assets.features._synthesis import Feature

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

_TOGETHER = "together"
_A_DAY = date(1970, 1, 1)


def feature_table(
    features: Sequence[Feature],
    bills: DataFrame,
    line_items: DataFrame | None,
    parents: dict[str, DataFrame | None],
    as_of: Moments,
    zone: str,
) -> DataFrame:
    """One row per known user and moment with all the features. ``parents`` are ``items`` and ``stores``, if any."""
    plan = Plan(tuple(features))
    seen = known(bills, ENTITIES["bills"].time or "", as_of).filter("user_id is not null")
    rows = _bill_rows(plan, seen, parents.get("stores"), zone)
    if line_items is not None:
        lines = known(line_items, ENTITIES["line_items"].time or "", as_of)
        rows = rows.union(_line_rows(plan, seen, lines, parents.get("items")))
    moments = in_order(as_of)
    days = [local_day_of(moment, zone) for moment in moments]
    kinds = ("int" if each.aggregation.is_whole else "double" for each in features)
    columns = (f"`{each.column}` {kind}" for each, kind in zip(features, kinds, strict=True))
    summed = partial(_summed, names=[each.column for each in features], moments=moments, days=days)
    together = rows.repartition(_TOGETHER).drop(_TOGETHER)
    return together.mapInArrow(summed, ", ".join(("user_id string", "as_of timestamp", *columns)))


def _summed(
    batches: Iterable[pa.RecordBatch], names: Sequence[str], moments: Sequence[datetime], days: Sequence[date]
) -> Iterator[pa.RecordBatch]:
    from capflow_assets.features._synthesis import feature_of

    plan = Plan(tuple(feature for name in names if (feature := feature_of(name))))
    shard = shard_of(batches, plan)
    if shard is not None:
        yield from feature_rows(shard, plan, moments, days)


def _bill_rows(plan: Plan, bills: DataFrame, stores: DataFrame | None, zone: str) -> DataFrame:
    from pyspark.sql import functions as F

    at = ENTITIES["bills"].time or ""
    frame = bills.withColumn("billed_locally_at", F.from_utc_timestamp(at, zone)).withColumns(_hashes())
    frame = _with_parent(frame, stores, [each for each in plan.of_bills if each.parent])
    own = {
        "is_line": F.lit(False),
        "place": F.unix_micros(at),
        "user_id": F.col("user_id"),
        "bill_id": F.col("bill_id"),
        "day": F.datediff("billed_on", F.lit(_A_DAY)),
    }
    return _as_rows(plan, frame, plan.of_bills, own)


def _line_rows(plan: Plan, bills: DataFrame, lines: DataFrame, items: DataFrame | None) -> DataFrame:
    from pyspark.sql import functions as F

    # The other way round an engine that does not know how large a join is holds the larger side in memory.
    frame = _with_parent(lines, items, [each for each in plan.of_lines if each.parent])
    frame = bills.select("bill_id", *(made.alias(name) for name, made in _hashes().items())).join(frame, "bill_id")
    return _as_rows(plan, frame, plan.of_lines, {"is_line": F.lit(True), "place": F.col("line_no").cast("bigint")})


def _hashes() -> dict[str, Expression]:
    """Of a bill, what brings all rows of its user together, and what its line items know it by."""
    from pyspark.sql import functions as F

    return {_TOGETHER: F.xxhash64("user_id"), "bill": F.xxhash64("bill_id")}


def _with_parent(frame: DataFrame, parent: DataFrame | None, variables: Sequence[Variable]) -> DataFrame:
    """The parent's columns on every row, categories hashed once per parent."""
    from pyspark.sql import functions as F

    if parent is None or not variables:
        return frame
    key = ENTITIES[variables[0].parent].key
    values = (_value(F.col(each.column), each).alias(each.slug) for each in variables)
    return parent.select(key, *values).join(frame, key, "right")


def _as_rows(plan: Plan, frame: DataFrame, variables: Sequence[Variable], own: dict[str, Expression]) -> DataFrame:
    """The columns that all rows share, and what brings those of one user together; unknown where there is none."""
    from pyspark.sql import functions as F

    made = {"bill": F.col("bill"), KNOWN_FROM: F.col(KNOWN_FROM), **own}
    for variable, slot in slots(variables).items():
        read = variable.made() if variable.made else F.col(variable.column)
        made[slot] = F.col(variable.slug) if variable.parent else _value(read, variable)
    shared = {
        slot: TYPES[slot.partition("_")[0]] for each in (plan.of_bills, plan.of_lines) for slot in slots(each).values()
    }
    kinds = {**COLUMNS, **shared}
    columns = (made.get(name, F.lit(None)).cast(kind).alias(name) for name, kind in kinds.items())
    return frame.select(_TOGETHER, *columns)


def _value(read: Expression, variable: Variable) -> Expression:
    """What a row tells of a variable: a number, a truth, or the hash of a category."""
    from pyspark.sql import functions as F

    return (
        F.when(read.isNotNull(), F.xxhash64(read)) if variable.kind == "category" else read.cast(TYPES[variable.kind])
    )
