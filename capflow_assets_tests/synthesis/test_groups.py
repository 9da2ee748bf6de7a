from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capflow_assets.synthesis.figures import FIGURES, NO_HASH, STORED, TICKS
from capflow_assets.synthesis.groups import Groups, in_ticks
from capflow_assets.synthesis.kernels import places, whole_ticks
from capflow_assets.synthesis.primitives import AGGREGATIONS

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


def grouped(groups: list[list[int | None]]) -> Groups:
    of_row = np.array([place for place, values in enumerate(groups) for _ in values], dtype=np.int32)
    return Groups.of(of_row, np.arange(len(of_row)), len(groups))


def numbers(groups: list[list[int | None]]) -> Any:
    return np.array([[math.nan if value is None else value for values in groups for value in values]], dtype=np.float64)


def hashes(groups: list[list[int | None]]) -> Any:
    return np.array([NO_HASH if value is None else value for values in groups for value in values], dtype=np.int64)


def figure(name: str, groups: list[list[int | None]]) -> Any:
    aggregation, of = AGGREGATIONS[name], grouped(groups)
    if aggregation.takes == "row":
        return of.counted()[0]
    if aggregation.takes == "category":
        return of.different(hashes(groups))[0]
    return of.summed(numbers(groups))[0][FIGURES.index(aggregation.figure)]


@given(groups=GROUPS)
@pytest.mark.parametrize("name", AGGREGATIONS)
def test_each_figure_is_what_python_makes_of_each_group(name: str, groups: list[list[int | None]]) -> None:
    expected = [BY_HAND[name](values) for values in groups]
    assert figure(name, groups).tolist() == pytest.approx(expected, rel=1e-12, nan_ok=True)


@given(groups=st.lists(GROUPS, max_size=5))
@pytest.mark.parametrize("name", ["sum", "mean", "std", "min", "max"])
def test_figures_of_groups_of_groups_are_those_of_all_their_rows(name: str, groups: Any) -> None:
    parts = [values for several in groups for values in several]
    sums = grouped(parts).summed(numbers(parts), figures=STORED)[0]
    figures = grouped(groups).merged(sums)[0][FIGURES.index(AGGREGATIONS[name].figure)]
    expected = [BY_HAND[name]([value for values in several for value in values]) for several in groups]
    # A deviation is as exact as the squares of the largest numbers allow.
    assert figures.tolist() == pytest.approx(expected, rel=1e-9, abs=1e-3, nan_ok=True)


@given(groups=GROUPS, beside=GROUPS)
def test_a_group_s_figures_do_not_depend_on_what_lies_beside_it(groups: Any, beside: Any) -> None:
    """To the last bit, so that a moment's features are the same whatever other moments and users are asked for."""
    for name in AGGREGATIONS:
        there = figure(name, [*beside, *groups, *beside])[len(beside) : len(beside) + len(groups)]
        assert np.array_equal(figure(name, groups), there, equal_nan=True)


@given(groups=GROUPS)
def test_figures_of_a_bill_are_rounded_to_whole_ticks(groups: Any) -> None:
    names = ("total", "least", "greatest", "mean", "deviation")
    ticks = in_ticks(grouped(groups).summed(numbers(groups), figures=STORED)[0], names)
    exact = grouped(groups).summed(numbers(groups))[0][[FIGURES.index(name) for name in names]]
    expected = [[whole_ticks(value, 1) for value in values] for values in exact.tolist()]
    assert np.array_equal(ticks, np.array(expected).reshape(ticks.shape), equal_nan=True)


def test_one_value_has_no_deviation_and_equal_ones_have_none_at_all() -> None:
    tenth = int(whole_ticks(0.1, TICKS))
    assert np.array_equal(figure("std", [[5], [tenth] * 7]), [math.nan, 0.0], equal_nan=True)


@given(rows=st.lists(st.tuples(st.integers(-1, 4), st.integers(-3, 3)), max_size=60))
def test_rows_are_put_in_groups_and_in_order(rows: list[tuple[int, int]]) -> None:
    group, place = (np.array([row[of] for row in rows], dtype=kind) for of, kind in ((0, np.int32), (1, np.int64)))
    ordered = Groups.of(group, place, 5)
    for number, (begin, end) in enumerate(zip(ordered.begins, ordered.ends, strict=True)):
        # Rows of one place stay as they came.
        expected = sorted((row for row in range(len(rows)) if rows[row][0] == number), key=lambda row: rows[row][1])
        assert ordered.rows[begin:end].tolist() == expected


@given(rows=st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=60), chosen=st.lists(st.integers(0, 4)))
def test_some_groups_of_some_rows(rows: list[tuple[int, bool]], chosen: list[int]) -> None:
    groups = Groups.of(np.array([group for group, _ in rows], dtype=np.int32), np.arange(len(rows)), 5)
    ordered = groups.some(np.array(chosen, dtype=np.int64)).where(np.array([kept for _, kept in rows], dtype=bool))
    for number, begin, end in zip(chosen, ordered.begins, ordered.ends, strict=True):
        assert ordered.rows[begin:end].tolist() == [
            row for row, (group, kept) in enumerate(rows) if group == number and kept
        ]


@given(among=st.sets(st.integers(-9, 9)), hashes=st.lists(st.integers(-9, 9)))
def test_places_are_where_hashes_stand(among: set[int], hashes: list[int]) -> None:
    known, positions = list(among), np.zeros(len(hashes), np.int32)
    places(np.array(hashes, dtype=np.int64), np.array(known, dtype=np.int64), positions)
    assert positions.tolist() == [known.index(value) if value in among else -1 for value in hashes]
