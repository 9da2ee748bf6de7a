"""The lines of a text file as Arrow batches of strings: pyarrow where it is sure, Python's csv line by line elsewhere.

pyarrow is some twenty times faster, but refuses a block for one bad row. A block is 8 MiB of whole lines; one that it
refuses, or reads into another number of rows than there are lines, is read again row by row, so that a stray quote or
a missing value costs its own row and no other. Bytes that are no text in the encoding refuse the file, by their line,
unless nobody reads their column (``_encodings``).
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from capflow_assets.errors import SourceError
from capflow_assets.sources import _blocks, _encodings, _files, _packed
from capflow_assets.sources._blocks import MOST_CHARACTERS
from capflow_assets.sources._blocks import WHOLE_FILE as WHOLE_FILE
from capflow_assets.sources._glance import Glance

if TYPE_CHECKING:
    import pyarrow as pa

    from capflow_assets.sources.csv import Options

ROWS_AT_ONCE = 1 << 16
SHOWN_CHARACTERS = 100
HEAD_BYTES = 1 << 16
# Names of a file's columns have no blanks around them.
LINE = " line"
# One byte a character below 128, so that a line's end is found without decoding.
SPLITTABLE = ("utf-8", "ascii", "iso8859", "cp125")
# What Excel writes above a file whose delimiter is not that of the country.
EXCELS_DELIMITER = re.compile(r'"?sep=([^\r\n"])"?[;,\t]*[ \r\n]*', re.IGNORECASE)
NOTHING = Glance()


@dataclass(frozen=True, slots=True)
class Layout:
    """How one file is written: its columns, and the options with its own delimiter.

    ``above`` are the lines above the first row, and ``head_lines`` those above the first row of data. ``ends_in_cr``
    where lines end as those of old Macs did.
    """

    columns: list[str]
    options: Options
    above: int = 0
    head_lines: int = 0
    ends_in_cr: bool = False

    @property
    def is_by_lines(self) -> bool:
        """Whether a file can only be read row by row from its start: nowhere in it is a line's end surely a row's."""
        options = self.options
        return options.multiline or self.ends_in_cr or not options.encoding.startswith(SPLITTABLE)


def known_encoding(name: str) -> str:
    """Python's own name of a text encoding."""
    try:
        "".encode(name)
    except LookupError:
        raise ValueError(f"{name!r} is no text encoding; usual ones are utf-8, iso-8859-1, windows-1252") from None
    return codecs.lookup(name).name


def batches_of(
    path: str, start: int, stop: int, layout: Layout, shown: str = "", glance: Glance = NOTHING
) -> Iterator[pa.RecordBatch]:
    """The data rows of one part of one file, which people are shown as ``shown``: its columns and the reserved ones.

    A row's place is in two columns: what stands before the line's number, and ``LINE``, that number. Where a glance at
    the rows tells, what ``glance`` asks for comes with them.
    """
    if layout.is_by_lines:
        with text_of(path, layout.options.encoding) as (lines, _):
            rows = rows_of(islice(lines, layout.above, None), layout.options, layout.above + 1)
            rows = islice(rows, 1 if layout.options.header else 0, None)
            yield from _from_rows(rows, layout, f"{shown}:", glance.used)
        return
    for block, before, number, count in _blocks.blocks_of(path, start, stop, layout):
        prefix = f"{shown}@{before}+" if start else f"{shown}:"
        table = _parsed(block, count, layout, glance.used)
        if table is None:
            text = block.to_pybytes().decode(layout.options.encoding, _encodings.KEPT)
            yield from _from_rows(rows_of(text.split("\n"), layout.options, number), layout, prefix, glance.used)
        else:
            placed = _placed(table, prefix, range(number, number + count))
            yield from glance.at(placed).to_batches(ROWS_AT_ONCE)


def without_last(batches: Iterable[pa.RecordBatch], count: int, path: str) -> Iterator[pa.RecordBatch]:
    """The batches without the last ``count`` rows of them all.

    Raises:
        SourceError: there are not so many.
    """
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        while sum(each.num_rows for each in held[1:]) >= count:
            yield held.pop(0)
    left = count
    while held and left:
        last = held.pop()
        kept = max(0, last.num_rows - left)
        left -= last.num_rows - kept
        held += [last.slice(0, kept)] if kept else []
    if left:
        expected = f"more than {count:,} rows (options.skip_last)"
        raise SourceError("A file ends too soon", expected=expected, where=_packed.shown(path))
    yield from held


def _placed(table: pa.Table, prefix: str, numbers: Sequence[int]) -> pa.Table:
    """The rows with their places; text of each is made for those alone whose place somebody wants to know."""
    import numpy as np
    import pyarrow as pa

    # Arrow asks a range for its numbers one by one, which takes longer than all the rest here.
    known = np.arange(numbers.start, numbers.stop) if isinstance(numbers, range) else numbers
    before = pa.repeat(pa.scalar(prefix), len(known))
    return table.append_column(_files.POSITION, before).append_column(LINE, pa.array(known, pa.int64()))


