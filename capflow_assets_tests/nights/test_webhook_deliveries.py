"""A webhook through the ledger: what arrives, what is refused, and what nobody answered for."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from capflow_assets_doubles.http_server import Reply, Request, http_server
from capflow_assets_tests.nights.brand import USERS, Brand

HOOK = """
[[delivery]]
name = "shop"
kind = "webhook"
models = ["churn"]
contact = false
columns = { user_id = "who", score = "chance" }

[delivery.options]
url = "ADDRESS"
secrets = [{ env = "BOOTS_HOOK" }]
allow_private = true
rows_per_message = 4
tries = 2
first_wait_seconds = 0.01
"""


class Receiver:
    """Takes each id once; refuses messages with dan, and at first ends some connections."""

    def __init__(self) -> None:
        self.messages: dict[str, dict] = {}
        self.cuts = 0

    def __call__(self, request: Request) -> Reply:
        message = json.loads(request.body)
        if any(row["who"] == "dan" for row in message["data"].get("rows", ())):
            return Reply(422, b"dan is not known here")
        self.messages.setdefault(request.headers["webhook-id"], message)
        self.cuts -= 1
        return Reply(200, is_cut=self.cuts >= 0)

    def rows(self) -> list[dict]:
        return [row for message in self.messages.values() for row in message["data"].get("rows", ())]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def brand(receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Brand]:
    monkeypatch.setenv("BOOTS_HOOK", "whsec_" + base64.b64encode(b"k" * 32).decode())
    with http_server(receiver) as address:
        brand = Brand(tmp_path)
        brand.declare(HOOK.replace("ADDRESS", address))
        brand.score()
        yield brand


def test_rows_arrive_and_the_one_that_is_refused_is_on_the_receipt(brand: Brand, receiver: Receiver) -> None:
    result = brand.delivered()
    assert result.receipt is not None
    assert (result.failure, result.problem) == ("", "")
    assert (result.receipt.status, result.receipt.delivered, result.receipt.refused) == ("delivered", 5, 1)
    assert brand.held_back() == {"dan": "422 dan is not known here"}
    assert receiver.rows() == [
        {"who": user, "chance": round(0.9 - place / 10, 2)} for place, user in enumerate(USERS) if user != "dan"
    ]
    before = len(receiver.messages)
    assert brand.delivered().receipt == result.receipt
    assert len(receiver.messages) == before


def test_what_nobody_answered_for_is_unknown_and_comes_again_under_the_same_ids(
    brand: Brand, receiver: Receiver
) -> None:
    receiver.cuts = 2
    brand.score(users=("ann", "bob"))
    assert "gave no answer" in brand.delivered().failure
    (unknown,) = brand.ledger.receipts()
    assert (unknown.status, unknown.unknown, unknown.adds_up) == ("unknown", 2, True)
    receipt = brand.delivered().receipt
    assert receipt is not None
    assert (receipt.status, receipt.delivered, receipt.unknown, receipt.tries) == ("delivered", 2, 0, 2)
    assert [row["who"] for row in receiver.rows()] == ["ann", "bob"]
