from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capflow_assets.features._groups import UNKNOWN, Grouped, Groups, ticks
from capflow_assets.features._primitives import AGGREGATIONS

NUMBERS = st.one_of(st.none(), st.integers(-(10**12), 10**12), st.sampled_from((0, 7)))
GROUPS = st.lists(st.lists(NUMBERS, max_size=12), max_size=8)


def known_of(values: list[int | None]) -> list[int]:
    return [value for value in values if value is not None]


def unless_empty(make: Callable[[list[int]], float], least: int = 1) -> Callable[[list[int | None]], float]:
    return lambda values: make(known_of(values)) if len(known_of(values)) >= least else math.nan


BY_HAND: dict[str, Callable[[list[int | None]], float]] = {
    "count": len,
    "sum": lambda values: sum(known_of(values)),
    "mean": unless_empty(statistics.fmean),
    "std": unless_empty(statistics.stdev, 2),
    "min": unless_empty(min),
    "max": unless_empty(max),
    "last": lambda values: math.nan if not values or values[-1] is None else values[-1],
    "share_true": unless_empty(statistics.fmean),
    "n_unique": lambda values: len(set(known_of(values))),
}


def grouped(groups: list[list[int | None]], kind: str) -> Grouped:
    unknown, dtype = (UNKNOWN, np.int64) if kind == "category" else (math.nan, np.float64)
    values = [unknown if value is None else value for values in groups for value in values]
    of_row = [place for place, values in enumerate(groups) for _ in values]
    return Grouped(np.array(values, dtype=dtype), Groups(np.array(of_row, dtype=np.int64), len(groups)))


@given(groups=GROUPS)
@pytest.mark.parametrize("name", AGGREGATIONS)
def test_each_figure_is_what_python_makes_of_each_group(name: str, groups: list[list[int | None]]) -> None:
    aggregation = AGGREGATIONS[name]
    if aggregation.takes == "category":
        groups = [[None if value is None else abs(value) % 5 for value in values] for values in groups]
    made = aggregation.figure(grouped(groups, aggregation.takes))
    expected = [BY_HAND[name](values) for values in groups]
    assert made.tolist() == pytest.approx(expected, rel=1e-12, nan_ok=True)


@given(groups=GROUPS, beside=GROUPS)
def test_a_group_s_figures_do_not_depend_on_what_lies_beside_it(groups: Any, beside: Any) -> None:
    """To the last bit, so that a moment's features are the same whatever other moments and users are asked for."""
    alone, among = grouped(groups, "number"), grouped([*beside, *groups, *beside], "number")
    for aggregation in AGGREGATIONS.values():
        if aggregation.takes == "number":
            there = aggregation.figure(among)[len(beside) : len(beside) + len(groups)]
            assert np.array_equal(aggregation.figure(alone), there, equal_nan=True)


def test_one_value_has_no_deviation_and_equal_ones_have_none_at_all() -> None:
    tenths = ticks(np.full(7, 0.1)).tolist()
    assert np.array_equal(grouped([[5], tenths], "number").deviation, [math.nan, 0.0], equal_nan=True)
