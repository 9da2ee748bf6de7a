"""Looking subjects up in a store that somebody else works in."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from capflow_assets.home.places import Home
from capflow_assets.serving.lookups import REST_SECONDS, Lookups, StoredBlob
from capflow_assets.stores.answer_store import AnswerStore


def test_a_table_that_somebody_holds_is_waited_for_once_and_not_for_each_subject(tmp_path: Path):
    home = Home.of(tmp_path, {})
    store, lookups = AnswerStore.of(home, "acme"), Lookups(home)
    with store.writing():
        store.replace("features", "1", [("u1", b"1")])
        store.replace("answers/churn", "1", [("u1", b"2")])
    held, other = store.tables()["features"], store.tables()["answers/churn"]
    with closing(sqlite3.connect(store.path(held))) as database:
        database.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        blobs = [lookups.blob("acme", held, f"u{number}") for number in range(1_000)]
        assert set(blobs) == {StoredBlob(None, is_certain=False)}
        rests = (time.monotonic() - began) / REST_SECONDS  # as many as there is time for, not one for each subject
        assert lookups.errors <= 2 + rests
        assert lookups.blob("acme", other, "u1") == StoredBlob(b"2")
    time.sleep(REST_SECONDS)
    assert lookups.blob("acme", held, "u1") == StoredBlob(b"1")
