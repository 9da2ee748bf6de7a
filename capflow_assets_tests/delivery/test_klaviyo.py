"""Klaviyo, by a small server that enforces its limits, runs jobs and reports their errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from capflow_assets.delivery.klaviyo import DESTINATION, JOBS, Options
from capflow_assets.errors import DeliveryError, DeliveryUnknown
from capflow_assets_doubles.http_server import Reply, Request, http_server
from capflow_assets_doubles.klaviyo_server import KlaviyoServer
from capflow_assets_tests.delivery.deliveries import batches_of, delivery_of, rows_of

USERS = [f"u{number}" for number in range(250)]
NIGHTLY = delivery_of()
ROWS = rows_of(NIGHTLY, USERS)
PROPERTIES = {
    "churn_score": 0.5,
    "churn_reasons": "no visit, 40 days",
    "churn_items": ["i1", "i2"],
    "churn_as_of": "2026-03-01T00:00:00Z",
}


@pytest.fixture
def klaviyo() -> KlaviyoServer:
    return KlaviyoServer()


@pytest.fixture
def options(klaviyo: KlaviyoServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Options]]:
    monkeypatch.setenv("BOOTS_KLAVIYO", "klaviyo key")
    with http_server(klaviyo) as address:

        def options(**more: Any) -> Options:
            given = {
                "url": address, "api_key": {"env": "BOOTS_KLAVIYO"}, "allow_private": True, "tries": 3,
                "first_wait_seconds": 0.01, "timeout_seconds": 5, "poll_seconds": 0.01, "profiles_per_job": 100,
            }  # fmt: skip
            return Options.model_validate(given | more)

        yield options


def test_every_user_has_the_models_properties_beside_its_own(klaviyo: KlaviyoServer, options: Any) -> None:
    klaviyo.profiles["u7"] = {"town": "Bath"}
    sent = DESTINATION.send(options(), NIGHTLY, batches_of(ROWS, at_once=60))
    assert (sent.rows, sent.refused, sent.unknown) == (250, (), ())
    assert [len(job.profiles) for job in klaviyo.jobs.values()] == [100, 100, 50]
    assert klaviyo.profiles == {user: ({"town": "Bath"} if user == "u7" else {}) | PROPERTIES for user in USERS}


def test_nobody_is_subscribed_and_twice_changes_nothing(klaviyo: KlaviyoServer, options: Any) -> None:
    first = DESTINATION.send(options(), NIGHTLY, batches_of(ROWS))
    before = {user: dict(properties) for user, properties in klaviyo.profiles.items()}
    assert DESTINATION.send(options(), NIGHTLY, batches_of(ROWS)) == first
    assert klaviyo.profiles == before
    assert {path for path in klaviyo.paths if not path.startswith(f"GET {JOBS}/job")} == {f"POST {JOBS}"}


def test_errors_of_a_job_are_reported_by_user_over_several_pages(klaviyo: KlaviyoServer, options: Any) -> None:
    klaviyo.wrong_users = frozenset(USERS[10:140])
    sent = DESTINATION.send(options(profiles_per_job=250), NIGHTLY, batches_of(ROWS))
    assert (sent.rows, len(sent.refused), sent.unknown) == (120, 130, ())
    assert (sent.refused[0].key, sent.refused[0].reason) == (("u10",), "u10 is not valid.")
    assert sorted(klaviyo.profiles) == sorted(USERS[:10] + USERS[140:])


def test_a_profile_for_which_the_request_is_refused_does_not_take_its_neighbours_along(
    klaviyo: KlaviyoServer, options: Any
) -> None:
    rows = rows_of(NIGHTLY, ["ann", " ", "bob"])
    sent = DESTINATION.send(options(), NIGHTLY, batches_of(rows))
    assert [(refused.key, refused.reason) for refused in sent.refused] == [
        ((" ",), "A profile must have an identifier.")
    ]
    assert sorted(klaviyo.profiles) == ["ann", "bob"]


def test_the_burst_of_ten_a_second_is_kept(klaviyo: KlaviyoServer, options: Any) -> None:
    klaviyo.polls = 1
    assert DESTINATION.send(options(profiles_per_job=20), NIGHTLY, batches_of(ROWS)).rows == 250
    assert (len(klaviyo.jobs), klaviyo.throttled) == (13, 0)


def test_a_429_is_tried_again_after_the_time_that_it_names(klaviyo: KlaviyoServer, options: Any) -> None:
    klaviyo.burst = 1
    assert DESTINATION.send(options(profiles_per_job=125), NIGHTLY, batches_of(ROWS)).rows == 250
    assert klaviyo.throttled == 1


def test_a_job_that_does_not_end_is_unknown(klaviyo: KlaviyoServer, options: Any) -> None:
    klaviyo.never_ends = True
    sent = DESTINATION.send(options(job_seconds=0.05), NIGHTLY, batches_of(ROWS[:5]))
    assert (sent.rows, sent.unknown) == (0, (("u0",), ("u1",), ("u2",), ("u3",), ("u4",)))


def test_a_job_that_counts_fewer_profiles_than_it_was_given_is_unknown(klaviyo: KlaviyoServer, options: Any) -> None:
    klaviyo.loses = 1
    sent = DESTINATION.send(options(), NIGHTLY, batches_of(ROWS[:5]))
    assert (sent.rows, len(sent.unknown)) == (0, 5)


def test_a_job_that_can_no_longer_be_asked_for_is_unknown(klaviyo: KlaviyoServer, options: Any) -> None:
    def forgetful(request: Request) -> Reply:
        return klaviyo(request) if request.method == "POST" else Reply(404, b"gone")

    with http_server(forgetful) as address:
        sent = DESTINATION.send(options(url=address), NIGHTLY, batches_of(ROWS))
    assert (sent.rows, len(sent.unknown), len(klaviyo.jobs)) == (0, 250, 3)


def test_an_answer_that_cannot_be_read_is_unknown(klaviyo: KlaviyoServer, options: Any) -> None:
    klaviyo.script = [Reply(202, b"<html>accepted</html>")]
    assert len(DESTINATION.send(options(), NIGHTLY, batches_of(ROWS[:5])).unknown) == 5


def test_a_connection_that_ends_after_the_job_was_started_is_tried_again(klaviyo: KlaviyoServer, options: Any) -> None:
    klaviyo.script = [Reply(202, is_cut=True)]
    assert DESTINATION.send(options(), NIGHTLY, batches_of(ROWS[:5])).rows == 5
    klaviyo.script = [Reply(202, is_cut=True)] * 3
    with pytest.raises(DeliveryUnknown):
        DESTINATION.send(options(), NIGHTLY, batches_of(ROWS[:5]))


def test_a_key_that_is_not_accepted_is_said_and_not_shown(options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOOTS_KLAVIYO", "another key")
    with pytest.raises(DeliveryError, match="does not accept the credentials") as raised:
        DESTINATION.send(options(), NIGHTLY, batches_of(ROWS))
    assert "another key" not in str(raised.value)


def test_erasure_removes_the_models_properties_and_withdrawal_says_why_not(
    klaviyo: KlaviyoServer, options: Any
) -> None:
    klaviyo.profiles["u1"] = {"town": "Bath"}
    DESTINATION.send(options(), NIGHTLY, batches_of(ROWS[:5]))
    assert DESTINATION.erase(options(), NIGHTLY, ["u1"]).rows == 1
    assert (klaviyo.profiles["u1"], klaviyo.profiles["u2"]) == ({"town": "Bath"}, PROPERTIES)
    assert "knows no deliveries" in DESTINATION.withdraw(options(), NIGHTLY).reason
