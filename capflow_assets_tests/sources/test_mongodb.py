"""MongoDB by its own driver, from a server that speaks its protocol and asks for a password."""

from __future__ import annotations

import logging
import os
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from capflow_assets.errors import SourceError
from capflow_assets.sources import mongodb
from capflow_assets.sources.mongodb import Options, bson_values, connections, ranges
from capflow_assets.sources.reading import documents
from capflow_assets_doubles.mongo_server import mongo_server

SECRET = "pa55 w/rd@planted:%"
NAME = "CAPFLOW_TEST_MONGO_PASSWORD"
AT = datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
MANY = 10_000
# The workers of the JVM get their environment when it starts.
os.environ[NAME] = SECRET


def options(**more: Any) -> Options:
    return Options.model_validate({"user": "reader", "password": {"env": NAME}} | more)


def positions(data: Any) -> list[str]:
    return sorted(row[0] for row in data.select("_position").collect())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    roles = {"owner": ["root"], "reader": [{"role": "read", "db": "shop"}]}
    with mongo_server(tmp_path_factory.mktemp("mongo"), {"owner": "owner", "reader": SECRET}, roles) as address:
        yield address


@pytest.fixture(scope="module")
def shop(server: str) -> Iterator[Any]:
    """The database, as its owner fills it."""
    from bson import Binary, Code, Decimal128, Int64, ObjectId, Regex
    from pymongo import MongoClient

    with MongoClient(server, username="owner", password="owner") as client:
        shop = client["shop"]
        shop["orders"].insert_many(
            [
                {
                    "_id": ObjectId("65f0c1e2a1b2c3d4e5f60718"),
                    "at": AT,
                    "total": Decimal128("12.50"),
                    "count": Int64(2**60),
                    "customer": {"id": 7, "name": "Zoë 😀"},
                    "lines": [{"sku": "a", "price": 1.5, "at": AT}, {"sku": "b", "price": 2, "at": AT}],
                    "uuid": Binary.from_uuid(UUID(int=5)),
                    "raw": b"\x00\xff",
                    "code": Code("f()"),
                    "like": Regex("^a"),
                },
                {"_id": ObjectId("65f0c1e2a1b2c3d4e5f60719"), "at": AT + timedelta(days=1), "total": Decimal128("1")},
                {"_id": "own id", "at": None, "customer": {"id": "x"}, "count": 1, "lines": []},
                {"_id": 17, "late": True},
            ]
        )
        shop["many"].insert_many([{"_id": place, "group": place % 7, "text": "x" * 100} for place in range(MANY)])
        shop["mixed"].insert_many([{"_id": _mixed(place), "n": place} for place in range(300)])
        shop.create_collection("empty")
        shop.create_collection("view", viewOn="many", pipeline=[{"$match": {"group": 3}}])
        yield shop


def _mixed(place: int) -> Any:
    from bson import ObjectId

    return (place, f"text {place}", ObjectId(f"{place:024x}"))[place % 3]


def test_types(spark: Any, server: str, shop: Any) -> None:
    data = mongodb.read(spark, f"mongodb://{server}/shop/orders", options())
    assert dict(data.dtypes) == {
        "_id": "string",
        "at": "timestamp",
        "total": "decimal(4,2)",
        "count": "bigint",
        "customer": "struct<id:string,name:string>",
        "lines": "array<struct<sku:string,price:double,at:timestamp>>",
        "uuid": "string",
        "raw": "binary",
        "code": "string",
        "like": "string",
        "late": "boolean",
        "_unfit_columns": "array<string>",
        "_corrupt_record": "string",
        "_position": "string",
    }
    row = data.where("_id like '65f0%18'").selectExpr("*", "unix_micros(at) micros").collect()[0]
    assert (row["_id"], row["total"], row["count"]) == ("65f0c1e2a1b2c3d4e5f60718", Decimal("12.50"), 2**60)
    assert row["micros"] == int(AT.timestamp()) * 1_000_000
    assert row["customer"].asDict() == {"id": "7", "name": "Zoë 😀"}
    assert [line["price"] for line in row["lines"]] == [1.5, 2.0]
    assert (row["uuid"], bytes(row["raw"]), row["code"], row["like"]) == (str(UUID(int=5)), b"\x00\xff", "f()", "^a")
    assert row["_position"] == "orders _id=65f0c1e2a1b2c3d4e5f60718"
    assert data.where("_corrupt_record is not null").count() == 0
    assert data.where("_id in ('17', 'own id')").count() == 2


