"""Excel workbooks: .xlsx, .xlsm and .xls, one sheet or all of each.

A sheet is read as a whole by one worker (the format allows no less), so big exports are better sent as CSV or Parquet;
several workbooks are read in parallel. Formulas give the values that were saved with them; a cell with an error
(``#N/A``) is blank.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field, model_validator

from capflow_assets.errors import SourceError
from capflow_assets.landing.number_formats import NumberOptions
from capflow_assets.landing.time_formats import TimeFormat
from capflow_assets.sources import _cells, _exports, _files, _origins, _packed, _workbook

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame, SparkSession
    from python_calamine import CalamineSheet

ROWS_AT_ONCE = 1 << 14
# Excel's own, beside a workbook that somebody has open.
LOCK = "~$"


def _is_range(text: str) -> str:
    if text:
        _cells.Area.of(text)
    return text


class Options(NumberOptions):
    """Where the table stands in such workbooks, and how text in them is written."""

    sheet: Annotated[int, Field(ge=1)] | Annotated[str, Field(min_length=1)] = Field(
        1, description="The sheet's name, its number from 1, or * for every visible one."
    )
    header: int | None = Field(
        None, ge=0, description="The number, as Excel shows it, of the row of names; 0 for none. Else the first one."
    )
    header_row: int | None = Field(None, ge=1, description="The same as header, by the name that CSV has for it.")
    names: tuple[str, ...] = Field((), description="The columns' names, in place of the header's.")
    skip_rows: int = Field(0, ge=0, description="Rows below the header that are left out, one with units, say.")
    skip_last: int = Field(0, ge=0, description="Rows at the end that are left out, one with totals, say.")
    range: Annotated[str, AfterValidator(_is_range)] = Field("", description="The cells to read, such as B3:F.")
    members: str = Field("", description="Which workbooks in a zip are read, such as orders*.xlsx; all by default.")
    file_column: str = Field("", description="A column of this name says which file a row is of, such as may/7.xlsx.")
    folder_columns: bool = Field(True, description="Whether folders called store=7 make a column, store.")
    timestamp_format: TimeFormat | None = Field(None, description="How times in text cells are written.")
    date_format: TimeFormat | None = Field(None, description="How days in text cells are written, such as dd/MM/yyyy.")
    decimal_comma: bool = Field(False, description="Whether numbers in text cells are written 1.234,56.")

    @model_validator(mode="after")
    def _one_header(self) -> Options:
        if self.header_row is not None and self.header is not None:
            raise ValueError("header or header_row, not both")
        return self

    @property
    def row_of_names(self) -> int | None:
        """The number of the row of names; 0 where there is none, None where it is the first."""
        return self.header if self.header_row is None else self.header_row


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

    given = _packed.files_of(location, options.members, of_text=False)
    files = [each for each in given if not PurePosixPath(_packed.shown(each.path)).name.startswith(LOCK)]
    parts = [(file.path, 0, 0) for file in files]
    told = _files.told_of(spark, parts, lambda path, *_: _told(path, options))
    kinds: dict[str, set[str]] = {}
    for each in told:
        for name, found in each.items():
            kinds.setdefault(name, set()).update(found)
    if not kinds:
        do = "check the export, and options.sheet, options.header and options.range"
        raise SourceError("The workbooks hold no table", expected="a row of names", where=location, do=do)
    columns = [(name, _cells.type_of(found)) for name, found in kinds.items()]
    shown = _files.shown_names(location, files)
    origins = _origins.of_files(location, files, options.file_column, options.folder_columns)
    _origins.refuse_conflicts(origins, dict.fromkeys(origins, tuple(kinds)))
    own = pa.schema([*columns, (_files.POSITION, pa.string())])
    schema = _origins.with_columns(own, origins)

    def batches(path: str, _: int, __: int) -> Iterator[pa.RecordBatch]:
        with _workbook.opened(path) as workbook:
            for sheet in _workbook.sheets_of(workbook, path, options.sheet):
                for batch in _batches(sheet, path, shown[path], own, options):
                    placed = _origins.with_values(batch, origins[path])
                    yield _files.arranged(placed, schema) if origins[path] else batch

    return _files.frame_of(spark, parts, from_arrow_schema(schema, prefer_timestamp_ntz=True), batches)


def file_of(position: Column, options: Options) -> Column:
    """The file of a row, as its ``_position`` names it; no sheet has a colon in its name."""
    return _exports.file_in(position, r"![^!:]*:[0-9]+$")


exports = _exports.files_of


def _told(path: str, options: Options) -> dict[str, list[str]]:
    """The columns of one workbook and the kinds of cells in each."""
    _workbook.refuse_oversize(path)
    columns: dict[str, set[str]] = {}
    with _workbook.opened(path) as workbook:
        for sheet in _workbook.sheets_of(workbook, path, options.sheet):
            header, rows = _cells.rows_of(sheet, options)
            kinds = [set[str]() for _ in header]
            for _, values in rows:
                for found, value in zip(kinds, values, strict=True):
                    found.add(_cells.kind_of(value))
            for name, given, found in zip(_names(header, sheet, path, options), header, kinds, strict=True):
                if given or options.names or found - {""}:
                    columns.setdefault(name, set()).update(found - {""})
    return {name: sorted(found) for name, found in columns.items()}


def _names(header: Sequence[str], sheet: CalamineSheet, path: str, options: Options) -> list[str]:
    if options.names and header and len(options.names) != len(header):
        where, came = f"{_packed.shown(path)}!{sheet.name}", f"{len(header)}: {', '.join(header)[:200]}"
        expected = f"{len(options.names)} columns (options.names)"
        raise SourceError("A sheet has other columns than declared", expected=expected, came=came, where=where)
    return _files.unique_names(options.names if options.names and header else header)


def _batches(
    sheet: CalamineSheet, path: str, shown: str, schema: pa.Schema, options: Options
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    header, rows = _cells.rows_of(sheet, options)
    names = _names(header, sheet, path, options)
    while some := list(islice(rows, ROWS_AT_ONCE)):
        cells = dict(zip(names, zip(*(values for _, values in some), strict=True), strict=True))
        arrays = {
            name: _cells.array_of(values, schema.field(name).type, options)
            for name, values in cells.items()
            if name in schema.names
        }
        arrays[_files.POSITION] = _files.positions(f"{shown}!{sheet.name}:", [number for number, _ in some])
        yield _files.arranged(pa.record_batch(arrays), schema)
