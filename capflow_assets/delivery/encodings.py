"""Rows of a delivery as the bytes of one file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

# What a spreadsheet would take for a formula, at the beginning of a cell (OWASP, CSV injection).
FORMULA = r"^([=+\-@\t\r])"


def parquet(table: pa.Table) -> bytes:
    """A Parquet file, compressed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def csv(table: pa.Table) -> bytes:
    """A CSV file in UTF-8 that is safe to open in a spreadsheet: a text that begins as a formula gets a ' before it.

    Lists are JSON, times ISO 8601 in UTC, nulls nothing at all.
    """
    import pyarrow as pa
    import pyarrow.csv

    columns = {field.name: _written(table[field.name], field.type) for field in table.schema}
    sink = pa.BufferOutputStream()
    options = pyarrow.csv.WriteOptions(quoting_style="needed", quoting_header="needed")
    pyarrow.csv.write_csv(pa.table(columns), sink, options)
    return sink.getvalue().to_pybytes()


def _written(column: Any, kind: pa.DataType) -> Any:
    import orjson
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_list(kind):
        column = pa.array(
            [None if one is None else orjson.dumps(one).decode() for one in column.to_pylist()], pa.string()
        )
    elif pa.types.is_timestamp(kind):
        return pc.strftime(column, "%Y-%m-%dT%H:%M:%SZ")
    elif not pa.types.is_string(kind):
        return column
    return pc.replace_substring_regex(column, FORMULA, r"'\1")


ENCODINGS: Mapping[str, Callable[[pa.Table], bytes]] = {"csv": csv, "parquet": parquet}
