"""A sample with all of its rare positives, weighted, says what all examples say: learned from, calibrated and judged.

What is expected is worked out on the whole population, which has no weights.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples
from capflow_assets.learning.boosting import BoostedChance
from capflow_assets.learning.buying_chance import BuyingChance
from capflow_assets.learning.calibration import fit_calibrator
from capflow_assets.learning.calibration_errors import calibration_error_by_chance, expected_calibration_error
from capflow_assets.learning.combining import stacking_weights
from capflow_assets.learning.example_weights import WEIGHT, drawn_alike, example_weights
from capflow_assets.learning.extra_trees import ExtraTrees
from capflow_assets.learning.intervals import score_with_interval
from capflow_assets.learning.metrics import roc_auc
from capflow_assets.learning.objectives.chance import ChanceParams, calibrated
from capflow_assets.learning.single_column import SingleColumn
from capflow_assets.learning.slices import user_slices
from capflow_assets.learning.spline_logistic import SplineLogistic

USERS, PARTS = 20_000, 8
WORDS = {"visits": "{:.0f}", "recency_days": "{:.0f}", "tenure_days": "{:.0f}"}
PARAMS = ChanceParams(rounds=60)
AUC = roc_auc("bought")
KINDS: dict[str, Any] = {
    "boosted": partial(BoostedChance, PARAMS, outcome="bought", words=WORDS),
    "splines": partial(SplineLogistic, PARAMS, outcome="bought", words=WORDS),
    "extra-trees": partial(ExtraTrees, PARAMS, outcome="bought", words=WORDS),
    "till death": partial(BuyingChance, PARAMS, outcome="bought", words=WORDS),
    "one column": partial(SingleColumn, PARAMS, "bought", "recency_days", "long ago", grows=False),
}


def population(seed: int) -> Examples:
    """Two moments of users of whom about one in thirty buys, those who came lately more often."""
    random = np.random.default_rng(seed)
    tenure = random.uniform(100, 600, USERS)
    columns = pd.DataFrame(
        {
            "visits": 1.0 + random.poisson(5, USERS),
            "recency_days": random.uniform(0, 100, USERS),
            "tenure_days": tenure,
        },
        pd.Index([f"u{number:05d}" for number in range(USERS)], name="user_id"),
    )
    odds = -2.2 - columns["recency_days"] / 25 + columns["visits"] / 12
    bought = (random.random(USERS) < 1 / (1 + np.exp(-odds))).astype(float)
    return Examples(columns.assign(moment=np.arange(USERS) % 2), pd.DataFrame({"bought": bought}, columns.index))


def sampled(examples: Examples, seed: int = 9) -> Examples:
    """All who bought, and an eighth of the others, who count eight times."""
    assert examples.outcomes is not None
    bought = examples.outcomes["bought"].to_numpy() > 0
    is_kept = bought | (np.random.default_rng(seed).random(len(bought)) < 1 / PARTS)
    outcomes = examples.outcomes.assign(**{WEIGHT: np.where(bought, 1.0, PARTS)})
    return Examples(examples.columns[is_kept], outcomes[is_kept])


@pytest.fixture(scope="module")
def all_users() -> Examples:
    return population(1)


@pytest.fixture(scope="module")
def fresh() -> Examples:
    return population(2)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_model_of_the_sample_is_that_of_all(all_users: Examples, fresh: Examples, kind: str) -> None:
    """Its chances add up to the outcomes of users whom neither saw, and its order is as good within the interval."""
    whole, part = (KINDS[kind]().fit(examples).predict(fresh) for examples in (all_users, sampled(all_users)))
    assert fresh.outcomes is not None
    assert part["score"].mean() == pytest.approx(fresh.outcomes["bought"].mean(), rel=0.15)
    interval = score_with_interval(AUC, fresh.outcomes, whole, seed=0)
    assert interval.low <= AUC.compute(fresh.outcomes, part) <= interval.high


def test_a_sample_judges_as_all_do(all_users: Examples, fresh: Examples) -> None:
    """AUC, calibration error, and both where the chances are three times too high."""
    answers = KINDS["splines"]().fit(all_users).predict(fresh)
    some = sampled(fresh)
    of_some = answers.loc[some.columns.index]
    assert fresh.outcomes is not None
    assert some.outcomes is not None
    interval = score_with_interval(AUC, some.outcomes, of_some, seed=0)
    assert interval.low <= AUC.compute(fresh.outcomes, answers) <= interval.high
    rule = calibrated("bought")
    assert rule.measure(some.outcomes, of_some) == pytest.approx(rule.measure(fresh.outcomes, answers), abs=0.003)
    high, of_high = answers.assign(score=3 * answers["score"]), of_some.assign(score=3 * of_some["score"])
    assert rule.measure(some.outcomes, of_high) == pytest.approx(rule.measure(fresh.outcomes, high), rel=0.1)


@pytest.mark.parametrize("kind", ["platt", "beta", "isotonic"])
def test_each_calibrator_of_the_sample_is_that_of_all(all_users: Examples, kind: str) -> None:
    scores = 1 / (1 + all_users.columns["recency_days"] / 20)
    some = sampled(all_users)
    assert all_users.outcomes is not None
    assert some.outcomes is not None
    whole = fit_calibrator(all_users.outcomes["bought"], scores, (kind,))
    weights = example_weights(some.outcomes)
    part = fit_calibrator(some.outcomes["bought"], scores[some.columns.index], (kind,), weights)
    assert part.apply(scores).mean() == pytest.approx(whole.apply(scores).mean(), rel=0.06)
    assert np.abs(part.apply(scores) - whole.apply(scores)).mean() < 0.006
    chosen = fit_calibrator(some.outcomes["bought"], scores[some.columns.index], weights=weights)
    assert chosen.apply(scores).mean() == pytest.approx(all_users.outcomes["bought"].mean(), rel=0.06)


def test_weights_of_one_change_nothing(all_users: Examples) -> None:
    assert all_users.outcomes is not None
    bought, ones = all_users.outcomes["bought"], np.ones(USERS)
    scores = 1 / (1 + all_users.columns["recency_days"] / 20)
    for measure in (expected_calibration_error, calibration_error_by_chance):
        assert measure(bought, scores, weights=ones) == measure(bought, scores)
    assert fit_calibrator(bought, scores, weights=ones).apply(scores).tolist() == (
        fit_calibrator(bought, scores).apply(scores).tolist()
    )
    parts = np.column_stack([scores, scores**2])
    assert stacking_weights(bought.to_numpy(), parts, ones) == stacking_weights(bought.to_numpy(), parts)


def test_a_weight_is_so_many_rows() -> None:
    """Weights of whole numbers are rows so often repeated."""
    random = np.random.default_rng(3)
    scores, weights = random.random((200, 2)), random.integers(1, 5, 200)
    labels = (random.random(200) < scores[:, 0]).astype(float)
    repeated = np.repeat(np.arange(200), weights)
    assert stacking_weights(labels, scores, weights.astype(float)) == pytest.approx(
        stacking_weights(labels[repeated], scores[repeated]), abs=1e-4
    )
    by_weight = fit_calibrator(labels, scores[:, 0], ("platt",), weights.astype(float))
    by_rows = fit_calibrator(labels[repeated], scores[repeated, 0], ("platt",))
    assert (by_weight.slope, by_weight.intercept) == pytest.approx((by_rows.slope, by_rows.intercept))


def test_heavy_users_are_the_quarter_of_all_users(all_users: Examples) -> None:
    some = sampled(all_users)
    weights = example_weights(some.outcomes)
    assert weights is not None
    whole, part = user_slices(all_users.columns), user_slices(some.columns, weights)
    share = np.average(part["heavy users"], weights=weights)
    assert share == pytest.approx(whole["heavy users"].mean(), abs=0.02)


def test_a_sample_in_which_all_count_the_same_is_drawn_of_it(all_users: Examples) -> None:
    some = sampled(all_users)
    weights = example_weights(some.outcomes)
    assert weights is not None
    assert some.outcomes is not None
    assert all_users.outcomes is not None
    is_alike = drawn_alike(weights, np.random.default_rng(0).random(weights.size))
    assert some.outcomes["bought"][is_alike].mean() == pytest.approx(all_users.outcomes["bought"].mean(), rel=0.3)
