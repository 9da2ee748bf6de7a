"""What stores of documents share: one schema over all of them, a row per element of a list, and Arrow batches.

Documents have no schema, so it is learnt from every one of them, by the workers in parallel: a field that only the last
document has is a column all the same. That costs one pass over the store; ``columns`` declares the types instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

from pydantic import Field

from capflow_assets.errors import SourceError
from capflow_assets.landing.number_formats import NumberOptions
from capflow_assets.landing.time_formats import TimeFormat
from capflow_assets.sources import _files
from capflow_assets.sources._shapes import MOST_FIELDS, Shape, Unfit, converter, text, unique

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

ROWS_AT_ONCE = 4096
SHOWN_CHARACTERS = 100
Document = dict[str, Any]
# The column that a complaint is about, dotted inside structs, or blank for the whole row; and what it says.
Complaint = tuple[str, str]
# Documents that came from the store at once, each with its place there.
Page = Sequence[tuple[Document, str]]


class Reading(NumberOptions):
    """What may be said about any store of documents."""

    fields: tuple[str, ...] = Field((), description="The documents' fields to read; all where none is named.")
    rows: str = Field("", description="A list in the documents, such as order.lines: each of its elements is a row.")
    columns: str = Field(
        "", description="The columns, such as id string, at timestamp, lines array<struct<sku string>>; else learnt."
    )
    timestamp_format: TimeFormat | None = Field(None, description="How times in text fields are written.")
    date_format: TimeFormat | None = Field(None, description="How days in text fields are written, such as yyyyMMdd.")
    decimal_comma: bool = Field(False, description="Whether numbers in text fields are written 1.234,56.")


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of the rows: each one's name, the field that it comes from, its type, and what was seen there."""

    names: tuple[str, ...]
    fields: tuple[str, ...]
    kinds: tuple[pa.DataType, ...]
    shapes: tuple[Shape | None, ...]

    @property
    def schema(self) -> pa.Schema:
        """The columns as Arrow has them, with those that say of a row where it stands and what of it cannot land."""
        import pyarrow as pa

        own = [
            (_files.UNFIT_COLUMNS, pa.list_(pa.string())),
            (_files.CORRUPT, pa.string()),
            (_files.POSITION, pa.string()),
        ]
        return pa.schema([*zip(self.names, self.kinds, strict=True), *own])


def frame_of(
    spark: SparkSession,
    location: str,
    parts: Sequence[str],
    pages: Callable[[str], Iterator[Page]],
    options: Reading,
    known: Iterable[Page] = (),
) -> DataFrame:
    """A DataFrame of the documents that ``pages(part)`` gives for each part, read by the workers in parallel.

    Grain: one row per document; per element of the list ``options.rows`` where that is named, with the element in the
    list's place and the fields of its document beside it (no row where the list is missing or empty). Columns: the
    documents' fields, ``_corrupt_record`` and ``_position``. A value that does not fit its column is null and told.
    Documents ``known`` already make columns too, and are no rows.

    Raises:
        SourceError: there is no document, or too many fields to be columns.
    """
    from pyspark.sql.pandas.types import from_arrow_schema

    places = [(part, 0, 0) for part in parts]
    if options.columns:
        columns = _declared(spark, location, options.columns)
    else:
        told = _files.told_of(spark, places, lambda part, *_: _shape(pages(part), options.rows).told())
        columns = _columns(location, [_shape(known, options.rows), *map(Shape.heard, told)], options)
    schema = from_arrow_schema(columns.schema, prefer_timestamp_ntz=True)

    def run(part: str, _: int, __: int) -> Iterator[pa.RecordBatch]:
        for page in pages(part):
            yield from batches_of(page, columns, options.rows)

    return _files.frame_of(spark, places, schema, run)


def batches_of(page: Page, columns: Columns, rows: str) -> Iterator[pa.RecordBatch]:
    """The rows of a page of documents."""
    converters = [converter(kind, shape) for kind, shape in zip(columns.kinds, columns.shapes, strict=True)]
    exploded = rows_of(page, rows)
    while some := list(islice(exploded, ROWS_AT_ONCE)):
        yield _batch(some, columns, converters)


