"""A MongoDB collection, or a view, as documents: ``mongodb://host:port/database/collection``, or ``mongodb+srv://``.

The workers read ranges of ``_id`` in parallel, whose bounds are drawn from a sample, each by a cursor of its own: what
a worker holds is one batch, whatever the size of the collection. There is no snapshot over the ranges: a document that
is there throughout is read exactly once; of one that comes or goes meanwhile, either may be seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from capflow_assets.errors import SourceError, listed
from capflow_assets.sources.mongodb.connections import Place, connected, place_of, reported
from capflow_assets.sources.mongodb.options import Options
from capflow_assets.sources.mongodb.ranges import pages_of, parts_of, sample_of
from capflow_assets.sources.reading import documents
from capflow_assets.sources.reading.documents import alike

if TYPE_CHECKING:
    from pymongo import MongoClient
    from pyspark.sql import DataFrame, SparkSession


# ``read_newer`` compares a text column as its store does.
COMPARES_TEXT = True


def check_location(location: str) -> None:
    """Refuse a location that names no such store, or holds credentials.

    Raises:
        SourceError: says how such a location is written.
    """
    place_of(location)


def read(spark: SparkSession, location: str, options: Options) -> DataFrame:
    """The documents of the collection: their fields by name, ``_corrupt_record`` and ``_position``.

    Grain: one row per document, or per element of the list ``options.rows``. Types: ObjectId and UUID as text, dates
    as instants, Decimal128 exact, documents as structs, lists as arrays; what is mixed as text; null where missing.
    ``_position`` reads ``orders _id=65f0c1e2…``.

    Raises:
        SourceError: the server is not reached or refuses, or there is no such collection or document.
    """
    return _frame(spark, location, options)


def read_newer(spark: SparkSession, location: str, options: Options, column: str, than: Any) -> DataFrame:
    """The documents whose ``column`` is ``than`` or more, found by the store; dotted for a field of a field.

    An index on the field is used. With ``options.rows``, elements older than that are left out as well. The columns are
    those of the newer documents and of some drawn from all; declare ``options.columns`` where a rare one matters.
    """
    newer = {"$or": [{column: {"$gte": value}} for value in _alike(than, options)]}
    frame = _frame(spark, location, options.model_copy(update={"parts": 1}), newer)
    return documents.newer_elements(frame, options, column, than)


def _frame(spark: SparkSession, location: str, options: Options, newer: Mapping[str, Any] | None = None) -> DataFrame:
    place = place_of(location)
    with reported(location), connected(location, options) as client:
        _refuse_missing(client, place, location)
        parts = parts_of(client, place, options)
        drawn = sample_of(client, place) if newer and not options.columns else []

    def pages(part: str) -> Iterator[documents.Page]:
        return pages_of(location, place, options, newer or {}, part)

    return documents.frame_of(spark, location, parts, pages, options, drawn)


def _refuse_missing(client: MongoClient[dict[str, Any]], place: Place, location: str) -> None:
    names = client[place.database].list_collection_names()
    if place.collection not in names:
        expected = "one of " + listed(sorted(names)) if names else f"a database {place.database!r} with some"
        raise SourceError("There is no such collection", expected=expected, came=place.collection, where=location)


def _alike(than: Any, options: Options) -> list[Any]:
    """What a watermark may be in the store: MongoDB compares a value with those of its own kind alone."""
    from bson import Decimal128, ObjectId

    values = [Decimal128(value) if isinstance(value, Decimal) else value for value in alike(than, options)]
    return [*values, ObjectId(than)] if isinstance(than, str) and ObjectId.is_valid(than) else values
