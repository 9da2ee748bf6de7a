"""Which columns stand for others."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from capflow_assets.learning.redundancy import constant_columns, stand_ins


def test_the_one_that_is_most_related_to_the_outcome_stands_for_its_kind() -> None:
    random = np.random.default_rng(0)
    outcome = random.integers(0, 2, 2000)
    sharp = outcome + random.normal(size=2000)
    blurred = sharp + random.normal(0, 0.2, 2000)
    columns = pd.DataFrame({"blurred": blurred, "falling": -np.exp(sharp), "sharp": sharp, "own": random.random(2000)})
    stands = stand_ins(columns, outcome)
    # Of two that order alike, though in opposite directions, the first is kept.
    assert {name: other.column for name, other in stands.items()} == {"blurred": "falling", "sharp": "falling"}
    assert stands["sharp"].correlation == -1.0
    assert abs(stands["blurred"].correlation + spearmanr(blurred, sharp).statistic) < 1e-3


def test_less_correlated_columns_both_stay() -> None:
    random = np.random.default_rng(1)
    first = random.normal(size=500)
    columns = pd.DataFrame({"first": first, "second": first + random.normal(0, 0.5, 500)})
    assert stand_ins(columns, first > 0) == {}
    assert list(stand_ins(columns, first > 0, least_correlation=0.8)) == ["second"]


def test_a_column_known_of_few_does_not_stand_for_one_known_of_all() -> None:
    random = np.random.default_rng(2)
    full = random.normal(size=1000)
    columns = pd.DataFrame({"full": full, "partly": np.where(random.random(1000) < 0.5, full, np.nan)})
    assert stand_ins(columns, full > 0) == {}
    both_unknown = columns.assign(again=columns["partly"] * 3)
    assert list(stand_ins(both_unknown, full > 0)) == ["again"]


def test_empty_and_infinite_columns_are_no_trouble() -> None:
    columns = pd.DataFrame({"empty": [np.nan] * 6, "endless": [np.inf, 1, 2, 3, 4, 5], "one": [1.0] * 6})
    assert stand_ins(columns, np.array([0, 0, 0, 1, 1, 1])) == {}
    assert constant_columns(columns) == ["empty", "one"]
