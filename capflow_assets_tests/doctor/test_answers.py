"""What the doctor says of a store of online answers: whole, held by somebody, damaged."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.doctor.answers import store as checked
from capflow_assets.doctor.case import Case
from capflow_assets.graph.engine import deployment
from capflow_assets.home.places import Home
from capflow_assets.serving.tokens import issue
from capflow_assets.stores.answer_store import AnswerStore

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


@pytest.fixture
def case(tmp_path: Path) -> Case:
    home = Home.of(tmp_path, {}).prepare()
    (home.customers / "acme.toml").write_text(TOML)
    issue(home, "acme")
    store = AnswerStore.of(home, "acme")
    with store.writing():
        for name in ("answers/churn", "answers/winback"):
            store.replace(name, "1", [("u1", b"{}")], {"as_of": datetime.now(UTC).isoformat()})
    return Case(home, lambda: deployment(STAGES, SOURCES, home=home))


def test_a_store_that_somebody_erases_from_is_not_to_be_removed(case: Case) -> None:
    store = AnswerStore.of(case.home, "acme")
    assert "2 models answer" in str(list(checked(case)))
    with closing(sqlite3.connect(store.path(store.tables()["answers/churn"]))) as database:
        database.execute("BEGIN EXCLUSIVE")
        words = str(list(checked(case)))
    assert "answers/churn is being erased from" in words
    assert "remove" not in words


def test_a_damaged_store_is_to_be_removed(case: Case) -> None:
    store = AnswerStore.of(case.home, "acme")
    store.path(store.tables()["answers/churn"]).write_bytes(b"\0" * 9000)
    assert "capflow serve makes it again" in str(list(checked(case)))


def test_a_store_on_an_unreachable_server_is_reported(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("capflow_assets.stores.answer_stores.WRITER_TRIES", 1)
    case.home.settings.write_text(
        '[serving.store]\nkind = "redis"\nhost = "127.0.0.1"\nport = 1\ntls = false\n', encoding="utf-8"
    )
    words = str(list(checked(case)))
    assert "acme: the store of answers cannot be looked into: Redis is not reached" in words
    assert "[serving.store] in capflow.toml" in words
