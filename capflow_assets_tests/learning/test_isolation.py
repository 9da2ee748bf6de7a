"""Forests score as scikit-learn's do."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest as Grown

from capflow_assets.learning.isolation import grow_forest


@pytest.mark.parametrize("rows", [10, 200, 3_000])
def test_scores_are_those_of_scikit_learn(rows: int) -> None:
    values = np.random.default_rng(0).normal(size=(rows, 4))
    expected = -Grown(n_estimators=20, max_samples=min(256, rows), random_state=3).fit(values).score_samples(values)
    assert grow_forest(values, trees=20, seed=3).scores(values) == pytest.approx(expected)


def test_a_row_far_from_all_stands_first() -> None:
    values = np.vstack([np.random.default_rng(0).normal(size=(500, 3)), [[9.0, -9.0, 9.0]]])
    assert np.argmax(grow_forest(values, trees=50, seed=0).scores(values)) == 500


def test_nobody_is_scored_where_there_is_nobody() -> None:
    values = np.random.default_rng(0).normal(size=(50, 3))
    assert grow_forest(values, trees=5, seed=0).scores(values[:0]).size == 0
