"""How the challenger's recipe is chosen: on past moments that it may learn from, within its budget."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Candidate, Examples, Model, Needs, Outcome, Reads, ReadsColumns
from capflow_assets.learning.boosting import BoostedChance, BoostingParams
from capflow_assets.learning.metrics import roc_auc
from capflow_assets.learning.moments import together
from capflow_assets.learning.single_column import SingleColumn
from capflow_assets.life.recipes import chosen_recipe
from capflow_assets.life.split import Split
from capflow_assets.stores.saved_estimators import dumps, loads, types_of

FIRST = datetime(2024, 1, 1, 12, tzinfo=UTC)
COLUMNS = ("signal", "copy", "noise", "constant", "future")
WORDS = {name: f"{name} {{:.1f}}" for name in COLUMNS}
PARAMS = BoostingParams(rounds=50, threads=1, trials=0)


def bought(rows: Any, start: Any, end: Any) -> Any:
    """Never called: the examples are made here."""


BY_SIGNAL = partial(SingleColumn, outcome="bought", column="signal", word="signal", grows=True)
MODEL = Model(
    question="Who buys?",
    family="test",
    needs=Needs(tables=()),
    reads=(Reads("features/rfm", COLUMNS),),
    outcome=Outcome(bought, ("bought",)),
    params=BoostingParams,
    candidates=(
        Candidate("trees", partial(BoostedChance, outcome="bought", words=WORDS), is_tuned=True),
        Candidate(
            "one column",
            partial(SingleColumn, outcome="bought", column="signal", word="signal", grows=True),
            is_baseline=True,
        ),
    ),
    metric=roc_auc("bought"),
)


def examples(place: int, leaks: bool = False) -> Examples:
    """400 users as of a moment; the signal orders them by their chance, the future is their outcome."""
    random = np.random.default_rng(place)
    half, other_half = random.normal(size=(2, 400))
    signal = half + other_half
    is_buyer = (random.random(400) < 1 / (1 + np.exp(-2 * signal))).astype(float)
    columns = pd.DataFrame(
        {
            "signal": signal,
            "copy": signal + random.normal(scale=0.01, size=400),
            "noise": random.normal(size=400),
            "constant": 1.0,
            "future": is_buyer + random.normal(scale=0.01, size=400) if leaks else random.normal(size=400),
            "half": half,
            "other_half": other_half,
        },
        index=pd.Index([f"u{number:03}" for number in range(400)], name="user_id"),
    )
    return Examples(columns, pd.DataFrame({"bought": is_buyer}, index=columns.index), moments=(_moment(place),))


def _moment(place: int) -> datetime:
    return FIRST + timedelta(days=30 * place)


def split(moments: int = 4, leaks: bool = False) -> Split:
    train = together([examples(place, leaks) for place in range(moments)])
    return Split(train, examples(moments, leaks), _moment(moments), train.moments)


def test_what_tells_nothing_of_its_own_is_not_read() -> None:
    choice = chosen_recipe(MODEL, PARAMS, split())
    assert choice.selection is not None
    verdicts = {fate.column: fate.verdict for fate in choice.selection.fates}
    assert {verdicts["signal"], verdicts["copy"]} == {"chosen", "redundant"}
    assert verdicts["constant"] == "constant"
    assert {verdicts["noise"], verdicts["future"]} <= {"unstable", "unneeded"}
    estimator = choice.recipe.make()
    assert isinstance(estimator, ReadsColumns)
    assert estimator.columns == choice.selection.columns
    fitted = estimator.fit(split().train)
    few = replace(examples(5), columns=examples(5).columns[list(estimator.columns)])
    pd.testing.assert_frame_equal(fitted.predict(few), fitted.predict(examples(5)))


def test_a_column_that_knows_the_future_is_never_chosen() -> None:
    choice = chosen_recipe(MODEL, PARAMS, split(leaks=True))
    assert choice.selection is not None
    assert {fate.column: fate.verdict for fate in choice.selection.fates}["future"] == "leaking"
    assert "future" not in choice.selection.columns


def test_the_same_seed_chooses_the_same() -> None:
    first, second = (chosen_recipe(MODEL, PARAMS, split()) for _ in range(2))
    assert first.recipe.columns == second.recipe.columns


@pytest.mark.parametrize(("params", "moments"), [(PARAMS.model_copy(update={"selection_seconds": 0}), 4), (PARAMS, 1)])
def test_without_a_budget_or_a_past_moment_to_weigh_them_on_all_columns_are_read(
    params: BoostingParams, moments: int
) -> None:
    choice = chosen_recipe(MODEL, params, split(moments))
    assert choice.selection is None
    estimator = choice.recipe.make()
    assert isinstance(estimator, ReadsColumns)
    assert estimator.columns == COLUMNS


def test_parameters_that_nobody_set_are_searched_within_the_trials() -> None:
    params = BoostingParams(rounds=50, threads=1, trials=4, tuning_seconds=600)
    choice = chosen_recipe(MODEL, params, split())
    assert [trial["number"] for trial in choice.trials] == [0, 1, 2, 3]
    assert {trial["state"] for trial in choice.trials} <= {"complete", "pruned"}
    best = max((trial for trial in choice.trials if trial["state"] == "complete"), key=lambda trial: trial["gain"])
    chosen = choice.recipe.params
    assert isinstance(chosen, BoostingParams)
    assert best["params"].items() <= chosen.model_dump().items()
    assert (chosen.rounds, chosen.threads) == (50, 1), "they were set"
    again = chosen_recipe(MODEL, params, split(), choice.trials)
    if best["number"]:  # else the usual parameters are the best that there is to try again
        assert again.trials[1]["origin"] == "earlier"
        assert again.trials[1]["params"] == best["params"]


def test_the_same_data_and_seed_make_the_same_model_byte_for_byte() -> None:
    """Its trees and its answers; the file around them names objects by where they lay in memory."""
    params = PARAMS.model_copy(update={"trials": 2})
    first, second = (chosen_recipe(MODEL, params, split()).recipe.make().fit(split().train) for _ in range(2))
    assert isinstance(first, BoostedChance)
    assert isinstance(second, BoostedChance)
    assert first.trees is not None
    assert second.trees is not None
    assert first.trees.save_raw() == second.trees.save_raw()
    assert first.parameters() == second.parameters()
    pd.testing.assert_frame_equal(first.predict(examples(5)), second.predict(examples(5)), check_exact=True)


def test_without_trials_the_parameters_stay_as_they_are() -> None:
    choice = chosen_recipe(MODEL, PARAMS, split())
    assert (choice.recipe.params, choice.trials) == (PARAMS, ())


def test_a_model_of_the_state_of_a_moment_reads_all_columns() -> None:
    now = replace(split(), train=replace(split().train, outcomes=None))
    assert chosen_recipe(replace(MODEL, fitted="now"), PARAMS, now).selection is None


# Two candidates of which each sees half of what tells users apart, and one that cannot be fitted.
HALVES = {name: partial(BoostedChance, outcome="bought", words={name: "{:.1f}"}) for name in ("half", "other_half")}


class Broken(BoostedChance):
    """Cannot be fitted."""

    def fit(self, examples: Examples) -> Broken:
        raise ZeroDivisionError("no trees")


TOGETHER = replace(
    MODEL,
    objective="chance",
    candidates=(
        *(Candidate(name, make) for name, make in HALVES.items()),
        Candidate("broken", partial(Broken, outcome="bought", words=WORDS)),
        MODEL.baseline,
    ),
)


def test_candidates_answer_together_where_that_is_surely_better() -> None:
    choice = chosen_recipe(TOGETHER, PARAMS, split())
    assert choice.recipe.ensemble is not None
    assert set(choice.recipe.ensemble.weights) == set(HALVES)
    assert choice.recipe.name.endswith("% other_half") or choice.recipe.name.endswith("% half")
    fitted = choice.recipe.make().fit(split().train)
    test = split().test
    assert test.outcomes is not None
    figures = {name: make(PARAMS).fit(split().train).predict(test) for name, make in HALVES.items()}
    scores = [MODEL.metric.compute(test.outcomes, answers) for answers in figures.values()]
    assert MODEL.metric.compute(test.outcomes, fitted.predict(test)) > max(scores)
    types = types_of(TOGETHER)
    pd.testing.assert_frame_equal(loads(dumps(fitted, types), types).predict(test), fitted.predict(test))


def test_a_candidate_that_raises_is_noted_and_the_others_are_compared() -> None:
    choice = chosen_recipe(TOGETHER, PARAMS, split())
    scores = {score.name: score for score in choice.candidates}
    assert scores["broken"].error == "ZeroDivisionError: no trees"
    assert all(len(scores[name].values) == 2 for name in HALVES)


def test_a_candidate_that_is_best_alone_answers_alone() -> None:
    twice = replace(
        MODEL, objective="chance", candidates=(*MODEL.challengers, *TOGETHER.candidates[:1], MODEL.baseline)
    )
    choice = chosen_recipe(twice, PARAMS, split())
    assert (choice.recipe.name, choice.recipe.ensemble) == ("trees", None)
    assert {row["kind"] for row in choice.ensembles} == {"average", "stack"}
