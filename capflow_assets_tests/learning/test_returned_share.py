"""The share that comes back: planted laws recovered, and its shrinkage by hand."""

from __future__ import annotations

import numpy as np
import pytest

from capflow_assets.learning.returned_share import ReturnedShare, fit_returned_share


def test_a_planted_law_is_recovered() -> None:
    random = np.random.default_rng(1)
    visits = random.integers(1, 30, 20_000)
    came_back = random.binomial(visits, random.beta(0.4, 2.0, visits.size))
    model = fit_returned_share(visits, came_back / visits)
    assert (model.returned, model.kept) == pytest.approx((0.4, 2.0), rel=0.05)
    assert model.mean == pytest.approx(0.4 / 2.4, rel=0.03)


def test_the_own_share_counts_for_more_the_more_visits_there_were() -> None:
    # (1 + 4) / (1 + 3 + 4); a share above 1 counts as 1; nothing is known of the last two.
    shares = ReturnedShare(1.0, 3.0).expected([4, 4, 0, 4], [1.0, 7.0, 1.0, np.nan])
    assert shares.tolist() == [0.625, 0.625, 0.25, 0.25]


def test_where_nobody_returns_nothing_comes_back() -> None:
    model = fit_returned_share([3, 1, 0], [0.0, 0.0, np.nan])
    assert model.expected([0, 5], [np.nan, 0.0]).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("share", [[1.0, 1.0, 1.0], [0.5, 0.5, 0.5], [1.0, 0.0, 0.0]])
def test_odd_shares_are_fitted(share: list[float]) -> None:
    expected = fit_returned_share([2, 5, 9], share).expected([0, 2, 900], [np.nan, 0.3, 0.9])
    assert np.isfinite(expected).all()
    assert ((expected >= 0) & (expected <= 1)).all()


def test_nobody_is_nobody() -> None:
    assert fit_returned_share([], []).mean == 0.0
