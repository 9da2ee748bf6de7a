"""The types of Parquet columns: those that engines read, and the one that holds what several files have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from capflow_assets.sources.reading.shapes import text

if TYPE_CHECKING:
    import pyarrow as pa


def is_read_by_engines(kind: pa.DataType) -> bool:
    """Whether every engine reads columns of the type as it is."""
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return kind.unit != "ns"
    if pa.types.is_struct(kind) or pa.types.is_list(kind):
        return all(is_read_by_engines(kind.field(place).type) for place in range(kind.num_fields))
    plain = [pa.types.is_boolean, pa.types.is_signed_integer, pa.types.is_string, pa.types.is_binary]
    plain += [pa.types.is_float32, pa.types.is_float64, pa.types.is_date32, pa.types.is_decimal128]
    return any(is_one(kind) for is_one in plain)


def common_schema(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """The columns of all files, each of a type that holds what every file has and that Spark knows."""
    import pyarrow as pa

    kinds: dict[str, list[pa.DataType]] = {}
    for schema in schemas:
        for field in schema:
            kinds.setdefault(field.name, []).append(_for_spark(field.type))
    return pa.schema([(name, _holding(types)) for name, types in kinds.items()])


def _holding(kinds: Sequence[pa.DataType]) -> pa.DataType:
    """The type that holds what several files have in one column; text where nothing else does."""
    import pyarrow as pa

    try:
        return (
            pa.unify_schemas([pa.schema([("x", kind)]) for kind in kinds], promote_options="permissive").field(0).type
        )
    except pa.ArrowException:
        return pa.string()


def as_text(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The rows with text in the columns of which the schema has text and Arrow has no cast to it."""
    import pyarrow as pa

    for place, field in enumerate(batch.schema):
        if field.name in schema.names and pa.types.is_string(schema.field(field.name).type):
            try:
                written = batch.column(place).cast(pa.string())
            except pa.ArrowException:
                values = batch.column(place).to_pylist()
                written = pa.array([None if value is None else text(value) for value in values], pa.string())
            batch = batch.set_column(place, field.name, written)
    return batch


def _for_spark(kind: pa.DataType) -> pa.DataType:
    """The type that Spark has for an Arrow type: microseconds, signed numbers; text where it has none."""
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    if pa.types.is_dictionary(kind):
        return _for_spark(kind.value_type)
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_for_spark(field.type)) for field in kind])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(_for_spark(kind.value_type))
    if pa.types.is_unsigned_integer(kind):
        return pa.decimal128(20, 0) if kind == pa.uint64() else pa.int64()
    if kind == pa.float16():
        return pa.float64()
    if pa.types.is_duration(kind):
        return pa.int64()
    if pa.types.is_date64(kind):
        return pa.date32()
    # A map, say, or a number of more than 38 digits.
    return kind if is_read_by_engines(kind) else pa.string()
