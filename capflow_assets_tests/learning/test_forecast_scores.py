"""Scores by hand: two stores, A of 3 bills a day and B of 1, two days each."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pandas as pd
import pytest

from capflow_assets.contract import Metric
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.forecast_scores import (
    coverage,
    coverage_rule,
    interval_columns,
    weighted_scaled_error,
    with_outcomes,
)
from capflow_assets.learning.intervals import score_with_interval

FIRST, SECOND = date(2024, 3, 30), date(2024, 3, 31)
METRIC = weighted_scaled_error(("bills",), "bills_day_avg")


def rows(*values: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(list(values)).set_index("store_id")


def answer(store: str, day: date, bills: float, half: float, error: float, size: float) -> dict[str, Any]:
    ends = {"bills_low_80": bills - half, "bills_high_80": bills + half}
    return {"store_id": store, "day": day, "bills": bills, **ends, "bills_naive_error": error, "bills_day_avg": size}


ANSWERS = rows(
    answer("B", SECOND, 1.0, 0.5, 0.5, 1.0),
    answer("A", FIRST, 4.0, 1.0, 2.0, 3.0),
    answer("A", SECOND, 2.0, 1.0, 2.0, 3.0),
    answer("B", FIRST, 1.0, 1.0, 0.5, 1.0),
)
# B sold nothing on the first day, C was not asked about, A's third day is beyond the horizon.
OUTCOMES = rows(
    {"store_id": "A", "day": SECOND, "bills": 4.0},
    {"store_id": "A", "day": FIRST, "bills": 5.0},
    {"store_id": "B", "day": SECOND, "bills": 3.0},
    {"store_id": "C", "day": SECOND, "bills": 9.0},
    {"store_id": "A", "day": date(2024, 4, 1), "bills": 99.0},
)


def by_store(metric: Metric, outcomes: pd.DataFrame, answers: pd.DataFrame, column: str) -> dict[str, float]:
    assert metric.by_subject is not None
    return metric.by_subject(outcomes, answers)[column].groupby(level="store_id").mean().to_dict()


def test_the_error_of_each_store_is_in_units_of_its_own_past() -> None:
    """A errs by 1 and 2, in units of 2; B by 1 and 2, in units of a half."""
    assert by_store(METRIC, OUTCOMES, ANSWERS, "value") == {"A": 0.75, "B": 3.0}
    assert by_store(METRIC, OUTCOMES, ANSWERS, "weight") == {"A": 3.0, "B": 1.0}
    assert METRIC.compute(OUTCOMES, ANSWERS) == pytest.approx((3 * 0.75 + 3.0) / 4)
    assert not METRIC.higher_is_better


def test_several_measures_count_alike() -> None:
    answers = ANSWERS.assign(amount=ANSWERS["bills"], amount_naive_error=1.0)
    outcomes = OUTCOMES.assign(amount=OUTCOMES["bills"])
    both = weighted_scaled_error(("bills", "amount"), "bills_day_avg")
    assert by_store(both, outcomes, answers, "value") == {"A": (0.75 + 1.5) / 2, "B": (3.0 + 1.5) / 2}


def test_of_few_stores_their_weeks_are_drawn_and_of_many_the_stores() -> None:
    """A store that errs by 1 in the first week and by 3 in the second: alone it has an interval, not a point."""
    days = [FIRST + timedelta(days=number) for number in range(14)]
    errs = [1.0] * 7 + [3.0] * 7
    one = rows(*(answer("A", day, 5.0 + err, 1.0, 1.0, 2.0) for day, err in zip(days, errs, strict=True)))
    outcomes = rows(*({"store_id": name, "day": day, "bills": 5.0} for name in "ABCDEFGH" for day in days))
    alone = score_with_interval(METRIC, outcomes, one, seed=0)
    assert alone == (2.0, 1.0, 3.0)
    many = pd.concat([one.rename(index={"A": name}) for name in "ABCDEFGH"])
    assert score_with_interval(METRIC, outcomes, many, seed=0) == (2.0, 2.0, 2.0)


def test_coverage_counts_the_days_inside_weighted_by_store() -> None:
    """Inside: A's first day, at the very end; B's first, likewise. Outside: A's second and B's second."""
    assert coverage(("bills",), "bills_day_avg", 80)(OUTCOMES, ANSWERS) == pytest.approx(0.5)
    only_a = OUTCOMES[OUTCOMES["bills"] != 3.0].assign(bills=lambda frame: frame["bills"].replace(4.0, 3.0))
    assert coverage(("bills",), "bills_day_avg", 80)(only_a, ANSWERS) == pytest.approx((3 + 3 + 1) / 8)


def test_outcomes_stand_beside_answers_in_their_order() -> None:
    days = with_outcomes(OUTCOMES, ANSWERS, ("bills",))
    assert days.index.tolist() == ["B", "A", "A", "B"]
    assert days["bills_outcome"].tolist() == [3.0, 5.0, 4.0, 0.0]


def test_bounds_of_coverage_are_two_deviations_of_as_many_draws_as_days() -> None:
    eighty, ninety_five = (coverage_rule(("bills",), "bills_day_avg", level, 28) for level in (80, 95))
    assert (eighty.at_least, eighty.at_most) == (0.65, 0.95)
    assert (ninety_five.at_least, ninety_five.at_most) == (0.87, 1.0)
    assert (eighty.name, eighty.otherwise) == ("coverage_80", "ask")


def test_stores_that_count_nothing_are_nothing_to_judge_by() -> None:
    nothing = ANSWERS.assign(bills_day_avg=0.0)
    with pytest.raises(EvidenceError, match="nothing to judge by"):
        METRIC.compute(OUTCOMES, nothing)


def test_interval_columns_are_named_by_end_and_level() -> None:
    names = [column.name for column in interval_columns("bills", "bills", "bills")]
    assert names == ["bills_low_80", "bills_high_80", "bills_low_95", "bills_high_95"]
