"""A forest carried by XGBoost answers what scikit-learn's does."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from capflow_assets.learning.forests import booster_of

NAMES = ["one", "two", "three"]


@pytest.mark.parametrize("kind", [ExtraTreesClassifier, RandomForestClassifier])
def test_it_answers_the_same_also_on_a_threshold_and_where_a_value_is_unknown(kind: type) -> None:
    random = np.random.default_rng(0)
    state = random.integers(0, 9, (2000, 3)).astype(np.float32)  # splits of whole numbers fall on values
    state[:, 1] = random.random(2000)
    state[random.random(2000) < 0.1, 2] = np.nan
    outcome = random.random(2000) < 1 / (1 + np.exp(3 - state[:, 0]))
    forest = kind(30, max_depth=12, random_state=0).fit(state, outcome)
    fresh = np.vstack([state, random.random((500, 3)).astype(np.float32) * 9])
    fresh[::7, 0] = np.nan
    answers = booster_of(forest, NAMES).predict(xgboost.DMatrix(fresh, feature_names=NAMES))
    assert answers == pytest.approx(forest.predict_proba(fresh)[:, 1], abs=1e-6)


def test_contributions_add_up_to_the_answer() -> None:
    random = np.random.default_rng(0)
    state = random.random((1000, 3)).astype(np.float32)
    forest = ExtraTreesClassifier(10, max_depth=5, random_state=0).fit(state, random.random(1000) < state[:, 0])
    booster, matrix = booster_of(forest, NAMES), xgboost.DMatrix(state, feature_names=NAMES)
    for is_short in (True, False):
        parts = booster.predict(matrix, pred_contribs=True, approx_contribs=is_short)
        assert parts.sum(axis=1) == pytest.approx(booster.predict(matrix), abs=1e-5)
    assert np.abs(parts[:, 0]).mean() > 3 * np.abs(parts[:, 1:-1]).mean()


def test_a_tree_of_one_leaf_is_carried_too() -> None:
    state = np.zeros((10, 3), dtype=np.float32)
    forest = ExtraTreesClassifier(3, random_state=0).fit(state, np.arange(10) < 4)
    assert booster_of(forest, NAMES).predict(xgboost.DMatrix(state, feature_names=NAMES)) == pytest.approx(0.4)