def rows_of(page: Page, rows: str) -> Iterator[tuple[Document, str, str]]:
    """Each row of a page with its place in the store and the complaint about it, blank where there is none.

    >>> order = {"id": 1, "lines": [{"sku": "a"}, {"sku": "b"}]}
    >>> for row in rows_of([(order, "order 1"), ({"id": 2, "lines": "?"}, "order 2")], "lines"): print(row)
    ({'id': 1, 'lines': {'sku': 'a'}}, 'order 1 lines[0]', '')
    ({'id': 1, 'lines': {'sku': 'b'}}, 'order 1 lines[1]', '')
    ({'id': 2, 'lines': None}, 'order 2', "lines is no list: '?'")
    """
    path = rows.split(".") if rows else []
    for document, position in page:
        if not path:
            yield document, position, ""
            continue
        found = _at(document, path)
        if isinstance(found, list):
            for place, element in enumerate(found):
                yield _with(document, path, element), f"{position} {rows}[{place}]", ""
        elif found is not None:
            yield _with(document, path, None), position, f"{rows} is no list: {text(found)[:SHOWN_CHARACTERS]!r}"


def alike(than: Any, options: Reading) -> list[Any]:
    """What ``than`` may be in a store that compares a value with those of its own kind alone: text, number or time.

    Text of a time is taken a day early, since it may be of another zone; all of it where it is no ISO 8601.

    >>> alike("7", Reading())
    ['7', Decimal('7')]
    >>> alike(datetime(2024, 5, 2, tzinfo=UTC), Reading())
    [datetime.datetime(2024, 5, 2, 0, 0, tzinfo=datetime.timezone.utc), '2024-05-01', Decimal('1714608000')]
    """
    if isinstance(than, str):
        found: list[Any] = [than]
        if re.fullmatch(r"-?[0-9]+([.][0-9]+)?", than):
            return [*found, Decimal(than)]
        moment = _moment(than)
        return found if moment is None else [*found, moment]
    if isinstance(than, date):
        moment = than if isinstance(than, datetime) else datetime.combine(than, time())
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        is_iso = not (options.timestamp_format or options.date_format)
        return [moment, str(moment.date() - timedelta(days=1)) if is_iso else "", Decimal(int(moment.timestamp()))]
    return [Decimal(str(than)) if isinstance(than, (int, float)) and not isinstance(than, bool) else than]


def newer_elements(frame: DataFrame, options: Reading, column: str, than: Any) -> DataFrame:
    """The rows without the older elements of documents that have a newer one, where the elements bear the time."""
    from pyspark.sql import functions as F

    is_inside = options.rows and f"{column}.".startswith(f"{options.rows}.")
    return frame.where(F.col(column) >= F.lit(than)) if is_inside else frame


