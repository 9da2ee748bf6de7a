"""Webhooks, received by a small server that verifies them with the reference library of Standard Webhooks."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from standardwebhooks import Webhook

from capflow_assets.delivery.webhook import DESTINATION, Options
from capflow_assets.errors import DeliveryError, DeliveryUnknown
from capflow_assets_doubles.http_server import Reply, Request, http_server
from capflow_assets_tests.delivery.deliveries import batches_of, delivery_of, rows_of

NEW_KEY = "whsec_" + base64.b64encode(b"n" * 32).decode()
OLD_KEY = "whsec_" + base64.b64encode(b"o" * 24).decode()
NIGHTLY = delivery_of()
ROWS = rows_of(NIGHTLY, [f"u{number}" for number in range(10)])


@dataclass
class Receiver:
    """Verifies each message, answers as ``script`` says for as long as it lasts, then takes every id once."""

    secret: str = NEW_KEY
    script: list[Reply] = field(default_factory=list)
    wrong_users: frozenset[str] = frozenset()
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> Reply:
        message = Webhook(self.secret).verify(request.body, dict(request.headers))
        self.ids.append(request.headers["webhook-id"])
        reply = self.script.pop(0) if self.script else Reply(200)
        if self.wrong_users & {row["user"] for row in message["data"].get("rows", ())}:
            return Reply(422, b"a user is not known")
        if reply.status < 300:
            self.messages.setdefault(request.headers["webhook-id"], message)
        return reply

    def rows(self) -> list[dict[str, Any]]:
        return [row for message in self.messages.values() for row in message["data"].get("rows", ())]

    def kinds(self) -> Counter[str]:
        return Counter(message["type"] for message in self.messages.values())


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def options(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Options]]:
    monkeypatch.setenv("HOOK_NEW", NEW_KEY)
    monkeypatch.setenv("HOOK_OLD", OLD_KEY)
    with http_server(receiver) as address:

        def options(**more: Any) -> Options:
            given = {
                "url": f"{address}/hook?of=crm", "secrets": [{"env": "HOOK_NEW"}], "allow_private": True,
                "rows_per_message": 4, "first_wait_seconds": 0.01, "timeout_seconds": 5, "tries": 3,
            }  # fmt: skip
            return Options.model_validate(given | more)

        yield options


def test_every_row_arrives_in_signed_batches_and_the_last_message_says_how_many(
    receiver: Receiver, options: Any
) -> None:
    sent = DESTINATION.send(options(), NIGHTLY, batches_of(ROWS, at_once=3))
    assert (sent.rows, sent.refused, sent.unknown) == (10, (), ())
    assert receiver.kinds() == {"delivery.rows": 3, "delivery.completed": 1}
    assert receiver.rows() == [row | {"as_of": "2026-03-01T00:00:00Z"} for row in ROWS]
    last = list(receiver.messages.values())[-1]["data"]
    lines = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in receiver.rows())
    assert (last["row_count"], last["sha256"]) == (10, hashlib.sha256(lines.encode()).hexdigest())
    assert (last["delivery"], last["model"], last["version"]) == (NIGHTLY.id, "churn", 3)


def test_a_receiver_that_does_not_know_the_last_message_has_its_rows_all_the_same(
    receiver: Receiver, options: Any
) -> None:
    receiver.script = [Reply(200), Reply(200), Reply(200), Reply(400, b"unknown type")]
    assert DESTINATION.send(options(), NIGHTLY, batches_of(ROWS)).rows == 10


@pytest.mark.parametrize("known", [NEW_KEY, OLD_KEY])
def test_while_a_key_is_replaced_a_receiver_of_either_verifies(receiver: Receiver, options: Any, known: str) -> None:
    receiver.secret = known
    both = options(secrets=[{"env": "HOOK_NEW"}, {"env": "HOOK_OLD"}])
    assert DESTINATION.send(both, NIGHTLY, batches_of(ROWS)).rows == 10


def test_the_same_delivery_twice_has_the_same_ids(receiver: Receiver, options: Any) -> None:
    for _ in range(2):
        DESTINATION.send(options(), NIGHTLY, batches_of(ROWS))
    assert receiver.ids[:4] == receiver.ids[4:]
    assert len(receiver.rows()) == 10


def test_other_rows_under_the_same_delivery_have_other_ids(receiver: Receiver, options: Any) -> None:
    DESTINATION.send(options(), NIGHTLY, batches_of(ROWS))
    DESTINATION.send(options(), NIGHTLY, batches_of(ROWS[:5]))
    assert receiver.ids[0] == receiver.ids[4]
    assert len(set(receiver.ids)) == 6


def test_later_is_tried_again_under_the_same_id(receiver: Receiver, options: Any) -> None:
    receiver.script = [Reply(503), Reply(429, headers={"retry-after": "0"})]
    assert DESTINATION.send(options(), NIGHTLY, batches_of(ROWS)).rows == 10
    assert receiver.ids[0] == receiver.ids[1] == receiver.ids[2] != receiver.ids[3]


def test_a_connection_that_ends_after_the_rows_were_taken_is_tried_again_under_the_same_id(
    receiver: Receiver, options: Any
) -> None:
    receiver.script = [Reply(200, is_cut=True)]
    assert DESTINATION.send(options(), NIGHTLY, batches_of(ROWS)).rows == 10
    assert receiver.ids[0] == receiver.ids[1]
    assert len(receiver.rows()) == 10


def test_no_answer_at_all_is_unknown_and_resent_it_arrives_once(receiver: Receiver, options: Any) -> None:
    receiver.script = [Reply(200, is_cut=True)] * 3
    with pytest.raises(DeliveryUnknown, match="gave no answer"):
        DESTINATION.send(options(), NIGHTLY, batches_of(ROWS))
    DESTINATION.send(options(), NIGHTLY, batches_of(ROWS))
    assert len(receiver.rows()) == 10


def test_a_receiver_that_is_too_slow_is_unknown(receiver: Receiver, options: Any) -> None:
    receiver.script = [Reply(200, seconds=0.6)] * 2
    with pytest.raises(DeliveryUnknown):
        DESTINATION.send(options(timeout_seconds=0.2, tries=1), NIGHTLY, batches_of(ROWS))


def test_one_wrong_row_is_refused_and_its_neighbours_arrive(receiver: Receiver, options: Any) -> None:
    receiver.wrong_users = frozenset({"u1", "u6"})
    sent = DESTINATION.send(options(), NIGHTLY, batches_of(ROWS))
    assert [(refused.key, refused.reason) for refused in sent.refused] == [
        (("u1",), "422 a user is not known"),
        (("u6",), "422 a user is not known"),
    ]
    assert [row["user"] for row in receiver.rows()] == ["u0", "u2", "u3", "u4", "u5", "u7", "u8", "u9"]


def test_a_receiver_that_refuses_everything_is_left_alone(receiver: Receiver, options: Any) -> None:
    many = rows_of(NIGHTLY, [f"u{number}" for number in range(200)])
    receiver.wrong_users = frozenset(row["user"] for row in many)
    with pytest.raises(DeliveryError, match="refused the first 50 rows and took none"):
        DESTINATION.send(options(), NIGHTLY, batches_of(many, at_once=50))


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(410), "has been ended by its owner"),
        (Reply(302, headers={"location": "http://169.254.169.254/latest"}), "redirects are not followed"),
        (Reply(401, b"who are you"), "does not accept the credentials"),
        (Reply(429, headers={"retry-after": "9999"}), "it asks to wait 9,999 s"),
    ],
)
def test_an_answer_that_ends_the_delivery_says_why(
    receiver: Receiver, options: Any, reply: Reply, message: str
) -> None:
    receiver.script = [reply]
    with pytest.raises(DeliveryError, match=message) as raised:
        DESTINATION.send(options(), NIGHTLY, batches_of(ROWS))
    assert not isinstance(raised.value, DeliveryUnknown)
    assert len(receiver.ids) == 1


def test_a_server_that_is_down_was_sent_nothing(options: Any) -> None:
    with pytest.raises(DeliveryError, match="cannot be reached now") as raised:
        DESTINATION.send(options(url="http://127.0.0.1:1/hook"), NIGHTLY, batches_of(ROWS))
    assert not isinstance(raised.value, DeliveryUnknown)


def test_a_private_network_is_not_called_unless_that_is_allowed(receiver: Receiver, options: Any) -> None:
    with pytest.raises(ValueError, match="allow_private"):
        options(allow_private=False)
    within = options(allow_private=False, url="https://localhost:9/hook")
    with pytest.raises(DeliveryError, match="localhost is a host of a private network"):
        DESTINATION.send(within, NIGHTLY, batches_of(ROWS))


def test_a_secret_that_is_no_key_is_not_shown(options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_NEW", "whsec_c2hvcnQ=")
    with pytest.raises(DeliveryError, match="no key") as raised:
        DESTINATION.send(options(), NIGHTLY, batches_of(ROWS))
    assert "c2hvcnQ" not in str(raised.value)


def test_an_address_with_credentials_in_it_is_refused_and_not_shown(options: Any) -> None:
    with pytest.raises(ValueError, match="an address without user and password") as raised:
        options(url="https://ann:planted@shop.example.com/hook")
    assert "planted" not in str(raised.value)


def test_withdrawal_and_erasure_are_told_to_a_receiver_that_obeys(receiver: Receiver, options: Any) -> None:
    assert "cannot be called back" in DESTINATION.withdraw(options(), NIGHTLY).reason
    assert DESTINATION.withdraw(options(withdrawals=True), NIGHTLY).reason == ""
    assert DESTINATION.erase(options(withdrawals=True), NIGHTLY, ["u1"]).reason == ""
    assert receiver.kinds() == {"delivery.withdrawn": 1, "users.erased": 1}
    assert list(receiver.messages.values())[1]["data"]["users"] == ["u1"]
