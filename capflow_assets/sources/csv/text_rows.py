"""The rows of a text file as Python's csv splits them, line by line: exact, whatever stands in them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any

from capflow_assets.errors import SourceError
from capflow_assets.sources.reading import packed_files, text_encodings
from capflow_assets.sources.reading.text_encodings import SPLITTABLE

if TYPE_CHECKING:
    from capflow_assets.sources.csv.options import Options

HEAD_BYTES = 1 << 16
# A packed file of a few kilobytes may hold one line of gigabytes.
MOST_CHARACTERS = 64 << 20


@contextmanager
def text_of(path: str, encoding: str) -> Iterator[tuple[Iterator[str], bool]]:
    """The lines of a file from its start, as text, and whether they end in a bare ``\\r``.

    Bytes that are no text stand in it as ``text_encodings`` keeps them.
    """
    with packed_files.open_stream(path) as stream:
        ends_in_cr = _ends_in_cr(stream.peek(HEAD_BYTES)[:HEAD_BYTES], encoding)
        text = io.TextIOWrapper(stream, encoding, text_encodings.KEPT, newline="\r" if ends_in_cr else "\n")
        lines = _bounded(text, path)
        first = next(lines, "").removeprefix("\ufeff")
        yield chain([first], lines), ends_in_cr


def _ends_in_cr(head: bytes, encoding: str) -> bool:
    if not encoding.startswith(SPLITTABLE):
        head = head.decode(encoding, "ignore").encode("utf-8", "ignore")
    return b"\n" not in head and b"\r" in head[:-1]


def _bounded(text: io.TextIOWrapper, path: str) -> Iterator[str]:
    while line := text.readline(MOST_CHARACTERS):
        if len(line) == MOST_CHARACTERS:
            raise endless(path)
        yield line


def endless(path: str) -> SourceError:
    """The error for a line without an end."""
    return SourceError(
        "A line does not end",
        expected=f"lines of less than {MOST_CHARACTERS:,} characters",
        where=packed_files.shown(path),
        do="check that it is a text file of rows, in the encoding that the options name",
    )


def rows_of(lines: Iterable[str], options: Options, number: int = 1) -> Iterator[tuple[int, list[str], str]]:
    """The number of each row's line, its values and its text; no values where it cannot be split.

    ``number`` is that of the first line. Blank lines are counted but no rows. A row over several lines has its last's.
    """
    if options.multiline:
        yield from _over_lines(lines, options, number)
        return
    comment = options.comment or "\n"
    numbered = (
        (at, line) for at, line in enumerate(lines, number) if line.strip(" \r\n") and not line.startswith(comment)
    )
    if options.fixed_whitespace:
        yield from ((at, line.split(), line) for at, line in numbered)
        return
    dialect = _dialect(options)
    for at, line in numbered:
        plain = line.rstrip("\r\n")
        for values in _split(csv.reader((plain,), **dialect)):
            yield at, values, plain


def _over_lines(lines: Iterable[str], options: Options, number: int) -> Iterator[tuple[int, list[str], str]]:
    commented = 0

    def kept() -> Iterator[str]:
        nonlocal commented
        for line in lines:
            if options.comment and (line.startswith(options.comment) or not line.strip(" \r\n")):
                commented += 1
            else:
                yield line

    reader = csv.reader(kept(), **_dialect(options))
    for values in _split(reader):
        yield number + reader.line_num + commented - 1, values, "a quoted value"


def _dialect(options: Options) -> dict[str, Any]:
    quoting = {"quotechar": options.quote} if options.quote else {"quoting": csv.QUOTE_NONE}
    return {"delimiter": options.delimiter, "escapechar": options.escape or None, **quoting}


def _split(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    """The values of each row, none where it cannot be split; a row without a value is none."""
    while True:
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield []
        else:
            if values:
                yield values
