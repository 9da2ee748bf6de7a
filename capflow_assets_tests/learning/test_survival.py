"""The order of censored times by brute force, and planted spreads that are recovered."""

from __future__ import annotations

import numpy as np
import pytest

from capflow_assets.errors import EvidenceError
from capflow_assets.learning.survival import (
    LogLogistic,
    concordance,
    coverage_beyond_promise,
    fit_log_logistic,
    log_likelihood,
)

HORIZON = 60.0


def by_pairs(events: np.ndarray, days: np.ndarray, score: np.ndarray) -> float:
    """Harrell's C as its definition has it, pair by pair."""
    right = pairs = 0.0
    for one in range(events.size):
        for other in range(events.size):
            is_first = days[one] < days[other] or (days[one] == days[other] and not events[other])
            if events[one] and is_first:
                pairs += 1
                right += (score[one] > score[other]) + 0.5 * (score[one] == score[other])
    return right / pairs


def times(size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Who came, after how many days (the horizon's for who did not), and what the median was by its logarithm."""
    random = np.random.default_rng(seed)
    log_days = random.normal(3.5, 1.0, size)
    taken = np.exp(log_days + 0.6 * random.logistic(size=size))
    events = (taken <= HORIZON).astype(float)
    return events, np.where(events > 0, np.ceil(taken), HORIZON), log_days


@pytest.mark.parametrize("seed", range(5))
def test_concordance_is_that_of_all_pairs(seed: int) -> None:
    random = np.random.default_rng(seed)
    events, days = (random.random(80) < 0.6).astype(float), random.integers(1, 15, 80)
    score = random.integers(0, 12, 80).astype(float)
    assert concordance(events, days, score)(np.ones(80)) == pytest.approx(by_pairs(events, days, score))


def test_rows_that_count_twice_are_as_rows_that_stand_twice() -> None:
    random = np.random.default_rng(1)
    events, days, score = (random.random(60) < 0.5).astype(float), random.integers(1, 9, 60), random.random(60).round(1)
    counts = random.integers(0, 4, 60)
    repeated = np.repeat(np.arange(60), counts)
    expected = by_pairs(events[repeated], days[repeated], score[repeated])
    assert concordance(events, days, score)(counts.astype(float)) == pytest.approx(expected)


def test_the_perfect_order_is_one_and_its_reverse_zero() -> None:
    events, days, _ = times(500)
    assert concordance(events, days, -days)(np.ones(500)) == pytest.approx(1.0, abs=0.02)
    days = np.arange(500.0)
    assert concordance(np.ones(500), days, -days)(np.ones(500)) == 1.0
    assert concordance(np.ones(500), days, days)(np.ones(500)) == 0.0


@pytest.mark.parametrize("size", [0, 1, 5])
def test_where_nobody_came_there_is_no_order(size: int) -> None:
    of_counts = concordance(np.zeros(size), np.full(size, 9.0), np.arange(float(size)))
    with pytest.raises(EvidenceError, match="order of times"):
        of_counts(np.ones(size))


def test_a_planted_spread_is_recovered_though_many_times_are_not_over() -> None:
    events, days, log_days = times(20_000)
    assert events.mean() < 0.75
    # The forecasts are of another scale than the medians.
    times_of = fit_log_logistic(events, days, (log_days - 1) / 2)
    assert times_of.scale == pytest.approx(2.0, rel=0.05)
    assert times_of.level == pytest.approx(1.0, abs=0.1)
    low, high = (times_of.quantile((log_days - 1) / 2, share) for share in (0.1, 0.9))
    # Between the tenth and the ninetieth percentile lie twice the log-odds of 0.9.
    assert np.median(np.log(high / low) / (2 * np.log(9))) == pytest.approx(0.6, rel=0.05)


def test_quantiles_undo_what_is_left() -> None:
    law, log_days = LogLogistic(0.3, 1.1, -0.5, 0.1), np.linspace(0, 6, 7)
    for share in (0.1, 0.5, 0.9):
        assert law.survival(log_days, law.quantile(log_days, share)) == pytest.approx(1 - share)
    assert law.survival(log_days, 0.0) == pytest.approx(1.0)


def test_the_likelihood_is_that_of_each_day() -> None:
    def left(days: np.ndarray) -> np.ndarray:
        return np.asarray(0.9**days)

    expected = np.mean([np.log(0.9**2 - 0.9**3), np.log(0.9**5)])
    assert log_likelihood(left, np.array([1.0, 0.0]), np.array([3.0, 5.0])) == pytest.approx(expected)


def test_intervals_hold_what_they_promise() -> None:
    events, days, log_days = times(20_000)
    law, horizon = LogLogistic(0.0, 1.0, np.log(0.6), 0.0), np.full(events.size, HORIZON)
    chance = 1 - law.survival(log_days, HORIZON)
    ends = [law.quantile(log_days, share) for share in (0.1, 0.9)]
    assert coverage_beyond_promise(events, days, *ends, chance, horizon) == pytest.approx(0.0, abs=0.01)
    narrow = [law.quantile(log_days, share) for share in (0.4, 0.6)]
    assert coverage_beyond_promise(events, days, *narrow, chance, horizon) < -0.1
    wide = [law.quantile(log_days, share) for share in (0.001, 0.999)]
    assert coverage_beyond_promise(events, days, *wide, chance, horizon) > 0.02


def test_nobody_who_came_is_nothing_to_learn_from() -> None:
    with pytest.raises(EvidenceError, match="Times cannot be learned"):
        fit_log_logistic(np.zeros(9), np.full(9, HORIZON), np.ones(9))
