"""By which columns a landed row is one: its table's key, one that landing makes, and the ids that join tables."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from capflow_assets.contract import EXPORT, Table
from capflow_assets.landing.personal import is_identifier
from capflow_assets.landing.rejections import POSITION, SOURCE_ROW

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def generated_key(table: Table) -> str | None:
    """The key that landing makes where a customer has none: a bill's id. None for every other table."""
    return "bill_id" if table.key == ("bill_id",) else None


def merge_key(table: Table, declared: Sequence[str] = ()) -> tuple[str, ...]:
    """The columns by which newer rows replace those that have landed: those declared, else the table's key."""
    return tuple(declared) or table.key


def id_columns(table: Table, mapping: Collection[str]) -> tuple[str, ...]:
    """The mapped columns of text that join tables."""
    texts = (column.name for column in table.columns if column.type == "string" and column.name in mapping)
    return tuple(name for name in texts if is_identifier(table, name))


def with_generated_key(landed: DataFrame, key: str, besides: Collection[str]) -> DataFrame:
    """The rows with a ``key`` of 128 bits of their values and their number among equal rows."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    values = [F.col(column) for column in landed.columns if column not in (key, POSITION, SOURCE_ROW, *besides)]
    # A hash leaves nulls out; this tells (null, 'x') from ('x', null).
    present = F.concat(*(F.when(value.isNull(), F.lit("0")).otherwise(F.lit("1")) for value in values))
    halves = [F.lower(F.lpad(F.hex(F.xxhash64(F.lit(salt), present, *values)), 16, "0")) for salt in ("a", "b")]
    hashed = landed.withColumn(key, F.concat(*halves))
    # Of two exports that overlap, the same rows get the same ids.
    equal = Window.partitionBy(key, *({EXPORT} & set(besides))).orderBy(key)
    return hashed.withColumn(key, F.concat(F.col(key), F.lit("-"), F.row_number().over(equal).cast("string")))
