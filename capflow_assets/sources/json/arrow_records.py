"""JSON records through pyarrow, which is some ten times faster than Python's json, where that is safe and exact.

pyarrow fails on a record that is none and on mixed types, and may bring the process down over what is no object or
nests without end. So every record is first held against msgspec, which costs a tenth of the parsing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from capflow_assets.sources.reading.shapes import EXACT_IN_DOUBLE, MOST_DEPTH, Shape

if TYPE_CHECKING:
    import pyarrow as pa

    from capflow_assets.sources.json.record_text import Records

PIECES = 16


class NotReadError(Exception):
    """Something that pyarrow cannot tell exactly; the records are looked at in smaller pieces, or one by one."""


def parted(chunk: Records) -> tuple[Records, Records]:
    """The records that are surely whole objects, and the others."""
    import msgspec

    decode = msgspec.json.Decoder(msgspec.Raw).decode
    sound: Records = []
    others: Records = []
    for numbered in chunk:
        try:
            decode(numbered[1])
        except (msgspec.DecodeError, RecursionError):
            others.append(numbered)
        else:
            (sound if numbered[1].startswith(b"{") else others).append(numbered)
    return sound, others


def pieces(chunk: Records) -> Iterator[Records]:
    """Some parts of a chunk that could not be read as a whole."""
    step = -(-len(chunk) // PIECES)
    return (chunk[start : start + step] for start in range(0, len(chunk), step))


def read(chunk: Records, fields: Sequence[tuple[str, pa.DataType]] | None) -> pa.RecordBatch:
    """The records as pyarrow reads them, of exactly these fields where they are given.

    Raises:
        NotReadError: pyarrow refuses them, or reads something else than one record each.
    """
    import pyarrow as pa
    from pyarrow import json as arrow_json

    data = b"\n".join(record for _, record in chunk) + b"\n"
    schema = None if fields is None else pa.schema(fields)
    strange = "infer" if fields is None else "error"
    try:
        table = arrow_json.read_json(
            pa.BufferReader(data),
            read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(data) + 1),
            parse_options=arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior=strange),
        )
    except (pa.ArrowException, ValueError) as error:
        raise NotReadError from error
    if table.num_rows != len(chunk) or (schema is not None and table.schema != schema):
        raise NotReadError
    return table.combine_chunks().to_batches()[0] if table.num_columns else pa.record_batch([], schema=table.schema)


def seen(array: pa.Array, depth: int = 1) -> Shape:
    """What an array that pyarrow read holds.

    Raises:
        NotReadError: it nests deeper than columns do, or numbers are no longer what was written.
    """
    import pyarrow.types as pt

    kind = array.type
    if depth > MOST_DEPTH:
        raise NotReadError
    if pt.is_null(kind):
        return Shape({"null"})
    if pt.is_struct(kind):
        fields = {kind.field(i).name: seen(array.field(i), depth + 1) for i in range(kind.num_fields)}
        return Shape({"struct"}, fields=fields)
    if pt.is_list(kind):
        return Shape({"array"}, of=seen(array.flatten(), depth + 1))
    return _seen_plain(array)


def _seen_plain(array: pa.Array) -> Shape:
    import pyarrow.compute as pc
    import pyarrow.types as pt

    if pt.is_boolean(array.type):
        return Shape({"boolean"})
    if not (pt.is_integer(array.type) or pt.is_floating(array.type)):
        return Shape({"string"})
    ends = pc.min_max(array).as_py()
    least, largest = ends["min"] or 0, ends["max"] or 0
    if pt.is_integer(array.type):
        return Shape({"int"}, largest=max(0, largest), least=min(0, least))
    if max(largest, -least) >= EXACT_IN_DOUBLE:
        raise NotReadError  # there may be whole numbers among them that no longer are what was written
    return Shape({"double"})
