"""Deviances as scikit-learn has them, and forecasts that are mended."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import d2_tweedie_score, mean_tweedie_deviance

from capflow_assets.learning.amounts import (
    AmountCalibrator,
    deviance_saved,
    fit_amount_bands,
    fit_amount_calibrator,
    total_error_by_tenths,
    tweedie_deviance,
)


def spends(size: int = 20_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The mean spend of each subject, and what it spent: nothing, or an amount around its own."""
    random = np.random.default_rng(seed)
    chance, amount = random.uniform(0.05, 0.9, size), random.gamma(3.0, 20.0, size)
    spent = (random.random(size) < chance) * random.gamma(4.0, amount / 4.0)
    return chance * amount, spent


@pytest.mark.parametrize("power", [1.2, 1.5, 1.9])
def test_the_deviance_is_that_of_scikit_learn(power: float) -> None:
    mean, spent = spends(500)
    assert tweedie_deviance(spent, mean, power).mean() == pytest.approx(mean_tweedie_deviance(spent, mean, power=power))


def test_the_share_that_is_explained_is_that_of_scikit_learn() -> None:
    mean, spent = spends(500)
    assert deviance_saved(spent, mean).mean() == pytest.approx(d2_tweedie_score(spent, mean, power=1.5))


def test_the_true_mean_explains_most() -> None:
    mean, spent = spends()
    best = deviance_saved(spent, mean).mean()
    for other in (mean * 0.7, mean * 1.4, mean**0.5, np.full_like(mean, mean.mean())):
        assert deviance_saved(spent, other).mean() < best


def test_a_forecast_of_nothing_is_wrong_and_not_infinitely_so() -> None:
    saved = deviance_saved([0.0, 5.0, 10.0], [0.0, 0.0, 10.0])
    assert np.isfinite(saved).all()
    assert saved[1] < 0 < saved[0]


@pytest.mark.parametrize("spent", [[], [0.0, 0.0], [3.0, 3.0]])
def test_where_all_spend_the_same_there_is_nothing_to_explain(spent: list[float]) -> None:
    assert np.isnan(deviance_saved(spent, np.ones(len(spent)))).all()


def test_totals_that_are_right_by_tenths_have_no_error_beyond_chance() -> None:
    mean, spent = spends(100_000)
    assert total_error_by_tenths(spent, mean) < 0.01
    assert total_error_by_tenths(spent, 1.5 * mean) == pytest.approx(0.5, abs=0.03)
    # The total is right, and who spends it is not.
    assert total_error_by_tenths(spent, mean.mean() + 0 * mean + np.arange(mean.size) * 1e-9) < 0.02
    assert total_error_by_tenths(spent, mean**2 * (mean.sum() / (mean**2).sum())) > 0.2


def test_a_total_of_nothing_is_infinitely_far_from_a_forecast_of_something() -> None:
    assert total_error_by_tenths([0.0, 0.0], [1.0, 1.0]) == float("inf")
    assert total_error_by_tenths([0.0, 0.0], [0.0, 0.0]) == 0.0


def test_the_calibrator_finds_the_level_and_the_spread() -> None:
    mean, spent = spends()
    bent = 3.0 * mean**0.5
    calibrator = fit_amount_calibrator(spent, bent)
    assert calibrator.slope == pytest.approx(2.0, rel=0.06)
    assert calibrator.apply(bent).sum() == pytest.approx(spent.sum(), rel=0.03)
    assert (np.diff(calibrator.apply(np.sort(bent))) >= 0).all()


def test_where_nobody_spent_forecasts_stay_as_they_are() -> None:
    assert fit_amount_calibrator([0.0, 0.0], [1.0, 2.0]) == AmountCalibrator(0.0, 1.0)


def test_four_of_five_later_amounts_lie_in_the_bands() -> None:
    (mean, _), random = spends(), np.random.default_rng(1)
    first, later = (mean * random.lognormal(0.0, 0.5, mean.size) for _ in range(2))
    bands = fit_amount_bands(first, mean)
    low, high = bands.of(mean)
    assert ((low <= later) & (later <= high)).mean() == pytest.approx(0.8, abs=0.01)
    assert bands.edges.size == 9
    assert np.median(high / mean) == pytest.approx(np.exp(0.5 * 1.2816), rel=0.05)


def test_few_examples_make_one_group() -> None:
    bands = fit_amount_bands([0.0, 2.0, 4.0], [1.0, 2.0, 3.0])
    assert bands.edges.size == 0
    assert bands.of([2.0])[1][0] == pytest.approx(8 / 3)