@contextmanager
def text_of(path: str, encoding: str) -> Iterator[tuple[Iterator[str], bool]]:
    """The lines of a file from its start, as text, and whether they end in a bare ``\\r``.

    Bytes that are no text stand in it as ``_encodings`` keeps them.
    """
    with _packed.open_stream(path) as stream:
        ends_in_cr = _ends_in_cr(stream.peek(HEAD_BYTES)[:HEAD_BYTES], encoding)
        text = io.TextIOWrapper(stream, encoding, _encodings.KEPT, newline="\r" if ends_in_cr else "\n")
        lines = _bounded(text, path)
        first = next(lines, "").removeprefix("\ufeff")
        yield chain([first], lines), ends_in_cr


def layout_of(path: str, options: Options) -> tuple[Layout, int, list[str]]:
    """How a file is written, as far as its first lines tell, and the line and values of its first row."""
    with text_of(path, options.encoding) as (lines, ends_in_cr):
        first = next(lines, "")
        told = EXCELS_DELIMITER.fullmatch(first)
        if told:
            options = options.model_copy(update={"delimiter": told[1]})
        above = options.header_row - 1 if options.header_row else 1 if told else 0
        rest = islice(lines, above - 1, None) if above else chain([first], lines)
        number, values, _ = next(rows_of(rest, options, above + 1), (0, [], ""))
        layout = Layout([], options, above, number if options.header else above, ends_in_cr)
        return layout, number, values


def _ends_in_cr(head: bytes, encoding: str) -> bool:
    if not encoding.startswith(SPLITTABLE):
        head = head.decode(encoding, "ignore").encode("utf-8", "ignore")
    return b"\n" not in head and b"\r" in head[:-1]


def _bounded(text: io.TextIOWrapper, path: str) -> Iterator[str]:
    while line := text.readline(MOST_CHARACTERS):
        if len(line) == MOST_CHARACTERS:
            raise _blocks.endless(path)
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
    rows: Iterable[tuple[int, list[str], str]], layout: Layout, prefix: str, used: Collection[str] | None = None
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    columns, nulls = layout.columns, {"", *layout.options.null_values}
    schema = pa.schema([(name, pa.string()) for name in (*columns, _files.CORRUPT)])
    while some := list(islice(rows, ROWS_AT_ONCE)):
        fitted = [_fitted(values, text, len(columns)) for _, values, text in some]
        if any(_encodings.is_spoilt(value) for values in fitted for value in values):
            numbers = (number for number, _, _ in some)
            pairs = zip(fitted, numbers, strict=True)
            fitted = [_told(values, layout, f"{prefix}{number}", used) for values, number in pairs]
        values = [[None if value in nulls else value for value in column] for column in zip(*fitted, strict=True)]
        table = pa.table([pa.array(column, pa.string()) for column in values], schema=schema)
        yield from _placed(table, prefix, [number for number, _, _ in some]).to_batches()


def _told(fitted: list[str], layout: Layout, where: str, used: Collection[str] | None) -> list[str]:
    """A row that can be written as text; one that holds other bytes where somebody reads them is told of.

    Raises:
        SourceError: such rows refuse the file.
    """
    *values, unfit = fitted
    spoilt = _encodings.spoilt_columns(values, layout.columns, used)
    if spoilt and not unfit:
        options, value = layout.options, values[layout.columns.index(spoilt[0])]
        if options.undecodable == "refuse":
            raise _encodings.refusal(value, options.encoding, where, spoilt[0])
        unfit = _encodings.complaint(value, options.encoding)
    return [*map(_encodings.mended, values), _encodings.mended(unfit)]


def _fitted(values: list[str], text: str, count: int) -> list[str]:
    """Exactly ``count`` values and the complaint, blank where the row has them; blank values more are none."""
    fitted = values[:count] + [""] * (count - len(values))
    if len(values) == count or (len(values) > count and not any(value.strip() for value in values[count:])):
        return [*fitted, ""]
    came = f"{len(values)} values" if values else "no values that can be told apart"
    return [*fitted, f"has {came}, not {count}: {text[:SHOWN_CHARACTERS]!r}"]


def _parsed(block: pa.Buffer, lines: int, layout: Layout, used: Collection[str] | None = None) -> pa.Table | None:
    """The block as pyarrow reads it; None where it has a row that pyarrow may read otherwise than line by line.

    Of the columns those that are ``used`` at least.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    columns, options = layout.columns, layout.options
    if options.comment or options.fixed_whitespace or not options.delimiter.isascii():
        return None
    try:
        data = _in_plain_utf8(block, options)
        if data is None:
            return None
        quote = options.quote.encode()
        is_quoted = len(quote) > 1 or (bool(quote) and _blocks.count(data, quote) > 0)
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

    if _blocks.count(block, b"\r"):
        plain = block.to_pybytes().replace(b"\r\n", b"\n")
        if b"\r" in plain:
            return None
        block = pa.py_buffer(plain)
    return block if options.encoding == "utf-8" else pa.py_buffer(str(block, options.encoding).encode())


def _has_line_ends(table: pa.Table) -> bool:
    """Whether a stray quote made pyarrow read over the end of a line."""
    import pyarrow.compute as pc

    return any(pc.any(pc.match_substring(column, "\n")).as_py() for column in table.columns)
