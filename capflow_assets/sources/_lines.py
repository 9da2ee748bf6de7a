"""The lines of a text file as Arrow batches of strings: pyarrow where it is sure, Python's csv line by line elsewhere.

pyarrow is some twenty times faster, but refuses a block for one bad row. A block is 8 MiB of whole lines; one that it
refuses, or reads into another number of rows than there are lines, is read again row by row, so that a stray quote or
a missing value costs its own row and no other.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from capflow_assets.errors import SourceError
from capflow_assets.sources import _files
from capflow_assets.sources._glance import Glance

if TYPE_CHECKING:
    import pyarrow as pa

    from capflow_assets.sources.csv import Options

BLOCK_BYTES = 8 << 20
ROWS_AT_ONCE = 1 << 16
SHOWN_CHARACTERS = 100
WHOLE_FILE = -1
LINE_BYTES = 1 << 16
LINE_END = ord("\n")
# Names of a file's columns have no blanks around them.
LINE = " line"
# A packed file of a few kilobytes may hold one line of gigabytes.
MOST_CHARACTERS = 64 << 20
# One byte a character below 128, so that a line's end is found without decoding.
SPLITTABLE = ("utf-8", "ascii", "iso8859", "cp125")
PACKED = (".gz", ".bz2", ".zst", ".lz4")
NOTHING = Glance()


def known_encoding(name: str) -> str:
    """Python's own name of a text encoding."""
    try:
        "".encode(name)
    except LookupError:
        raise ValueError(f"{name!r} is no text encoding; usual ones are utf-8, iso-8859-1, windows-1252") from None
    return codecs.lookup(name).name


def batches_of(
    path: str, start: int, stop: int, columns: list[str], options: Options, shown: str = "", glance: Glance = NOTHING
) -> Iterator[pa.RecordBatch]:
    """The data rows of one part of one file, which people are shown as ``shown``: ``columns`` and the reserved ones.

    A row's place is in two columns: what stands before the line's number, and ``LINE``, that number. Where a glance at
    the rows tells, what ``glance`` asks for comes with them.
    """
    if is_whole(path, options):
        with text_of(path, options) as lines:
            rows = rows_of(lines, options)
            yield from _from_rows(islice(rows, 1 if options.header else 0, None), columns, options, f"{shown}:")
        return
    for block, before, number, count in _blocks(path, start, stop, options):
        prefix = f"{shown}@{before}+" if start else f"{shown}:"
        table = _parsed(block, count, columns, options, glance.used)
        if table is None:
            text = block.to_pybytes().decode(options.encoding, "replace")
            yield from _from_rows(rows_of(text.split("\n"), options, number), columns, options, prefix)
        else:
            placed = _placed(table, prefix, range(number, number + count))
            yield from glance.at(placed).to_batches(ROWS_AT_ONCE)


def _placed(table: pa.Table, prefix: str, numbers: Sequence[int]) -> pa.Table:
    """The rows with their places; text of each is made for those alone whose place somebody wants to know."""
    import numpy as np
    import pyarrow as pa

    # Arrow asks a range for its numbers one by one, which takes longer than all the rest here.
    known = np.arange(numbers.start, numbers.stop) if isinstance(numbers, range) else numbers
    before = pa.repeat(pa.scalar(prefix), len(known))
    return table.append_column(_files.POSITION, before).append_column(LINE, pa.array(known, pa.int64()))


def _blocks(path: str, start: int, stop: int, options: Options) -> Iterator[tuple[pa.Buffer, int, int, int]]:
    """Whole lines of the part of a file in which they begin, some megabytes at a time, without the header.

    With each come the byte at which the part's lines begin, the number of the block's first line from there, and how
    many lines it has.
    """
    import pyarrow as pa

    with _files.open_file(path) as file:
        stop = file.size() if stop == WHOLE_FILE else stop
        at, number = (_after_line(file, start - 1), 1) if start else _after_header(file, stop, options)
        before = at
        while at < stop:
            block = _buffer(file, at, min(BLOCK_BYTES, stop - at))
            end = _end_of_lines(block)
            if not end or (at + block.size == stop and end < block.size):
                rest = _after_line(file, at + block.size) - at - block.size
                block = pa.py_buffer(b"".join((block, _buffer(file, at + block.size, rest))))
                end = block.size
            whole = block.slice(0, end)
            ends = _count(whole, b"\n")
            lines = ends + (_end_of_lines(whole) < end)
            yield whole, before, number, lines
            at, number = at + end, number + ends


def _buffer(file: pa.NativeFile, at: int, size: int) -> pa.Buffer:
    """Some bytes of a file, in memory that pyarrow uses over and over; bytes of Python's are new, and twice as slow."""
    file.seek(at)
    return file.read_buffer(size)


def _after_header(file: pa.NativeFile, stop: int, options: Options) -> tuple[int, int]:
    """Where the data rows of a file begin, and on which line."""
    stream = io.BufferedReader(file)
    if stream.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
        stream.seek(0)
    number, header = 1, options.header
    while header and stream.tell() < stop:
        line = stream.readline().decode(options.encoding, "replace")
        header = next(rows_of([line], options), None) is None
        number += 1
    at = stream.tell()
    stream.detach()  # or the file is closed with it
    return at, number


def _after_line(file: pa.NativeFile, at: int) -> int:
    """Where the line ends that goes on at a byte of a file: behind the next line's end, or at the end of the file."""
    file.seek(at)
    while block := file.read(LINE_BYTES):
        end = block.find(b"\n") + 1
        if end:
            return at + end
        at += len(block)
    return at


