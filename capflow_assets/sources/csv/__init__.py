"""Text files of rows: comma, semicolon or tab separated, or columns split by runs of white space.

Every value comes as text (blank is null); landing reads numbers and times. Workers read the files, with pyarrow and
Python's csv instead of the engines' parsers: those lose or refuse a whole file for one bad row, read other encodings as
UTF-8, and match the columns of several files by position instead of by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from capflow_assets.errors import MappingError, SourceError
from capflow_assets.landing.row_expressions import columns_used
from capflow_assets.landing.values import ID, SEEN
from capflow_assets.sources.csv import file_layout, lines
from capflow_assets.sources.csv.glance import NOTHING, Glance
from capflow_assets.sources.csv.options import Options
from capflow_assets.sources.reading import (
    arrow_frames,
    file_exports,
    file_origins,
    packed_files,
    row_search,
    storage,
    text_encodings,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame, SparkSession

SPLIT_BYTES = 64 << 20
HEADER_THREADS = 8
# Engines plan a column each: a line of nothing but commas would keep them for hours.
MOST_COLUMNS = 2_000


def read(spark: SparkSession, location: str, options: Options) -> DataFrame:
    """The rows of the files at ``location``: their columns by name, all strings; ``_corrupt_record``, ``_position``.

    Grain: one row per row of the files; blank lines are no rows. A column that only some files have is null in the
    others. A row of too few or too many values says so in ``_corrupt_record``; it never stops the file.

    Packed files are told by their first bytes (``packed_files``). Folders called ``store=7`` below the location make a
    column, and so does the file's name where ``file_column`` asks for it. A first line ``sep=;`` is Excel's.

    ``_position`` is the file and the line, header and blank lines counted: ``bills.csv:17``; ``may.zip!bills.csv:17``
    in a zip. A file of more than 64 MiB is read in parts at once; beyond the first it counts from a byte:
    ``bills.csv@57108890+17`` is the line that ``tail -c +57108891 bills.csv | sed -n 17p`` shows.

    Raises:
        SourceError: nothing is there, it is empty, cannot be opened or unpacked, or holds bytes that are no text in the
            encoding; a folder's value and a column have one name.
    """
    return _read(spark, location, options, NOTHING)[0]


def read_at_a_glance(
    spark: SparkSession, location: str, options: Options, kinds: Mapping[str, str], zone: str, texts: Collection[str]
) -> tuple[DataFrame, Mapping[str, str]]:
    """As ``read``, with what columns plainly say as ``timestamp`` (of local times), ``double`` or ``id``.

    With it come the columns that were looked at.

    Column ``_seen_paid_at`` is that of ``paid_at``; null where a glance does not tell, and landing asks the text.
    ``texts`` are all that will be asked of the rows: a column that none of them mentions may be null.
    """
    own_forms = {
        "timestamp": bool(options.timestamp_format or options.date_format),
        "double": options.decimal_comma,
    }
    plain = {name: kind for name, kind in kinds.items() if not own_forms.get(kind)}
    return _read(spark, location, options, Glance(plain, zone), texts)


def _read(
    spark: SparkSession, location: str, options: Options, glance: Glance, texts: Collection[str] | None = None
) -> tuple[DataFrame, Mapping[str, str]]:
    import pyarrow as pa
    from pyspark.sql import functions as F
    from pyspark.sql.types import DataType, DoubleType, LongType, StringType, StructField, StructType, TimestampType

    files = packed_files.files_of(location, options.members)
    layouts = _layouts([file.path for file in files], options)
    _refuse_strangers(location, {path: layout.columns for path, layout in layouts.items()})
    shown = storage.shown_names(location, files)
    origins = file_origins.of_files(location, files, options.file_column, options.folder_columns)
    file_origins.refuse_conflicts(origins, {path: layout.columns for path, layout in layouts.items()})
    own = dict.fromkeys(name for layout in layouts.values() for name in layout.columns)
    names = list(dict.fromkeys([*own, *(name for values in origins.values() for name in values)]))
    parts = [part for file in files for part in _parts(file, layouts[file.path])]
    last = {path: start for path, start, _ in parts}

    def batches(path: str, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        rows = lines.batches_of(path, start, stop, layouts[path], shown[path], looked)
        if options.skip_last and start == last[path]:
            rows = lines.without_last(rows, options.skip_last, path)
        for batch in rows:
            yield arrow_frames.arranged(file_origins.with_values(batch, origins[path]), arrow)

    looked = replace(glance.of(names), used=None if texts is None else _used(names, texts))
    columns_of: dict[str, tuple[pa.DataType, DataType]] = {
        name: (pa.string(), StringType()) for name in (*names, *arrow_frames.RESERVED)
    }
    columns_of |= {lines.LINE: (pa.int64(), LongType())}
    seen = {
        "timestamp": (pa.timestamp("us", "UTC"), TimestampType()),
        "double": (pa.float64(), DoubleType()),
        ID: (pa.string(), StringType()),
    }
    columns_of |= {SEEN + name: seen[kind] for name, kind in looked.columns.items()}
    arrow = pa.schema([(name, kind) for name, (kind, _) in columns_of.items()])
    schema = StructType([StructField(name, kind) for name, (_, kind) in columns_of.items()])
    frame = arrow_frames.frame_of(spark, parts, schema, batches)
    position = F.concat(arrow_frames.POSITION, F.col(f"`{lines.LINE}`").cast("string"))
    placed = frame.withColumn(arrow_frames.POSITION, position).drop(lines.LINE)
    return placed, looked.columns


def _used(names: Sequence[str], texts: Collection[str]) -> list[str] | None:
    """The columns that texts read; None (all of them) where one means nothing, which landing tells.

    >>> _used(["total", "week", "net"], ["total", "try_divide(`net`, 100) * 2"])
    ['total', 'net']
    >>> _used(["total", "week"], ["to_json(struct(*))"]), _used(["total", "week"], ["now()"])
    (['total', 'week'], None)
    """
    try:
        used = {name for text in texts if text for name in columns_used(text, names)}
    except MappingError:  # landing tells it
        return None
    return [name for name in names if name in used]


def file_of(position: Column, options: Options) -> Column:
    """The file of a row, as its ``_position`` names it."""
    return file_exports.file_in(position, r"(:|@[0-9]+[+])[0-9]+$")


exports = file_exports.files_of


def find_rows(location: str, options: Options, rows: list[dict[str, str | None]]) -> list[int | None]:
    """The 1-based number of each row among the data rows at ``location`` (files by name), header and blanks apart."""
    files = [file.path for file in packed_files.files_of(location, options.members)]
    layouts = _layouts(files, options)
    batches = (batch for path in files for batch in lines.batches_of(path, 0, arrow_frames.WHOLE_FILE, layouts[path]))
    return row_search.found_in(batches, rows)


def _parts(file: storage.StoredFile, layout: file_layout.Layout) -> list[tuple[str, int, int]]:
    """Stretches of a file that can be read apart: only where a line's end is certain to be a row's."""
    if layout.is_by_lines or packed_files.is_packed(file.path) or file.size_bytes <= SPLIT_BYTES:
        return [(file.path, 0, arrow_frames.WHOLE_FILE)]
    pieces = -(-file.size_bytes // SPLIT_BYTES)  # of one size, so that workers end together
    ends = [file.size_bytes * place // pieces for place in range(pieces + 1)]
    return [(file.path, start, stop) for start, stop in pairwise(ends)]


def _layouts(paths: Sequence[str], options: Options) -> dict[str, file_layout.Layout]:
    """How each file is written."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(HEADER_THREADS) as pool:
        return dict(zip(paths, pool.map(lambda path: _layout(path, options), paths), strict=True))


