"""A DynamoDB table or one of its indexes as documents: ``dynamodb://region/table``.

The workers scan segments of the table in parallel, a page of at most 1 MiB at a time. A scan reads, and bills, the
whole table: once to learn the columns (``columns`` spares that) and once each time the rows are used. Credentials come
from the process as AWS's own tools find them, or from variables that the options name.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from capflow_assets.errors import SourceError, listed
from capflow_assets.paths import fence
from capflow_assets.sources.reading import documents
from capflow_assets.sources.reading.documents import alike
from capflow_assets.sources.reading.shapes import text
from capflow_assets.transfer.secrets import FromEnv

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SEGMENT_BYTES = 64 << 20
MOST_SEGMENTS = 512
WAIT_SECONDS = 15
TRIES = 8
_ADDRESS = re.compile(r"dynamodb://([a-z0-9-]+)/([A-Za-z0-9_.-]{3,255})")
_MISSING = ("ResourceNotFoundException",)
_REFUSED = (
    "AccessDeniedException",
    "UnrecognizedClientException",
    "InvalidSignatureException",
    "IncompleteSignature",
    "ExpiredTokenException",
    "MissingAuthenticationToken",
    "NoCredentialsError",
    "PartialCredentialsError",
)

# ``read_newer`` compares a text column as its store does.
COMPARES_TEXT = True


class Options(documents.Reading):
    """Who reads, from which index, and how hard the table is read."""

    access_key: FromEnv | None = Field(None, description='AWS access key id: { env = "NAME" } of a variable.')
    secret_key: FromEnv | None = Field(None, description="AWS secret access key, likewise.")
    session_token: FromEnv | None = Field(None, description="AWS session token, likewise, for passing credentials.")
    endpoint: str | None = Field(None, description="Another address than AWS's; else AWS_ENDPOINT_URL_DYNAMODB.")
    index: str | None = Field(None, description="A secondary index to read in place of the table.")
    segments: int | None = Field(
        None, ge=1, le=MOST_SEGMENTS, description="Parts scanned in parallel; one per 64 MiB by default."
    )
    consistent_read: bool = Field(False, description="Whether writes of the last second count; costs double.")
    page_items: int | None = Field(None, ge=1, description="Most items in one answer (of 1 MiB).")
    most_units_per_second: float | None = Field(
        None, gt=0, description="Most read capacity units a second, over all segments, to spare who else reads."
    )

    @model_validator(mode="after")
    def _both_keys(self) -> Options:
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key, or neither")
        return self


def check_location(location: str) -> None:
    """Refuse a location that names no such store, or holds credentials.

    Raises:
        SourceError: says how such a location is written.
    """
    _place(location)


def read(spark: SparkSession, location: str, options: Options) -> DataFrame:
    """The items of the table: their attributes by name, ``_corrupt_record`` and ``_position``.

    Grain: one row per item, or per element of the list ``options.rows``. Types: whole numbers ``bigint`` and others
    exact decimals, as wide as needed (text beyond 38 digits); maps structs; lists and sets arrays, sets in order; what
    is mixed text. An attribute that an item lacks is null. ``_position`` reads ``orders order_id=17 line=2``.

    Raises:
        SourceError: DynamoDB is not reached or refuses, or there is no such table, index or item.
    """
    return _frame(spark, location, options)


def read_newer(spark: SparkSession, location: str, options: Options, column: str, than: Any) -> DataFrame:
    """The items whose ``column`` is ``than`` or more, found by the store; dotted for an attribute of a map.

    The store still reads, and bills, all of them; it sends those alone. Of a column inside ``options.rows``, which no
    condition of the store can reach, all items are sent and the older elements left out here. The columns are those of
    the newer items and of the table's first page; declare ``options.columns`` where a rare one matters.
    """
    if options.rows and f"{column}.".startswith(f"{options.rows}."):
        return documents.newer_elements(read(spark, location, options), options, column, than)
    return _frame(spark, location, options, _newer(column, alike(than, options)))


def _frame(spark: SparkSession, location: str, options: Options, newer: Mapping[str, Any] | None = None) -> DataFrame:
    region, table = _place(location)
    if fence.current() and options.endpoint and options.access_key is None:
        expected = "access_key and secret_key beside the endpoint: the platform's own are not shown to any address"
        raise SourceError("An endpoint lacks its keys", expected=expected, came=options.endpoint, where=location)
    with _reported(location):
        described = _client(region, options).describe_table(TableName=table)["Table"]
    keys = [key["AttributeName"] for key in described["KeySchema"]]
    source = _indexed(described, options.index, location)
    fields = tuple(dict.fromkeys((*options.fields, *keys))) if options.fields else ()
    request = _request(table, options, fields)
    count = options.segments or min(MOST_SEGMENTS, max(1, -(-_size(source) // SEGMENT_BYTES)))

    def page(items: list[dict[str, Any]]) -> documents.Page:
        documents = [{name: _value(item[name]) for name in sorted(item)} for item in items]
        return [(document, _position(table, keys, document)) for document in documents]

    def pages(segment: str) -> Iterator[documents.Page]:
        asked = _with(request, newer or {}) | {"Segment": int(segment), "TotalSegments": count}
        with _reported(location):
            yield from map(page, scanned(region, options, asked))

    first: list[documents.Page] = []
    if newer and not options.columns:
        with _reported(location):
            first = [page(_client(region, options).scan(**request)["Items"])]
    return documents.frame_of(spark, location, [str(segment) for segment in range(count)], pages, options, first)


def _with(request: Mapping[str, Any], condition: Mapping[str, Any]) -> dict[str, Any]:
    """The request with a condition, the names of both together."""
    names = {**request.get("ExpressionAttributeNames", {}), **condition.get("ExpressionAttributeNames", {})}
    return {**request, **condition, **({"ExpressionAttributeNames": names} if names else {})}


def _place(location: str) -> tuple[str, str]:
    match = _ADDRESS.fullmatch(location)
    if match is None:
        raise SourceError(
            "A location is no DynamoDB table",
            expected="dynamodb://region/table",
            came="one with credentials in it" if "@" in location else location,
            do='give keys as options: secret_key = { env = "NAME" }',
        )
    return match[1], match[2]


def _client(region: str, options: Options) -> Any:
    import boto3
    from botocore.config import Config

    given = {
        "aws_access_key_id": options.access_key,
        "aws_secret_access_key": options.secret_key,
        "aws_session_token": options.session_token,
    }
    keys = {name: secret.value() for name, secret in given.items() if secret is not None}
    patience = Config(
        retries={"mode": "standard", "total_max_attempts": TRIES}, connect_timeout=WAIT_SECONDS, read_timeout=60
    )
    session = boto3.session.Session(region_name=region, **keys)
    return session.client("dynamodb", endpoint_url=options.endpoint, config=patience)


@contextmanager
def _reported(location: str) -> Iterator[None]:
    """What AWS's library says, as a person reads it; its messages hold no secret keys."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError, ValueError) as error:
        code, status = type(error).__name__, 0
        if isinstance(error, ClientError):
            code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        what, do = "DynamoDB is not reached", "check the region, the endpoint and that this machine may reach it"
        if code in _MISSING:
            what, do = "There is no such table", "check the region and the table's name in the location"
        elif code in _REFUSED or status in (401, 403):
            what, do = "DynamoDB refuses to read a table", "check the credentials and what their owner may read"
        elif isinstance(error, ClientError):
            what, do = "DynamoDB cannot read a table so", "check the options"
        raise SourceError(what, came=str(error).strip().split("\n")[0][:300], where=location, do=do) from error


