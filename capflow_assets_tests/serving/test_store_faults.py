"""What is looked up may be cut off, held, gone or of another time: answers go on, and nobody comes back."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from capflow_assets.errors import ModelError, StoreError
from capflow_assets.learning.online.files import NAME
from capflow_assets.learning.online.scorers import Scorer
from capflow_assets.serving.converted import converted_folder
from capflow_assets.serving.loading import load_scorer
from capflow_assets.serving.publication import publish
from capflow_assets.serving.requests import answer_request
from capflow_assets.serving.scorer_cache import LARGEST_SHARE, ScorerCache
from capflow_assets.serving.service import Service
from capflow_assets.stores import answer_store
from capflow_assets.stores.answer_store import ANSWERS, POINTER, AnswerStore
from capflow_assets.stores.answer_stores import answers_of
from capflow_assets.stores.model_files import LARGEST_BYTES, REPORT
from capflow_assets.stores.model_files import MODEL as MODEL_FILE
from capflow_assets_doubles.fleets import MODEL, Fleet, fleet
from capflow_assets_tests.serving.one_service import answered, service

__all__ = ["service"]
CUT_OFF = '{"answers/purchase_propensity": {"file": "answ'
NO_SERVER = """
[serving.store]
kind = "redis"
host = "127.0.0.1"
port = 1
tls = false
timeout_ms = 200
"""


@pytest.fixture
def night(service: Service) -> Service:
    """The night was answered by the champion itself: nothing needs to be loaded."""
    answered(service, "own", version=2)
    return service


def answer_for(service: Service, user: str = "u1") -> dict[str, object]:
    served = service.served("acme", MODEL)
    (answer,) = asyncio.run(service.answers(served, answer_request({"user_ids": [user]})))
    return answer


def store_of(service: Service) -> AnswerStore:
    return AnswerStore.of(service.deployment.home, "acme")


def test_a_pointer_that_was_cut_off_leaves_the_last_tables_and_is_written_again(night):
    before, store = answer_for(night), store_of(night)
    (store.folder / POINTER).write_text(CUT_OFF)
    assert answer_for(night)["score"] == before["score"]
    answered(night, "own", version=2)
    assert json.loads((store.folder / POINTER).read_text()).keys() == {f"{ANSWERS}{MODEL}"}
    assert answer_for(night)["served_by"] == "precomputed"


def test_a_table_whose_writing_was_cut_off_is_named_by_nothing_and_goes_with_the_next(night):
    store = store_of(night)
    left = store.folder / f"answers.{MODEL}.0123456789ab.sqlite"
    left.write_bytes(b"SQLite format 3\0 and no more")
    assert answer_for(night)["served_by"] == "precomputed"
    answered(night, "own", version=3)
    assert not left.exists()


def test_a_user_who_is_forgotten_while_the_file_is_held_is_gone_from_an_open_server_too(night, monkeypatch):
    monkeypatch.setattr(answer_store, "WAIT_SECONDS", 0.05)
    assert answer_for(night)["score"] == 0.25  # the server has the file open from here on
    store = store_of(night)
    file = store.path(store.tables()[f"{ANSWERS}{MODEL}"])
    with closing(sqlite3.connect(file)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        store.forget(["u1"])
    assert not file.exists()
    assert night.served("acme", MODEL).stored is None


def test_erasure_from_a_server_that_is_down_is_no_success_and_leaves_no_file_of_the_home(night):
    home = night.deployment.home
    home.settings.write_text(NO_SERVER)
    with pytest.raises(StoreError):
        answers_of(home, "acme").forget(["u1"])
    store = store_of(night)
    assert not [file.name for file in store.folder.glob("*.sqlite") if b"u1" in file.read_bytes()]


@dataclass
class Clock:
    """A clock that somebody sets."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


@pytest.mark.parametrize(("jump", "is_expired"), [(-400, False), (400, True)], ids=["back", "on"])
def test_a_clock_that_jumps_takes_no_answer_away_and_says_so_where_it_may_be_old(night, jump, is_expired):
    night.clock = clock = Clock(datetime.now(UTC))
    night.cache = ScorerCache(lambda key: None)  # nothing can be loaded: the night's answer is all there is
    before = answer_for(night)
    clock.now += timedelta(days=jump)
    after = answer_for(night)
    assert (after["score"], after["as_of"], after["expired"]) == (before["score"], before["as_of"], is_expired)
    assert isinstance(after["feature_age_s"], int)
    assert after["feature_age_s"] >= 0
    clock.now -= timedelta(days=jump)
    assert answer_for(night)["served_by"] == before["served_by"] == "precomputed"


def enlarged(shops: Fleet, version: int, size: int) -> None:
    """The files of a version that it could answer by get so many bytes, of which the disk holds none."""
    (customer,) = shops.customers
    folder = Path(shops.deployment.registry.artifacts(customer, MODEL, version))
    for file in (folder / MODEL_FILE, folder / REPORT / NAME):
        with file.open("r+b") as opened:
            opened.truncate(size)


def test_a_model_file_that_is_huge_is_not_read_and_the_version_before_it_answers(tmp_path):
    shops = fleet(tmp_path, 1)
    (customer,), registry = shops.customers, shops.deployment.registry
    service = Service(shops.deployment, bound_bytes=64 << 20)
    most = service.bound_bytes // LARGEST_SHARE
    wanted = (shops.deployment, registry, service.lookups, customer, MODEL, 2, most)
    registry.promote(customer, MODEL, 2, "a test")
    assert load_scorer(*wanted).version == 2
    for size in (most + 1, LARGEST_BYTES + 1):
        enlarged(shops, 2, size)
        assert load_scorer(*wanted).version == 1
    enlarged(shops, 1, 1 << 30)
    with pytest.raises(ModelError, match="more than the 16,777,216 bytes that are read here; nothing of it was read"):
        load_scorer(*wanted)


def test_a_damaged_file_for_online_answers_is_written_again_by_who_publishes(tmp_path):
    shops = fleet(tmp_path, 1)
    (customer,), registry = shops.customers, shops.deployment.registry
    service = Service(shops.deployment)
    file = Path(registry.artifacts(customer, MODEL, 1)) / REPORT / NAME
    wanted = (shops.deployment, registry, service.lookups, customer, MODEL, 1)
    whole = load_scorer(*wanted).scorer
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(ModelError, match="is not the one that was registered"):
        load_scorer(*wanted)
    assert publish(shops.deployment, customer)["converted"] == "1 versions"
    assert "converted" not in publish(shops.deployment, customer)
    loaded = load_scorer(*wanted)
    assert loaded.version == 1
    assert isinstance(loaded.scorer, Scorer)
    assert isinstance(whole, Scorer)
    rows = np.full((1, len(whole.columns)), 0.5)
    np.testing.assert_allclose(loaded.scorer.figures(rows)["score"], whole.figures(rows)["score"], rtol=1e-6)
    (converted_file,) = converted_folder(shops.deployment.home, customer).iterdir()
    converted_file.write_bytes(converted_file.read_bytes()[:-10])
    with pytest.raises(ModelError, match="is not the one that was registered"):
        load_scorer(*wanted)
    assert publish(shops.deployment, customer)["converted"] == "1 versions"
    assert load_scorer(*wanted).version == 1
    registry.promote(customer, MODEL, 2, "a test")
    publish(shops.deployment, customer)
    assert list(converted_folder(shops.deployment.home, customer).iterdir()) == [], "version 2 has a file of its own"
