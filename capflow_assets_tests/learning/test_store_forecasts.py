from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from capflow_assets.learning.forecasting import METHODS
from capflow_assets.learning.store_forecasts import (
    History,
    average_bill,
    choose_methods,
    forecast_stores,
    histories,
)

ZONE = "Europe/Madrid"
# The last minute of 30 June in Madrid.
NIGHT = datetime(2024, 6, 30, 21, 59, tzinfo=UTC)
NOON = datetime(2024, 6, 30, 10, tzinfo=UTC)
TODAY = date(2024, 6, 30)
COLUMNS = ("day", "bills", "amount", "bills_low_95", "bills_high_95", "amount_low_80", "amount_high_80", "method")


def rows(store: str, bills: list[float], last: date = TODAY, value: float = 10.0) -> list[dict[str, Any]]:
    first = last - timedelta(days=len(bills) - 1)
    return [
        {"store_id": store, "day": first + timedelta(days=number), "bills": count, "amount": count * value}
        for number, count in enumerate(bills)
    ]


def frame(*parts: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame([row for part in parts for row in part])


def history(bills: list[float] | np.ndarray, value: float = 10.0) -> History:
    counts = np.asarray(bills, dtype=float)
    return History(counts, counts * value, TODAY, TODAY)


def answers(stores: dict[str, History], methods: tuple[str, ...] = tuple(METHODS), days: int = 28) -> pd.DataFrame:
    chosen = choose_methods(stores, days, 2, methods, 300)
    return forecast_stores(stores, pd.Index(sorted(stores)), chosen, days, COLUMNS)


def test_histories_end_alike_and_have_no_gaps() -> None:
    known = frame(rows("A", [1, 2, 3]), rows("B", [5.0], date(2024, 6, 28))).sample(frac=1, random_state=1)
    stores = histories(known[known["day"] != date(2024, 6, 29)], NIGHT, ZONE)
    assert stores["A"].bills.tolist() == [1, 0, 3]
    assert stores["A"].amount.tolist() == [10, 0, 30]
    assert stores["B"].bills.tolist() == [5, 0, 0]
    assert {one.last for one in stores.values()} == {TODAY}


def test_a_day_that_is_not_over_is_left_out_unless_it_is_a_stores_first() -> None:
    stores = histories(frame(rows("A", [4, 4, 1]), rows("new", [2.0])), NOON, ZONE)
    assert stores["A"].bills.tolist() == [4, 4]
    assert stores["A"].last == date(2024, 6, 29)
    assert stores["new"].bills.tolist() == [2]


def test_the_last_hour_is_that_of_the_customers_clock() -> None:
    """At 21:59 UTC it is nearly midnight in Madrid, and the afternoon in New York."""
    assert histories(frame(rows("A", [4, 4, 1])), NIGHT, ZONE)["A"].bills.tolist() == [4, 4, 1]
    assert histories(frame(rows("A", [4, 4, 1])), NIGHT, "America/New_York")["A"].bills.tolist() == [4, 4]


def test_no_rows_are_no_stores() -> None:
    assert histories(frame(rows("A", [1.0]))[:0], NIGHT, ZONE) == {}


def test_days_ahead_are_those_after_the_moments_own_though_the_feed_ended_before() -> None:
    """The last known day is Thursday the 27th; the forecast begins with Monday, the 1st of July."""
    week = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]  # Friday to Thursday
    stores = histories(frame(rows("A", week * 2, date(2024, 6, 27))), NIGHT, ZONE)
    ahead = answers(stores, ("seasonal_naive",), 7)
    assert ahead["day"].tolist() == [date(2024, 7, 1) + timedelta(days=number) for number in range(7)]
    assert ahead["bills"].tolist() == [4, 5, 6, 7, 1, 2, 3]


def test_the_amount_is_bills_times_the_average_bill_of_13_weeks() -> None:
    bills = np.full(182, 2.0)
    store = History(bills, np.repeat([2 * 50.0, 2 * 8.0], 91), TODAY, TODAY)
    assert average_bill(store) == 8
    ahead = answers({"A": store})
    assert ahead["amount"].tolist() == pytest.approx([16.0] * 28)
    assert average_bill(history([0.0] * 91 + [0.0] * 91)) == 1
    assert average_bill(history([3.0] + [0.0] * 91)) == 10


