"""Ranges of ``_id`` that together hold each document of a collection once, and the documents of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from capflow_assets.sources.mongodb.bson_values import codec
from capflow_assets.sources.mongodb.connections import Place, connected, reported
from capflow_assets.sources.mongodb.options import MOST_PARTS, Options
from capflow_assets.sources.reading import documents
from capflow_assets.sources.reading.shapes import text
from capflow_assets.sources.reading.text_encodings import mended

if TYPE_CHECKING:
    from pymongo import MongoClient

PART_BYTES = 64 << 20
SAMPLES_PER_PART = 20
DOCUMENTS_DRAWN = 1000


def sample_of(client: MongoClient[dict[str, Any]], place: Place) -> list[documents.Page]:
    """Some documents of the whole collection."""
    import bson

    collection = client[place.database][place.collection]
    batches = collection.aggregate_raw_batches([{"$sample": {"size": DOCUMENTS_DRAWN}}])
    decoding = codec()
    return [
        [(document, "") for document in bson.decode_all(batch, decoding)] for batch in cast(Iterator[bytes], batches)
    ]


def parts_of(client: MongoClient[dict[str, Any]], place: Place, options: Options) -> list[str]:
    """Bounds of ``_id``, each as extended JSON; one without bounds where nothing is worth splitting."""
    collection = client[place.database][place.collection]
    kind = next(iter(client[place.database].list_collections(filter={"name": place.collection})), {})
    if kind.get("type", "collection") != "collection" or options.parts == 1:
        return [_bounds(None, None)]
    count = options.parts or min(MOST_PARTS, -(-_size(client, place) // PART_BYTES))
    if count <= 1:
        return [_bounds(None, None)]
    drawn = collection.aggregate(
        [{"$sample": {"size": count * SAMPLES_PER_PART}}, {"$project": {"_id": 1}}, {"$sort": {"_id": 1}}],
        allowDiskUse=True,
    )
    ids = [document["_id"] for document in drawn]
    cuts = [ids[place * len(ids) // count] for place in range(1, count)] if ids else []
    distinct = [cut for before, cut in zip([None, *cuts], cuts, strict=False) if cut != before]
    return [_bounds(low, high) for low, high in zip([None, *distinct], [*distinct, None], strict=True)]


def _size(client: MongoClient[dict[str, Any]], place: Place) -> int:
    return int(client[place.database].command("collStats", place.collection).get("size", 0))


def _bounds(low: Any, high: Any) -> str:
    from bson import json_util

    bounds = {name: value for name, value in (("min", low), ("max", high)) if value is not None}
    return json_util.dumps(bounds, json_options=json_util.CANONICAL_JSON_OPTIONS)


def pages_of(
    location: str, place: Place, options: Options, more: Mapping[str, Any], part: str
) -> Iterator[documents.Page]:
    """The documents of one range, an answer of the server at a time."""
    import bson
    from bson import json_util

    decoding = codec()
    parts = [json_util.loads(options.query) if options.query else {}, more]
    conditions = [condition for condition in parts if condition]
    query = {"$and": conditions} if len(conditions) > 1 else (conditions[0] if conditions else {})
    # Bounds of the index, unlike $gte and $lt, leave out no document whose _id is of another type than theirs.
    bounds = {name: {"_id": value} for name, value in json_util.loads(part).items()}
    hint = {"hint": [("_id", 1)]} if bounds else {}
    fields = dict.fromkeys(options.fields, 1) or None
    with reported(location), connected(location, options) as client:
        collection = client[place.database][place.collection]
        cursor = collection.find_raw_batches(query, fields, batch_size=options.batch_documents, **bounds, **hint)
        for batch in cast(Iterator[bytes], cursor):
            yield [
                (document, mended(f"{place.collection} _id={text(document.get('_id'))}"))
                for document in bson.decode_all(batch, decoding)
            ]
