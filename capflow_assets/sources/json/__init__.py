"""JSON files: a record a line, or documents that hold an array of records.

Every record of every file is looked at before the first row is given, by the workers in parallel, so that a field that
first shows up in the last line is a column all the same. That costs a second reading. Nested objects stay structs,
which a mapping reaches as ``customer.id``; whole numbers stay exact; what is of several kinds comes as text, as it was
written.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from capflow_assets.errors import SourceError, listed
from capflow_assets.landing.number_formats import NumberOptions
from capflow_assets.landing.time_formats import TimeFormat
from capflow_assets.sources.json import record_rows, record_text
from capflow_assets.sources.reading import arrow_frames, file_exports, file_origins, packed_files, storage
from capflow_assets.sources.reading.arrow_frames import WHOLE_FILE
from capflow_assets.sources.reading.documents import Columns
from capflow_assets.sources.reading.shapes import MOST_FIELDS, Shape, unique
from capflow_assets.sources.reading.text_encodings import known_encoding

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame, SparkSession

SPLIT_BYTES = 64 << 20
THREADS = 8
PATH = r"^([^.]+(\.[^.]+)*)?$"
Part = tuple[str, int, int]


class Options(NumberOptions):
    """How such files are written."""

    form: Literal["auto", "lines", "document"] = Field(
        "auto", description="lines: a record a line. document: an array, or objects over several lines. auto: looks."
    )
    records: str = Field("", pattern=PATH, description="Where a document has its records, such as data.items.")
    rows: str = Field(
        "", pattern=PATH, description="An array in the records, such as lines: its elements are the rows."
    )
    encoding: Annotated[str, AfterValidator(known_encoding)] = Field("utf-8", description="As Python names it.")
    undecodable: Literal["refuse", "reject"] = Field(
        "refuse", description="What bytes that are no text in the encoding do: refuse the file, or reject their rows."
    )
    members: str = Field("", description="Which files in a zip are read, such as orders*.json; all by default.")
    file_column: str = Field("", description="A column of this name says which file a row is of, such as may/7.json.")
    folder_columns: bool = Field(True, description="Whether folders called store=7 make a column, store.")
    timestamp_format: TimeFormat | None = Field(None, description="How times in text are written.")
    date_format: TimeFormat | None = Field(None, description="How days in text are written, such as yyyyMMdd.")
    decimal_comma: bool = Field(False, description="Whether numbers in text are written 1.234,56.")


def read(spark: SparkSession, location: str, options: Options) -> DataFrame:
    """The records of the files at ``location``: their fields by name, ``_corrupt_record`` and ``_position``.

    Grain: one row per record; per element of the array ``options.rows`` where that is named, with the element in the
    array's place and the record's fields beside it (no row where the array is missing or empty). Blank lines are none.
    A record that is no JSON object, holds NaN or a key twice, or nests without end says so in ``_corrupt_record``.

    Types: whole numbers are ``bigint``, exact decimals beyond that; others ``double``; times stay text; fields of
    several kinds are text, objects among them as JSON. A field that a record lacks is null.
    Packed files and folders called ``store=7`` are read as those of CSV.
    ``_position`` is ``bills.jsonl:17`` (a line) or ``bills.json[16]`` (a record of a document, from 0).

    Raises:
        SourceError: nothing is there, a document breaks off, no record can be read, or there is no such array.
    """
    from pyspark.sql.pandas.types import from_arrow_schema

    files = packed_files.files_of(location, options.members)
    documents = _documents_among([file.path for file in files], options)
    parts = [part for file in files for part in _parts(file, file.path in documents, options)]

    def tell(path: str, start: int, stop: int) -> dict[str, Any]:
        return _told(_chunks(path, start, stop, documents, options), options)

    part_facts = arrow_frames.answers_of(spark, parts, tell)
    columns = columns_of(location, part_facts, options)
    shown = storage.shown_names(location, files)
    origins = file_origins.of_files(location, files, options.file_column, options.folder_columns)
    file_origins.refuse_conflicts(origins, dict.fromkeys(origins, columns.names))
    lines_before = _lines_before(parts, part_facts)

    def batches(path: str, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        signs = (f"{shown[path]}{options.records and ' ' + options.records}[", "]")
        before, after = signs if path in documents else (f"{shown[path]}:", "")
        reader = record_rows.Reader(columns, options.rows, before, after, options.decimal_comma)
        first = lines_before[path, start]
        for chunk in _chunks(path, start, stop, documents, options):
            for batch in reader.batches([(first + number, record) for number, record in chunk.records]):
                placed = file_origins.with_values(batch, origins[path])
                yield arrow_frames.arranged(placed, arrow) if origins[path] else batch

    arrow = file_origins.with_columns(columns.schema, origins)
    schema = from_arrow_schema(arrow, prefer_timestamp_ntz=True)
    return arrow_frames.frame_of(spark, parts, schema, batches)


def file_of(position: Expression, options: Options) -> Expression:
    """The file of a row, as its ``_position`` names it."""
    records = options.records and f" {re.escape(options.records)}"
    return file_exports.file_in(position, rf"(:[0-9]+|{records}\[[0-9]+\])$")


exports = file_exports.files_of


def _documents_among(paths: Sequence[str], options: Options) -> frozenset[str]:
    """The files that are documents."""
    from concurrent.futures import ThreadPoolExecutor

    if options.form != "auto" or options.records:
        return frozenset(paths if options.form == "document" or options.records else ())
    with ThreadPoolExecutor(THREADS) as pool:
        are_documents = pool.map(lambda path: record_text.is_document(path, options.encoding), paths)
        return frozenset(path for path, is_one in zip(paths, are_documents, strict=True) if is_one)


def _parts(file: storage.StoredFile, is_document: bool, options: Options) -> list[Part]:
    """Stretches of a file that can be read apart."""
    is_split = record_text.is_splittable(file.path, options.encoding) and not is_document
    if not is_split or file.size_bytes <= SPLIT_BYTES:
        return [(file.path, 0, WHOLE_FILE)]
    starts = range(0, file.size_bytes, SPLIT_BYTES)
    return [(file.path, start, min(start + SPLIT_BYTES, file.size_bytes)) for start in starts]


def _chunks(
    path: str, start: int, stop: int, documents: frozenset[str], options: Options
) -> Iterator[record_text.Chunk]:
    form = record_text.Form(options.encoding, options.undecodable)
    if path in documents:
        return record_text.records_of(path, options.records, form)
    return record_text.lines_of(path, start, stop, form)


def _told(chunks: Iterator[record_text.Chunk], options: Options) -> dict[str, Any]:
    """What one part holds: the shape of its records, its number of lines, and what is wrong with the first bad one."""
    shape = Shape()
    complaints: list[str] = []
    lines = 0

    def tell(complaint: str) -> None:
        if not complaints:
            complaints.append(complaint)

    for chunk in chunks:
        shape.merge(record_rows.shape_of(chunk.records, tell, options.decimal_comma))
        lines += chunk.lines
    return {"shape": shape.facts(), "lines": lines, "complaints": complaints}


def _lines_before(parts: Sequence[Part], part_facts: Sequence[dict[str, Any]]) -> dict[tuple[str, int], int]:
    """The number of lines before each part of a file."""
    before: dict[tuple[str, int], int] = {}
    so_far: Counter[str] = Counter()
    for (path, start, _), facts in zip(parts, part_facts, strict=True):
        before[path, start] = so_far[path]
        so_far[path] += facts["lines"]
    return before


def columns_of(location: str, part_facts: Sequence[dict[str, Any]], options: Options) -> Columns:
    """The columns that hold every record."""
    shape = Shape()
    for facts in part_facts:
        shape.merge(Shape.of_facts(facts["shape"]))
    if "wide" in shape.kinds:
        expected, do = f"at most {MOST_FIELDS:,} different fields", "keys that are ids belong into an array of records"
        raise SourceError("The records have too many fields for a table", expected=expected, where=location, do=do)
    if not shape.fields:
        received = next(
            (complaint for facts in part_facts for complaint in facts["complaints"]), "no record with a field"
        )
        do = "check the location; for documents options.records, such as 'data.items', and for other text the encoding"
        raise SourceError(
            "There is no JSON record that can be read", expected="JSON objects", came=received, where=location, do=do
        )
    if options.rows:
        shape = _of_elements(shape, options.rows.split("."), location)
    names = unique(shape.fields, (*arrow_frames.RESERVED, arrow_frames.UNFIT_COLUMNS))
    kinds = tuple(child.arrow() for child in shape.fields.values())
    return Columns(tuple(names.values()), tuple(names), kinds, tuple(shape.fields.values()))


def _of_elements(shape: Shape, path: Sequence[str], location: str, above: str = "") -> Shape:
    """The shape of the rows: that of the records with the elements' in the place of their array's."""
    name, *inner = path
    child = shape.fields.get(name)
    if child is None or (not inner and "array" not in child.kinds):
        arrays = [field for field, below in shape.fields.items() if "array" in below.kinds]
        there = listed(above + field for field in arrays) or "no array"
        do = "name an array of the records in options.rows"
        raise SourceError(f"The records have no array {above + name!r}", came=there, where=location, do=do)
    row_shape = _of_elements(child, inner, location, f"{above}{name}.") if inner else child.of or Shape()
    return replace(shape, fields={**shape.fields, name: row_shape})
