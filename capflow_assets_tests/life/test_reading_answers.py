"""A model that reads what another answered: as it was said at the time, and nothing of later."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from capflow_assets.blueprint.model_reading import read_models
from capflow_assets.contract import Model, Reads
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.deployment import Deployment
from capflow_assets.errors import EvidenceError, GraphError
from capflow_assets.graph.engine import Engine
from capflow_assets.home.places import Home
from capflow_assets.life.examples import ExampleReader
from capflow_assets.life.scoring import score
from capflow_assets.life.training import Trained, train
from capflow_assets_tests.life.shop import AS_OF, MODEL, REGULARS, SHOP, TEST_MOMENT, TRAIN_MOMENT, RegularsParams

CALLS = "calls"
OF_ANSWERS = replace(
    REGULARS, reads=(Reads("features/rfm", ("visits",)), Reads(f"predictions/{MODEL}", ("score",))), question="Whom?"
)


def module(name: str, model: Model[Any]) -> ModuleType:
    declared = ModuleType(f"capflow_assets.models.{name}")
    declared.MODEL = model  # type: ignore[attr-defined]
    declared.__file__ = __file__
    return declared


def two_models(root: Path, reading: Model[Any] = OF_ANSWERS) -> Deployment:
    modules = {MODEL: module(MODEL, REGULARS), CALLS: module(CALLS, reading)}
    stages = replace(STAGES, models=read_models(modules, STAGES.tables))
    return Deployment(Home.of(root, {}), stages, SOURCES, Engine())


def reader(place: Deployment, model: str) -> ExampleReader:
    return ExampleReader(place.lake, place.stages, place.customer(SHOP), place.stages.model(model))


@pytest.fixture
def answered_once(shop: Path) -> Deployment:
    """The regulars' scores as of the first of May and the last of June, each by a version trained then."""
    place = two_models(shop)
    for moment in (TRAIN_MOMENT, AS_OF):
        trained = train(place, reader(place, MODEL), RegularsParams(), moment)
        assert isinstance(trained, Trained)
        # By a person: who never errs has an interval of no width.
        place.registry.promote(SHOP, MODEL, trained.version, "")
        assert score(place, reader(place, MODEL), moment) is not None
    return place


def test_its_assets_come_after_the_answers(untrained: Path) -> None:
    edges = two_models(untrained).stages.edges
    assert f"predictions/{MODEL}" in edges[f"models/{CALLS}"]
    assert f"predictions/{MODEL}" in edges[f"predictions/{CALLS}"]


def test_each_moment_sees_the_newest_answers_up_to_it(answered_once: Deployment) -> None:
    """As of May the regulars have been scored by 4 visits; June's answers, by 6, are those of the end of June alone."""
    known = reader(answered_once, CALLS)
    may, june, now = known.columns_at([TRAIN_MOMENT, TEST_MOMENT, AS_OF])
    regular = ("u20", "u39")
    assert may.loc[[*regular], "score"].to_list() == [4.0, 4.0]
    assert june.loc[[*regular], ["visits", "score"]].to_numpy().tolist() == [[5, 4.0], [5, 4.0]]
    assert now.loc[[*regular], "score"].to_list() == [6.0, 6.0]
    assert known.data_versions()[f"answers/{MODEL}"] == 1


def test_it_is_trained_and_answers(answered_once: Deployment) -> None:
    result = train(answered_once, reader(answered_once, CALLS), RegularsParams(), AS_OF)
    assert isinstance(result, Trained)
    assert result.report.decision.action == "promote"
    scored = score(answered_once, reader(answered_once, CALLS), AS_OF)
    assert scored is not None
    assert scored.totals.rows == 41


def test_without_answers_of_so_early_it_is_not_ready(trained_shop: Path) -> None:
    place = two_models(trained_shop)
    score(place, reader(place, MODEL), AS_OF)
    with pytest.raises(EvidenceError, match=f"let {MODEL} answer for some nights"):
        train(place, reader(place, CALLS), RegularsParams(), AS_OF)


@pytest.mark.parametrize(
    ("reads", "words"),
    [
        (Reads(f"predictions/{MODEL}", ("percentile",)), "that are not kept"),
        (Reads(f"predictions/{MODEL}"), "no columns by user_id"),
        (Reads("predictions/regulrs", ("score",)), "did you mean 'predictions/regulars'"),
    ],
)
def test_what_was_not_kept_cannot_be_read(untrained: Path, reads: Reads, words: str) -> None:
    with pytest.raises(GraphError, match=words):
        two_models(untrained, replace(REGULARS, reads=(Reads("features/rfm", ("visits",)), reads)))


def test_models_that_read_each_other_are_refused() -> None:
    mutual = replace(REGULARS, reads=(*REGULARS.reads, Reads(f"predictions/{CALLS}", ("score",))))
    with pytest.raises(GraphError, match="read each other's answers"):
        read_models({MODEL: module(MODEL, mutual), CALLS: module(CALLS, OF_ANSWERS)}, STAGES.tables)


def test_answers_that_a_model_can_do_without_are_no_rows_where_none_were_kept(answered_once: Deployment) -> None:
    reading = replace(
        OF_ANSWERS,
        reads=(REGULARS.reads[0], Reads(f"predictions/{MODEL}", ("user_id", "score"), form="frame", optional=True)),
    )
    place = two_models(answered_once.home.root, reading)
    before, may = reader(place, CALLS).states([TRAIN_MOMENT - timedelta(days=1), TRAIN_MOMENT])
    assert [len(state.tables[f"predictions/{MODEL}"][0]) for state in (before, may)] == [0, 40]
    assert list(before.tables[f"predictions/{MODEL}"][0].columns) == ["user_id", "score"]
