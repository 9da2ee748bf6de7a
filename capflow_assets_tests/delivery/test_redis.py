"""Redis by a real server that speaks like it: Valkey, in a process of its own."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from capflow_assets.delivery.redis import DESTINATION, Options
from capflow_assets.errors import DeliveryError, DeliveryUnknown
from capflow_assets_doubles.cutting_proxy import cutting_proxy
from capflow_assets_doubles.redis_server import PASSWORD, redis_server
from capflow_assets_tests.delivery.deliveries import batches_of, delivery_of, rows_of

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
USERS = [f"u{number}" for number in range(25)]


def nightly(nights: int = 0) -> Any:
    """A delivery that is valid for a week from now on."""
    as_of = TODAY + timedelta(days=nights)
    return replace(delivery_of(nights), as_of=as_of, valid_until=as_of + timedelta(days=7))


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server that asks for a password."""
    with redis_server() as port:
        yield port


@pytest.fixture
def client(port: int) -> Iterator[Any]:
    import redis

    with redis.Redis(port=port, password=PASSWORD, decode_responses=True) as client:
        client.flushall()
        yield client


@pytest.fixture
def options(port: int, client: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Options]:
    monkeypatch.setenv("BOOTS_REDIS", PASSWORD)

    def options(**more: Any) -> Options:
        given = {"host": "127.0.0.1", "port": port, "tls": False, "password": {"env": "BOOTS_REDIS"}}
        return Options.model_validate(given | {"rows_per_batch": 10, "tries": 1} | more)

    return options


def read(client: Any, user: str) -> dict[str, Any] | None:
    """As a shop reads: the pointer, then the row."""
    pointer = client.get("capflow:boots:churn")
    rows = (client.hget(key, user) for key in json.loads(pointer)["keys"]) if pointer else ()
    return next((json.loads(row) for row in rows if row), None)


def test_a_reader_follows_the_pointer_to_the_rows(options: Any, client: Any) -> None:
    delivery = nightly()
    sent = DESTINATION.send(options(), delivery, batches_of(rows_of(delivery, USERS)))
    assert sent.rows == 25
    expected = rows_of(delivery, ["u7"])[0] | {"as_of": f"{TODAY:%Y-%m-%d}T00:00:00Z"}
    assert read(client, "u7") == expected
    held = DESTINATION.held(options(), delivery)
    assert held is not None
    assert (held.id, held.rows, held.checksum) == (delivery.id, 25, sent.checksum)
    assert DESTINATION.newest(options(), delivery) == TODAY


def test_twice_changes_nothing_and_a_shorter_second_leaves_no_old_rows(options: Any, client: Any) -> None:
    delivery = nightly()
    first = DESTINATION.send(options(), delivery, batches_of(rows_of(delivery, USERS)))
    assert DESTINATION.send(options(), delivery, batches_of(rows_of(delivery, USERS))) == first
    assert len(client.keys()) == 2
    DESTINATION.send(options(), delivery, batches_of(rows_of(delivery, USERS[:3])))
    assert read(client, "u7") is None
    assert read(client, "u2") is not None


def killed_after(delivery: Any, count: int) -> Iterator[Any]:
    yield from list(batches_of(rows_of(delivery, USERS)))[:count]
    raise KeyboardInterrupt


def test_a_killed_delivery_is_read_by_nobody_and_goes_on(options: Any, client: Any) -> None:
    before, after = nightly(0), nightly(1)
    DESTINATION.send(options(), before, batches_of(rows_of(before, USERS, score=0.1)))
    with pytest.raises(KeyboardInterrupt):
        DESTINATION.send(options(), after, killed_after(after, 11))
    assert DESTINATION.held(options(), after) is None
    assert read(client, "u0")["score"] == 0.1
    assert DESTINATION.send(options(), after, batches_of(rows_of(after, USERS, score=0.9))).rows == 25
    assert read(client, "u0")["score"] == 0.9


def test_an_older_delivery_never_takes_the_place_of_a_newer_one(options: Any, client: Any) -> None:
    older, newer = nightly(0), nightly(1)
    DESTINATION.send(options(), newer, batches_of(rows_of(newer, USERS, score=0.9)))
    with pytest.raises(DeliveryError, match="holds a newer delivery"):
        DESTINATION.send(options(), older, batches_of(rows_of(older, USERS, score=0.1)))
    assert read(client, "u0")["score"] == 0.9
    assert len(client.keys()) == 2


def test_the_delivery_before_stays_for_its_readers_and_then_ends_by_itself(options: Any, client: Any) -> None:
    older, newer = nightly(0), nightly(1)
    for delivery in (older, newer):
        DESTINATION.send(options(keep_seconds=100), delivery, batches_of(rows_of(delivery, USERS)))
    week = (newer.valid_until - datetime.now(UTC)).total_seconds()
    assert 0 < client.ttl(f"capflow:boots:churn:{older.id[:32]}") <= 100
    assert week < client.ttl("capflow:boots:churn") + 60 <= week + 161


