"""The rows of one Excel sheet, and what the cells of a column are: numbers, times, truth values or text.

Excel types each cell for itself. A column whose cells agree has their type; where they do not it is text, written so
that the customer's own formats read it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from capflow_assets.errors import SourceError
from capflow_assets.landing import time_formats
from capflow_assets.sources.excel.areas import Area

if TYPE_CHECKING:
    import pyarrow as pa
    from python_calamine import CalamineSheet

    from capflow_assets.sources.excel.options import Options

LONG = 1 << 63
Row = tuple[int, list[Any]]


def rows_of(sheet: CalamineSheet, options: Options) -> tuple[list[str], Iterator[Row]]:
    """The name of each column, '' where it has none, and the rows below that are not blank, numbered as Excel does.

    Raises:
        SourceError: there is no row of names where one is declared.
    """
    area = Area.of(options.range) if options.range else Area()
    rows = _within(sheet, area)
    header = _header(sheet, rows, options)
    skipped = islice(rows, options.skip_rows, None)
    return header, _without_last((row for row in skipped if not _is_blank(row[1])), options.skip_last)


def _header(sheet: CalamineSheet, rows: Iterator[Row], options: Options) -> list[str]:
    """The names, taken from ``rows``."""
    if options.row_of_names == 0:
        width = 0 if sheet.end is None else sheet.end[1] + 1
        area = Area.of(options.range) if options.range else Area()
        return [""] * max(0, min(width, area.right + 1) - area.left)
    for number, values in rows:
        if number == options.row_of_names or (options.row_of_names is None and not _is_blank(values)):
            return [(written(value, options) or "").strip() for value in values]
    if options.row_of_names is None:
        return []
    expected = f"names in row {options.row_of_names} (options.header)"
    raise SourceError("A sheet has no such row", expected=expected, came=f"{sheet.height} rows", where=sheet.name)


def kind_of(value: Any) -> str:
    """What a cell holds; '' for a blank one.

    >>> [kind_of(value) for value in ("", "007", True, 3.0, 2.5, date(2024, 1, 2), time(1))]
    ['', 'text', 'truth', 'whole', 'number', 'moment', 'text']
    """
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, (int, float)):
        return "whole" if value == value // 1 and abs(value) < LONG else "number"
    if isinstance(value, date):
        return "moment"
    return "text" if not _is_nothing(value) else ""


def type_of(kinds: set[str]) -> pa.DataType:
    """The type of a column whose cells are of these kinds."""
    import pyarrow as pa

    if kinds == {"whole", "number"}:
        return pa.float64()
    types = {"truth": pa.bool_(), "whole": pa.int64(), "number": pa.float64(), "moment": pa.timestamp("us")}
    return types.get(next(iter(kinds)), pa.string()) if len(kinds) == 1 else pa.string()


def array_of(values: Sequence[Any], kind: pa.DataType, options: Options) -> pa.Array:
    """The cells of one column as ``kind``."""
    import pyarrow as pa

    if pa.types.is_string(kind):
        return pa.array([written(value, options) for value in values], kind)
    if pa.types.is_timestamp(kind):
        return pa.array([_moment(value) if isinstance(value, date) else None for value in values], kind)
    make = bool if pa.types.is_boolean(kind) else int if pa.types.is_integer(kind) else float
    return pa.array([None if _is_nothing(value) else make(value) for value in values], kind)


def written(value: Any, options: Options) -> str | None:
    """A cell as text: numbers without a needless point, times in the source's declared format or ISO 8601.

    >>> from capflow_assets.sources.excel import Options
    >>> written(31198570044.0, Options()), written(datetime(2024, 1, 2), Options(date_format="d.M.yyyy"))
    ('31198570044', '2.1.2024')
    """
    if _is_nothing(value):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        plain = str(int(value)) if kind_of(value) == "whole" else repr(value)
        return plain.replace(".", ",") if options.decimal_comma else plain
    if isinstance(value, date):
        return _in_format(_moment(value), options.timestamp_format, options.date_format)
    if isinstance(value, timedelta):
        minutes, seconds = divmod(int(value.total_seconds()), 60)
        return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
    return value.isoformat() if isinstance(value, time) else str(value)


def _within(sheet: CalamineSheet, area: Area) -> Iterator[Row]:
    """The rows of an area with their numbers; a merged cell's value stands in each of its rows."""
    if sheet.start is None:
        return
    before = sheet.start[1]
    merged = _merged(sheet)
    held: dict[int, tuple[Any, int]] = {}
    for at, cells in enumerate(sheet.iter_rows()):
        values = [""] * before + cells
        if not _is_blank(values):
            held = {column: merged_cell for column, merged_cell in held.items() if merged_cell[1] >= at}
            values = [held[place][0] if place in held else value for place, value in enumerate(values)]
        for column, last_row in merged.get(at, ()):
            held[column] = (values[column], last_row)
        if area.top <= at <= area.bottom:
            yield at + 1, values[area.left : area.right + 1]


def _merged(sheet: CalamineSheet) -> dict[int, list[tuple[int, int]]]:
    """For each row the columns in which a cell over several rows begins, and its last row."""
    merged: dict[int, list[tuple[int, int]]] = {}
    for (top, left), (bottom, _) in sheet.merged_cell_ranges or ():
        if bottom > top and sheet.end is not None and left <= sheet.end[1]:
            merged.setdefault(top, []).append((left, bottom))
    return merged


def _without_last(rows: Iterator[Row], count: int) -> Iterator[Row]:
    held: deque[Row] = deque()
    for row in rows:
        held.append(row)
        if len(held) > count:
            yield held.popleft()


def _is_blank(values: Sequence[Any]) -> bool:
    return all(_is_nothing(value) for value in values)


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _moment(value: date) -> datetime:
    return value if isinstance(value, datetime) else datetime.combine(value, time())


def _in_format(moment: datetime, timestamp_format: str | None, date_format: str | None) -> str:
    is_day = moment.time() == time()
    format = timestamp_format or (date_format if is_day else None)
    if format is None or time_formats.has_offset(format):
        return moment.isoformat(" ")
    return time_formats.written(moment, format)
