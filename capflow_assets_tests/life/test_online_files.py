"""What is written beside a version for online answers, from the population that it is registered with."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples
from capflow_assets.learning.boosting import BoostedChance
from capflow_assets.learning.online.files import NAME, unpacked
from capflow_assets.learning.online.scorers import ready_scorer
from capflow_assets.life.online_files import online_file
from capflow_assets.packages import STAGES

MODEL = STAGES.model("purchase_propensity").model
USERS = 400
COLUMNS = MODEL.columns[:4]


@pytest.fixture(scope="module")
def population() -> Examples:
    """Users whose columns are of the types that features have: whole numbers with nulls, yes and no, text."""
    chance = np.random.default_rng(0)
    frame = pd.DataFrame(chance.random((USERS, 4)) * 10, columns=list(COLUMNS))
    counts = frame[COLUMNS[1]].round().astype("Int64")
    frame[COLUMNS[1]] = counts.mask(chance.random(USERS) < 0.2)
    frame[COLUMNS[2]] = frame[COLUMNS[2]] > 5
    frame["a text"] = "of no use"
    return Examples(frame.set_index(pd.Index([f"u{user}" for user in range(USERS)], name="user_id")))


@pytest.fixture(scope="module")
def estimator(population: Examples) -> BoostedChance:
    params = MODEL.params(rounds=20, max_depth=3, threads=1, min_child_weight=1.0)
    hit = (population.columns[COLUMNS[0]] > 4).astype(float)
    outcomes = pd.DataFrame({"bought": hit}, index=population.columns.index)
    words = {name: f"{name} {{}}" for name in COLUMNS}
    return BoostedChance(params, "bought", words).fit(Examples(population.columns, outcomes))


def test_trees_are_written_as_graphs_that_score_the_population_alike(population, estimator):
    scorer = ready_scorer(unpacked(online_file(MODEL, estimator, population)[NAME]))
    assert (scorer.engine, scorer.columns) == ("onnx", COLUMNS)
    rows = population.columns[list(COLUMNS)].to_numpy(dtype=float, na_value=np.nan)
    expected = estimator.figures(population)["score"]
    np.testing.assert_allclose(scorer.figures(rows)["score"], expected, rtol=1e-6, atol=1e-6)


def test_the_same_version_is_written_alike(population, estimator):
    assert online_file(MODEL, estimator, population) == online_file(MODEL, estimator, population)


def test_a_rule_says_that_it_must_be_asked_itself(population):
    rule = MODEL.baseline.make(MODEL.params())
    recipe = unpacked(online_file(MODEL, rule, population)[NAME]).recipe
    assert recipe["kind"] == "code"
    assert "is not converted" in recipe["why"]


@pytest.mark.parametrize("name", ["next_basket", "lookalike_audience", "bill_anomaly", "cold_start_recommendations"])
def test_what_no_request_can_carry_has_no_file(name, estimator, population):
    assert online_file(STAGES.model(name).model, estimator, population) == {}
