"""Braze, by a small server that enforces its limits and errors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from capflow_assets.delivery.braze import DESTINATION, Options
from capflow_assets.errors import DeliveryError, DeliveryUnknown
from capflow_assets_doubles.braze_server import BrazeServer
from capflow_assets_doubles.http_server import Reply, http_server
from capflow_assets_tests.delivery.deliveries import batches_of, delivery_of, rows_of

USERS = [f"u{number}" for number in range(200)]
NIGHTLY = delivery_of()
ROWS = rows_of(NIGHTLY, USERS)
ATTRIBUTES = {
    "churn_score": 0.5,
    "churn_reasons": "no visit, 40 days",
    "churn_items": ["i1", "i2"],
    "churn_as_of": "2026-03-01T00:00:00Z",
}


@pytest.fixture
def braze() -> BrazeServer:
    return BrazeServer({user: {"first_name": user} for user in USERS})


@pytest.fixture
def options(braze: BrazeServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Options]]:
    monkeypatch.setenv("BOOTS_BRAZE", "braze key")
    with http_server(braze) as address:

        def options(**more: Any) -> Options:
            given = {"url": address, "api_key": {"env": "BOOTS_BRAZE"}, "allow_private": True, "tries": 3}
            return Options.model_validate(given | {"first_wait_seconds": 0.01, "timeout_seconds": 5} | more)

        yield options


def test_every_user_has_the_models_attributes_beside_its_own(braze: BrazeServer, options: Any) -> None:
    sent = DESTINATION.send(options(), NIGHTLY, batches_of(ROWS, at_once=60))
    assert (sent.rows, sent.refused, sent.unknown) == (200, (), ())
    assert braze.sizes == [75, 75, 50]
    assert all(braze.profiles[user] == {"first_name": user, **ATTRIBUTES} for user in USERS)


def test_twice_changes_nothing(braze: BrazeServer, options: Any) -> None:
    first = DESTINATION.send(options(), NIGHTLY, batches_of(ROWS))
    before = {user: dict(profile) for user, profile in braze.profiles.items()}
    assert DESTINATION.send(options(), NIGHTLY, batches_of(ROWS)) == first
    assert braze.profiles == before


def test_a_window_that_is_used_up_is_waited_for(braze: BrazeServer, options: Any) -> None:
    """Eight requests, three a second: the header says when to go on, and no request is in vain."""
    braze.requests_per_second = 3
    assert DESTINATION.send(options(objects_per_request=25), NIGHTLY, batches_of(ROWS)).rows == 200
    assert (len(braze.sizes), braze.throttled) == (8, 0)


def test_a_429_is_tried_again_when_its_window_ends(braze: BrazeServer, options: Any) -> None:
    """Somebody else has used up the window of this second."""
    braze.requests_per_second = 2
    braze.window = (int(time.time()), 2)
    assert DESTINATION.send(options(tries=6), NIGHTLY, batches_of(ROWS[:10])).rows == 10


def test_objects_that_are_refused_are_named_and_their_neighbours_are_set(braze: BrazeServer, options: Any) -> None:
    braze.wrong_users = frozenset({"u3", "u110"})
    sent = DESTINATION.send(options(), NIGHTLY, batches_of(ROWS))
    assert [(refused.key, refused.reason) for refused in sent.refused] == [
        (("u3",), "provided external_id is blacklisted and disallowed"),
        (("u110",), "provided external_id is blacklisted and disallowed"),
    ]
    assert (sent.rows, sent.unknown) == (198, ())
    assert "churn_score" not in braze.profiles["u3"]
    assert braze.profiles["u4"]["churn_score"] == 0.5


def test_an_error_that_names_no_object_leaves_its_request_unknown(braze: BrazeServer, options: Any) -> None:
    braze.wrong_users, braze.names_errors = frozenset({"u3"}), False
    sent = DESTINATION.send(options(), NIGHTLY, batches_of(ROWS))
    assert (sent.rows, sent.refused, len(sent.unknown)) == (125, (), 75)


def test_success_that_counts_nothing_is_noticed(braze: BrazeServer, options: Any) -> None:
    braze.keeps = False
    sent = DESTINATION.send(options(), NIGHTLY, batches_of(ROWS))
    assert (sent.rows, len(sent.unknown)) == (0, 200)


def test_a_connection_that_ends_after_the_request_was_taken_is_tried_again(braze: BrazeServer, options: Any) -> None:
    braze.script = [Reply(201, is_cut=True)]
    assert DESTINATION.send(options(), NIGHTLY, batches_of(ROWS)).rows == 200
    assert len(braze.sizes) == 4


def test_no_answer_at_all_is_unknown(braze: BrazeServer, options: Any) -> None:
    braze.script = [Reply(504)] * 3
    with pytest.raises(DeliveryUnknown, match="gave no answer"):
        DESTINATION.send(options(), NIGHTLY, batches_of(ROWS))


def test_a_key_that_is_not_accepted_is_said_and_not_shown(
    braze: BrazeServer, options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOOTS_BRAZE", "another key")
    with pytest.raises(DeliveryError, match="does not accept the credentials") as raised:
        DESTINATION.send(options(), NIGHTLY, batches_of(ROWS))
    assert "another key" not in str(raised.value)


def test_users_that_braze_does_not_know_are_not_created_unless_that_is_wished(braze: BrazeServer, options: Any) -> None:
    DESTINATION.send(options(), NIGHTLY, batches_of(rows_of(NIGHTLY, ["stranger"])))
    assert "stranger" not in braze.profiles
    DESTINATION.send(options(create_users=True), NIGHTLY, batches_of(rows_of(NIGHTLY, ["stranger"])))
    assert braze.profiles["stranger"] == ATTRIBUTES


def test_what_braze_would_cut_off_in_silence_is_refused_here(braze: BrazeServer, options: Any) -> None:
    long = rows_of(NIGHTLY, ["u0", "", "u2"])
    long[0]["reasons"] = "x" * 256
    sent = DESTINATION.send(options(), NIGHTLY, batches_of(long))
    assert [refused.reason for refused in sent.refused] == ["reasons has more than 255 characters", "it has no user"]
    assert sent.rows == 1


def test_rows_of_several_a_user_are_not_sent(options: Any) -> None:
    ranked = replace(NIGHTLY, key=("user", "score"))
    with pytest.raises(DeliveryError, match="one row a user"):
        DESTINATION.send(options(), ranked, batches_of(ROWS))


def test_erasure_removes_the_models_attributes_and_withdrawal_says_why_not(braze: BrazeServer, options: Any) -> None:
    DESTINATION.send(options(), NIGHTLY, batches_of(ROWS))
    assert DESTINATION.erase(options(create_users=True), NIGHTLY, ["u1", "stranger"]).rows == 2
    assert braze.profiles["u1"] == {"first_name": "u1"}
    assert "stranger" not in braze.profiles
    assert "churn_score" in braze.profiles["u2"]
    assert "knows no deliveries" in DESTINATION.withdraw(options(), NIGHTLY).reason
