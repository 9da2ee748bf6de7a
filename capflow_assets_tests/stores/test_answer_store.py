"""The store of online answers: whole tables flipped at once, and subjects who are gone from the disk."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from capflow_assets.home.places import Home
from capflow_assets.stores.answer_store import AnswerStore, looked_up, opened


@pytest.fixture
def store(tmp_path: Path) -> AnswerStore:
    return AnswerStore.of(Home.of(tmp_path), "acme")


def content(store: AnswerStore, table: str, subject: str) -> bytes | None:
    with closing(opened(store.path(store.tables()[table]))) as database:
        return looked_up(database, subject)


def test_a_table_is_read_as_it_was_written_with_its_facts(store):
    with store.writing():
        assert store.replace("answers/churn", "lake@3", [("ü1", b"one"), ("u2", b"two")], {"as_of": "now"}) == 2
    table = store.tables()["answers/churn"]
    assert (table.source, table.facts) == ("lake@3", {"as_of": "now"})
    assert content(store, "answers/churn", "ü1") == b"one"
    assert content(store, "answers/churn", "u3") is None


def test_rows_of_a_subject_that_lie_apart_are_kept_one_after_another(store):
    with store.writing():
        store.replace("answers/list", "1", [("u1", b"a"), ("u2", b"b"), ("u1", b"c")])
    assert content(store, "answers/list", "u1") == b"a\nc"


def test_a_table_that_fails_half_way_leaves_the_one_before_it(store):
    with store.writing():
        store.replace("answers/churn", "1", [("u1", b"old")])

    def rows():
        yield "u1", b"new"
        raise OSError("the disk is full")

    with store.writing(), pytest.raises(OSError, match="full"):
        store.replace("answers/churn", "2", rows())
    assert content(store, "answers/churn", "u1") == b"old"
    assert len(list(store.folder.glob("*.sqlite"))) == 1


def test_a_new_table_leaves_no_file_of_the_old_one_and_spares_the_others(store):
    with store.writing():
        store.replace("answers/churn", "1", [("u1", b"1")])
        store.replace("features", "1", [("u1", b"f")])
        store.replace("answers/churn", "2", [("u2", b"2")])
    assert content(store, "features", "u1") == b"f"
    assert content(store, "answers/churn", "u1") is None
    assert len(list(store.folder.glob("*.sqlite"))) == 2


def test_a_forgotten_subject_is_in_no_table_and_in_no_byte_on_the_disk(store):
    others = [(f"other{number}", b"x" * 50) for number in range(500)]
    with store.writing():
        for table in ("answers/churn", "features"):
            store.replace(table, "1", [*others, ("canary-4711", b"words of canary-4711")])
    assert store.forget(["canary-4711", "nobody"]) == 2
    assert content(store, "features", "canary-4711") is None
    assert content(store, "features", "other7") == b"x" * 50
    assert not [file for file in store.folder.iterdir() if b"canary-4711" in file.read_bytes()]


def test_a_reader_that_has_a_file_open_sees_that_a_subject_is_gone(store):
    with store.writing():
        store.replace("features", "1", [("u1", b"1"), ("u2", b"2")])
    with closing(opened(store.path(store.tables()["features"]))) as database:
        assert looked_up(database, "u1") == b"1"
        store.forget(["u1"])
        assert looked_up(database, "u1") is None


def test_a_pointer_that_is_no_json_means_no_tables(store):
    store.folder.mkdir(parents=True)
    (store.folder / "current.json").write_text('{"answers/churn": {"file"')
    assert store.tables() == {}


def test_a_file_cut_short_is_an_error_of_the_database_not_an_answer(store):
    with store.writing():
        store.replace("features", "1", [(f"u{number}", b"x" * 100) for number in range(1000)])
    file = store.path(store.tables()["features"])
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(sqlite3.Error):
        looked_up(opened(file), "u999")


def test_others_of_the_machine_cannot_read_it(store):
    with store.writing():
        store.replace("features", "1", [("u1", b"1")])
    assert store.folder.stat().st_mode & 0o077 == 0
    assert store.path(store.tables()["features"]).stat().st_mode & 0o077 == 0


def test_a_table_whose_file_is_gone_is_not_there(store):
    with store.writing():
        store.replace("features", "lake@1", [("u1", b"1")])
    assert store.has("features", "lake@1")
    assert not store.has("features", "lake@2")
    store.path(store.tables()["features"]).unlink()
    assert not store.has("features", "lake@1")


@pytest.mark.parametrize("name", ["a#b", "a b", "ü"])
def test_a_home_may_have_any_name_that_homes_have(tmp_path, name):
    store = AnswerStore.of(Home.of(tmp_path / name), "acme")
    with store.writing():
        store.replace("features", "1", [("u1", b"1")])
    assert content(store, "features", "u1") == b"1"


def test_who_is_killed_while_erasing_leaves_a_table_that_can_be_read(store):
    with store.writing():
        store.replace("features", "1", [(f"u{number}", b"x" * 400) for number in range(2000)])
    file = store.path(store.tables()["features"])
    # Pages are written before the end where few may be kept, as at a commit that is cut short.
    killed = (
        "import os, sqlite3, sys; database = sqlite3.connect(sys.argv[1]); database.execute('PRAGMA cache_size = 5');"
        "database.execute('BEGIN'); database.execute(\"DELETE FROM subjects WHERE id < 'u5'\"); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", killed, str(file)], check=False)
    assert file.with_name(f"{file.name}-journal").stat().st_size > 0
    assert content(store, "features", "u1") == b"x" * 400
    assert store.forget(["u1"]) == 1
    assert content(store, "features", "u1") is None


def test_a_reader_writes_nothing(store):
    with store.writing():
        store.replace("features", "1", [("u1", b"1")])
    file = store.path(store.tables()["features"])
    with closing(opened(file)) as database, pytest.raises(sqlite3.OperationalError, match="readonly"):
        database.execute("DELETE FROM subjects")
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        opened(store.folder / "other.sqlite")
    assert not (store.folder / "other.sqlite").exists()


def test_what_is_forgotten_of_a_user_is_no_shop_or_item_of_the_same_id(store):
    with store.writing():
        for table in ("answers/churn", "answers/bill_anomaly", "answers/visit_forecast", "features"):
            store.replace(table, "1", [("17", b"1"), ("b4", b"2"), ("b5", b"3")])
    others = {"answers/bill_anomaly": frozenset({"b4"}), "answers/visit_forecast": ()}
    assert store.forget(["17"], others) == 3
    expected = {
        "answers/churn": [None, b"2", b"3"],
        "answers/bill_anomaly": [b"1", None, b"3"],
        "answers/visit_forecast": [b"1", b"2", b"3"],
        "features": [None, b"2", b"3"],
    }
    assert {table: [content(store, table, one) for one in ("17", "b4", "b5")] for table in expected} == expected


def test_a_store_is_removed_once_nobody_writes_there_and_nothing_is_left(store):
    began, may_end = threading.Event(), threading.Event()

    def rows():
        yield "u1", b"1"
        began.set()
        may_end.wait(30)

    def write():
        with store.writing():
            store.replace("features", "1", rows())

    writer = threading.Thread(target=write)
    remover = threading.Thread(target=store.remove)
    writer.start()
    began.wait(30)
    remover.start()
    remover.join(0.3)
    assert remover.is_alive()
    may_end.set()
    writer.join()
    remover.join()
    assert not store.folder.exists()
