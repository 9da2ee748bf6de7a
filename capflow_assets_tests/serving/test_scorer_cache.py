"""Versions in memory: within the bound, loaded once however many ask, and the coldest gone first."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import numpy as np
import pytest
import xgboost

from capflow_assets.learning.online.scorers import Scorer
from capflow_assets.learning.online.sessions import NODE_BYTES, SESSION_BYTES, session_of
from capflow_assets.learning.online.tree_graphs import UnfitTreesError, booster_graph, graph_of
from capflow_assets.serving.memory import give_memory_back, rss_bytes
from capflow_assets.serving.scorer_cache import Key, LoadedScorer, ScorerCache

T = TypeVar("T")


def loaded(size_bytes: int, version: int = 1) -> LoadedScorer:
    return LoadedScorer(version, "own", Scorer(("x",), "code", lambda rows: {"score": rows[:, 0]}, size_bytes))


def done(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def test_many_that_ask_at_once_share_one_load():
    loads: list[Key] = []

    def slow(key: Key) -> LoadedScorer:
        loads.append(key)
        time.sleep(0.2)
        return loaded(10)

    async def ask() -> list[LoadedScorer | None]:
        cache = ScorerCache(slow)
        return await asyncio.gather(*(cache.get(("acme", "churn", 1)) for _ in range(50)))

    answers = done(ask())
    assert len(loads) == 1
    assert {id(answer) for answer in answers} == {id(answers[0])}


def test_different_versions_load_side_by_side():
    both = threading.Barrier(2, timeout=30)

    def meets(key: Key) -> LoadedScorer:
        both.wait()
        return loaded(10)

    async def ask() -> list[LoadedScorer | None]:
        cache = ScorerCache(meets)
        return await asyncio.gather(cache.get(("acme", "churn", 1)), cache.get(("boots", "churn", 1)))

    assert None not in done(ask())


def test_the_bound_holds_and_the_least_recently_used_goes():
    async def ask() -> ScorerCache:
        cache = ScorerCache(lambda key: loaded(400), bound_bytes=1000)
        for model in ("a", "b", "a", "c"):
            await cache.get(("acme", model, 1))
        return cache

    cache = done(ask())
    assert (cache.resident_bytes, cache.evictions, len(cache)) == (800, 1, 2)
    assert cache.ready(("acme", "a", 1)) is not None
    assert cache.ready(("acme", "b", 1)) is None


def test_whoever_reads_the_gauge_meanwhile_never_sees_more_than_the_bound():
    seen: list[int] = []

    class Watched(ScorerCache):
        def __setattr__(self, name: str, value: object) -> None:
            if name == "resident_bytes":
                assert isinstance(value, int)
                seen.append(value)
            super().__setattr__(name, value)

    async def ask() -> None:
        cache = Watched(lambda key: loaded(400), bound_bytes=1_000)
        for customer in "abcd":
            await cache.get((customer, "churn", 1))

    done(ask())
    assert max(seen) == 800


def test_a_new_champion_takes_the_place_of_the_one_before():
    async def ask() -> ScorerCache:
        cache = ScorerCache(lambda key: loaded(400, key[2]))
        for version in (1, 2, 3):
            await cache.get(("acme", "churn", version))
        return cache

    cache = done(ask())
    assert (len(cache), cache.resident_bytes) == (1, 400)


def test_a_version_that_cannot_be_loaded_is_not_tried_at_every_request():
    tried: list[Key] = []

    def broken(key: Key) -> LoadedScorer:
        tried.append(key)
        raise OSError("no such file")

    async def ask() -> list[LoadedScorer | None]:
        cache = ScorerCache(broken)
        return [await cache.get(("acme", "churn", 1)) for _ in range(20)]

    assert done(ask()) == [None] * 20
    assert len(tried) == 1


def test_a_champion_that_could_not_be_read_is_tried_again_while_the_one_before_it_answers(monkeypatch):
    monkeypatch.setattr("capflow_assets.serving.scorer_cache.RETRY_SECONDS", 0.0)
    readable = [1, 1, 2]

    async def ask() -> list[int | None]:
        cache = ScorerCache(lambda key: loaded(10, readable.pop(0)))
        versions = []
        for _ in range(4):
            answer = await cache.get(("acme", "churn", 2))
            versions.append(answer.version if answer else None)
            await cache.settled()
        return versions

    assert done(ask()) == [1, 1, 1, 2]
    assert readable == [], "once it is there it is not loaded again"


def booster(seed: int, **settings: Any) -> xgboost.Booster:
    chance = np.random.default_rng(seed)
    values = chance.random((500, 30))
    rows = xgboost.DMatrix(values, label=0.25 + 0.5 * (values[:, seed % 30] > chance.random(500)))
    return xgboost.train({"objective": "binary:logistic", "max_depth": 4, "nthread": 1, **settings}, rows, 50)


@pytest.mark.usefixtures("light_heap")
def test_traffic_over_many_models_keeps_to_its_bytes():
    graphs = [booster_graph(booster(seed)) for seed in range(6)]

    def load(key: Key) -> LoadedScorer:
        graph, nodes = graphs[int(key[1]) % len(graphs)]
        session, size = session_of(graph), SESSION_BYTES + NODE_BYTES * nodes
        row = np.zeros((1, 30), dtype=np.float32)
        return LoadedScorer(
            1, "own", Scorer((), "onnx", lambda rows: {"s": session.run(None, {"features": row})}, size)
        )

    async def ask(cache: ScorerCache, models: np.ndarray) -> None:
        for model in models:
            kept = await cache.get(("acme", str(model), 1))
            assert kept is not None
            kept.scorer.figures(np.empty(0))

    async def traffic() -> tuple[ScorerCache, int, int]:
        cache = ScorerCache(load, bound_bytes=20 << 20)
        chance = np.random.default_rng(0)
        await ask(cache, np.minimum(chance.zipf(1.1, 150), 3000))
        give_memory_back()
        warm = rss_bytes()
        await ask(cache, np.minimum(chance.zipf(1.1, 250), 3000))
        give_memory_back()
        return cache, warm, rss_bytes()

    cache, warm, after = done(traffic())
    assert cache.evictions > 50
    assert cache.resident_bytes <= 20 << 20
    # Resident in full before; what is loaded after it takes the place of what goes.
    assert after - warm < 20 << 20


@pytest.mark.parametrize(
    ("description", "words"),
    [
        ({"learner": {"gradient_booster": {"name": "gblinear"}}}, "gblinear"),
        ({"learner": {"gradient_booster": {"name": "gbtree", "model": {"trees": [{"split_type": [1]}]}}}}, "category"),
    ],
)
def test_trees_of_other_kinds_are_refused(description, words):
    with pytest.raises(UnfitTreesError, match=words):
        graph_of(description)


@pytest.mark.parametrize(
    "objective", ["binary:logistic", "reg:gamma", "reg:tweedie", "reg:squarederror", "count:poisson"]
)
def test_the_margin_begins_where_xgboost_begins(objective):
    trees = booster(1, objective=objective, base_score=0.3)
    chance = np.random.default_rng(2)
    rows = chance.random((200, 30)).astype(np.float32)
    session = session_of(booster_graph(trees)[0])
    margin = session.run(None, {"features": rows})[0][:, 0]
    np.testing.assert_allclose(margin, trees.predict(xgboost.DMatrix(rows), output_margin=True), rtol=2e-6, atol=2e-6)
