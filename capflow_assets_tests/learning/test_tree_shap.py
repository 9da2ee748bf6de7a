"""Contributions by tables are those of XGBoost's own code, whatever the trees look like."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xgboost

from capflow_assets.learning.tree_shap import MANY_ROWS, by_xgboost, contributions, tables_of


def rows(count: int, seed: int = 0, columns: int = 5) -> pd.DataFrame:
    """Numbers of few and of many values, one in ten of them unknown."""
    random = np.random.default_rng(seed)
    values = random.gamma(2.0, 30.0, (count, columns))
    values[:, 0] = np.floor(values[:, 0] / 20)
    values[random.random(values.shape) < 0.1] = np.nan
    return pd.DataFrame(values, columns=[f"c{place}" for place in range(columns)])


def grown(state: pd.DataFrame, rounds: int = 20, **settings: object) -> xgboost.Booster:
    random = np.random.default_rng(1)
    drive = state["c0"].fillna(3) - state["c1"].fillna(50) / 30 + state["c2"].isna() * 2
    label = (random.random(len(state)) < 1 / (1 + np.exp(-drive))).astype(float)
    usual = {"objective": "binary:logistic", "nthread": 1, "min_child_weight": 1}
    return xgboost.train({**usual, **settings}, xgboost.DMatrix(state, label=label), rounds)


@pytest.mark.parametrize("depth", [1, 2, 4, 7])
@pytest.mark.parametrize("objective", ["binary:logistic", "reg:tweedie"])
def test_they_are_those_of_xgboost(depth: int, objective: str) -> None:
    state = rows(3000)
    trees = grown(state, max_depth=depth, objective=objective)
    tables = tables_of(trees)
    assert tables is not None
    exact = by_xgboost(trees, state)
    ours = tables.contributions(state.to_numpy())
    assert np.abs(exact).max() > 0.1
    np.testing.assert_allclose(ours, exact, atol=2e-5)


def test_one_column_that_is_split_again_and_again() -> None:
    state = rows(2000)[["c1"]].assign(c0=3.0, c2=1.0)[["c0", "c1", "c2"]]
    trees = grown(state, max_depth=5)
    tables = tables_of(trees)
    assert tables is not None
    np.testing.assert_allclose(tables.contributions(state.to_numpy()), by_xgboost(trees, state), atol=2e-5)


def test_trees_without_a_split_give_nothing() -> None:
    state = rows(200)
    tables = tables_of(grown(state, min_child_weight=1e6))
    assert tables is not None
    assert not tables.contributions(state.to_numpy()).any()
    assert tables.contributions(state.head(0).to_numpy()).shape == (0, 5)


def test_values_at_a_threshold_and_beyond_all_of_them() -> None:
    state = rows(2000)
    trees = grown(state, max_depth=3)
    tables = tables_of(trees)
    assert tables is not None
    edges = np.unique(tables.lows[np.isfinite(tables.lows)]).astype(float)
    odd = np.concatenate([edges, np.nextafter(edges.astype(np.float32), np.float32(-1)), [0.0, -1e9, 1e9, np.nan]])
    states = pd.DataFrame(dict.fromkeys(state.columns, odd))
    np.testing.assert_allclose(tables.contributions(states.to_numpy()), by_xgboost(trees, states), atol=2e-5)


def test_many_rows_are_explained_alike_by_any_number_of_threads_and_in_any_company() -> None:
    state = rows(25_000)
    trees = grown(state)
    many = contributions(trees, state, threads=3)
    np.testing.assert_array_equal(many, contributions(trees, state, threads=1))
    few = contributions(trees, state.iloc[: MANY_ROWS - 1])
    np.testing.assert_allclose(few, many[: MANY_ROWS - 1], atol=2e-5)
    np.testing.assert_array_equal(many[7000:17_000], contributions(trees, state.iloc[7000:17_000]))


def test_what_is_too_large_or_no_plain_tree_is_left_to_xgboost() -> None:
    wide = rows(6000, columns=14)
    assert tables_of(grown(wide, rounds=40, max_depth=13, min_child_weight=0)) is None
    state = rows(MANY_ROWS).fillna(0)
    dropped = grown(state, booster="dart")
    assert tables_of(dropped) is None
    np.testing.assert_array_equal(contributions(dropped, state), by_xgboost(dropped, state))
