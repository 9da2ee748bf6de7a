"""Gamma-Gamma against its note, and its shrinkage by hand."""

from __future__ import annotations

import numpy as np
import pytest

from capflow_assets.errors import ModelError
from capflow_assets.learning.gamma_gamma import LEAST_USERS, GammaGamma, fit_gamma_gamma
from capflow_assets_tests.learning.cdnow import histories, purchase_days


def test_the_notes_figures_hold_on_cdnow() -> None:
    users = histories(purchase_days())
    model = fit_gamma_gamma(users["x"], users["spend"])
    assert model.users == 946
    assert (round(model.p, 2), round(model.q, 2), round(model.gamma, 2)) == (6.25, 3.74, 15.44)


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


def drawn(slope: float, users: int = 8_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Visits, average spend and frequency of users whose mean spend goes as the frequency to the power of a slope."""
    random = np.random.default_rng(2)
    frequency = random.gamma(1.5, 0.4, users) + 0.02
    visits = random.poisson(3 * frequency) + 1
    mean = 15.0 * frequency**slope / random.gamma(3.7, 1 / 6.25, users)
    return visits, mean * random.gamma(6.25 * visits, 1 / (6.25 * visits)), frequency


def test_spend_that_falls_with_frequency_is_expected_to() -> None:
    visits, average, frequency = drawn(-0.4)
    model = fit_gamma_gamma(visits, average, frequency)
    assert model.slope == pytest.approx(-0.4, abs=0.03)
    assert model.fall == pytest.approx(1 - 2**-0.4, abs=0.02)
    assert (model.p, model.q) == pytest.approx((6.25, 3.7), rel=0.1)
    # Of two of whom nothing else is known, the one who comes four times as often spends 4^-0.4 = 0.574 of the other.
    rare, often = model.expected_spend([0, 0], [np.nan, np.nan], [0.5, 2.0])
    assert often / rare == pytest.approx(0.574, rel=0.05)


@pytest.mark.parametrize("slope", [0.0, 0.4])
def test_spend_that_does_not_fall_is_that_of_the_plain_model(slope: float) -> None:
    visits, average, frequency = drawn(slope)
    plain, model = fit_gamma_gamma(visits, average), fit_gamma_gamma(visits, average, frequency)
    assert (model.slope, model.fall) == (0.0, 0.0)
    assert (model.p, model.q, model.gamma) == (plain.p, plain.q, plain.gamma)


def test_an_average_of_nothing_is_nothing_rather_than_unknown() -> None:
    model = GammaGamma(p=6.0, q=4.0, gamma=15.0, log_likelihood=0.0, users=100)
    # 6 * 15 / (6 * 2 + 4 - 1) = 6, and ever less with more visits; 30 where nothing is known.
    assert model.expected_spend([2, 97, 2], [0.0, 0.0, np.nan]).tolist() == [6.0, 90 / 585, 30.0]
