"""CSV files, safe to open in a spreadsheet, in a folder or under an ``s3://`` prefix; their manifest last.

A cell of text that a spreadsheet would compute (it begins with ``=``, ``+``, ``-``, ``@`` or their full-width signs, a
tab or a line break) gets an apostrophe before it, which shows it as the text that it is. Numbers are numbers and stay.
UTF-8; times in UTC by ISO 8601; lists as JSON; an empty cell is null.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from capflow_assets.contract import Delivery, Held, Sent, Withdrawn
from capflow_assets.delivery import file_sets

if TYPE_CHECKING:
    import pyarrow as pa

FORMULA = "^[ \u00a0\u200b\ufeff]*[=+\\-@＝＋－＠]|^[\t\r\n]"
TIMES = "%Y-%m-%dT%H:%M:%SZ"


class Options(file_sets.FileOptions):
    """Where the files go, and how they are written."""

    separator: Literal[",", ";", "\t", "|"] = Field(default=",", description="What stands between cells.")


class CsvFiles:
    """Sets of CSV files: the same delivery twice is written once."""

    options = Options
    resend: Literal["idempotent", "never"] = "idempotent"
    tells = True

    def held(self, options: Options, delivery: Delivery) -> Held | None:
        """What the manifest says, where all of its files are there."""
        return file_sets.held(options, delivery)

    def newest(self, options: Options, delivery: Delivery) -> datetime | None:
        """The newest as-of of a folder with a manifest."""
        return file_sets.newest(options, delivery)

    def send(self, options: Options, delivery: Delivery, batches: Iterator[pa.RecordBatch]) -> Sent:
        """Write the files, and the manifest last."""
        return file_sets.send(options, delivery, batches, "csv", lambda table: encoded(table, options.separator))

    def withdraw(self, options: Options, delivery: Delivery) -> Withdrawn:
        """Remove the manifest, then the files."""
        return file_sets.withdraw(options, delivery)


def encoded(table: pa.Table, separator: str = ",") -> bytes:
    """The rows as CSV with a header.

    >>> import pyarrow as pa
    >>> encoded(pa.table({"name": ["=1+1", "a,b", None], "change": [-5, 3, None]})).decode().splitlines()
    ['"name","change"', '"\\'=1+1",-5', '"a,b",3', ',']
    """
    import pyarrow as pa
    import pyarrow.csv as pc_csv

    cells = pa.table([_cells(column) for column in table.columns], names=table.column_names)
    sink = pa.BufferOutputStream()
    pc_csv.write_csv(cells, sink, pc_csv.WriteOptions(delimiter=separator))
    return sink.getvalue().to_pybytes()


def _cells(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column as what CSV can hold."""
    import json

    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as types

    if types.is_timestamp(column.type):
        return pc.strftime(column.cast(pa.timestamp("s", tz="UTC"), safe=False), format=TIMES)
    if types.is_list(column.type):
        texts = (None if values is None else json.dumps(values, ensure_ascii=False) for values in column.to_pylist())
        return pa.chunked_array([pa.array(texts, pa.string())])
    if not types.is_string(column.type):
        return column
    is_formula = pc.match_substring_regex(column, pattern=FORMULA)
    return pc.if_else(is_formula, pc.binary_join_element_wise("'", column, ""), column)


DESTINATION = CsvFiles()
