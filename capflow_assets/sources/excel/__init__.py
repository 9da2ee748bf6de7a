"""Excel workbooks: .xlsx, .xlsm and .xls, one sheet or all of each.

A sheet is read as a whole by one worker (the format allows no less), so big exports are better sent as CSV or Parquet;
several workbooks are read in parallel. Formulas give the values that were saved with them; a cell with an error
(``#N/A``) is blank.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from capflow_assets.errors import SourceError
from capflow_assets.sources.excel import cell_values, workbooks
from capflow_assets.sources.excel.options import Options
from capflow_assets.sources.reading import arrow_frames, file_exports, file_origins, packed_files, storage

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame, SparkSession
    from python_calamine import CalamineSheet

ROWS_AT_ONCE = 1 << 14
# Excel's own, beside a workbook that somebody has open.
LOCK = "~$"


def read(spark: SparkSession, location: str, options: Options) -> DataFrame:
    """The rows of the workbooks at ``location``: their columns by name, and ``_position``.

    Grain: one row per row of the sheets below the header; blank rows are none. A column of numbers is ``bigint`` or
    ``double``, of dates and times ``timestamp_ntz`` (local times), of truth values ``boolean``; others, mixed ones
    among them, are text: ``00123`` stays that. A merged cell's value stands in each of its rows. A column that only
    some sheets have is null in the others; one without name and values is left out.
    Packed workbooks and folders called ``store=7`` are read as CSV files are. ``_position`` is the file, the sheet and
    the row that Excel shows: ``bills.xlsx!Sheet1:12``.

    Raises:
        SourceError: nothing is there; a file is no workbook, has a password, is damaged or would take too much memory;
            there is no such sheet, or it has no header.
    """
    import pyarrow as pa
    from pyspark.sql.pandas.types import from_arrow_schema

    stored = packed_files.files_of(location, options.members, of_text=False)
    files = [file for file in stored if not PurePosixPath(packed_files.shown(file.path)).name.startswith(LOCK)]
    parts = [(file.path, 0, 0) for file in files]
    kinds: dict[str, set[str]] = {}
    for kinds_of_workbook in arrow_frames.answers_of(spark, parts, lambda path, *_: column_kinds(path, options)):
        for name, cell_kinds in kinds_of_workbook.items():
            kinds.setdefault(name, set()).update(cell_kinds)
    if not kinds:
        do = "check the export, and options.sheet, options.header and options.range"
        raise SourceError("The workbooks hold no table", expected="a row of names", where=location, do=do)
    columns = [(name, cell_values.type_of(cell_kinds)) for name, cell_kinds in kinds.items()]
    shown = storage.shown_names(location, files)
    origins = file_origins.of_files(location, files, options.file_column, options.folder_columns)
    file_origins.refuse_conflicts(origins, dict.fromkeys(origins, tuple(kinds)))
    own = pa.schema([*columns, (arrow_frames.POSITION, pa.string())])
    schema = file_origins.with_columns(own, origins)

    def batches(path: str, _: int, __: int) -> Iterator[pa.RecordBatch]:
        with workbooks.opened(path) as workbook:
            for sheet in workbooks.sheets_of(workbook, path, options.sheet):
                for batch in _batches(sheet, path, shown[path], own, options):
                    placed = file_origins.with_values(batch, origins[path])
                    yield arrow_frames.arranged(placed, schema) if origins[path] else batch

    return arrow_frames.frame_of(spark, parts, from_arrow_schema(schema, prefer_timestamp_ntz=True), batches)


def file_of(position: Column, options: Options) -> Column:
    """The file of a row, as its ``_position`` names it; no sheet has a colon in its name."""
    return file_exports.file_in(position, r"![^!:]*:[0-9]+$")


exports = file_exports.files_of


def column_kinds(path: str, options: Options) -> dict[str, list[str]]:
    """The columns of one workbook and the kinds of cells in each."""
    workbooks.refuse_oversize(path)
    columns: dict[str, set[str]] = {}
    with workbooks.opened(path) as workbook:
        for sheet in workbooks.sheets_of(workbook, path, options.sheet):
            header, rows = cell_values.rows_of(sheet, options)
            kinds = [set[str]() for _ in header]
            for _, values in rows:
                for cell_kinds, value in zip(kinds, values, strict=True):
                    cell_kinds.add(cell_values.kind_of(value))
            for name, header_name, cell_kinds in zip(_names(header, sheet, path, options), header, kinds, strict=True):
                if header_name or options.names or cell_kinds - {""}:
                    columns.setdefault(name, set()).update(cell_kinds - {""})
    return {name: sorted(cell_kinds) for name, cell_kinds in columns.items()}


def _names(header: Sequence[str], sheet: CalamineSheet, path: str, options: Options) -> list[str]:
    if options.names and header and len(options.names) != len(header):
        where, received = f"{packed_files.shown(path)}!{sheet.name}", f"{len(header)}: {', '.join(header)[:200]}"
        expected = f"{len(options.names)} columns (options.names)"
        raise SourceError("A sheet has other columns than declared", expected=expected, came=received, where=where)
    return arrow_frames.unique_names(options.names if options.names and header else header)


def _batches(
    sheet: CalamineSheet, path: str, shown: str, schema: pa.Schema, options: Options
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    header, rows = cell_values.rows_of(sheet, options)
    names = _names(header, sheet, path, options)
    while some := list(islice(rows, ROWS_AT_ONCE)):
        cells = dict(zip(names, zip(*(values for _, values in some), strict=True), strict=True))
        arrays = {
            name: cell_values.array_of(values, schema.field(name).type, options)
            for name, values in cells.items()
            if name in schema.names
        }
        arrays[arrow_frames.POSITION] = arrow_frames.positions(f"{shown}!{sheet.name}:", [number for number, _ in some])
        yield arrow_frames.arranged(pa.record_batch(arrays), schema)
