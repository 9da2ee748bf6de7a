"""Effects that were planted are recovered, and none is seen where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from capflow_assets.learning.qini import group_weights
from capflow_assets.learning.uplift import Effects, Responses, fit_effects, fit_responses

SETTINGS: dict[str, Any] = {"learning_rate": 0.1, "max_depth": 2, "min_child_weight": 20, "nthread": 2, "seed": 0}


def planted(rows: int, treated_share: float, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    """State, outcome, treatment and true effect: those of low ``a`` answer by 2, the others not; ``b`` is the level."""
    random = np.random.default_rng(seed)
    state = pd.DataFrame(random.random((rows, 3)), columns=["a", "b", "noise"])
    treated = (random.random(rows) < treated_share).astype(float)
    effect = np.where(state["a"] < 0.4, 2.0, 0.0)
    outcome = 3 * state["b"].to_numpy() ** 2 + treated * effect + random.normal(0, 1, rows)
    return state, outcome, treated, effect


def fit(
    state: pd.DataFrame, outcome: np.ndarray, treated: np.ndarray, lot: np.ndarray | None = None
) -> tuple[Responses, Effects]:
    weight = group_weights(treated, np.zeros(len(state)) if lot is None else lot)
    responses = fit_responses(state, outcome, treated, weight, SETTINGS, 60)
    return responses, fit_effects(responses, state, outcome, treated, weight, SETTINGS, 60)


def test_both_learners_recover_a_planted_effect() -> None:
    learners = fit(*planted(6000, 0.5)[:3])
    state, _, _, effect = planted(4000, 0.5, seed=1)
    for learner in learners:
        assert spearmanr(learner.effect(state), effect).statistic > 0.8
        assert learner.effect(state)[effect == 2].mean() == pytest.approx(2, abs=0.15)
        assert learner.effect(state)[effect == 0].mean() == pytest.approx(0, abs=0.15)


def test_responses_are_those_of_their_groups() -> None:
    responses, _ = fit(*planted(6000, 0.5)[:3])
    state, _, _, effect = planted(4000, 0.5, seed=1)
    if_treated, if_not = responses.predict(state)
    level = 3 * state["b"].to_numpy() ** 2
    assert np.abs(if_not - level).mean() < 0.2
    assert np.abs(if_treated - level - effect).mean() < 0.2
    assert responses.treated_share == pytest.approx(0.5, abs=0.02)


def test_where_few_are_held_out_the_x_learner_is_nearer_to_the_truth() -> None:
    """Three of a hundred are held out, too few to tell a wavy level from an effect."""

    def wavy(rows: int, treated_share: float, seed: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
        state, outcome, treated, effect = planted(rows, treated_share, seed)
        b = state["b"].to_numpy()
        return state, outcome - 3 * b**2 + 3 * np.sin(8 * b), treated, effect

    responses, effects = fit(*wavy(6000, 0.97, seed=0)[:3])
    state, _, _, effect = wavy(4000, 0.5, seed=1)
    errors = [np.sqrt(np.mean((learner.effect(state) - effect) ** 2)) for learner in (responses, effects)]
    assert errors[1] < 0.9 * errors[0]


def test_a_lot_of_a_high_season_that_held_few_out_is_no_effect() -> None:
    random = np.random.default_rng(2)
    state, lot = pd.DataFrame({"a": random.random(8000)}), np.repeat([0, 1], 4000)
    treated = (random.random(8000) < np.where(lot == 0, 0.9, 0.5)).astype(float)
    outcome = np.where(lot == 0, 4.0, 1.0) + random.normal(0, 1, 8000)
    assert outcome[treated == 1].mean() - outcome[treated == 0].mean() > 1
    for learner in fit(state, outcome, treated, lot):
        assert abs(learner.effect(state).mean()) < 0.1


def test_rows_without_a_weight_teach_nothing() -> None:
    state, outcome, treated, _ = planted(1000, 0.5)
    more = pd.concat([state, state.iloc[:100]], ignore_index=True)
    lot = np.repeat([0, 1], [1000, 100])
    one = fit(state, outcome, treated)
    other = fit(more, np.append(outcome, np.full(100, 50.0)), np.append(treated, np.ones(100)), lot)
    for learner, same in zip(one, other, strict=True):
        assert np.array_equal(learner.effect(state), same.effect(state))


def test_the_same_seed_grows_the_same_trees() -> None:
    rows = planted(1000, 0.5)[:3]
    for learner, again in zip(fit(*rows), fit(*rows), strict=True):
        assert np.array_equal(learner.effect(rows[0]), again.effect(rows[0]))


def test_contributions_add_up_to_the_effect_and_name_its_cause() -> None:
    state, outcome, treated, _ = planted(4000, 0.5)
    for learner in fit(state, outcome, treated):
        parts = learner.contributions(state)
        assert np.ptp(parts.sum(axis=1) - learner.effect(state)) < 1e-3
        assert np.abs(parts).mean(axis=0).argmax() == 0
