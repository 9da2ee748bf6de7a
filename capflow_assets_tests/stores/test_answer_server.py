"""Online answers on real servers: one that speaks like Redis, and one that speaks like DynamoDB."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from capflow_assets.errors import StoreError
from capflow_assets.home.places import Home
from capflow_assets.stores.answer_server import ServedAnswers
from capflow_assets.stores.answer_stores import answers_of
from capflow_assets_doubles.dynamodb_server import create_table, dynamodb_server
from capflow_assets_doubles.redis_server import PASSWORD, redis_server

REDIS = """
[serving.store]
kind = "redis"
host = "127.0.0.1"
port = {port}
tls = false
password = {{ env = "ANSWERS_PASSWORD" }}
"""
DYNAMODB = """
[serving.store]
kind = "dynamodb"
region = "eu-west-1"
table = "answers"
endpoint = "{address}"
access_key = {{ env = "ANSWERS_KEY" }}
secret_key = {{ env = "ANSWERS_KEY" }}
keep_days = {days}
"""


@pytest.fixture(scope="module")
def redis_settings() -> Iterator[str]:
    with redis_server() as port:
        yield REDIS.format(port=port)


@pytest.fixture(scope="module")
def dynamodb_settings() -> Iterator[str]:
    with dynamodb_server() as client:
        create_table(client, "answers")
        yield DYNAMODB.format(address=client.meta.endpoint_url, days=7)


@pytest.fixture(params=["redis", "dynamodb"])
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A deployment whose answers are on a server; the customers' stores are empty."""
    monkeypatch.setenv("ANSWERS_PASSWORD", PASSWORD)
    monkeypatch.setenv("ANSWERS_KEY", "x")
    home = Home.of(tmp_path / "home", {}).prepare()
    home.settings.write_text(request.getfixturevalue(f"{request.param}_settings"))
    yield home
    for customer in ("acme", "acme-2"):
        answers_of(home, customer).remove()


@pytest.fixture
def store(home: Home) -> ServedAnswers:
    store = answers_of(home, "acme")
    assert isinstance(store, ServedAnswers)
    return store


def write(store: Any, name: str, rows: list[tuple[str, bytes]], source: str = "1", **facts: Any) -> int:
    with store.writing():
        return int(store.replace(name, source, rows, facts))


def content(store: ServedAnswers, name: str, *subjects: str) -> list[bytes | None]:
    table = store.tables().get(name)
    blobs = {} if table is None else store.blobs(table, subjects)
    return [blobs.get(subject) for subject in subjects]


def test_a_table_is_read_by_subject_and_the_rows_of_one_subject_stay_together(store: ServedAnswers) -> None:
    rows = [("u1", b"a"), ("u2", b"b"), ("u1", b"c"), ("ü#1", b"\x00\n\xff")]
    assert write(store, "answers/churn", rows, shape="score") == 3
    assert content(store, "answers/churn", "u1", "u2", "ü#1", "u3") == [b"a\nc", b"b", b"\x00\n\xff", None]
    assert store.tables()["answers/churn"].facts["shape"] == "score"
    assert not list(store.local.folder.glob(".spool*"))


def test_a_table_of_nobody_is_there(store: ServedAnswers) -> None:
    assert write(store, "answers/churn", []) == 0
    assert content(store, "answers/churn", "u1") == [None]


def test_many_subjects_are_written_and_read_at_once(store: ServedAnswers) -> None:
    names = [f"u{number}" for number in range(1_050)]
    assert write(store, "features", [(name, name.encode()) for name in names]) == 1_050
    assert content(store, "features", *names[:250]) == [name.encode() for name in names[:250]]


