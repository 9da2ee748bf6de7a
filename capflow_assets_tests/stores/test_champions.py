"""Who is champion: one write decides, whatever is killed between the writes and whoever decides at the same time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from capflow_assets.errors import BrokenModelError, ModelError
from capflow_assets.life.scoring_version import succession
from capflow_assets.stores.champion_state import PAST, RECORD, Record
from capflow_assets.stores.registry import Registry

NAME = "acme.x"
WRITES = (
    "set_registered_model_tag",
    "set_registered_model_alias",
    "set_model_version_tag",
    "delete_registered_model_alias",
    "delete_registered_model_tag",
)


def registry(folder: Path) -> Registry:
    return Registry(f"sqlite:///{folder / 'mlflow.db'}", str(folder / "lake"))


@pytest.fixture(scope="module")
def empty(tmp_path_factory) -> Path:
    """A store with six versions of which none is champion. Do not change it."""
    folder = tmp_path_factory.mktemp("empty")
    store = registry(folder)
    store.client.create_registered_model(NAME)
    for _ in range(6):
        store.client.create_model_version(NAME, "capflow-lake:/acme/mlflow/x/none/artifacts/model")
    store.client._tracking_client.store.engine.dispose()
    return folder


@pytest.fixture
def store(empty: Path, tmp_path: Path) -> Registry:
    shutil.copytree(empty, tmp_path, dirs_exist_ok=True)
    return registry(tmp_path)


def standing(store: Registry) -> tuple[int | None, list[int], int | None]:
    return store.champion("acme", "x"), store.history("acme", "x"), store.challenger("acme", "x")


def test_champions_come_and_go_back(store):
    with pytest.raises(ModelError, match="no challenger"):
        store.promote("acme", "x", None, "none")
    with pytest.raises(ModelError, match="nor any version"):
        store.promote("acme", "untrained", None, "none")
    with pytest.raises(ModelError, match="no champion to go back to"):
        store.rollback("acme", "x", "none")
    store.promote("acme", "x", 1, "the first")
    with pytest.raises(ModelError, match="version 1 is the champion; name another"):
        store.promote("acme", "x", None, "none")
    store.challenge("acme", "x", 2, "not sure")
    assert standing(store) == (1, [], 2)
    assert store.promote("acme", "x", None, "a person said so") == 2
    assert standing(store) == (2, [1], None)
    assert store.decision("acme", "x", 2) == {"action": "promote", "reason": "a person said so"}
    store.promote("acme", "x", 2, "again")
    assert standing(store) == (2, [1], None)
    store.promote("acme", "x", 1, "back and forth")
    assert standing(store) == (1, [1, 2], None)
    assert [store.rollback("acme", "x", "no"), store.rollback("acme", "x", "no")] == [2, 1]
    assert standing(store) == (1, [], None)
    assert store.decision("acme", "x", 1)["action"] == "rollback"
    store.freeze("acme", "x", frozen=True)
    with pytest.raises(ModelError, match="frozen"):
        store.promote("acme", "x", 3, "frozen")


def test_the_first_champion_can_be_rolled_back_to_none(store):
    store.promote("acme", "x", 1, "the first")
    assert store.rollback("acme", "x", "worse than nothing") is None
    assert standing(store) == (None, [], None)
    assert list(succession(store, "acme", "x")) == []
    assert "champion" not in store.client.get_registered_model(NAME).aliases
    assert store.decision("acme", "x", 1) == {"action": "rollback", "reason": "worse than nothing"}
    with pytest.raises(ModelError, match="no champion to go back to"):
        store.rollback("acme", "x", "once more")
    with pytest.raises(ModelError, match="no champion that could be kept"):
        store.freeze("acme", "x", frozen=True)
    store.freeze("acme", "x", frozen=False)
    assert store.promote("acme", "x", 2, "better") == 2
    assert standing(store) == (2, [], None)
    store.client.set_registered_model_alias(NAME, "champion", "3")
    assert standing(store) == (3, [2], None), "the alias is anybody's, still"


def test_a_way_back_to_none_that_was_cut_off_is_carried_out(store):
    store.promote("acme", "x", 1, "the first")
    store.client.set_registered_model_tag(NAME, RECORD, Record((), "rollback", "bad", 1, "t").to_json())
    assert standing(store) == (None, [], None)
    assert store.settle("acme", "x") == "rollback to no champion of acme.x was carried out"
    assert store.settle("acme", "x") == ""
    assert "champion" not in store.client.get_registered_model(NAME).aliases
    assert store.decision("acme", "x", 1)["reason"] == "bad"


def test_nothing_is_left_of_the_lock_by_which_champions_are_decided(store):
    store.promote("acme", "x", 1, "the first")
    assert list((Path(store.uri.removeprefix("sqlite:///")).parent / "locks").iterdir()) == []


def test_a_long_history_and_a_long_reason_fit_into_mlflow(store):
    record = Record(tuple(range(100_000, 100_500)), "promote", "ö" * 9_000, 1, "t" * 32)
    assert len(record.to_json()) < 5_000
    store.promote("acme", "x", 1, "ö" * 9_000)
    store.promote("acme", "x", 2, "ö" * 9_000)
    assert standing(store) == (2, [1], None)


# -- killed between two writes ---------------------------------------------------------------------------------------

KILLED = textwrap.dedent(
    """
    import os, shutil, signal, sys
    from pathlib import Path
    import mlflow, mlflow.store.tracking.sqlalchemy_store, mlflow.store.model_registry.sqlalchemy_store
    from capflow_assets.stores.registry import Registry

    folder, writes = Path(sys.argv[1]), sys.argv[2].split(",")


    def attempt(command, place, when, least):
        store, count = Registry(f"sqlite:///{place / 'mlflow.db'}", str(place / "lake")), 0

        def counted(real):
            def call(*given, **named):
                nonlocal count
                count += 1
                if (when, least) == ("before", count):
                    os.kill(os.getpid(), signal.SIGKILL)
                real(*given, **named)
                if (when, least) == ("after", count):
                    os.kill(os.getpid(), signal.SIGKILL)

            return call

        for name in writes:
            setattr(store.client, name, counted(getattr(store.client, name)))
        getattr(store, command)(*(["acme", "x", None] if command == "promote" else ["acme", "x"]), f"{command} it")
        os._exit(0)


    for command in ("promote", "rollback"):
        for when in ("before", "after"):
            ended, least = None, 0
            while ended != 0:
                least += 1
                place = folder / f"{command}-{when}-{least}"
                shutil.copytree(folder / "before", place)
                child = os.fork()
                if child == 0:
                    attempt(command, place, when, least)
                ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                assert ended in (0, -signal.SIGKILL), ended
    """
)


@pytest.fixture(scope="module")
def killed(empty, tmp_path_factory) -> list[Path]:
    """Stores in which `promote` or `rollback` was killed before or after each of its writes; and once not at all."""
    folder = tmp_path_factory.mktemp("killed")
    shutil.copytree(empty, folder / "before")
    store = registry(folder / "before")
    for version in (1, 2):
        store.promote("acme", "x", version, f"promoted {version}")
    store.challenge("acme", "x", 3, "wants to")
    store.client._tracking_client.store.engine.dispose()
    subprocess.run([sys.executable, "-c", KILLED, str(folder), ",".join(WRITES)], check=True, timeout=300)
    return sorted(place for place in folder.iterdir() if place.name != "before")


def test_a_kill_between_any_two_writes_leaves_the_state_before_or_the_one_after(killed):
    assert len(killed) >= 20
    after = {"promote": (3, [1, 2], None), "rollback": (1, [], 3)}
    seen = set()
    for place in killed:
        command, when, number = place.name.split("-")
        store = registry(place)
        now = standing(store)
        is_before = when == "before" and number == "1"
        assert now == ((2, [1], 3) if is_before else after[command]), place.name
        if not is_before:
            assert store.decision("acme", "x", now[0])["reason"] == f"{command} it", place.name
        seen.add((command, store.state("acme", "x").unsettled is not None))
    assert len(seen) == 4, "some were cut off, some were not"


def test_what_was_cut_off_is_carried_out_and_rollback_does_what_it_says(killed):
    for place in killed:
        store = registry(place)
        now = standing(store)
        said = store.settle("acme", "x")
        assert store.settle("acme", "x") == ""
        assert standing(store) == now, place.name
        assert store.client.get_model_version_by_alias(NAME, "champion").version == now[0], place.name
        assert bool(said) == ("carried out" in said)
        if now[1]:
            assert store.rollback("acme", "x", "once more") == now[1][-1], place.name
            assert standing(store)[:2] == (now[1][-1], now[1][:-1]), place.name
        store.client._tracking_client.store.engine.dispose()


# -- what others do ----------------------------------------------------------------------------------------------------


def test_an_alias_that_a_person_moves_counts_and_nothing_is_forgotten(store):
    for version in (1, 2):
        store.promote("acme", "x", version, "better")
    store.client.set_registered_model_alias(NAME, "champion", "3")
    assert standing(store) == (3, [1, 2], None)
    assert store.decision("acme", "x", 3)["action"] == "by hand"
    assert store.settle("acme", "x") == ""
    assert store.rollback("acme", "x", "no") == 2
    assert standing(store) == (2, [1], None)
    store.client.set_registered_model_alias(NAME, "champion", "1")
    assert store.champion("acme", "x") == 1, "back by hand to the one before"
    store.promote("acme", "x", 3, "better")
    assert standing(store) == (3, [1, 2, 1], None)
    store.client.delete_registered_model_alias(NAME, "champion")
    assert standing(store) == (None, [1, 2, 1, 3], None)
    assert store.rollback("acme", "x", "the last one, then") == 3


def test_versions_that_are_gone_are_passed_over(store):
    for version in (1, 2, 3):
        store.promote("acme", "x", version, "better")
    store.client.delete_model_version(NAME, "2")
    assert store.rollback("acme", "x", "no") == 1


def test_a_decision_about_a_version_that_was_deleted_is_given_up(store):
    """A promotion was killed after its first write; then a person deleted that version. Nothing stops for ever."""
    for version in (1, 2):
        store.promote("acme", "x", version, "better")
    store.client.set_registered_model_tag(NAME, RECORD, Record((1, 2, 3), "promote", "best", 2, "t").to_json())
    store.client.delete_model_version(NAME, "3")
    with pytest.raises(BrokenModelError, match="deleted in MLflow"):
        store.report("acme", "x", 3)
    assert "given up" in store.settle("acme", "x")
    assert store.settle("acme", "x") == ""
    assert store.champion("acme", "x") == 2
    assert store.rollback("acme", "x", "back") == 1


def test_where_the_champion_was_deleted_the_one_before_it_is_next_succession(store):
    for version in (1, 2, 3):
        store.promote("acme", "x", version, "better")
    store.client.delete_model_version(NAME, "3")
    assert list(succession(store, "acme", "x")) == [3, 2, 1]
    store.promote("acme", "x", 2, "back")
    store.client.delete_registered_model_alias(NAME, "champion")  # a person says that nobody answers
    assert list(succession(store, "acme", "x")) == []


@pytest.mark.parametrize("text", ["", "{}", "[]", "oops", '{"versions": []}'])
def test_a_record_that_a_person_has_garbled_stops_nothing(store, text):
    store.promote("acme", "x", 1, "better")
    store.client.set_registered_model_tag(NAME, RECORD, text)
    assert store.champion("acme", "x") == 1
    store.promote("acme", "x", 2, "better")
    assert standing(store) == (2, [1], None)


@pytest.mark.parametrize("letter", ["\x00", "\x01", "\n", "\udcff", '"', "\\"])
def test_a_reason_of_any_letters_fits_into_any_database(store, letter):
    assert len(Record(tuple(range(100_000, 100_500)), "promote", letter * 9_000, 1, "t" * 32).to_json()) < 5_000
    store.promote("acme", "x", 1, f"a{letter}b")
    assert store.decision("acme", "x", 1)["reason"].startswith("a")
    assert "\x00" not in store.client.get_registered_model(NAME).tags[RECORD]


@pytest.mark.parametrize(("past", "alias", "history"), [([1], 2, [1]), ([1, 2], 2, [1]), ([], 1, [])])
def test_the_history_of_a_release_before_is_taken_over(store, past, alias, history):
    """It wrote the history first and the alias second; killed between them, it named the present champion in both."""
    store.client.set_registered_model_tag(NAME, PAST, json.dumps(past))
    store.client.set_registered_model_alias(NAME, "champion", str(alias))
    assert standing(store) == (alias, history, None)
    store.promote("acme", "x", 3, "better")
    assert standing(store) == (3, [*history, alias], None)
    tags = store.client.get_registered_model(NAME).tags
    assert RECORD in tags
    assert PAST not in tags


def test_two_who_promote_at_once_lose_no_champion(store):
    store.promote("acme", "x", 1, "the first")
    code = f"""if True:
        import os
        import mlflow, mlflow.store.tracking.sqlalchemy_store, mlflow.store.model_registry.sqlalchemy_store
        from capflow_assets.stores.registry import Registry

        children = []
        for versions in ((2, 3), (4, 5)):
            children.append(os.fork())
            if not children[-1]:
                store = Registry({store.uri!r}, {store.lake!r})
                for version in versions:
                    store.promote("acme", "x", version, "at once")
                os._exit(0)
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    champion, history, _ = standing(store)
    assert sorted([champion, *history]) == [1, 2, 3, 4, 5]
    assert store.client.get_model_version_by_alias(NAME, "champion").version == champion
