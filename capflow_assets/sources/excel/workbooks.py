"""Opening an Excel workbook without trusting it: what it unpacks to and how far its cells reach is looked at first.

The library holds a whole sheet as one rectangle from its first to its last cell, so a file of a few bytes can ask for
more memory than there is; and a small file can unpack to any size. Such files are refused before they are opened.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from capflow_assets.errors import SourceError, listed
from capflow_assets.sources.reading import packed_files

if TYPE_CHECKING:
    from python_calamine import CalamineSheet, CalamineWorkbook

MOST_PACKED_BYTES = 256 << 20
MOST_UNPACKED_BYTES = 2 << 30
MOST_CELLS = 50_000_000
MOST_ROWS, MOST_COLUMNS = 1 << 20, 1 << 14
# A cell of Excel's holds 32,767 characters.
MOST_TEXT_BYTES = 1 << 20
READ_BYTES = 4 << 20
OVERLAP_BYTES = 64
CELL = re.compile(rb"""[ \t\r\n]r[ \t\r\n]*=[ \t\r\n]*["']([A-Za-z]+)([0-9]+)["']""")
FAR = re.compile(rb"""[ \t\r\n]r[ \t\r\n]*=[ \t\r\n]*["'](?:[A-Za-z]{3}|[A-Za-z]+[0-9]{5})""")
SAVE_AS = "open it in Excel and save it as .xlsx without a password"


@contextmanager
def opened(path: str) -> Iterator[CalamineWorkbook]:
    """The workbook of one file.

    Raises:
        SourceError: it is none, is damaged, or has a password.
    """
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError

    try:
        with CalamineWorkbook.from_filelike(io.BytesIO(_content(path))) as workbook:
            yield workbook
    except PasswordError as error:
        raise SourceError("A workbook has a password", where=packed_files.shown(path), do=SAVE_AS) from error
    except CalamineError as error:
        raise _unread(path, error) from error
    except BaseException as error:
        # The library's own failing on a damaged file comes as this, which is no Exception.
        if type(error).__name__ == "PanicException":
            raise _unread(path, error) from None
        raise


def sheets_of(workbook: CalamineWorkbook, path: str, wanted: str | int | Sequence[str]) -> list[CalamineSheet]:
    """The sheets that are meant: by name, by number from 1, by several names, or ``*`` for all that are to be seen.

    Raises:
        SourceError: there is no such sheet; names those that there are.
    """
    from python_calamine import SheetTypeEnum, SheetVisibleEnum

    if not isinstance(wanted, (str, int)):
        return [sheet for name in wanted for sheet in sheets_of(workbook, path, name)]
    pages = [page for page in workbook.sheets_metadata if page.typ == SheetTypeEnum.WorkSheet]
    names = [page.name for page in pages]
    if wanted == "*":
        chosen = [page.name for page in pages if page.visible == SheetVisibleEnum.Visible]
    elif isinstance(wanted, int):
        chosen = names[wanted - 1 : wanted]
    else:
        chosen = [name for name in names if name == wanted] or [
            name for name in names if name.strip().lower() == wanted.strip().lower()
        ]
    if not chosen:
        there = listed(repr(name) for name in names) or "none"
        do = "options.sheet: one of these names, a number from 1, or '*' for all"
        raise SourceError(f"A workbook has no sheet {wanted!r}", expected=there, where=packed_files.shown(path), do=do)
    return [workbook.get_sheet_by_name(name) for name in chosen]


def refuse_oversize(path: str) -> None:
    """Refuse a workbook that no memory should be asked for.

    Raises:
        SourceError: it is no workbook of Excel's, or it unpacks to too much.
    """
    content = _content(path)
    if content.startswith(b"\xd0\xcf\x11\xe0"):
        return  # .xls is not packed, and ends at 65,536 rows
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            if "xl/workbook.xml" not in packed.namelist():
                raise _stranger(path, content)
            _refuse_bomb(packed, path)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise _unread(path, error) if content.startswith(b"PK") else _stranger(path, content) from error


def _refuse_bomb(packed: zipfile.ZipFile, path: str) -> None:
    unpacked = sum(member.file_size for member in packed.infolist())
    if unpacked > MOST_UNPACKED_BYTES:
        raise _oversize(path, f"at most {MOST_UNPACKED_BYTES:,} bytes when unpacked", f"{unpacked:,}")
    for member in packed.infolist():
        if not member.filename.endswith((".xml", ".rels")):
            continue
        with packed.open(member) as stream:
            _refuse_far_cells(stream, path)


def _refuse_far_cells(stream: Any, path: str) -> None:
    """Read one part to its end, which also holds its true size against the one that it claims."""
    left, columns, last_row = b"", 1, 1
    while block := stream.read(READ_BYTES):
        text = left + block
        if _has_long_text(text):
            raise _oversize(path, "text of at most 32,767 characters in a cell", f"more than {MOST_TEXT_BYTES:,}")
        if FAR.search(text):
            places = CELL.findall(text)
            columns = max(columns, *(_column_number(name) for name in {name for name, _ in places}), 1)
            last_row = max(last_row, *(int(row) for row in {row for _, row in places}), 1)
            if last_row > MOST_ROWS or columns > MOST_COLUMNS or last_row * columns > MOST_CELLS:
                expected = f"at most {MOST_CELLS:,} cells between the first and the last one"
                raise _oversize(path, expected, f"{last_row:,} rows by {columns:,} columns")
        left = text[-OVERLAP_BYTES:]


def _has_long_text(text: bytes) -> bool:
    """Whether a stretch of text begins no tag."""
    return any(
        text.find(b"<", start, start + MOST_TEXT_BYTES) < 0
        for start in range(0, len(text) - MOST_TEXT_BYTES, MOST_TEXT_BYTES)
    )


def _column_number(name: bytes) -> int:
    """The number of a column from 1.

    >>> _column_number(b"A"), _column_number(b"AA"), _column_number(b"XFD")
    (1, 27, 16384)
    """
    number = 0
    for letter in name.upper():
        number = number * 26 + letter - 64
    return number


def column_number(name: str) -> int:
    """The number, from 1, of a column that Excel shows by letters."""
    return _column_number(name.encode())


def _content(path: str) -> bytes:
    with packed_files.open_stream(path) as file:
        content: bytes = file.read(MOST_PACKED_BYTES + 1)
    if len(content) > MOST_PACKED_BYTES:
        raise _oversize(path, f"at most {MOST_PACKED_BYTES:,} bytes", "more")
    return content


def _oversize(path: str, expected: str, received: str) -> SourceError:
    do = "export the rows as CSV or Parquet, or delete what stands far from the table"
    return SourceError(
        "A workbook is too large to be read", expected=expected, came=received, where=packed_files.shown(path), do=do
    )


def _stranger(path: str, content: bytes) -> SourceError:
    kind = "an .xlsb or .ods workbook" if content.startswith(b"PK") else repr(content[:40])
    do = 'save it as .xlsx; for text that is only called .xls say source = "csv"'
    return SourceError(
        "A file is no Excel workbook", expected=".xlsx, .xlsm or .xls", came=kind, where=packed_files.shown(path), do=do
    )


def _unread(path: str, error: BaseException) -> SourceError:
    received = str(error).strip().split("\n")[0][:200] or type(error).__name__
    return SourceError(
        "A workbook cannot be read",
        expected="a whole .xlsx or .xls",
        came=received,
        where=packed_files.shown(path),
        do=SAVE_AS,
    )
