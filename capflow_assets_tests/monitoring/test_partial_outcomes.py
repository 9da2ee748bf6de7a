"""Half-grown outcomes: what they say is held against horizons that are let grow to their end, and against counting."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from capflow_assets.monitoring.partial_outcomes import Growth, PartialArea, growth_of, partial_roc_auc

HORIZON = 28.0


def grown(part: float, seed: int, users: int = 5000, is_lost: bool = False) -> tuple[PartialArea | None, float]:
    """What is said once ``part`` of a horizon is over, and scikit-learn's area at its end.

    Users come at rates of their own; scores know them with noise, or not at all where what was learned ``is_lost``.
    """
    random = np.random.default_rng(seed)
    rates = random.gamma(0.6, 0.6 / HORIZON, users)
    scores = 1 - np.exp(-HORIZON * rates * random.lognormal(0, 0.5, users))
    if is_lost:
        random.shuffle(scores)
    past = [random.exponential(1 / rates) for _ in range(4)]
    growth = growth_of([(float((day <= part * HORIZON).mean()), float((day <= HORIZON).mean())) for day in past])
    days = random.exponential(1 / rates)
    assert growth is not None
    return partial_roc_auc(scores, days <= part * HORIZON, growth), float(roc_auc_score(days <= HORIZON, scores))


@pytest.mark.parametrize("part", [0.25, 0.5, 0.75])
def test_the_interval_holds_what_the_horizon_ends_with(part: float) -> None:
    answers = [grown(part, seed) for seed in range(40)]
    within = [one is not None and one.interval.low <= area <= one.interval.high for one, area in answers]
    assert np.mean(within) >= 0.9
    errors = [one.interval.value - area for one, area in answers if one is not None]
    assert abs(np.mean(errors)) < 0.012


def test_the_interval_narrows_as_the_horizon_fills_and_ends_as_the_live_figure() -> None:
    reaches = []
    for part in (0.2, 0.4, 0.6, 0.8, 1.0):
        said, area = grown(part, seed=7)
        assert said is not None
        reaches.append(said.interval.high - said.interval.low)
    assert reaches == sorted(reaches, reverse=True)
    assert said.interval.value == pytest.approx(area, abs=1e-9)
    assert said.come_pct == pytest.approx(100)


def test_scores_that_no_longer_hold_are_seen_though_they_promise_much() -> None:
    said, area = grown(0.3, seed=3, is_lost=True)
    assert said is not None
    assert said.interval.low < 0.5 < said.interval.high
    assert area == pytest.approx(0.5, abs=0.03)


def test_pairs_counted_one_by_one() -> None:
    """Half of a horizon is over. Of 40 users at 0.2 ten have come, of 40 at 0.8 thirty: 1 - 0.75² and 1 - 0.25²."""
    scores = np.repeat([0.2, 0.8], 40)
    has_come = np.r_[np.arange(40) < 10, np.arange(40) < 30]
    chances = np.where(has_come, 1.0, np.repeat([(0.4375 * 40 - 10) / 30, (0.9375 * 40 - 30) / 10], 40))
    pairs = wins = 0.0
    for one in range(80):
        for other in range(80):
            weight = chances[one] * (1 - chances[other])
            pairs += weight
            wins += weight * (scores[one] > scores[other]) + weight * 0.5 * (scores[one] == scores[other])
    said = partial_roc_auc(scores, has_come, Growth(0.5, 0.0, 2))
    assert said is not None
    assert said.interval.value == pytest.approx(wins / pairs)
    assert said.come_pct == pytest.approx(100 * 40 / (40 * 0.4375 + 40 * 0.9375))


def test_growth_needs_two_horizons_and_few_outcomes_say_nothing() -> None:
    assert growth_of([(0.1, 0.2)]) is None
    assert growth_of([(0.1, 0.2), (0.0, 0.2), (0.2, 0.1)]) is None
    assert partial_roc_auc(np.linspace(0, 1, 100), np.arange(100) >= 90, Growth(0.5, 0.0, 2)) is None


def test_who_was_settled_before_counts_for_the_area_alone() -> None:
    """Of 40 at 0.2 twenty were settled and half of the others have come; of 40 at 0.8 thirty of those not settled."""
    scores = np.repeat([0.2, 0.8], 40)
    was_settled = np.r_[np.arange(40) < 20, np.zeros(40, dtype=bool)]
    has_come = np.r_[np.arange(40) < 30, np.arange(40) < 30]
    chances = np.where(has_come, 1.0, np.repeat([(0.75 * 20 - 10) / 10, (0.9375 * 40 - 30) / 10], 40))
    weights = chances[:, None] * (1 - chances)[None, :]
    wins = (scores[:, None] > scores[None, :]) + 0.5 * (scores[:, None] == scores[None, :])
    said = partial_roc_auc(scores, has_come, Growth(0.5, 0.0, 2), was_settled)
    assert said is not None
    assert said.interval.value == pytest.approx(float((weights * wins).sum() / weights.sum()))
    assert said.come_pct == pytest.approx(100 * 40 / (15 + 37.5))
