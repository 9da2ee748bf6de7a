"""Braze: a row becomes custom attributes of the user's profile, by ``POST /users/track``.

Seventy-five attribute objects go in a request, and no more than 3,000 requests in three seconds; ``X-RateLimit-Reset``
says when a window ends (https://www.braze.com/docs/api/endpoints/user_data/post_user_track and …/api/api_limits). The
answer names the objects that are refused by their place in ``attributes``, and counts those that are queued. What it
counts but does not name is unknown. Profiles are not created (``create_users``), and nobody is subscribed to anything.

Attributes are set: twice is as once. Braze is asked for nothing that it holds: an export goes by fifty users. An older
delivery is kept back by the ledger alone. A delivery cannot be taken back by its name; single users' attributes can.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from capflow_assets.contract import Delivery, Held, Sent, Withdrawn
from capflow_assets.delivery.profiles import ProfileOptions, fitting, names_of
from capflow_assets.transfer.batches import Rejection, Row, Tally, packed, post_apart, rows_of
from capflow_assets.transfer.calls import Address, Calls
from capflow_assets.transfer.http import Answer

if TYPE_CHECKING:
    import pyarrow as pa

# What one request takes, by Braze's documentation.
OBJECTS = 75
REQUEST_BYTES = 3_500_000
TEXT_CHARACTERS = 255
WINDOW_SECONDS = 3.0
OBJECT_IS_WRONG = frozenset({400, 413, 422})


class Options(ProfileOptions):
    """Which workspace, and how its users are known."""

    url: Address = Field(description="The REST endpoint of the instance: https://rest.iad-01.braze.com")
    identifier: Literal["external_id", "braze_id", "email", "phone"] = Field(
        default="external_id", description="What the user's id is to Braze."
    )
    create_users: bool = Field(default=False, description="Whether a user that Braze does not know becomes a profile.")
    objects_per_request: int = Field(default=OBJECTS, ge=1, le=OBJECTS, description="50 with some contracts.")
    requests_per_window: int = Field(default=3_000, ge=1, description="Most requests in three seconds.")


class Braze:
    """Attributes of users' profiles."""

    options = Options
    resend: Literal["idempotent", "never"] = "idempotent"
    tells = False

    def held(self, options: Options, delivery: Delivery) -> Held | None:
        """Braze is not asked."""
        return None

    def newest(self, options: Options, delivery: Delivery) -> datetime | None:
        """Braze is not asked."""
        return None

    def send(self, options: Options, delivery: Delivery, batches: Iterator[pa.RecordBatch]) -> Sent:
        """Set the attributes of every user."""
        names, tally = names_of(options, delivery), Tally()

        def shape(values: dict[str, Any]) -> dict[str, Any]:
            return _object(options, values[delivery.user]) | {name: values[column] for column, name in names.items()}

        with _Track(options) as track:
            rows = fitting(rows_of(delivery, batches, shape), delivery.user, tally, REQUEST_BYTES, TEXT_CHARACTERS)
            for batch in packed(rows, options.objects_per_request, REQUEST_BYTES):
                post_apart(batch, track.post, tally)
        return tally.sent()

    def withdraw(self, options: Options, delivery: Delivery) -> Withdrawn:
        """Not possible: whom a delivery reached, Braze does not say."""
        reason = "Braze knows no deliveries; single users' attributes can be removed (capflow forget)"
        return Withdrawn(None, reason)

    def erase(self, options: Options, delivery: Delivery, users: Sequence[str]) -> Withdrawn:
        """Remove these users' attributes of the model; their profiles stay."""
        import orjson

        nothing = dict.fromkeys(names_of(options, delivery).values())
        rows = (Row((user,), {}, orjson.dumps(_object(options, user, is_removal=True) | nothing)) for user in users)
        tally = Tally()
        with _Track(options) as track:
            for batch in packed(rows, options.objects_per_request, REQUEST_BYTES):
                post_apart(batch, track.post, tally)
        wrong = len(tally.refused) + len(tally.unknown)
        return Withdrawn(tally.rows, f"Braze did not take {wrong:,} of {len(users):,} users" if wrong else "")


class _Track:
    """Requests to ``/users/track``."""

    def __init__(self, options: Options) -> None:
        key = options.api_key.value()
        limits = [(options.requests_per_window, WINDOW_SECONDS)]
        self._calls = Calls(options, "Braze", limits, secrets=[key])
        self._path = f"{self._calls.path.rstrip('/')}/users/track"
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self._is_counted = options.identifier == "external_id"

    def __enter__(self) -> _Track:
        return self

    def __exit__(self, *_: object) -> None:
        self._calls.__exit__()

    def post(self, rows: Sequence[Row]) -> Rejection | None:
        """Set attributes: None where all objects are queued."""
        body = b'{"attributes":[' + b",".join(row.json for row in rows) + b"]}"
        answer = self._calls.call("POST", self._path, body, lambda: self._headers)
        is_taken = 200 <= answer.status < 300
        if not is_taken and answer.status not in OBJECT_IS_WRONG:
            raise self._calls.refusal(answer)
        said = _said(answer)
        named, unplaced = _errors(said)
        if not is_taken:
            return Rejection(self._calls.said(answer), {} if unplaced else named)
        queued = said.get("attributes_processed")
        is_short = self._is_counted and isinstance(queued, int) and queued + len(named) < len(rows)
        if not named and not unplaced and not is_short and said.get("message") == "success":
            return None
        is_unknown = bool(unplaced) or is_short or said.get("message") != "success"
        return Rejection("", named, "unknown" if is_unknown else "taken")


def _object(options: Options, user: Any, *, is_removal: bool = False) -> dict[str, Any]:
    """Whose attributes; nobody comes to be by a removal."""
    return {options.identifier: user, "_update_existing_only": is_removal or not options.create_users}


def _said(answer: Answer) -> Mapping[str, Any]:
    try:
        said = json.loads(answer.body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _errors(said: Mapping[str, Any]) -> tuple[dict[int, str], list[str]]:
    """Errors by the place of their object in ``attributes``, and those that name none.

    >>> _errors({"errors": [{"type": "'x' is wrong", "input_array": "attributes", "index": 3}, "odd"]})
    ({3: "'x' is wrong"}, ['odd'])
    """
    named: dict[int, str] = {}
    unplaced: list[str] = []
    for error in said.get("errors") or ():
        is_placed = isinstance(error, dict) and error.get("input_array", "attributes") == "attributes"
        place = error.get("index") if is_placed else None
        if isinstance(place, int) and place >= 0:
            named[place] = re.sub(r"\s+", " ", str(error.get("type", "refused")))
        else:
            unplaced.append(str(error))
    return named, unplaced


DESTINATION = Braze()
