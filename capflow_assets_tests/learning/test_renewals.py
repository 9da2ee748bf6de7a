"""Planted laws of gaps are recovered, and the wait so far counts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import lognorm

from capflow_assets.learning.renewals import Gaps, Renewal, fit_renewal

HORIZON = 60.0
LAW = Renewal(level=3.0, spread=-1.0, level_weight=0.0, spread_weight=1.0, gone=-1.0, gone_slope=-1.0)


def gaps(count: float, median: float, variation: float, waited: float) -> Gaps:
    return Gaps(*(np.array([value]) for value in (count, median, variation, waited)))


def planted(size: int, seed: int = 0) -> tuple[Gaps, np.ndarray, np.ndarray]:
    """Subjects with a log-normal gap of their own, of whom some never come again; all waited less than they will."""
    random = np.random.default_rng(seed)
    count = random.integers(0, 12, size).astype(float)
    own = random.normal(3.0, 0.6, size)
    past = np.exp(own[:, None] + 0.4 * random.normal(size=(size, 12)))
    past[np.arange(12)[None, :] >= count[:, None]] = np.nan
    has_gap = count > 0
    median, variation = np.zeros(size), np.zeros(size)
    median[has_gap] = np.nanmedian(past[has_gap], axis=1)
    variation[has_gap] = np.nanstd(past[has_gap], axis=1) / np.nanmean(past[has_gap], axis=1)
    is_gone = random.random(size) < expit(-1.0 - 0.7 * np.log2(1 + count))
    gap = np.where(is_gone, np.inf, np.exp(own + 0.4 * random.normal(size=size)))
    waited = np.floor(random.uniform(0, 60, size))
    is_waiting = gap > waited
    taken = (gap - waited)[is_waiting]
    events = (taken <= HORIZON).astype(float)
    days = np.where(events > 0, np.ceil(np.minimum(taken, HORIZON)), HORIZON)
    known = Gaps(count[is_waiting], median[is_waiting], variation[is_waiting], waited[is_waiting])
    return known, events, days


def test_what_is_left_is_the_log_normal_given_the_wait() -> None:
    law = Renewal(3.0, -0.5, -30.0, 5.0, -40.0, 0.0)  # own gaps alone count; nobody is gone
    of_one = gaps(count=5, median=20.0, variation=0.0, waited=10.0)
    spread = law.usual(of_one)[1][0]
    expected = lognorm(spread, scale=20.0).sf(25.0) / lognorm(spread, scale=20.0).sf(10.0)
    assert law.survival(of_one, 15.0)[0] == pytest.approx(expected)


def test_quantiles_undo_what_is_left_and_end_where_the_rest_is_gone() -> None:
    known = planted(200)[0]
    for share in (0.1, 0.5, 0.9):
        days = LAW.quantile(known, share)
        is_finite = np.isfinite(days)
        assert LAW.survival(known, days)[is_finite] == pytest.approx(1 - share, abs=1e-6)
        assert (LAW.survival(known, 1e9)[~is_finite] >= 1 - share - 1e-6).all()


def test_the_longer_the_wait_beyond_the_usual_gap_the_likelier_a_subject_is_gone() -> None:
    chances = [LAW.survival(gaps(5, 20.0, 0.3, waited), 1e9)[0] for waited in (0.0, 20.0, 60.0, 200.0)]
    assert chances == sorted(chances)
    assert chances[0] < 0.1 < 0.9 < chances[-1]


def test_few_gaps_are_drawn_towards_everybodys() -> None:
    usual = [float(np.exp(LAW.usual(gaps(count, 100.0, 0.3, 0.0))[0][0])) for count in (0, 1, 10, 1000)]
    assert usual == pytest.approx([np.exp(3.0), np.exp((np.log(100) + 3) / 2), *usual[2:]])
    assert usual == sorted(usual)
    assert usual[-1] == pytest.approx(100.0, rel=0.01)


def test_planted_laws_are_recovered() -> None:
    known, events, days = planted(20_000)
    law = fit_renewal(known, events, days, seed=0)
    later, events, days = planted(20_000, seed=1)
    assert law.level == pytest.approx(3.0, abs=0.1)
    assert np.exp(law.spread) == pytest.approx(0.4, abs=0.1)
    assert np.exp(law.level_weight) == pytest.approx((0.4 / 0.6) ** 2, rel=0.5)
    chance = 1 - law.survival(later, HORIZON)
    for group in (later.count <= 2, later.count > 2):
        assert chance[group].mean() == pytest.approx(events[group].mean(), abs=0.03)
    order = np.argsort(chance)
    for tenth in np.array_split(order, 10):
        assert chance[tenth].mean() == pytest.approx(events[tenth].mean(), abs=0.06)


def test_a_sample_of_many_examples_is_drawn_by_the_seed() -> None:
    known, events, days = planted(40_000)
    assert events.size > 10_000
    one, other = (fit_renewal(known, events, days, seed=seed) for seed in (0, 1))
    assert one != other
    assert one.level == pytest.approx(other.level, abs=0.1)
