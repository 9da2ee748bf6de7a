"""DynamoDB by AWS's own library over HTTP, from a server that keeps its rules."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from capflow_assets.errors import SourceError
from capflow_assets.sources import dynamodb
from capflow_assets.sources.dynamodb import Options

SECRET = "planted+secret/key"
KEY, SECRET_KEY = "CAPFLOW_TEST_AWS_KEY", "CAPFLOW_TEST_AWS_SECRET"
ORDERS = "dynamodb://eu-west-1/orders"
MANY = 1500
# The workers of the JVM get their environment when it starts.
os.environ |= {KEY: "AKIATEST", SECRET_KEY: SECRET}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server with the tables ``orders``, ``many`` and ``empty``."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    at = "http://{}:{}".format(*server.get_host_and_port())
    client = boto3.client(
        "dynamodb", endpoint_url=at, region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="y"
    )
    _make(client)
    yield at
    server.stop()


def _make(client: Any) -> None:
    key = {"AttributeName": "order_id", "KeyType": "HASH"}
    line = {"AttributeName": "line", "KeyType": "RANGE"}
    text = {"AttributeName": "order_id", "AttributeType": "S"}
    number = {"AttributeName": "line", "AttributeType": "N"}
    store = {"AttributeName": "store", "AttributeType": "S"}
    by_store = {
        "IndexName": "by_store",
        "KeySchema": [{"AttributeName": "store", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["total"]},
    }
    client.create_table(
        TableName="orders",
        KeySchema=[key, line],
        AttributeDefinitions=[text, number, store],
        GlobalSecondaryIndexes=[by_store],
        BillingMode="PAY_PER_REQUEST",
    )
    for name in ("many", "empty"):
        client.create_table(TableName=name, KeySchema=[key], AttributeDefinitions=[text], BillingMode="PAY_PER_REQUEST")
    for item in ITEMS:
        client.put_item(TableName="orders", Item=item)
    for start in range(0, MANY, 25):
        items = [
            {"order_id": {"S": f"{place:06}"}, "n": {"N": str(place)}, "text": {"S": "x" * 2500}}
            for place in range(start, start + 25)
        ]
        client.batch_write_item(RequestItems={"many": [{"PutRequest": {"Item": item}} for item in items]})


ITEMS: list[dict[str, Any]] = [
    {
        "order_id": {"S": "o-1"},
        "line": {"N": "1"},
        "store": {"S": "köln 😀"},
        "total": {"N": "12.50"},
        "big": {"N": "1152921504606846976"},
        "paid": {"BOOL": True},
        "raw": {"B": b"\x00\xff"},
        "nothing": {"NULL": True},
        "customer": {"M": {"id": {"N": "7"}, "at": {"S": "2024-05-01T10:00:00Z"}}},
        "lines": {"L": [{"M": {"sku": {"S": "a"}, "n": {"N": "1"}}}, {"M": {"sku": {"S": "b"}, "n": {"N": "0.5"}}}]},
        "tags": {"SS": ["b", "a"]},
        "sizes": {"NS": ["2", "10"]},
        "at": {"S": "2024-05-01T10:00:00Z"},
        "mixed": {"N": "5"},
    },
    {"order_id": {"S": "o-1"}, "line": {"N": "2"}, "at": {"S": "2024-05-03"}, "total": {"N": "-3"}},
    {"order_id": {"S": "o-2"}, "line": {"N": "1"}, "at": {"N": "1714730000"}, "mixed": {"S": "six"}},
    {"order_id": {"S": "o-3"}, "line": {"N": "1"}, "customer": {"M": {"id": {"S": "x"}}}, "store": {"S": "bonn"}},
]


@pytest.fixture
def options(address: str) -> Any:
    def build(**more: Any) -> Options:
        keys = {"access_key": {"env": KEY}, "secret_key": {"env": SECRET_KEY}}
        return Options.model_validate({"endpoint": address} | keys | more)

    return build


def positions(data: Any) -> list[str]:
    return sorted(row[0] for row in data.select("_position").collect())


def test_types(spark: Any, options: Any) -> None:
    data = dynamodb.read(spark, ORDERS, options())
    assert dict(data.dtypes) == {
        "order_id": "string",
        "line": "bigint",
        "store": "string",
        "total": "decimal(4,2)",
        "big": "bigint",
        "paid": "boolean",
        "raw": "binary",
        "nothing": "string",
        "customer": "struct<at:string,id:string>",
        "lines": "array<struct<n:decimal(2,1),sku:string>>",
        "tags": "array<string>",
        "sizes": "array<bigint>",
        "at": "string",
        "mixed": "string",
        "_unfit_columns": "array<string>",
        "_corrupt_record": "string",
        "_position": "string",
    }
    row = data.where("order_id = 'o-1' and line = 1").collect()[0]
    assert (row["total"], row["big"], row["paid"], row["nothing"]) == (Decimal("12.50"), 2**60, True, None)
    assert (row["store"], bytes(row["raw"]), row["tags"], row["sizes"]) == ("köln 😀", b"\0\xff", ["a", "b"], [2, 10])
    assert row["customer"].asDict() == {"id": "7", "at": "2024-05-01T10:00:00Z"}
    assert positions(data) == [
        "orders order_id=o-1 line=1",
        "orders order_id=o-1 line=2",
        "orders order_id=o-2 line=1",
        "orders order_id=o-3 line=1",
    ]
    assert {row[0] for row in data.select("mixed").collect()} == {"5", "six", None}


def test_lines_of_orders(spark: Any, options: Any) -> None:
    data = dynamodb.read(spark, ORDERS, options(rows="lines", fields=["lines", "total"]))
    assert data.columns == ["lines", "total", "_unfit_columns", "_corrupt_record", "_position"]
    rows = data.selectExpr("lines.sku", "lines.n", "total", "_position").orderBy("sku").collect()
    assert [tuple(row) for row in rows] == [
        ("a", Decimal("1.0"), Decimal("12.50"), "orders order_id=o-1 line=1 lines[0]"),
        ("b", Decimal("0.5"), Decimal("12.50"), "orders order_id=o-1 line=1 lines[1]"),
    ]


@pytest.mark.parametrize(("segments", "page_items"), [(1, None), (1, 99), (9, 50)])
def test_segments_and_pages_hold_every_item_once(spark: Any, options: Any, segments: int, page_items: int) -> None:
    data = dynamodb.read(spark, "dynamodb://eu-west-1/many", options(segments=segments, page_items=page_items))
    counts = data.selectExpr("count(*)", "count(distinct order_id)", "sum(n)").collect()[0]
    assert tuple(counts) == (MANY, MANY, MANY * (MANY - 1) // 2)


def test_a_table_comes_in_pages(options: Any) -> None:
    request = {"TableName": "many", "Segment": 0, "TotalSegments": 1}
    sizes = [len(items) for items in dynamodb.scanned("eu-west-1", options(), request)]
    assert sum(sizes) == MANY
    assert len(sizes) >= 3
    segments = [
        sum(map(len, dynamodb.scanned("eu-west-1", options(), request | {"Segment": place, "TotalSegments": 4})))
        for place in range(4)
    ]
    assert sum(segments) == MANY
    assert min(segments) > MANY // 10


def test_a_slower_scan(options: Any) -> None:
    request = {"TableName": "many", "Segment": 0, "TotalSegments": 1, "ReturnConsumedCapacity": "TOTAL"}
    began = time.monotonic()
    pages = list(dynamodb.scanned("eu-west-1", options(most_units_per_second=1), request))
    # The server counts half a unit for any answer.
    assert time.monotonic() - began > 0.5 * (len(pages) - 1)


def test_an_index(spark: Any, options: Any) -> None:
    data = dynamodb.read(spark, ORDERS, options(index="by_store"))
    assert sorted(data.columns) == [
        "_corrupt_record",
        "_position",
        "_unfit_columns",
        "line",
        "order_id",
        "store",
        "total",
    ]
    assert positions(data) == ["orders order_id=o-1 line=1", "orders order_id=o-3 line=1"]


def test_what_is_newer(spark: Any, options: Any) -> None:
    def newer(column: str, than: Any, **more: Any) -> list[str]:
        places = positions(dynamodb.read_newer(spark, ORDERS, options(**more), column, than))
        return [position.removeprefix("orders order_id=") for position in places]

    assert newer("at", "2024-05-02") == ["o-1 line=2"]
    assert newer("at", "1714730000") == ["o-1 line=1", "o-1 line=2", "o-2 line=1"]
    assert newer("at", datetime(2024, 5, 3, 9, tzinfo=UTC)) == ["o-1 line=2", "o-2 line=1"]
    assert newer("total", Decimal("12.5")) == ["o-1 line=1"]
    assert newer("total", 12, fields=["total"]) == ["o-1 line=1"]
    assert newer("line", 2) == ["o-1 line=2"]
    assert newer("customer.at", "2024-01-01") == ["o-1 line=1"]
    assert newer("lines.n", 1, rows="lines") == ["o-1 line=1 lines[0]"]
    assert newer("at", "zzzz") == []


def test_columns_of_what_is_newer(spark: Any, options: Any) -> None:
    newer = dynamodb.read_newer(spark, ORDERS, options(), "at", "2024-05-02")
    assert set(dynamodb.read(spark, ORDERS, options()).columns) == set(newer.columns)


@pytest.mark.parametrize(
    ("location", "more", "message"),
    [
        ("dynamodb://eu-west-1/nope", {}, "There is no such table"),
        ("dynamodb://eu-west-1/empty", {}, "There is no document"),
        (ORDERS, {"index": "by_shop"}, "There is no such index.*\n.*one of by_store"),
        (ORDERS, {"endpoint": "http://127.0.0.1:9"}, "DynamoDB is not reached"),
        (ORDERS, {"endpoint": "nonsense"}, "DynamoDB is not reached"),
        (ORDERS, {"secret_key": {"env": "CAPFLOW_TEST_UNSET"}}, "CAPFLOW_TEST_UNSET"),
        ("dynamodb://orders", {}, "no DynamoDB table"),
        (f"dynamodb://AKIA:{SECRET}@eu-west-1/orders", {}, "credentials in it"),
    ],
)
def test_errors(
    spark: Any, options: Any, location: str, more: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb, "TRIES", 1)
    with pytest.raises(SourceError, match=message) as caught:
        dynamodb.read(spark, location, options(**more))
    assert SECRET not in str(caught.value)


def test_wrong_credentials(spark: Any, address: str, options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server holds keys against its users as soon as it is told to."""
    from moto import settings
    from moto.core.authorization import ActionAuthenticatorMixin

    monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
    monkeypatch.setattr(ActionAuthenticatorMixin, "request_count", 0)
    with pytest.raises(SourceError, match="DynamoDB refuses to read a table") as caught:
        dynamodb.read(spark, ORDERS, options())
    assert SECRET not in str(caught.value)


