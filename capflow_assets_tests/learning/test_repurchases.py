"""The hazard by another program, and its laws recovered from draws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import lognorm

from capflow_assets.learning.repurchases import Hazard, Waits, fit_hazard, shrunken


def waits(count: int, waited: float | np.ndarray = 10.0, gaps: float = 0.0) -> Waits:
    full = np.full
    waited = np.broadcast_to(waited, count).astype(float)
    return Waits(
        full(count, gaps), full(count, np.log(20)), full(count, 0.04), waited, full(count, np.log(30)), np.zeros(count)
    )


def test_without_own_gaps_it_is_the_law_of_the_item_given_the_wait() -> None:
    # The item's level is sure, and nothing is given up.
    hazard = Hazard(np.log(0.5), 30.0, 30.0, -30.0, 0.0, 0.0)
    law = lognorm(0.5, scale=30)
    assert hazard.survival(waits(1), 15.0)[0] == pytest.approx(law.sf(25) / law.sf(10))
    assert hazard.due(waits(1))[0] == pytest.approx(law.ppf(1 - law.sf(10) / 2) - 10)


def test_own_gaps_draw_it_to_themselves() -> None:
    hazard = Hazard(np.log(0.5), np.log(4.0), 0.0, -30.0, 0.0, 0.0)
    mean, _ = hazard.usual(waits(1, gaps=12.0))
    assert np.exp(mean[0]) == pytest.approx(30 ** (4 / 16) * 20 ** (12 / 16))


def test_who_waits_for_long_may_never_buy_it_again() -> None:
    hazard = Hazard(np.log(0.5), 30.0, 30.0, 0.0, 0.0, 0.0)
    left = hazard.survival(waits(3, np.array([0.0, 30.0, 300.0])), 3650.0)
    assert left[0] == pytest.approx(0.5, abs=1e-6)
    assert (np.diff(left) > 0).all()
    assert left[1] == pytest.approx(0.5 / (0.5 + 0.5 * 0.5), abs=1e-6)


def test_the_laws_are_recovered() -> None:
    """A fifth is never bought again, gaps of the rest are 30 days with a deviation of 0.4."""
    random = np.random.default_rng(0)
    drawn = np.where(random.random(8000) < 0.2, np.inf, 30 * np.exp(0.4 * random.standard_normal(8000)))
    waited = random.uniform(0, 60, 8000)
    is_left = drawn > waited
    ahead = np.ceil(drawn[is_left] - waited[is_left])
    bought = (ahead <= 28).astype(float)
    hazard = fit_hazard(waits(is_left.sum(), waited[is_left]), bought, np.minimum(ahead, 28.0), seed=0)
    state = waits(1, 0.0)
    _, spread = hazard.usual(state)
    assert spread[0] == pytest.approx(0.4, abs=0.04)
    assert hazard.survival(state, 3650.0)[0] == pytest.approx(0.2, abs=0.03)


def test_few_of_an_item_count_little_against_its_group() -> None:
    sums, counts, group = np.array([300.0, 4.0, 0.0]), np.array([100.0, 1.0, 0.0]), np.array([0, 1, 1])
    everything = 304 / 101
    first, second = (300 + 10 * everything) / 110, (4 + 10 * everything) / 11
    expected = [(300 + 10 * first) / 110, (4 + 10 * second) / 11, second]
    np.testing.assert_allclose(shrunken(sums, counts, group), expected)