def _end_of_lines(block: pa.Buffer) -> int:
    """Where the last whole line of a block ends; 0 where there is none."""
    import numpy as np

    bytes_of = np.frombuffer(block, np.uint8)
    size = LINE_BYTES
    while True:
        begin = max(len(bytes_of) - size, 0)
        found = np.flatnonzero(bytes_of[begin:] == LINE_END)
        if len(found) or not begin:
            return begin + int(found[-1]) + 1 if len(found) else 0
        size *= 8


def _count(block: pa.Buffer, character: bytes) -> int:
    import numpy as np

    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == character[0]))


def is_whole(path: str, options: Options) -> bool:
    """Whether a file can only be read from its start: nowhere in it is a line's end surely a row's."""
    return options.multiline or path.endswith(PACKED) or not options.encoding.startswith(SPLITTABLE)


@contextmanager
def text_of(path: str, options: Options) -> Iterator[Iterator[str]]:
    """The lines of a file from its start, as text; bytes that are none become U+FFFD."""
    with _files.open_stream(path) as stream:
        lines = _bounded(io.TextIOWrapper(stream, options.encoding, "replace", newline="\n"), path)
        first = next(lines, "").removeprefix("\ufeff")
        yield chain([first], lines)


def _bounded(text: io.TextIOWrapper, path: str) -> Iterator[str]:
    while line := text.readline(MOST_CHARACTERS):
        if len(line) == MOST_CHARACTERS:
            raise SourceError(
                "A line does not end",
                expected=f"lines of less than {MOST_CHARACTERS:,} characters",
                where=path,
                do="check that it is a text file of rows, in the encoding that the options name",
            )
        yield line


def rows_of(lines: Iterable[str], options: Options, number: int = 1) -> Iterator[tuple[int, list[str], str]]:
    """The number of each row's line, its values and its text; no values where it cannot be split.

    ``number`` is that of the first line. Blank lines are counted but no rows. A row over several lines has its last's.
    """
    if options.multiline:
        yield from _over_lines(lines, options, number)
        return
    told = options.comment or "\n"
    kept = ((at, line) for at, line in enumerate(lines, number) if line.strip(" \r\n") and not line.startswith(told))
    if options.fixed_whitespace:
        yield from ((at, line.split(), line) for at, line in kept)
        return
    dialect = _dialect(options)
    for at, line in kept:
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


def _from_rows(
    rows: Iterable[tuple[int, list[str], str]], columns: list[str], options: Options, prefix: str
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    nulls = {"", *options.null_values}
    schema = pa.schema([(name, pa.string()) for name in (*columns, _files.CORRUPT)])
    while some := list(islice(rows, ROWS_AT_ONCE)):
        fitted = [_fitted(values, text, len(columns)) for _, values, text in some]
        values = [[None if value in nulls else value for value in column] for column in zip(*fitted, strict=True)]
        table = pa.table([pa.array(column, pa.string()) for column in values], schema=schema)
        yield from _placed(table, prefix, [number for number, _, _ in some]).to_batches()


def _fitted(values: list[str], text: str, count: int) -> list[str]:
    """Exactly ``count`` values and the complaint, blank where the row has them; blank values more are none."""
    fitted = values[:count] + [""] * (count - len(values))
    if len(values) == count or (len(values) > count and not any(value.strip() for value in values[count:])):
        return [*fitted, ""]
    came = f"{len(values)} values" if values else "no values that can be told apart"
    return [*fitted, f"has {came}, not {count}: {text[:SHOWN_CHARACTERS]!r}"]


def _parsed(
    block: pa.Buffer, lines: int, columns: list[str], options: Options, used: Collection[str] | None = None
) -> pa.Table | None:
    """The block as pyarrow reads it; None where it has a row that pyarrow may read otherwise than line by line.

    Of the columns those that are ``used`` at least.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    if options.comment or options.fixed_whitespace or not options.delimiter.isascii():
        return None
    try:
        data = _in_plain_utf8(block, options)
        if data is None:
            return None
        quote = options.quote.encode()
        is_quoted = len(quote) > 1 or (bool(quote) and _count(data, quote) > 0)
        # A stray quote shows in any column.
        chosen = columns if is_quoted or used is None else [name for name in columns if name in used]
        table = arrow_csv.read_csv(
            pa.BufferReader(data),
            read_options=arrow_csv.ReadOptions(column_names=columns, use_threads=False, block_size=data.size + 1),
            parse_options=arrow_csv.ParseOptions(
                delimiter=options.delimiter, quote_char=options.quote or False, escape_char=options.escape or False
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()),
                strings_can_be_null=True,
                null_values=["", *options.null_values],
                include_columns=chosen,
            ),
        )
    except (pa.ArrowException, UnicodeDecodeError):
        return None
    if table.num_rows != lines or (is_quoted and _has_line_ends(table)):
        return None
    return table.append_column(_files.CORRUPT, pa.nulls(table.num_rows, pa.string()))


def _in_plain_utf8(block: pa.Buffer, options: Options) -> pa.Buffer | None:
    """The block with lines that end in ``\\n`` alone; None where a ``\\r`` stands elsewhere."""
    import pyarrow as pa

    if _count(block, b"\r"):
        plain = block.to_pybytes().replace(b"\r\n", b"\n")
        if b"\r" in plain:
            return None
        block = pa.py_buffer(plain)
    return block if options.encoding == "utf-8" else pa.py_buffer(str(block, options.encoding).encode())


def _has_line_ends(table: pa.Table) -> bool:
    """Whether a stray quote made pyarrow read over the end of a line."""
    import pyarrow.compute as pc

    return any(pc.any(pc.match_substring(column, "\n")).as_py() for column in table.columns)
