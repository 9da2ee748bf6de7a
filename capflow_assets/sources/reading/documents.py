"""What stores of documents share: one schema over all of them, a row per element of a list, and Arrow batches.

Documents have no schema, so it is learnt from every one of them, by the workers in parallel: a field that only the last
document has is a column all the same. That costs one pass over the store; ``columns`` declares the types instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pydantic import Field

from capflow_assets.errors import SourceError
from capflow_assets.landing.number_formats import NumberOptions
from capflow_assets.landing.time_formats import TimeFormat
from capflow_assets.sources.reading import arrow_frames
from capflow_assets.sources.reading.document_batches import Columns, Page, batches_of, rows_of
from capflow_assets.sources.reading.shapes import MOST_FIELDS, Shape, unique

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession


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
        part_shapes = arrow_frames.answers_of(spark, places, lambda part, *_: _shape(pages(part), options.rows).facts())
        columns = _columns(location, [_shape(known, options.rows), *map(Shape.of_facts, part_shapes)], options)
    schema = from_arrow_schema(columns.schema, prefer_timestamp_ntz=True)

    def run(part: str, _: int, __: int) -> Iterator[pa.RecordBatch]:
        for page in pages(part):
            yield from batches_of(page, columns, options.rows)

    return arrow_frames.frame_of(spark, places, schema, run)


def alike(than: Any, options: Reading) -> list[Any]:
    """What ``than`` may be in a store that compares a value with those of its own kind alone: text, number or time.

    Text of a time is taken a day early, since it may be of another zone; all of it where it is no ISO 8601.

    >>> alike("7", Reading())
    ['7', Decimal('7')]
    >>> alike(datetime(2024, 5, 2, tzinfo=UTC), Reading())
    [datetime.datetime(2024, 5, 2, 0, 0, tzinfo=datetime.timezone.utc), '2024-05-01', Decimal('1714608000')]
    """
    if isinstance(than, str):
        values: list[Any] = [than]
        if re.fullmatch(r"-?[0-9]+([.][0-9]+)?", than):
            return [*values, Decimal(than)]
        moment = _moment(than)
        return values if moment is None else [*values, moment]
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
        received = f"none with elements in {options.rows!r} (options.rows)" if options.rows else "none"
        do = "check the location, and the query where there is one"
        raise SourceError("There is no document", expected="at least one", came=received, where=location, do=do)
    chosen = [name for name in options.fields if name in seen.fields] or list(seen.fields)
    names = unique(chosen, (*arrow_frames.RESERVED, arrow_frames.UNFIT_COLUMNS))
    shapes_of_columns = tuple(seen.fields[name] for name in chosen)
    return Columns(
        tuple(names.values()), tuple(chosen), tuple(shape.arrow() for shape in shapes_of_columns), shapes_of_columns
    )


def _declared(spark: SparkSession, location: str, columns: str) -> Columns:
    from pyspark.errors import PySparkException
    from pyspark.sql.pandas.types import to_arrow_schema

    try:
        schema = to_arrow_schema(spark.createDataFrame([], columns).schema)
    except PySparkException as error:
        received, do = str(error).strip().split("\n")[0][:200], "options.columns: name string, amount double, …"
        raise SourceError("The declared columns cannot be read", came=received, where=location, do=do) from error
    names = tuple(unique(schema.names, (*arrow_frames.RESERVED, arrow_frames.UNFIT_COLUMNS)).values())
    return Columns(names, tuple(schema.names), tuple(schema.types), (None,) * len(names))
