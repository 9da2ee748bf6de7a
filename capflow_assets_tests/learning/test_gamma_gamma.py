"""Gamma-Gamma against its note, and its shrinkage by hand."""

from __future__ import annotations

import numpy as np
import pytest

from capflow_assets.errors import ModelError
from capflow_assets.learning.gamma_gamma import LEAST_USERS, GammaGamma, fit_gamma_gamma
from capflow_assets_tests.learning.cdnow import histories, purchase_days


def test_the_notes_figures_hold_on_cdnow() -> None:
    users = histories(purchase_days())
    found = fit_gamma_gamma(users["x"], users["spend"])
    assert found.users == 946
    assert (round(found.p, 2), round(found.q, 2), round(found.gamma, 2)) == (6.25, 3.74, 15.44)


def test_spend_is_pulled_towards_the_mean() -> None:
    model = GammaGamma(p=6.0, q=4.0, gamma=15.0, log_likelihood=0.0, users=100)
    assert model.mean_spend == 30.0
    # 6 * (15 + 2 * 100) / (6 * 2 + 4 - 1) = 86
    assert model.expected_spend([2, 0, 2, 2], [100.0, 100.0, np.nan, -4.0]).tolist() == [86.0, 30.0, 30.0, 30.0]


def test_too_few_users_are_refused() -> None:
    few = LEAST_USERS - 1
    with pytest.raises(ModelError, match=str(few)):
        fit_gamma_gamma(np.ones(few + 2), np.r_[np.full(few, 9.0), -1.0, np.nan])


def test_users_who_differ_without_bound_are_refused() -> None:
    random = np.random.default_rng(0)
    with pytest.raises(ModelError, match="q above 1"):
        fit_gamma_gamma(np.full(500, 5), 1 / random.gamma(0.5, 1.0, 500))