def test_a_new_version_is_read_when_it_is_whole_and_not_before(store: ServedAnswers) -> None:
    write(store, "features", [("u1", b"old"), ("u2", b"old")])

    def half() -> Iterator[tuple[str, bytes]]:
        yield "u1", b"new"
        assert content(store, "features", "u1") == [b"old"]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), store.writing():
        store.replace("features", "2", half())
    assert content(store, "features", "u1", "u2") == [b"old", b"old"]
    before = store.tables()["features"]
    write(store, "features", [("u1", b"new")], source="2")
    assert content(store, "features", "u1", "u2") == [b"new", None]
    assert store.blobs(before, ["u2"]) == {"u2": b"old"}  # for who still reads by the pointer of a moment ago


def test_who_is_forgotten_is_gone_at_once_from_every_version(store: ServedAnswers) -> None:
    write(store, "features", [("u1", b"old"), ("u2", b"old")])
    before = store.tables()["features"]
    write(store, "features", [("u1", b"new"), ("u2", b"new")], source="2")
    write(store, "answers/visit_forecast", [("u1", b"a shop of that name")])
    assert store.forget(["u1"], {"answers/visit_forecast": ()}) == 2
    assert content(store, "features", "u1", "u2") == [None, b"new"]
    assert store.blobs(before, ["u1"]) == {}
    assert content(store, "answers/visit_forecast", "u1") == [b"a shop of that name"]
    assert store.forget(["nobody"], {"answers/visit_forecast": ["u1"]}) == 1
    assert content(store, "answers/visit_forecast", "u1") == [None]


def test_who_is_forgotten_while_a_version_is_written_does_not_come_back(home: Home, store: ServedAnswers) -> None:
    write(store, "features", [("u1", b"old"), ("u2", b"old")])
    other = answers_of(home, "acme")

    def rows() -> Iterator[tuple[str, bytes]]:
        yield "u1", b"new"
        assert isinstance(other, ServedAnswers)
        other.server.delete("acme", ["u1"], {})  # as another machine does, which this one's lock does not stop
        yield "u2", b"new"

    with pytest.raises(StoreError, match="forgotten while answers were written"), store.writing():
        store.replace("features", "2", rows())
    assert content(store, "features", "u1", "u2") == [None, b"old"]
    write(store, "features", [("u2", b"new")], source="3")
    assert content(store, "features", "u1", "u2") == [None, b"new"]


def test_customers_do_not_see_each_other(home: Home, store: ServedAnswers) -> None:
    other = answers_of(home, "acme-2")
    write(store, "features", [("u1", b"ours")])
    write(other, "features", [("u1", b"theirs")])
    assert other.forget(["u1"]) == 1
    assert content(store, "features", "u1") == [b"ours"]
    store.remove()
    assert (store.tables(), list(other.tables())) == ({}, ["features"])


def test_a_table_is_there_while_it_is_of_its_source_and_stays_long_enough(store: ServedAnswers) -> None:
    write(store, "features", [("u1", b"1")], source="lake@1")
    assert store.has("features", "lake@1")
    assert not store.has("features", "lake@2")
    if store.server.keep_seconds is not None:
        store.server.keep_seconds = 1e-3  # type: ignore[misc]
        write(store, "features", [("u1", b"1")], source="lake@1")
        assert not store.has("features", "lake@1")
    with store.writing():
        store.drop("features")
    assert store.tables() == {}


def test_a_server_that_is_gone_is_said_with_its_address(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    text = home.settings.read_text()
    place = next(line for line in text.splitlines() if line.startswith(("port", "endpoint")))
    gone = text.replace(place, "port = 1" if place.startswith("port") else 'endpoint = "http://127.0.0.1:1"')
    home.settings.write_text(gone)
    monkeypatch.setattr("capflow_assets.stores.answer_stores.WRITER_TRIES", 1)
    with pytest.raises(StoreError, match="is not reached"):
        answers_of(home, "acme").tables()
    home.settings.write_text(text)


def test_settings_that_name_no_known_store_are_refused(tmp_path: Path) -> None:
    home = Home.of(tmp_path, {}).prepare()
    home.settings.write_text('[serving.store]\nkind = "memcached"\n')
    with pytest.raises(Exception, match="kind"):
        answers_of(home, "acme")