def _indexed(described: Mapping[str, Any], index: str | None, location: str) -> Mapping[str, Any]:
    """What is read: the table itself, or the index of that name."""
    if index is None:
        return described
    indexes = [*described.get("GlobalSecondaryIndexes", ()), *described.get("LocalSecondaryIndexes", ())]
    indexed = next((entry for entry in indexes if entry["IndexName"] == index), None)
    if indexed is None:
        expected = (
            "one of " + listed(entry["IndexName"] for entry in indexes) if indexes else "none, the table has none"
        )
        raise SourceError("There is no such index", expected=expected, came=index, where=location)
    return indexed


def _size(source: Mapping[str, Any]) -> int:
    return int(source.get("TableSizeBytes", source.get("IndexSizeBytes", 0)))


def _request(table: str, options: Options, fields: tuple[str, ...]) -> dict[str, Any]:
    names = {f"#f{place}": name for place, name in enumerate(fields)}
    request: dict[str, Any] = {"TableName": table, "ReturnConsumedCapacity": "TOTAL"}
    request |= {"IndexName": options.index} if options.index else {}
    request |= {"ConsistentRead": True} if options.consistent_read else {}
    request |= {"Limit": options.page_items} if options.page_items else {}
    if names:
        request |= {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names}
    return request


def _newer(column: str, values: Sequence[Any]) -> dict[str, Any]:
    """The condition of a scan. A dot may part two names or be in one: both are asked."""
    parts = column.split(".")
    names = {"#c": column}
    paths = ["#c"]
    if len(parts) > 1:
        names |= {f"#c{place}": part for place, part in enumerate(parts)}
        paths.append(".".join(f"#c{place}" for place in range(len(parts))))
    conditions: list[str] = []
    values_given: dict[str, Any] = {}
    for place, value in enumerate(value for value in values if not isinstance(value, datetime)):
        attribute = _attribute(value)
        values_given |= {f":v{place}": attribute, f":t{place}": {"S": next(iter(attribute))}}
        conditions += [f"(attribute_type({path}, :t{place}) AND {path} >= :v{place})" for path in paths]
    return {
        "FilterExpression": " OR ".join(conditions),
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values_given,
    }


def _attribute(value: Any) -> dict[str, Any]:
    return {"N": text(value)} if isinstance(value, Decimal) else {"S": text(value)}


def scanned(region: str, options: Options, request: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """The items of a segment, page by page, no faster than the options allow."""
    client = _client(region, options)
    share = (options.most_units_per_second or 0) / request["TotalSegments"]
    while True:
        began = time.monotonic()
        answer = client.scan(**request)
        yield answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return
        request = request | {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
        if share:
            used = answer.get("ConsumedCapacity", {}).get("CapacityUnits", 0)
            time.sleep(max(0, used / share - (time.monotonic() - began)))


def _value(attribute: Mapping[str, Any]) -> Any:
    """The plain value of an attribute: numbers exact, sets in order.

    >>> _value({"M": {"n": {"N": "7"}, "total": {"N": "7.50"}, "tags": {"SS": ["b", "a"]}}})
    {'n': 7, 'tags': ['a', 'b'], 'total': Decimal('7.50')}
    """
    kind, value = next(iter(attribute.items()))
    if kind == "N":
        return _number(value)
    if kind == "M":
        return {name: _value(value[name]) for name in sorted(value)}
    if kind == "L":
        return [_value(element) for element in value]
    if kind == "NS":
        return sorted(_number(element) for element in value)
    if kind in ("SS", "BS"):
        return sorted(value)
    return None if kind == "NULL" else value


def _number(written: str) -> int | Decimal:
    return int(written) if written.lstrip("-").isdecimal() else Decimal(written)


def _position(table: str, keys: list[str], document: Mapping[str, Any]) -> str:
    return " ".join([table, *(f"{key}={text(document.get(key))}" for key in keys)])