def test_lines_of_orders(spark: Any, server: str, shop: Any) -> None:
    data = mongodb.read(spark, f"mongodb://{server}/shop/orders", options(rows="lines", fields=["lines", "total"]))
    assert data.columns == ["lines", "total", "_unfit_columns", "_corrupt_record", "_position"]
    rows = data.selectExpr("lines.sku", "total", "_position").orderBy("sku").collect()
    place = "orders _id=65f0c1e2a1b2c3d4e5f60718 lines"
    assert [tuple(row) for row in rows] == [
        ("a", Decimal("12.50"), f"{place}[0]"),
        ("b", Decimal("12.50"), f"{place}[1]"),
    ]


def test_a_time_that_no_calendar_holds(spark: Any) -> None:
    import bson

    seen = [{"_id": 1, "at": AT}, {"_id": 2, "at": bson.DatetimeMS(10**17)}]

    def pages(_: str) -> Iterator[documents.Page]:
        batch = b"".join(map(bson.encode, seen))
        yield [(document, str(document["_id"])) for document in bson.decode_all(batch, bson_values.codec())]

    data = documents.frame_of(spark, "times", [""], pages, options())
    rows = data.orderBy("_id").selectExpr("at is null", "_corrupt_record").collect()
    assert tuple(rows[0]) == (False, None)
    assert tuple(rows[1]) == (True, "at holds no timestamp[us, tz=UTC]: '100000000000000000 ms'")


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_ranges_hold_every_document_once(spark: Any, server: str, shop: Any, parts: int) -> None:
    data = mongodb.read(spark, f"mongodb://{server}/shop/many", options(parts=parts, batch_documents=997))
    counts = data.selectExpr("count(*)", "count(distinct _id)", "sum(_id)").collect()[0]
    assert tuple(counts) == (MANY, MANY, MANY * (MANY - 1) // 2)


def test_ranges_are_many(server: str, shop: Any) -> None:
    place = connections.place_of(f"mongodb://{server}/shop/many")
    with connections.connected(f"mongodb://{server}/shop/many", options()) as client:
        parts = ranges.parts_of(client, place, options(parts=8))
        assert len(set(parts)) == 8
        sizes = [
            sum(map(len, ranges.pages_of(f"mongodb://{server}/shop/many", place, options(), {}, p))) for p in parts
        ]
        assert sum(sizes) == MANY
        assert max(sizes) < MANY // 2
        assert ranges.parts_of(client, place, options()) == ["{}"]


def test_ranges_lose_no_id_of_another_type(spark: Any, server: str, shop: Any) -> None:
    data = mongodb.read(spark, f"mongodb://{server}/shop/mixed", options(parts=9))
    assert data.selectExpr("count(*)", "sum(n)").collect()[0][:] == (300, 300 * 299 // 2)


def test_a_query_and_a_view(spark: Any, server: str, shop: Any) -> None:
    expected = len(range(3, MANY, 7))
    query = options(query='{"group": 3, "_id": {"$gte": {"$numberLong": "0"}}}', parts=3)
    assert mongodb.read(spark, f"mongodb://{server}/shop/many", query).count() == expected
    assert mongodb.read(spark, f"mongodb://{server}/shop/view", options(parts=3)).count() == expected


def test_what_is_newer(spark: Any, server: str, shop: Any) -> None:
    location = f"mongodb://{server}/shop/orders"
    place = "orders _id=65f0c1e2a1b2c3d4e5f607"
    newer = mongodb.read_newer(spark, location, options(), "at", AT + timedelta(hours=1))
    assert positions(newer) == [place + "19"]
    assert positions(mongodb.read_newer(spark, location, options(), "at", AT)) == [place + "18", place + "19"]
    assert positions(mongodb.read_newer(spark, location, options(), "total", Decimal("12.50"))) == [place + "18"]
    by_id = mongodb.read_newer(spark, location, options(), "_id", "65f0c1e2a1b2c3d4e5f60719")
    assert positions(by_id) == [place + "19", "orders _id=own id"]
    by_customer = mongodb.read_newer(spark, location, options(), "customer.id", "7")
    assert positions(by_customer) == [place + "18", "orders _id=own id"]
    lines = mongodb.read_newer(spark, location, options(rows="lines"), "lines.price", 2)
    assert positions(lines) == [place + "18 lines[1]"]
    many = mongodb.read_newer(spark, f"mongodb://{server}/shop/many", options(), "_id", MANY - 5)
    assert many.count() == 5


def test_nothing_newer(spark: Any, server: str, shop: Any) -> None:
    location = f"mongodb://{server}/shop/orders"
    whole = mongodb.read(spark, location, options())
    newer = mongodb.read_newer(spark, location, options(), "at", AT + timedelta(days=999))
    assert newer.count() == 0
    assert newer.dtypes == whole.dtypes


def test_memory_does_not_grow_with_the_collection(server: str, shop: Any) -> None:
    location = f"mongodb://{server}/shop/many"
    place = connections.place_of(location)

    def peak(query: str) -> tuple[int, int]:
        tracemalloc.start()
        settings = options(query=query, batch_documents=500)
        read = sum(len(page) for page in ranges.pages_of(location, place, settings, {}, "{}"))
        most_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return read, most_bytes

    peak('{"_id": {"$lt": 10}}')
    (few, once), (all_, ten_times) = peak(f'{{"_id": {{"$lt": {MANY // 10}}}}}'), peak("")
    assert (few, all_) == (MANY // 10, MANY)
    assert ten_times < once * 1.3


@pytest.mark.parametrize(
    ("location", "more", "message"),
    [
        ("mongodb://{server}/shop/nope", {}, "no such collection.*one of empty, many"),
        ("mongodb://{server}/shop/empty", {}, "There is no document"),
        ("mongodb://{server}/shop/orders", {"user": "nobody"}, "the user or the password is wrong"),
        ("mongodb://{server}/other/orders", {}, "refuses to read"),
        ("mongodb://{server}/shop/orders", {"password": {"env": "CAPFLOW_TEST_UNSET"}}, "CAPFLOW_TEST_UNSET"),
        ("mongodb://{server}/shop/orders", {"query": '{"$nonsense": 1}'}, "nonsense"),
        ("mongodb://127.0.0.1:9/shop/orders", {}, "MongoDB is not reached"),
        ("mongodb://{server}/shop", {}, "no MongoDB collection"),
        ("mongodb://{server}/shop/$where", {}, "no MongoDB collection"),
        ("mongodb://{server}/shop/orders?tls=true", {}, "no MongoDB collection"),
    ],
)
def test_errors(
    spark: Any, server: str, shop: Any, location: str, more: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "WAIT_SECONDS", 1)
    with pytest.raises(SourceError, match=f"(?s){message}") as caught:
        mongodb.read(spark, location.format(server=server), options(**more))
    assert SECRET not in str(caught.value)


def test_a_password_in_a_location_is_refused_and_not_repeated(spark: Any) -> None:
    with pytest.raises(SourceError) as caught:
        mongodb.read(spark, f"mongodb://reader:{SECRET}@somewhere/shop/orders", options())
    assert SECRET not in str(caught.value)
    assert "reader" not in str(caught.value)
    assert "password = { env" in str(caught.value)


def test_options_that_cannot_be() -> None:
    for wrong in ("{", "[1]", '{"$where": "1"}'):
        with pytest.raises(ValidationError):
            Options.model_validate({"query": wrong})
    for unsafe in ({"user": "reader", "password": "plain"}, {"password": {"env": NAME}}):
        with pytest.raises(ValidationError):
            Options.model_validate(unsafe)


def test_the_password_travels_nowhere(
    spark: Any, server: str, shop: Any, capfd: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    data = mongodb.read(spark, f"mongodb://{server}/shop/orders", options())
    data.explain(True)
    data.collect()
    plan = data._plan.to_proto(spark.client).SerializeToString()
    assert b"mongodb" in plan
    outputs = [repr(options()), options().model_dump_json(), *capfd.readouterr(), caplog.text]
    assert not [text for text in outputs if SECRET in text]
    assert SECRET.encode() not in plan


def test_the_same_on_a_jvm(spark: Any, jvm: Any, server: str, shop: Any) -> None:
    for more in ({}, {"rows": "lines"}):
        one, other = (
            mongodb.read(session, f"mongodb://{server}/shop/orders", options(**more)) for session in (spark, jvm)
        )
        assert one.dtypes == other.dtypes
        assert one.orderBy("_position").collect() == other.orderBy("_position").collect()