def _moment(written: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _at(document: Any, path: Sequence[str]) -> Any:
    for name in path:
        document = document.get(name) if isinstance(document, Mapping) else None
    return document


def _with(document: Document, path: Sequence[str], value: Any) -> Document:
    name, *inner = path
    return {**document, name: _with(document[name], inner, value) if inner else value}


def _batch(rows: Sequence[tuple[Document, str, str]], columns: Columns, converters: Sequence[Any]) -> pa.RecordBatch:
    import pyarrow as pa

    complaints: list[list[Complaint]] = [[("", complaint)] if complaint else [] for _, _, complaint in rows]
    arrays = []
    for name, kind, convert in zip(columns.fields, columns.kinds, converters, strict=True):
        values = [document.get(name) for document, _, _ in rows]
        if convert:
            values = [None if value is None else convert(value) for value in values]
        try:
            arrays.append(nulls_inside(pa.array(values, kind)))
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            arrays.append(nulls_inside(_one_by_one(name, values, kind, complaints)))
    told = [pa.array(unfit_columns(complaints), pa.list_(pa.string())), pa.array(texts_of(complaints), pa.string())]
    positions = [position for _, position, _ in rows]
    return pa.record_batch([*arrays, *told, pa.array(positions)], schema=columns.schema)


def unfit_columns(complaints: Iterable[Sequence[Complaint]]) -> list[list[str] | None]:
    """For each row the columns at fault; None where none is, or the row as a whole.

    >>> unfit_columns([[("n", "n holds no int64: 'x'")], [], [("", "is no object")]])
    [['n'], None, None]
    """
    return [[column for column, _ in row] if row and all(column for column, _ in row) else None for row in complaints]


def texts_of(complaints: Iterable[Sequence[Complaint]]) -> list[str | None]:
    """For each row all that is said of it; None where nothing is."""
    return ["; ".join(said for _, said in row) or None for row in complaints]


def nulls_inside(array: pa.Array) -> pa.Array:
    """The same array with null in every field of a null struct.

    Arrow leaves blanks and zeros there, and Sail 0.7 reads a field without asking whether its struct is null.
    """
    import pyarrow as pa
    import pyarrow.types as pt

    if pt.is_struct(array.type):
        inner = [nulls_inside(each) for each in array.flatten()]
        return pa.StructArray.from_arrays(inner, fields=list(array.type), mask=array.is_null())
    if pt.is_list(array.type) and pt.is_nested(array.type.value_type):
        values = nulls_inside(array.values)
        return pa.ListArray.from_arrays(array.offsets, values, type=array.type, mask=array.is_null())
    return array


def _one_by_one(name: str, values: Sequence[Any], kind: pa.DataType, complaints: Sequence[list[Complaint]]) -> pa.Array:
    """The values that fit; of each other one the complaint that it does not."""
    import pyarrow as pa

    pairs = zip(values, complaints, strict=True)
    return pa.array([_fitting(value, kind, name, complaint) for value, complaint in pairs], kind)


def _fitting(value: Any, kind: pa.DataType, path: str, complaint: list[Complaint]) -> Any:
    """The value, or as much of it as fits the type."""
    import pyarrow as pa
    import pyarrow.types as pt

    try:
        pa.scalar(value, kind)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        if pt.is_struct(kind) and isinstance(value, Mapping):
            return {
                each.name: _fitting(value.get(each.name), each.type, f"{path}.{each.name}", complaint) for each in kind
            }
        if pt.is_list(kind) and isinstance(value, list):
            return [_fitting(each, kind.value_type, path, complaint) for each in value]
        is_said = isinstance(value, Unfit) and value.is_sentence
        complaint.append(
            (path, str(value) if is_said else f"{path} holds no {kind}: {text(value)[:SHOWN_CHARACTERS]!r}")
        )
        return None
    return value


def _shape(pages: Iterable[Page], rows: str) -> Shape:
    seen = Shape()
    for page in pages:
        for document, _position, _complaint in rows_of(page, rows):
            seen.add(document)
    return seen


def _columns(location: str, shapes: Iterable[Shape], options: Reading) -> Columns:
    seen = Shape()
    for shape in shapes:
        seen.merge(shape)
    if "wide" in seen.kinds:
        raise SourceError(
            "The documents have too many fields for a table",
            expected=f"at most {MOST_FIELDS:,} different fields",
            where=location,
            do="name those to read in options.fields, or declare options.columns",
        )
    if not seen.fields:
        came = f"none with elements in {options.rows!r} (options.rows)" if options.rows else "none"
        do = "check the location, and the query where there is one"
        raise SourceError("There is no document", expected="at least one", came=came, where=location, do=do)
    chosen = [name for name in options.fields if name in seen.fields] or list(seen.fields)
    names = unique(chosen, (*_files.RESERVED, _files.UNFIT_COLUMNS))
    found = tuple(seen.fields[name] for name in chosen)
    return Columns(tuple(names.values()), tuple(chosen), tuple(shape.arrow() for shape in found), found)


def _declared(spark: SparkSession, location: str, columns: str) -> Columns:
    from pyspark.errors import PySparkException
    from pyspark.sql.pandas.types import to_arrow_schema

    try:
        schema = to_arrow_schema(spark.createDataFrame([], columns).schema)
    except PySparkException as error:
        came, do = str(error).strip().split("\n")[0][:200], "options.columns: name string, amount double, …"
        raise SourceError("The declared columns cannot be read", came=came, where=location, do=do) from error
    names = tuple(unique(schema.names, (*_files.RESERVED, _files.UNFIT_COLUMNS)).values())
    return Columns(names, tuple(schema.names), tuple(schema.types), (None,) * len(names))
