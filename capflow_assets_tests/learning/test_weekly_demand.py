"""Weeks, levels and the naive forecast, by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd

from capflow_assets.learning.weekly_demand import (
    Demand,
    demand_of,
    level,
    naive,
    naive_error,
    naive_lag,
    week_ends,
)


def chain(pieces: np.ndarray) -> Demand:
    names = np.array([f"s{number}" for number in range(len(pieces))], dtype=object)
    return Demand(names, names, pieces, np.full(pieces.shape, 2.0), np.datetime64("2024-01-01"))


def test_rows_become_series_and_weeks_without_a_row_sold_nothing() -> None:
    rows = [("s", "tea", 0, 4.0, 2.0), ("s", "jam", 2, 1.0, None), ("r", "tea", 1, 3.0, 5.0)]
    frame = pd.DataFrame(rows, columns=["store_id", "category", "week", "pieces", "price_avg"])
    # Half past eleven at night in UTC is the next day in Madrid.
    demand = demand_of(frame, datetime(2024, 3, 10, 23, 30, tzinfo=UTC), "Europe/Madrid")
    assert list(zip(demand.stores, demand.categories, strict=True)) == [("r", "tea"), ("s", "jam"), ("s", "tea")]
    assert demand.pieces.tolist() == [[0.0, 3.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 4.0]]
    np.testing.assert_array_equal(demand.price, [[np.nan, 5.0, np.nan], [np.nan] * 3, [np.nan, np.nan, 2.0]])
    assert [str(day) for day in week_ends(demand, 2)] == ["2024-03-18", "2024-03-25"]
    assert demand.until(1).pieces.tolist() == [[0.0, 3.0], [1.0, 0.0], [0.0, 0.0]]
    assert [str(day) for day in week_ends(demand.until(1), 1)] == ["2024-03-11"]
    assert len(demand_of(frame[:0], datetime(2024, 3, 10, tzinfo=UTC), "UTC")) == 0


def test_names_of_series_do_not_run_into_each_other() -> None:
    stores, categories = np.array(["a, b", "a"], dtype=object), np.array(["c", "b, c"], dtype=object)
    demand = Demand(stores, categories, np.ones((2, 1)), np.ones((2, 1)), np.datetime64("2024-01-01"))
    assert len(set(demand.names)) == 2


def test_the_naive_week_is_that_of_last_year_where_it_was_nearer() -> None:
    wave = np.tile(np.sin(np.arange(130) * 2 * np.pi / 52) * 10 + 20, (5, 1))
    assert naive_lag(chain(wave), 4) == 52
    assert naive(chain(wave), 52, 2)[0].tolist() == wave[0, [78, 79]].tolist()
    steps = np.tile(np.repeat([1.0, 50.0], 65), (5, 1))
    assert naive_lag(chain(steps), 4) == 1
    assert naive(chain(steps), 1, 2).tolist() == [[50.0, 50.0]] * 5
    assert naive_lag(chain(wave[:, :30]), 4) == 1


def test_the_unit_of_an_error_is_the_change_from_week_to_week() -> None:
    steady, moving = np.full(30, 4.0), np.tile([1.0, 3.0], 15)
    assert naive_error(chain(np.stack([steady, moving]))).tolist() == [4.0, 2.0]
    assert level(chain(np.zeros((1, 20)))).tolist() == [1 / 52]