def _layout(path: str, options: Options) -> file_layout.Layout:
    layout, number, first = file_layout.layout_of(path, options)
    where = packed_files.shown(path)
    if not first:
        expected = "rows, the first of which names the columns"
        if options.header_row:
            expected = f"names in line {options.header_row} (options.header_row), and rows below"
            raise SourceError("A file holds no row there", expected=expected, came="an end before it", where=where)
        raise SourceError("A file holds no row", expected=expected, where=where)
    if options.header_row and number > options.header_row and not options.multiline:
        received, do = f"none there; the next row is line {number}", "options.header_row: the line's number in the file"
        expected = f"names in line {options.header_row} (options.header_row)"
        raise SourceError("A file has no such header", expected=expected, came=received, where=where, do=do)
    head = ",".join(first)
    is_binary = "\0" in head and not text_encodings.is_marked(head, options.encoding)
    if text_encodings.is_spoilt(head) and not is_binary:
        raise text_encodings.refusal(head, options.encoding, f"{where}:{number}")
    if is_binary:
        expected, do = f"text in {options.encoding}", "name the encoding (utf-16, say), or check that it is a text file"
        received = repr(text_encodings.mended(head))[:100]
        raise SourceError(
            "A file begins with no text", expected=expected, came=received, where=where, do=f"options: {do}"
        )
    if len(first) > MOST_COLUMNS:
        received, do = f"{len(first):,}, {', '.join(first)[:100]!r} …", "check delimiter and quote in the options"
        raise SourceError(
            "A file has too many columns", expected=f"at most {MOST_COLUMNS:,}", came=received, where=where, do=do
        )
    if options.names and len(options.names) != len(first):
        expected, received = f"{len(options.names)} columns (options.names)", f"{len(first)}: {', '.join(first)[:200]}"
        raise SourceError("A file has other columns than declared", expected=expected, came=received, where=where)
    return replace(
        layout, columns=arrow_frames.unique_names(options.names or (first if options.header else [""] * len(first)))
    )


def _refuse_strangers(location: str, columns: dict[str, list[str]]) -> None:
    """Refuse files that share no column with any other of the folder: a note among the exports, say."""
    files_with = Counter(name for names in columns.values() for name in names)
    strangers = [path for path, names in columns.items() if all(files_with[name] == 1 for name in names)]
    if strangers and len(columns) > 1:
        raise SourceError(
            "Files of one location have no column in common with the others",
            expected="files of one table",
            came="; ".join(
                f"{packed_files.shown(path)} with {', '.join(columns[path])[:100]}" for path in strangers[:3]
            ),
            where=location,
            do="take out what does not belong there, or narrow the location, to *.csv for example",
        )
