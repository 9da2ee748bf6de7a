"""Answers while something changes or fails under them: the next rung answers, and never with another's figures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from capflow_assets.definitions import STAGES
from capflow_assets.learning.online.scorers import Figures, Scorer
from capflow_assets.serving.problems import ProblemError
from capflow_assets.serving.requests import answer_request
from capflow_assets.serving.scorer_cache import Key, LoadedScorer, ScorerCache
from capflow_assets.serving.service import Service
from capflow_assets.stores.answer_store import ANSWERS, AnswerStore
from capflow_assets_tests.serving.one_service import FIRST, MODEL, OTHER, SECOND, answered, publish, service

__all__ = ["service"]


def loads(work: Callable[[np.ndarray], Figures], meanwhile: Callable[[], None] = lambda: None) -> ScorerCache:
    """A cache whose versions score by ``work``; something else happens while one is loaded."""

    def load(key: Key) -> LoadedScorer:
        meanwhile()
        return LoadedScorer(key[2], "own", Scorer((FIRST, SECOND), "onnx", work, 1_000))

    return ScorerCache(load)


def difference(rows: np.ndarray) -> Figures:
    return {"score": rows[:, 1] - rows[:, 0]}


def first_answer(service: Service, **body: Any) -> dict[str, Any]:
    async def ask() -> list[dict[str, Any]]:
        return await service.answers(service.served("acme", MODEL), answer_request({"user_ids": ["u1"], **body}))

    return asyncio.run(ask())[0]


@pytest.mark.parametrize(
    ("columns", "values"), [([SECOND, FIRST], [20.0, 1.0]), ([FIRST, OTHER, SECOND], [1.0, 300.0, 20.0])]
)
def test_features_that_are_published_during_a_request_keep_their_names(service, columns, values):
    service.cache = loads(difference, lambda: publish(service, columns, values))
    answer = first_answer(service)
    assert (answer["score"], answer["served_by"], answer["model_version"]) == (19.0, "live", 2)


def test_a_scorer_that_fails_gives_way_to_the_last_good_answer(service):
    def fails(rows: np.ndarray) -> Figures:
        raise ValueError("rows of a kind that it never saw")

    service.cache = loads(fails)
    answer = first_answer(service)
    assert (answer["score"], answer["served_by"], answer["model_version"]) == (0.25, "last good", 1)


def test_reasons_that_cannot_be_given_take_no_score_away(service):
    service.cache = loads(difference)
    answer = first_answer(service, reasons=True)  # the version is in memory alone
    assert (answer["score"], answer["served_by"], answer["reasons"]) == (19.0, "live", None)


@pytest.mark.parametrize("rung", ["rule", "pooled"])
def test_a_first_model_of_its_own_answers_at_once_where_the_night_had_another(service, rung):
    service.cache = loads(difference)
    answered(service, rung, version=1)
    assert (first_answer(service)["served_by"], first_answer(service)["model_version"]) == ("live", 2)
    answered(service, rung, version=2)
    assert (first_answer(service)["served_by"], first_answer(service)["score"]) == (rung, 0.25)


def test_where_nothing_can_be_said_of_a_known_user_it_is_no_404(service):
    def fails(rows: np.ndarray) -> Figures:
        raise ValueError("rows of a kind that it never saw")

    service.cache = loads(fails)
    store = AnswerStore.of(service.deployment.home, "acme")
    with store.writing():
        store.drop(f"{ANSWERS}{MODEL}")
    with pytest.raises(ProblemError) as caught:
        first_answer(service)
    assert caught.value.status == 503


def test_features_are_taken_by_a_model_of_some_users_and_by_none_that_reads_whole_tables(service):
    service.cache = loads(difference)
    service.watch.champions = {"acme.churn": 2}
    columns = STAGES.model("churn").model.columns

    async def ask(model: str, features: dict[str, float]) -> dict[str, Any]:
        request = answer_request({"instances": [{"features": features}]})
        return (await service.answers(service.served("acme", model), request))[0]

    assert {FIRST, SECOND} <= set(columns)
    answer = asyncio.run(ask("churn", {FIRST: 1.0, SECOND: 20.0}))
    assert (answer["score"], answer["served_by"], answer["model_version"]) == (19.0, "live", 2)
    with pytest.raises(
        ProblemError, match=r"lookalike_audience takes no features, since it reads whole tables: .*churn"
    ):
        asyncio.run(ask("lookalike_audience", {FIRST: 1.0}))