def test_errors_of_amounts_take_the_average_bill_as_it_was_known_then() -> None:
    """Bills never err; the average bill doubles in the last four weeks, by which amounts alone are scattered."""
    bills = np.resize([3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 2.0], 140)
    amount = bills * np.where(np.arange(140) < 112, 10.0, 20.0)
    chosen = choose_methods({"A": History(bills, amount, TODAY, TODAY)}, 28, 1, ("seasonal_naive",), 300)
    assert chosen.bills.pooled == 0
    level = bills[-91:].mean()
    assert chosen.amount.pooled**2 == pytest.approx((bills[-28:] ** 2).sum() / ((bills[-28:] + level) / 2).sum())


def test_the_best_method_is_chosen_store_by_store() -> None:
    random = np.random.default_rng(0)
    profile = np.array([4.0, 5.0, 6.0, 8.0, 12.0, 20.0, 1.0])
    stores = {
        "levels": history(np.repeat([5.0, 5, 5, 5, 30, 30, 30, 30, 12, 12, 12, 12], 14)),
        "steady": history(random.poisson(np.resize(profile, 400))),
        "thin": history(random.poisson(0.2, 400)),
    }
    chosen = choose_methods(stores, 28, 2, tuple(METHODS), 300)
    assert chosen.methods["levels"] == "seasonal_naive"
    assert chosen.methods["steady"] in {"weekday_mean", "ets", "mstl"}
    assert chosen.methods["thin"] == "weekday_mean"
    assert sum(count for name, count in chosen.summary().items() if name.startswith("stores_by")) == 3


def test_methods_are_compared_for_the_largest_stores_alone() -> None:
    levels = np.repeat([5.0, 5, 5, 5, 30, 30, 30, 30, 12, 12, 12, 12], 14)
    stores = {"large": history(levels * 2), "small": history(levels)}
    chosen = choose_methods(stores, 28, 2, tuple(METHODS), 1)
    assert chosen.methods == {"large": "seasonal_naive", "small": "weekday_mean"}


@pytest.mark.parametrize(
    "bills",
    [
        [1.0, 1.0, 1.0],
        [5.0],
        [0.0] * 5,
        [3.0, 0.0, 4.0, 2.0, 6.0],
        [9.0, 8.0, 7.0] * 60 + [0.0] * 183,
        [9.0, 8.0, 7.0] * 60 + [0.0] * 183 + [9.0, 8.0, 7.0],
        [1.0] + [0.0] * 400 + [1.0] + [0.0] * 300 + [1.0],
    ],
    ids=["three bills", "opened today", "only zeros", "opened this week", "closed", "open again", "gaps"],
)
@pytest.mark.parametrize("others", [False, True], ids=["alone", "among others"])
def test_any_store_is_answered(bills: list[float], others: bool) -> None:
    stores = {"odd": history(bills)}
    if others:
        stores["usual"] = history(np.random.default_rng(0).poisson(9, 300))
    odd = answers(stores).loc[["odd"]]
    numbers = odd.drop(columns=["day", "method"]).to_numpy(dtype=float)
    assert len(odd) == 28
    assert np.isfinite(numbers).all()
    assert (numbers >= 0).all()
    assert (odd["bills_low_95"] <= odd["bills"]).all()
    assert (odd["bills"] <= odd["bills_high_95"]).all()
    assert odd["bills"].max() <= max(bills)


def test_a_store_that_closed_is_expected_to_stay_closed() -> None:
    closed = answers({"A": history([9.0] * 180 + [0.0] * 183)})
    assert closed[["bills", "amount", "bills_high_95", "amount_high_80"]].to_numpy().tolist() == [[0.0] * 4] * 28


def test_a_store_that_was_not_there_when_methods_were_chosen_goes_by_its_weekdays() -> None:
    random = np.random.default_rng(0)
    usual = history(random.poisson(9, 300))
    chosen = choose_methods({"usual": usual}, 28, 2, tuple(METHODS), 300)
    ahead = forecast_stores({"new": history([4.0] * 14)}, pd.Index(["new", "unknown"]), chosen, 28, COLUMNS)
    assert set(ahead.index) == {"new"}
    assert ahead["bills"].tolist() == [4.0] * 28
    assert (ahead["bills_high_95"] > 4).all()
    naive = choose_methods({"usual": usual}, 28, 2, ("seasonal_naive",), 300)
    again = forecast_stores({"new": history([4.0] * 14)}, pd.Index(["new"]), naive, 28, COLUMNS)
    assert set(again["method"]) == {"seasonal_naive"}


def test_nobody_asked_about_is_an_empty_answer_of_the_same_columns() -> None:
    chosen = choose_methods({"A": history([4.0] * 90)}, 28, 2, tuple(METHODS), 300)
    empty = forecast_stores({"A": history([4.0] * 90)}, pd.Index([]), chosen, 28, COLUMNS)
    assert empty.empty
    assert tuple(empty.columns) == COLUMNS
    assert empty.index.name == "store_id"
