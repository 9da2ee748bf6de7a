"""Rows of a delivery as the bytes of one file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

# What a spreadsheet would take for a formula, at the beginning of a cell (OWASP, CSV injection); full-width signs and
# signs behind blanks are taken for plain ones.
FORMULA = "^[ \u00a0\u200b\ufeff]*[=+\\-@＝＋－＠]|^[\t\r\n]"


def parquet(table: pa.Table) -> bytes:
    """A Parquet file, compressed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def csv(table: pa.Table, separator: str = ",") -> bytes:
    """A CSV file in UTF-8 that is safe to open in a spreadsheet: a text that begins as a formula gets a ' before it.

    Lists are JSON, times ISO 8601 in UTC, nulls nothing at all.

    >>> import pyarrow as pa
    >>> print(csv(pa.table({"name": ["=1+1", "a,b", None], "change": [-5, 3, None]})).decode(), end="")
    "name","change"
    "'=1+1",-5
    "a,b",3
    ,
    """
    import pyarrow as pa
    import pyarrow.csv

    columns = {field.name: _written(table[field.name], field.type) for field in table.schema}
    sink = pa.BufferOutputStream()
    options = pyarrow.csv.WriteOptions(delimiter=separator, quoting_style="needed", quoting_header="needed")
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
        return pc.strftime(column.cast(pa.timestamp("s", tz="UTC"), safe=False), "%Y-%m-%dT%H:%M:%SZ")
    elif not pa.types.is_string(kind):
        return column
    is_formula = pc.match_substring_regex(column, pattern=FORMULA)
    return pc.if_else(is_formula, pc.binary_join_element_wise("'", column, ""), column)


ENCODINGS: Mapping[str, Callable[[pa.Table], bytes]] = {"csv": csv, "parquet": parquet}