def test_those_who_waited_for_the_morning_are_read_beside_the_others(options: Any, client: Any) -> None:
    evening = nightly()
    morning = replace(evening, id="d" * 64)
    DESTINATION.send(options(), evening, batches_of(rows_of(evening, USERS[:20])))
    DESTINATION.send(options(), morning, batches_of(rows_of(morning, USERS[20:])))
    assert [read(client, user) is not None for user in USERS] == [True] * 25
    assert (DESTINATION.held(options(), evening).rows, DESTINATION.held(options(), morning).rows) == (20, 5)
    assert DESTINATION.withdraw(options(), morning).rows == 5
    assert [read(client, user) is not None for user in USERS] == [True] * 20 + [False] * 5
    DESTINATION.send(options(), nightly(1), batches_of(rows_of(nightly(1), USERS[:1])))
    assert [read(client, user) is not None for user in USERS] == [True] + [False] * 24


def test_withdrawal_takes_back_this_delivery_and_no_other(options: Any, client: Any) -> None:
    older, newer, other = nightly(0), nightly(1), replace(nightly(1), model="clv", id="f" * 64)
    for delivery in (older, newer, other):
        DESTINATION.send(options(), delivery, batches_of(rows_of(delivery, USERS)))
    assert DESTINATION.withdraw(options(), older).rows == 25
    assert read(client, "u0") is not None
    assert DESTINATION.withdraw(options(), newer).rows == 25
    assert DESTINATION.withdraw(options(), newer).rows == 0
    assert sorted(client.keys()) == ["capflow:boots:clv", f"capflow:boots:clv:{'f' * 32}"]


def test_users_are_erased_also_where_the_key_has_more_columns(options: Any, client: Any) -> None:
    delivery = nightly()
    DESTINATION.send(options(), delivery, batches_of(rows_of(delivery, ["ann", "bob"])))
    assert DESTINATION.erase(options(), delivery, ["ann", "nobody"]).rows == 1
    assert (read(client, "ann"), DESTINATION.held(options(), delivery).rows) == (None, 1)
    ranked = replace(delivery, model="next", key=("user", "score"), id="e" * 64)
    rows = rows_of(ranked, ["a|b", "bob"]) + rows_of(ranked, ["a|b"], score=0.25)
    DESTINATION.send(options(), ranked, batches_of(rows))
    assert DESTINATION.erase(options(), ranked, ["a|b"]).rows == 2
    assert list(client.hgetall(f"capflow:boots:next:{'e' * 32}")) == ["bob|0.5"]


def test_a_server_that_keeps_fewer_rows_than_it_was_sent_is_noticed(options: Any, client: Any) -> None:
    """Two rows under one key are one row afterwards."""
    delivery = nightly()
    with pytest.raises(DeliveryError, match=r"kept other rows(.|\n)*2 of 3 rows"):
        DESTINATION.send(options(), delivery, batches_of(rows_of(delivery, ["ann", "bob", "ann"])))
    assert client.get("capflow:boots:churn") is None


def test_a_connection_that_ends_after_the_flip_is_unknown_and_the_server_knows_better(
    options: Any, client: Any, port: int
) -> None:
    delivery = nightly()
    with cutting_proxy(port, after=b"EXEC") as proxy, pytest.raises(DeliveryUnknown, match="gave no answer"):
        DESTINATION.send(options(port=proxy), delivery, batches_of(rows_of(delivery, USERS)))
    assert DESTINATION.held(options(), delivery).rows == 25
    assert DESTINATION.send(options(), delivery, batches_of(rows_of(delivery, USERS))).rows == 25


def test_a_server_that_does_not_answer_is_said(options: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        slow = options(port=silent.getsockname()[1], timeout_seconds=0.2)
        with pytest.raises(DeliveryError, match="not reached"):
            DESTINATION.newest(slow, nightly())


def test_predictions_whose_time_is_over_are_not_sent_to_be_forgotten(options: Any, client: Any) -> None:
    delivery = nightly(-9)
    with pytest.raises(DeliveryError, match="forget these rows at once"):
        DESTINATION.send(options(keep_seconds=3_600), delivery, batches_of(rows_of(delivery, USERS)))
    assert DESTINATION.withdraw(options(), delivery).rows == 0


def test_an_empty_delivery_is_held_as_one_of_no_rows(options: Any) -> None:
    delivery = nightly()
    assert DESTINATION.send(options(), delivery, iter(())).rows == 0
    assert DESTINATION.held(options(), delivery).rows == 0


def test_wrong_credentials_and_a_server_that_is_down_are_said(options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOOTS_REDIS", "another password")
    with pytest.raises(DeliveryError, match="does not accept the credentials") as raised:
        DESTINATION.newest(options(), nightly())
    assert "another password" not in str(raised.value)
    with pytest.raises(DeliveryError, match="not reached"):
        DESTINATION.newest(options(port=1), nightly())
