"""Reconciled forecasts are those of the least squares solved outright."""

from __future__ import annotations

import numpy as np

from capflow_assets.learning.reconciliation import Hierarchy, together
from capflow_assets.learning.weekly_demand import Demand

STORES, CATEGORIES = np.array([*"aabbb"], dtype=object), np.array([*"xyxyz"], dtype=object)


def chain(pieces: np.ndarray) -> Demand:
    return Demand(STORES, CATEGORIES, pieces, np.full(pieces.shape, 2.0), np.datetime64("2024-01-01"))


def test_reconciled_forecasts_are_the_weighted_least_squares() -> None:
    random = np.random.default_rng(0)
    hierarchy = Hierarchy.of(chain(np.ones((5, 3))))
    series = random.uniform(5, 9, (5, 3))
    sums = hierarchy.sums(series) + random.normal(size=(6, 3))
    adding = np.zeros((6, 5))
    for place, names in enumerate(["ax", "ay", "bx", "by", "bz"]):
        adding[[row for row, name in enumerate("abxyz") if name in names], place] = 1
    adding[5] = 1
    matrix, base = np.vstack([np.eye(5), adding]), np.vstack([series, sums])
    weight = np.diag(1 / matrix.sum(axis=1))
    expected = np.linalg.solve(matrix.T @ weight @ matrix, matrix.T @ weight @ base)
    np.testing.assert_allclose(hierarchy.reconciled(series, sums), expected, rtol=1e-9)
    agreeing = hierarchy.reconciled(series, hierarchy.sums(series))
    np.testing.assert_allclose(agreeing, series, rtol=1e-12)


def test_no_forecast_is_below_nothing() -> None:
    hierarchy = Hierarchy.of(chain(np.ones((5, 1))))
    assert (hierarchy.reconciled(np.ones((5, 1)), np.zeros((6, 1))) >= 0).all()
    assert hierarchy.reconciled(np.ones((5, 1)), np.full((6, 1), -20.0)).tolist() == [[0.0]] * 5


def test_sums_follow_the_series_and_each_row_knows_its_store_and_category() -> None:
    demand = chain(np.arange(10.0).reshape(5, 2))
    hierarchy = Hierarchy.of(demand)
    everything = together(demand, hierarchy)
    assert everything.pieces[5:, 0].tolist() == [0 + 2, 4 + 6 + 8, 0 + 4, 2 + 6, 8, 20]
    assert (everything.price == 2).all()
    store, category = hierarchy.store_and_category
    assert store.tolist() == [5, 5, 6, 6, 6, 5, 6, 10, 10, 10, 10]
    assert category.tolist() == [7, 8, 7, 8, 9, 10, 10, 7, 8, 9, 10]
