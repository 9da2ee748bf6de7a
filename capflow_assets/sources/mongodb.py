"""A MongoDB collection, or a view, as documents: ``mongodb://host:port/database/collection``, or ``mongodb+srv://``.

The workers read ranges of ``_id`` in parallel, whose bounds are drawn from a sample, each by a cursor of its own: what
a worker holds is one batch, whatever the size of the collection. There is no snapshot over the ranges: a document that
is there throughout is read exactly once; of one that comes or goes meanwhile, either may be seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator

from capflow_assets.errors import SourceError, listed
from capflow_assets.paths import fence
from capflow_assets.sources import _documents
from capflow_assets.sources._documents import alike, text
from capflow_assets.sources._encodings import mended
from capflow_assets.sources._secrets import FromEnv
from capflow_assets.sources._shapes import Unfit

if TYPE_CHECKING:
    from bson.codec_options import CodecOptions
    from pymongo import MongoClient
    from pyspark.sql import DataFrame, SparkSession

PART_BYTES = 64 << 20
MOST_PARTS = 512
SAMPLES_PER_PART = 20
DOCUMENTS_DRAWN = 1000
WAIT_SECONDS = 15
REFUSED = {13: "the user may not read it", 18: "the user or the password is wrong", 8000: "the login was refused"}
_ADDRESS = re.compile(r"(mongodb(?:\+srv)?)://([\w.:,\[\]-]+)/([^/?#.$@ \"]+)/([^/?#$@]+)")


def _query(written: str) -> str:
    if written:
        try:
            found = json.loads(written)
        except ValueError as error:
            raise ValueError(f"a query as JSON; {error}") from None
        if not isinstance(found, dict):
            raise ValueError('a query as JSON, such as {"status": "paid"}')
        if "$where" in written or "$function" in written:
            raise ValueError("a query without JavaScript ($where, $function)")
    return written


# ``read_newer`` compares a text column as its store does.
COMPARES_TEXT = True


class Options(_documents.Reading):
    """Who reads, which documents, and how much at a time."""

    user: str | FromEnv | None = Field(None, description="The user; none where the server asks for none.")
    password: FromEnv | None = Field(None, description='Its password: { env = "NAME" } of a variable.')
    auth_source: str = Field("admin", description="The database that knows the user.")
    tls: bool | None = Field(None, description="Whether the connection is encrypted; as the scheme says by default.")
    tls_ca_file: str | None = Field(None, description="The certificates to trust; the system's by default.")
    replica_set: str | None = Field(None, description="The name of the replica set, where it must be that one.")
    read_preference: Literal["primary", "primaryPreferred", "secondary", "secondaryPreferred", "nearest"] = Field(
        "secondaryPreferred", description="Which members answer: secondaries spare the one that the shop writes to."
    )
    query: Annotated[str, AfterValidator(_query)] = Field(
        "", description='Which documents, in (extended) JSON: {"status": "paid"}. All by default.'
    )
    parts: int | None = Field(
        None, ge=1, le=MOST_PARTS, description="Ranges read in parallel; one per 64 MiB by default. 1 uses any index."
    )
    batch_documents: int = Field(10_000, ge=1, le=1_000_000, description="Most documents in one answer (of 16 MiB).")

    @model_validator(mode="after")
    def _whose_password(self) -> Options:
        if self.password is not None and self.user is None:
            raise ValueError("a user beside the password")
        return self


@dataclass(frozen=True, slots=True)
class _Place:
    hosts: str
    database: str
    collection: str


def check_location(location: str) -> None:
    """Refuse a location that names no such store, or holds credentials.

    Raises:
        SourceError: says how such a location is written.
    """
    _place(location)


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
    return _documents.newer_elements(frame, options, column, than)


def _frame(spark: SparkSession, location: str, options: Options, newer: Mapping[str, Any] | None = None) -> DataFrame:
    place = _place(location)
    with _reported(location), _client(location, options) as client:
        _refuse_missing(client, place, location)
        parts = _parts(client, place, options)
        drawn = _drawn(client, place) if newer and not options.columns else []

    def pages(part: str) -> Iterator[_documents.Page]:
        return _pages(location, place, options, newer or {}, part)

    return _documents.frame_of(spark, location, parts, pages, options, drawn)


def _drawn(client: MongoClient[dict[str, Any]], place: _Place) -> list[_documents.Page]:
    """Some documents of the whole collection."""
    import bson

    collection = client[place.database][place.collection]
    batches = collection.aggregate_raw_batches([{"$sample": {"size": DOCUMENTS_DRAWN}}])
    codec = _codec()
    return [[(each, "") for each in bson.decode_all(batch, codec)] for batch in cast(Iterator[bytes], batches)]


def _place(location: str) -> _Place:
    found = _ADDRESS.fullmatch(location)
    if found is None:
        raise SourceError(
            "A location is no MongoDB collection",
            expected="mongodb://host:port/database/collection or mongodb+srv://host/database/collection",
            came="one with a user or a password in it" if "@" in location else location,
            do='give user and password as options: password = { env = "NAME" }',
        )
    scheme, hosts, database, collection = found.groups()
    return _Place(f"{scheme}://{hosts}", database, collection)


@contextmanager
def _client(location: str, options: Options) -> Iterator[MongoClient[dict[str, Any]]]:
    from pymongo import MongoClient

    settings: dict[str, Any] = {"readPreference": options.read_preference}
    if options.user is not None:
        user = options.user if isinstance(options.user, str) else options.user.value()
        settings |= {"username": user, "authSource": options.auth_source}
        settings |= {"password": options.password.value()} if options.password else {}
    settings |= {"tls": options.tls} if options.tls is not None else {}
    settings |= {"tlsCAFile": fence.certificate(options.tls_ca_file)} if options.tls_ca_file else {}
    settings |= {"replicaSet": options.replica_set} if options.replica_set else {}
    wait = WAIT_SECONDS * 1000
    client: MongoClient[dict[str, Any]] = MongoClient(
        _place(location).hosts, serverSelectionTimeoutMS=wait, connectTimeoutMS=wait, appname="capflow", **settings
    )
    with client:
        yield client


@contextmanager
def _reported(location: str) -> Iterator[None]:
    """What the driver says, as a person reads it; its messages hold no credentials."""
    from pymongo import errors

    try:
        yield
    except errors.OperationFailure as error:
        why = REFUSED.get(error.code or 0, "")
        do = "check user, password and auth_source in the options, and what the user may read" if why else ""
        came = "; ".join(part for part in (why, _first_line(error)) if part)
        raise SourceError("MongoDB refuses to read a collection", came=came, where=location, do=do) from error
    except (errors.PyMongoError, ValueError) as error:
        do = "check the host and port, tls in the options, and that this machine may reach it"
        raise SourceError("MongoDB is not reached", came=_first_line(error), where=location, do=do) from error


def _first_line(error: Exception) -> str:
    told = str(error).strip().split("\n")[0].partition(", full error:")[0]
    return told.partition(", Timeout:")[0].partition(" (configured timeouts")[0][:300]


def _refuse_missing(client: MongoClient[dict[str, Any]], place: _Place, location: str) -> None:
    names = client[place.database].list_collection_names()
    if place.collection not in names:
        expected = "one of " + listed(sorted(names)) if names else f"a database {place.database!r} with some"
        raise SourceError("There is no such collection", expected=expected, came=place.collection, where=location)


def _parts(client: MongoClient[dict[str, Any]], place: _Place, options: Options) -> list[str]:
    """Bounds of ``_id``, each as extended JSON; one without bounds where nothing is worth splitting."""
    collection = client[place.database][place.collection]
    kind = next(iter(client[place.database].list_collections(filter={"name": place.collection})), {})
    if kind.get("type", "collection") != "collection" or options.parts == 1:
        return [_bounds(None, None)]
    wanted = options.parts or min(MOST_PARTS, -(-_size(client, place) // PART_BYTES))
    if wanted <= 1:
        return [_bounds(None, None)]
    drawn = collection.aggregate(
        [{"$sample": {"size": wanted * SAMPLES_PER_PART}}, {"$project": {"_id": 1}}, {"$sort": {"_id": 1}}],
        allowDiskUse=True,
    )
    found = [document["_id"] for document in drawn]
    cuts = [found[place * len(found) // wanted] for place in range(1, wanted)] if found else []
    distinct = [cut for before, cut in zip([None, *cuts], cuts, strict=False) if cut != before]
    return [_bounds(low, high) for low, high in zip([None, *distinct], [*distinct, None], strict=True)]


def _size(client: MongoClient[dict[str, Any]], place: _Place) -> int:
    return int(client[place.database].command("collStats", place.collection).get("size", 0))


def _bounds(low: Any, high: Any) -> str:
    from bson import json_util

    given = {name: value for name, value in (("min", low), ("max", high)) if value is not None}
    return json_util.dumps(given, json_options=json_util.CANONICAL_JSON_OPTIONS)


def _pages(
    location: str, place: _Place, options: Options, more: Mapping[str, Any], part: str
) -> Iterator[_documents.Page]:
    """The documents of one range, an answer of the server at a time."""
    import bson
    from bson import json_util

    codec = _codec()
    parts = [json_util.loads(options.query) if options.query else {}, more]
    given = [each for each in parts if each]
    query = {"$and": given} if len(given) > 1 else (given[0] if given else {})
    # Bounds of the index, unlike $gte and $lt, leave out no document whose _id is of another type than theirs.
    bounds = {name: {"_id": value} for name, value in json_util.loads(part).items()}
    hint = {"hint": [("_id", 1)]} if bounds else {}
    fields = dict.fromkeys(options.fields, 1) or None
    with _reported(location), _client(location, options) as client:
        collection = client[place.database][place.collection]
        cursor = collection.find_raw_batches(query, fields, batch_size=options.batch_documents, **bounds, **hint)
        for batch in cast(Iterator[bytes], cursor):
            yield [
                (document, mended(f"{place.collection} _id={text(document.get('_id'))}"))
                for document in bson.decode_all(batch, codec)
            ]


def _codec() -> CodecOptions[dict[str, Any]]:
    """How BSON becomes plain Python values: times in UTC, ids as text, numbers exact."""
    from bson import Binary, Code, DatetimeMS, DBRef, Decimal128, ObjectId, Regex, Timestamp
    from bson.binary import UuidRepresentation
    from bson.codec_options import CodecOptions, DatetimeConversion, TypeDecoder, TypeRegistry

    def decoder(kind: type, make: Any) -> TypeDecoder:
        made = type("Decoder", (TypeDecoder,), {"bson_type": kind, "transform_bson": lambda _, value: make(value)})
        return made()

    plain = {
        ObjectId: str,
        Decimal128: lambda value: value.to_decimal(),
        Timestamp: lambda value: value.as_datetime(),
        Regex: lambda value: str(value.pattern),
        DBRef: lambda value: str(value.id),
        Code: str,
        Binary: bytes,
        UUID: str,
        # Arrow would take its milliseconds for microseconds.
        DatetimeMS: lambda value: Unfit(f"{int(value)} ms"),
    }
    return CodecOptions(
        tz_aware=True,
        uuid_representation=UuidRepresentation.STANDARD,
        unicode_decode_error_handler="surrogateescape",
        datetime_conversion=DatetimeConversion.DATETIME_AUTO,
        type_registry=TypeRegistry([decoder(kind, make) for kind, make in plain.items()]),
    )


def _alike(than: Any, options: Options) -> list[Any]:
    """What a watermark may be in the store: MongoDB compares a value with those of its own kind alone."""
    from bson import Decimal128, ObjectId

    values = [Decimal128(value) if isinstance(value, Decimal) else value for value in alike(than, options)]
    return [*values, ObjectId(than)] if isinstance(than, str) and ObjectId.is_valid(than) else values