def test_no_credentials_at_all(spark: Any, address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(SourceError, match=r"DynamoDB refuses to read a table.*\n.*credentials"):
        dynamodb.read(spark, ORDERS, Options.model_validate({"endpoint": address}))


def test_the_process_leads_to_the_store(spark: Any, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
    assert dynamodb.read(spark, ORDERS, Options.model_validate({})).count() == len(ITEMS)


def test_options_that_cannot_be() -> None:
    for wrong in ({"access_key": {"env": "A"}}, {"secret_key": "plain"}, {"segments": 0}):
        with pytest.raises(ValidationError):
            Options.model_validate(wrong)


def test_the_secret_travels_nowhere(spark: Any, options: Any, capfd: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    data = dynamodb.read(spark, ORDERS, options())
    data.explain(True)
    data.collect()
    plan = data._plan.to_proto(spark.client).SerializeToString()
    assert b"dynamodb" in plan
    outputs = [repr(options()), options().model_dump_json(), *capfd.readouterr(), caplog.text]
    assert not [text for text in outputs if SECRET in text]
    assert SECRET.encode() not in plan


def test_the_same_on_a_jvm(spark: Any, jvm: Any, options: Any) -> None:
    for more in ({}, {"rows": "lines", "segments": 3}):
        one, other = (dynamodb.read(session, ORDERS, options(**more)) for session in (spark, jvm))
        assert one.dtypes == other.dtypes
        assert one.orderBy("_position").collect() == other.orderBy("_position").collect()
