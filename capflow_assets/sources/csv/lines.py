"""The lines of a text file as Arrow batches of strings: pyarrow where it is sure, Python's csv line by line elsewhere.

pyarrow is some twenty times faster, but refuses a block for one bad row. A block is 8 MiB of whole lines; one that it
refuses, or reads into another number of rows than there are lines, is read again row by row, so that a stray quote or
a missing value costs its own row and no other. Bytes that are no text in the encoding refuse the file, by their line,
unless nobody reads their column (``text_encodings``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from capflow_assets.errors import SourceError
from capflow_assets.sources.csv import blocks
from capflow_assets.sources.csv.file_layout import Layout
from capflow_assets.sources.csv.glance import NOTHING, Glance
from capflow_assets.sources.csv.text_rows import rows_of, text_of
from capflow_assets.sources.reading import arrow_frames, packed_files, text_encodings

if TYPE_CHECKING:
    import pyarrow as pa

    from capflow_assets.sources.csv.options import Options

ROWS_AT_ONCE = 1 << 16
SHOWN_CHARACTERS = 100
# Names of a file's columns have no blanks around them.
LINE = " line"


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
            yield from parsed_by_rows(rows, layout, f"{shown}:", glance.used)
        return
    for block, before, number, count in blocks.blocks_of(path, start, stop, layout):
        prefix = f"{shown}@{before}+" if start else f"{shown}:"
        table = parsed_at_once(block, count, layout, glance.used)
        if table is None:
            text = block.to_pybytes().decode(layout.options.encoding, text_encodings.KEPT)
            yield from parsed_by_rows(rows_of(text.split("\n"), layout.options, number), layout, prefix, glance.used)
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
        while sum(held_batch.num_rows for held_batch in held[1:]) >= count:
            yield held.pop(0)
    left = count
    while held and left:
        last = held.pop()
        rows_that_stay = max(0, last.num_rows - left)
        left -= last.num_rows - rows_that_stay
        held += [last.slice(0, rows_that_stay)] if rows_that_stay else []
    if left:
        expected = f"more than {count:,} rows (options.skip_last)"
        raise SourceError("A file ends too soon", expected=expected, where=packed_files.shown(path))
    yield from held


def _placed(table: pa.Table, prefix: str, numbers: Sequence[int]) -> pa.Table:
    """The rows with their places; text of each is made for those alone whose place somebody wants to know."""
    import numpy as np
    import pyarrow as pa

    # Arrow asks a range for its numbers one by one, which takes longer than all the rest here.
    known = np.arange(numbers.start, numbers.stop) if isinstance(numbers, range) else numbers
    before = pa.repeat(pa.scalar(prefix), len(known))
    return table.append_column(arrow_frames.POSITION, before).append_column(LINE, pa.array(known, pa.int64()))


def parsed_by_rows(
    rows: Iterable[tuple[int, list[str], str]], layout: Layout, prefix: str, used: Collection[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows of ``text_rows`` as batches, each with its place and the complaint about it, if there is one.

    Raises:
        SourceError: one holds bytes that are no text in the encoding, and these refuse the file.
    """
    import pyarrow as pa

    columns, nulls = layout.columns, {"", *layout.options.null_values}
    schema = pa.schema([(name, pa.string()) for name in (*columns, arrow_frames.CORRUPT)])
    while some := list(islice(rows, ROWS_AT_ONCE)):
        fitted = [_fitted(values, text, len(columns)) for _, values, text in some]
        if any(text_encodings.is_spoilt(value) for values in fitted for value in values):
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
    spoilt = text_encodings.spoilt_columns(values, layout.columns, used)
    if spoilt and not unfit:
        options, value = layout.options, values[layout.columns.index(spoilt[0])]
        if options.undecodable == "refuse":
            raise text_encodings.refusal(value, options.encoding, where, spoilt[0])
        unfit = text_encodings.complaint(value, options.encoding)
    return [*map(text_encodings.mended, values), text_encodings.mended(unfit)]


def _fitted(values: list[str], text: str, count: int) -> list[str]:
    """Exactly ``count`` values and the complaint, blank where the row has them; blank values more are none."""
    fitted = values[:count] + [""] * (count - len(values))
    if len(values) == count or (len(values) > count and not any(value.strip() for value in values[count:])):
        return [*fitted, ""]
    received = f"{len(values)} values" if values else "no values that can be told apart"
    return [*fitted, f"has {received}, not {count}: {text[:SHOWN_CHARACTERS]!r}"]


def parsed_at_once(
    block: pa.Buffer, lines: int, layout: Layout, used: Collection[str] | None = None
) -> pa.Table | None:
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
        is_quoted = len(quote) > 1 or (bool(quote) and blocks.count(data, quote) > 0)
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
                # Of signs of ASCII alone there is nothing to check.
                check_utf8=not blocks.is_ascii(data),
            ),
        )
    except (pa.ArrowException, UnicodeDecodeError):
        return None
    if table.num_rows != lines or (is_quoted and _has_line_ends(table)):
        return None
    return table.append_column(arrow_frames.CORRUPT, pa.nulls(table.num_rows, pa.string()))


def _in_plain_utf8(block: pa.Buffer, options: Options) -> pa.Buffer | None:
    """The block with lines that end in ``\\n`` alone; None where a ``\\r`` stands elsewhere."""
    import pyarrow as pa

    if blocks.count(block, b"\r"):
        plain = block.to_pybytes().replace(b"\r\n", b"\n")
        if b"\r" in plain:
            return None
        block = pa.py_buffer(plain)
    return block if options.encoding == "utf-8" else pa.py_buffer(str(block, options.encoding).encode())


def _has_line_ends(table: pa.Table) -> bool:
    """Whether a stray quote made pyarrow read over the end of a line."""
    import pyarrow.compute as pc

    return any(pc.any(pc.match_substring(column, "\n")).as_py() for column in table.columns)
