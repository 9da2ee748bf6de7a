"""Levels by hand; and trees that learn what is the same in all series."""

from __future__ import annotations

import numpy as np
import pytest

from capflow_assets.learning.demand_estimators import NAMES, GlobalTrees, Smoothing, smoothed
from capflow_assets.learning.weekly_demand import Demand

SETTINGS = {"tree_method": "hist", "learning_rate": 0.1, "max_depth": 4, "seed": 0, "nthread": 1}


def test_smoothing_goes_by_the_rate_that_erred_least() -> None:
    """Rising by one each week, the fastest rate of 0.8 follows best; up and down around 5, the slowest does."""
    rising, noise = np.arange(13.0), np.array([5.0, *[4.0, 6.0] * 6])
    by_hand = 0.0
    for week in rising[1:]:
        by_hand += 0.8 * (week - by_hand)
    levels = smoothed(np.stack([rising, noise]))
    assert levels[0, -1] == pytest.approx(by_hand)
    slow = 5.0
    for week in noise[1:]:
        slow += 0.02 * (week - slow)
    assert levels[1, -1] == pytest.approx(slow)
    # The level after a week does not know the weeks after it.
    np.testing.assert_array_equal(smoothed(rising[None, :6]), levels[:1, :6])


def chain(pieces: np.ndarray, price: np.ndarray) -> Demand:
    stores = np.array(["s1", "s1", "s2", "s2"] * (len(pieces) // 4), dtype=object)
    categories = np.array([f"c{number}" for number in np.arange(len(pieces)) // 4 * 2 + np.arange(len(pieces)) % 2])
    return Demand(stores, categories.astype(object), pieces, price, np.datetime64("2024-06-01"))


def test_trees_foresee_a_season_that_all_series_share() -> None:
    """Demand swings by half over the year; what is missed is half of what smoothing misses at most."""
    random = np.random.default_rng(0)
    season = 1 + 0.5 * np.sin(2 * np.pi * np.arange(150) / 52.18)
    mean = random.uniform(40, 400, 40)[:, None] * season
    now = chain(random.poisson(mean).astype(float), np.full(mean.shape, 2.0)).until(12)
    trees = GlobalTrees.fitted(now, 6, SETTINGS, 100).forecast(now, 6)
    missed = [np.abs(pieces - mean[:, 138:144]).sum() for pieces in (trees, Smoothing().forecast(now, 6))]
    assert missed[0] < missed[1] / 2


def test_trees_learn_from_prices() -> None:
    """Three weeks at a third off sell twice as much, then as before: told the prices, trees know which weeks were."""
    random = np.random.default_rng(0)
    weeks, begins = np.arange(100), random.integers(0, 12, 200)
    is_reduced = (weeks - begins[:, None]) % 12 < 3
    mean = np.where(is_reduced, 80.0, 40.0)
    pieces, price = random.poisson(mean).astype(float), np.where(is_reduced, 2.0, 3.0)
    blind, informed = (chain(pieces, prices).until(6) for prices in (np.full(price.shape, 3.0), price))
    errors = [
        np.abs(GlobalTrees.fitted(demand, 6, SETTINGS, 60).forecast(demand, 6) - mean[:, -6:]).sum()
        for demand in (informed, blind)
    ]
    assert errors[0] < errors[1]


def test_a_short_history_can_be_learned_from() -> None:
    pieces = np.random.default_rng(1).poisson(20, (4, 18)).astype(float)
    demand = chain(pieces, np.full(pieces.shape, np.nan))
    forecast = GlobalTrees.fitted(demand, 6, SETTINGS, 20).forecast(demand, 6)
    assert forecast.shape == (4, 6)
    assert (np.abs(forecast - 20) < 10).all()
    assert len(set(NAMES)) == len(NAMES)
