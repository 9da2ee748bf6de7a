"""Tables as the files that the CLI writes: CSV, JSON and Parquet. Does not belong here: what a terminal shows."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capflow_assets.errors import CapflowError
from capflow_assets.pages.spreadsheet import harmless

if TYPE_CHECKING:
    import pyarrow as pa


def write_table(table: pa.Table, kind: str, output: Path | None, *, raw: bool = False) -> None:
    """All rows as CSV, JSON (an array of records, times in ISO 8601 UTC) or Parquet, to a file or standard output.

    ``kind`` ``table`` with a file takes the format from the file's ending. CSV is safe for spreadsheets unless ``raw``.
    """
    kind = (output.suffix.lstrip(".") or "csv") if kind == "table" and output is not None else kind
    writers: dict[str, Callable[[pa.Table], bytes]] = {
        "csv": partial(_csv_bytes, raw=raw),
        "json": _json_bytes,
        "parquet": _parquet_bytes,
    }
    if kind not in writers:
        raise CapflowError("That format is not known", expected=f"one of {', '.join(writers)}", came=kind)
    content = writers[kind](table)
    if output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(content)


def _csv_bytes(table: pa.Table, raw: bool) -> bytes:
    cell = text if raw else safe_text
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([cell(name) for name in table.column_names])
    for batch in table.to_batches():
        for row in batch.to_pylist():
            writer.writerow([cell(value) for value in row.values()])
    return stream.getvalue().encode()


def _json_bytes(table: pa.Table) -> bytes:
    encode = json.JSONEncoder(default=text, ensure_ascii=False, allow_nan=False).encode

    def encoded(row: dict[str, Any]) -> str:
        try:
            return encode(row)
        except ValueError:  # a number that JSON does not know
            return encode(finite(row))

    rows = [encoded(row) for batch in table.to_batches() for row in batch.to_pylist()]
    return ("[\n" + ",\n".join(rows) + "\n]\n").encode()


def _parquet_bytes(table: pa.Table) -> bytes:
    import pyarrow.parquet as pq

    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


def finite(value: Any) -> Any:
    """JSON knows no NaN and no infinity; both are null there, in lists and fields too."""
    if isinstance(value, Mapping):
        return {name: finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not -float("inf") < value < float("inf") else value


def text(value: Any) -> Any:
    """A value for a file: times in ISO 8601, nothing for null."""
    if value is None:
        return ""
    return value.isoformat() if hasattr(value, "isoformat") else value


def safe_text(value: Any) -> Any:
    """A value for a CSV file that a spreadsheet may open."""
    return harmless(text(value))
