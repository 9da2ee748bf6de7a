"""Messages to a customer's own web address, signed as Standard Webhooks are (https://www.standardwebhooks.com).

A message is a batch of rows: ``{"type": "delivery.rows", "timestamp": …, "data": {…, "rows": […]}}``; the last one,
``delivery.completed``, says how many rows there were and the SHA-256 of their lines, for the receiver to compare. The
``webhook-id`` is a digest of the delivery and of the message: the same message has the same id whenever it is sent, so
a receiver that keeps ids takes none twice. Each of ``secrets`` signs every message, so that a key can be changed:
name both, let the receiver take the new one, then leave out the old.

Taken is a message that is answered 2xx. 400, 413 and 422 mean that a row in it is wrong: it is halved until the row is
known. 410 ends the delivery; a redirect is not followed. What the receiver holds afterwards it alone knows.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from capflow_assets.contract import Delivery, Held, Sent, Withdrawn
from capflow_assets.errors import DeliveryError
from capflow_assets.transfer.batches import Rejection, Row, Tally, json_value, packed, post_apart, rows_of
from capflow_assets.transfer.calls import Calls, HttpOptions
from capflow_assets.transfer.secrets import FromEnv

if TYPE_CHECKING:
    import pyarrow as pa

PREFIX = "whsec_"
# The specification's bounds of a key.
KEY_BYTES = (24, 64)
ROW_IS_WRONG = frozenset({400, 413, 422})
ERASED_USERS = 500
COMPLETED = "delivery.completed"


class Options(HttpOptions):
    """Where the messages go and what signs them."""

    secrets: tuple[FromEnv, ...] = Field(min_length=1, description="Keys (whsec_…); several while one is replaced.")
    rows_per_message: int = Field(500, ge=1, le=10_000, description="Most rows in one message.")
    bytes_per_message: int = Field(262_144, ge=1_024, le=16 << 20, description="Most bytes of rows in one message.")
    withdrawals: bool = Field(
        False, description="Whether the receiver obeys messages delivery.withdrawn and users.erased."
    )


class Webhook:
    """Batches of rows as signed messages."""

    options = Options
    resend: Literal["idempotent", "never"] = "idempotent"
    tells = False

    def held(self, options: Options, delivery: Delivery) -> Held | None:
        """A receiver does not say what it holds."""
        return None

    def newest(self, options: Options, delivery: Delivery) -> datetime | None:
        """A receiver does not say what it holds."""
        return None

    def send(self, options: Options, delivery: Delivery, batches: Iterator[pa.RecordBatch]) -> Sent:
        """Post the rows in order, then ``delivery.completed``."""
        tally = Tally()
        with _Messages(options, delivery) as messages:
            rows = rows_of(delivery, batches)
            for batch in packed(rows, options.rows_per_message, options.bytes_per_message):
                post_apart(batch, messages.post_rows, tally)
            messages.post(COMPLETED, {"row_count": tally.rows, "sha256": tally.digest.hexdigest()})
        return tally.sent()

    def withdraw(self, options: Options, delivery: Delivery) -> Withdrawn:
        """Tell a receiver that obeys to take back the delivery; how many rows that are, it alone knows."""
        if not options.withdrawals:
            return Withdrawn(None, "a message cannot be called back, and the receiver obeys no delivery.withdrawn")
        with _Messages(options, delivery) as messages:
            messages.post("delivery.withdrawn", {})
        return Withdrawn(None)

    def erase(self, options: Options, delivery: Delivery, users: Sequence[str]) -> Withdrawn:
        """Tell a receiver that obeys to delete users."""
        if not options.withdrawals:
            return Withdrawn(None, "a message cannot be called back, and the receiver obeys no users.erased")
        with _Messages(options, delivery) as messages:
            for start in range(0, len(users), ERASED_USERS):
                messages.post("users.erased", {"users": list(users[start : start + ERASED_USERS])})
        return Withdrawn(None)


class _Messages:
    """Messages of one delivery, signed and posted."""

    def __init__(self, options: Options, delivery: Delivery) -> None:
        secrets = [secret.value() for secret in options.secrets]
        self._keys = [signing_key(secret) for secret in secrets]
        self._calls = Calls(options, "The webhook", secrets=secrets)
        self._id = delivery.id
        self._as_of = json_value(delivery.as_of)
        self._said = {
            "delivery": delivery.id,
            "customer": delivery.customer,
            "model": delivery.model,
            "version": delivery.version,
            "as_of": self._as_of,
            "valid_until": json_value(delivery.valid_until),
        }

    def __enter__(self) -> _Messages:
        return self

    def __exit__(self, *_: object) -> None:
        self._calls.__exit__()

    def post_rows(self, rows: Sequence[Row]) -> Rejection | None:
        """One message of rows; a rejection where one of them is wrong."""
        return self._post(self._body("delivery.rows", {}, rows), may_be_wrong=True)

    def post(self, kind: str, data: Mapping[str, Any]) -> None:
        """One message without rows; a receiver that does not know its type may answer 400, 413 or 422.

        Raises:
            DeliveryError: it is not taken for another reason.
        """
        self._post(self._body(kind, data, None), may_be_wrong=kind == COMPLETED)

    def _body(self, kind: str, data: Mapping[str, Any], rows: Sequence[Row] | None) -> bytes:
        import orjson

        said = orjson.dumps({"type": kind, "timestamp": self._as_of, "data": {**self._said, **data}})
        # Rows are put in as they are written already.
        return said if rows is None else said[:-2] + b',"rows":[' + b",".join(row.json for row in rows) + b"]}}"

    def _post(self, body: bytes, *, may_be_wrong: bool) -> Rejection | None:
        message = f"{self._id[:16]}-{hashlib.sha256(body).hexdigest()[:32]}"
        answer = self._calls.call("POST", self._calls.path, body, lambda: self._headers(message, body))
        if may_be_wrong and answer.status in ROW_IS_WRONG:
            return Rejection(self._calls.said(answer))
        if not 200 <= answer.status < 300:
            raise self._calls.refusal(answer)
        return None

    def _headers(self, message: str, body: bytes) -> dict[str, str]:
        moment = int(time.time())
        return {
            "content-type": "application/json",
            "user-agent": "capflow-assets",
            "webhook-id": message,
            "webhook-timestamp": str(moment),
            "webhook-signature": " ".join(signature(key, message, moment, body) for key in self._keys),
        }


def signing_key(secret: str) -> bytes:
    """The key that a secret means.

    Raises:
        DeliveryError: it is no such secret; it is not shown.
    """
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not KEY_BYTES[0] <= len(key) <= KEY_BYTES[1]:
        expected = f"{PREFIX} and {KEY_BYTES[0]} to {KEY_BYTES[1]} bytes in base64"
        raise DeliveryError("A webhook's secret is no key", expected=expected, do="make one: openssl rand -base64 32")
    return key


def signature(key: bytes, message: str, moment: int, body: bytes) -> str:
    """``v1,`` and the HMAC-SHA256 of ``id.timestamp.body`` in base64."""
    digest = hmac.new(key, f"{message}.{moment}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


DESTINATION = Webhook()
