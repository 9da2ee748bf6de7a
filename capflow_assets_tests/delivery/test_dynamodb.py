"""DynamoDB by AWS's own library over HTTP, from a server that keeps its conditions and transactions."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from capflow_assets.delivery.dynamodb import DESTINATION, Options
from capflow_assets.errors import DeliveryError
from capflow_assets_doubles.dynamodb_server import create_table, dynamodb_server
from capflow_assets_doubles.http_server import Reply, Request, http_server
from capflow_assets_tests.delivery.deliveries import NIGHT, batches_of, delivery_of, rows_of

USERS = [f"u{number}" for number in range(24)]


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """A client of a server in this process."""
    with dynamodb_server() as client:
        yield client


@pytest.fixture
def client(server: Any) -> Iterator[Any]:
    create_table(server, "scores")
    yield server
    server.delete_table(TableName="scores")


@pytest.fixture
def options(client: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Options]:
    monkeypatch.setenv("BOOTS_KEY", "x")
    monkeypatch.setenv("BOOTS_SECRET", "y")

    def options(**more: Any) -> Options:
        keys = {"access_key": {"env": "BOOTS_KEY"}, "secret_key": {"env": "BOOTS_SECRET"}}
        given = {"region": "eu-west-1", "table": "scores", "endpoint": client.meta.endpoint_url, "rows_per_batch": 10}
        return Options.model_validate(given | keys | more)

    return options


def item(client: Any, user: str, model: str = "boots/churn") -> dict[str, Any] | None:
    return client.get_item(TableName="scores", Key={"key": {"S": user}, "model": {"S": model}}).get("Item")


def test_a_row_is_an_item_that_one_question_answers(options: Any, client: Any) -> None:
    delivery = delivery_of()
    sent = DESTINATION.send(options(), delivery, batches_of(rows_of(delivery, USERS)))
    assert (sent.rows, sent.refused) == (24, ())
    assert item(client, "u7") == {
        "key": {"S": "u7"},
        "model": {"S": "boots/churn"},
        "user": {"S": "u7"},
        "score": {"N": "0.5"},
        "reasons": {"S": "no visit, 40 days"},
        "items": {"L": [{"S": "i1"}, {"S": "i2"}]},
        "as_of": {"S": "2026-03-01T00:00:00Z"},
        "_as_of": {"S": "2026-03-01T00:00:00.000000+00:00"},
        "_delivery": {"S": delivery.id},
        # 2026-03-08T00:00Z, by `date -u -d 2026-03-08 +%s`
        "_expires": {"N": "1772928000"},
    }
    held = DESTINATION.held(options(), delivery)
    assert held is not None
    assert (held.rows, held.checksum, DESTINATION.newest(options(), delivery)) == (24, sent.checksum, NIGHT)


def killed_after(delivery: Any, count: int) -> Iterator[Any]:
    yield from list(batches_of(rows_of(delivery, USERS)))[:count]
    raise KeyboardInterrupt


def test_a_killed_delivery_is_not_held_and_goes_on_and_twice_changes_nothing(options: Any, client: Any) -> None:
    delivery = delivery_of()
    with pytest.raises(KeyboardInterrupt):
        DESTINATION.send(options(), delivery, killed_after(delivery, 6))
    assert DESTINATION.held(options(), delivery) is None
    first = DESTINATION.send(options(), delivery, batches_of(rows_of(delivery, USERS)))
    assert DESTINATION.send(options(), delivery, batches_of(rows_of(delivery, USERS))) == first
    assert client.scan(TableName="scores", Select="COUNT")["Count"] == 25


def test_a_row_that_would_replace_a_newer_one_is_refused_and_its_neighbours_are_put(options: Any, client: Any) -> None:
    older, newer = delivery_of(0), delivery_of(1)
    with pytest.raises(KeyboardInterrupt):
        DESTINATION.send(options(), newer, killed_after(newer, 6))
    sent = DESTINATION.send(options(), older, batches_of(rows_of(older, USERS)))
    assert (sent.rows, len(sent.refused)) == (14, 10)
    assert (sent.refused[0].key, sent.refused[0].reason) == (
        ("u0",),
        "a newer delivery's row, or one that no delivery wrote, is there",
    )
    assert item(client, "u0")["_delivery"]["S"] == newer.id
    assert item(client, "u23")["_delivery"]["S"] == older.id


def test_a_whole_newer_delivery_is_not_replaced(options: Any) -> None:
    older, newer = delivery_of(0), delivery_of(1)
    DESTINATION.send(options(), newer, batches_of(rows_of(newer, ["ann"])))
    with pytest.raises(DeliveryError, match="holds a newer delivery"):
        DESTINATION.send(options(), older, batches_of(rows_of(older, ["bob"])))
    assert DESTINATION.newest(options(), older) == newer.as_of


def test_withdrawal_takes_back_what_this_delivery_wrote_and_no_newer_row(options: Any, client: Any) -> None:
    older, newer, other = delivery_of(0), delivery_of(1), delivery_of(0, model="clv")
    DESTINATION.send(options(), older, batches_of(rows_of(older, USERS)))
    DESTINATION.send(options(), other, batches_of(rows_of(other, ["u0"])))
    DESTINATION.send(options(), newer, batches_of(rows_of(newer, USERS[:5])))
    assert DESTINATION.withdraw(options(), older).rows == 19
    assert DESTINATION.withdraw(options(), older).rows == 0
    left = client.scan(TableName="scores", FilterExpression="attribute_exists(score)")["Items"]
    assert sorted((entry["key"]["S"], entry["model"]["S"]) for entry in left) == [
        ("u0", "boots/churn"), ("u0", "boots/clv"), ("u1", "boots/churn"), ("u2", "boots/churn"),
        ("u3", "boots/churn"), ("u4", "boots/churn"),
    ]  # fmt: skip
    assert DESTINATION.held(options(), newer) is not None


def test_users_are_erased(options: Any, client: Any) -> None:
    delivery = delivery_of()
    DESTINATION.send(options(), delivery, batches_of(rows_of(delivery, ["ann", "u#1", "bob"])))
    assert DESTINATION.erase(options(), delivery, ["ann", "u#1", "nobody"]).rows == 2
    assert (item(client, "ann"), item(client, "u%231"), item(client, "bob") is None) == (None, None, False)


def test_an_item_that_is_not_valid_is_refused_and_its_neighbours_are_put(options: Any, client: Any) -> None:
    delivery = delivery_of()
    sent = DESTINATION.send(options(), delivery, batches_of(rows_of(delivery, ["ann", "", "bob", "eve"])))
    assert (sent.rows, [refused.key for refused in sent.refused]) == (3, [("",)])
    assert "empty string" in sent.refused[0].reason
    assert item(client, "eve") is not None


def test_an_item_that_no_delivery_wrote_stays(options: Any, client: Any) -> None:
    theirs = {"key": {"S": "ann"}, "model": {"S": "boots/churn"}, "note": {"S": "typed by hand"}}
    client.put_item(TableName="scores", Item=theirs)
    delivery = delivery_of()
    sent = DESTINATION.send(options(), delivery, batches_of(rows_of(delivery, ["ann", "bob"])))
    assert (sent.rows, [refused.key for refused in sent.refused]) == (1, [("ann",)])
    assert DESTINATION.withdraw(options(), delivery).rows == 1
    assert item(client, "ann") == theirs


def test_the_platforms_own_keys_are_shown_to_no_other_address(options: Any) -> None:
    with pytest.raises(ValueError, match="the platform's own are shown to none"):
        options(access_key=None, secret_key=None)


def test_two_rows_under_one_key_are_said(options: Any) -> None:
    delivery = delivery_of()
    with pytest.raises(DeliveryError, match="does not take the rows"):
        DESTINATION.send(options(), delivery, batches_of(rows_of(delivery, ["ann", "ann"])))


def test_no_such_table_and_a_server_that_is_down_are_said(options: Any) -> None:
    with pytest.raises(DeliveryError, match="There is no such table"):
        DESTINATION.newest(options(table="another"), delivery_of())
    with pytest.raises(DeliveryError, match="DynamoDB is not reached"):
        DESTINATION.newest(options(endpoint="http://127.0.0.1:1", tries=1), delivery_of())


def test_what_is_throttled_is_tried_again_and_said_when_it_stays_so(options: Any, client: Any) -> None:
    """A server before the server, which throttles as a busy table does."""
    throttled = [2]

    def busy(request: Request) -> Reply:
        headers = {
            name: value for name, value in request.headers.items() if name.startswith(("x-amz", "auth", "content-t"))
        }
        if throttled[0] and request.headers["x-amz-target"].endswith("TransactWriteItems"):
            throttled[0] -= 1
            reasons = [{"Code": "ThrottlingError"}] + [{"Code": "None"}] * 9
            said = {"__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException", "message": "busy"}
            return Reply(400, json.dumps(said | {"CancellationReasons": reasons}).encode())
        forwarded = urllib.request.Request(client.meta.endpoint_url, request.body, headers)
        with urllib.request.urlopen(forwarded) as answer:
            return Reply(200, answer.read(), {"content-type": "application/x-amz-json-1.0"})

    delivery = delivery_of()
    rows = rows_of(delivery, USERS[:10])
    with http_server(busy) as address:
        assert DESTINATION.send(options(endpoint=address), delivery, batches_of(rows)).rows == 10
        throttled[0] = 2
        with pytest.raises(DeliveryError, match="does not process all rows"):
            DESTINATION.send(options(endpoint=address, tries=2), delivery, batches_of(rows))
