"""Calibrators mend what was bent; errors by hand."""

from __future__ import annotations

import cloudpickle
import numpy as np
import pytest
from scipy.special import expit, logit

from capflow_assets.errors import ModelError
from capflow_assets.learning.calibration import (
    calibration_table,
    expected_calibration_error,
    fit_calibrator,
    order_error,
    ratio_error,
)


def bent(size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes, overconfident scores, and the true chances."""
    random = np.random.default_rng(seed)
    truth = expit(random.normal(-1.0, 1.0, size))
    return (random.random(size) < truth).astype(float), expit(2 * logit(truth) + 0.7), truth


@pytest.mark.parametrize(("size", "kind"), [(800, "platt"), (20_000, "isotonic")])
def test_a_bent_score_is_mended(size: int, kind: str) -> None:
    actual, score, _ = bent(size)
    calibrator = fit_calibrator(actual, score)
    fresh, fresh_score, truth = bent(20_000, seed=1)
    assert calibrator.kind == kind
    assert expected_calibration_error(fresh, fresh_score) > 0.08
    assert np.mean(np.abs(calibrator.apply(fresh_score) - truth)) < 0.025
    assert calibrator.describe()["rows"] == size


@pytest.mark.parametrize("least", [1, 10**9])
def test_order_is_kept_and_chances_stay_inside(least: int) -> None:
    actual, score, _ = bent(3000)
    found = fit_calibrator(actual, score, least_for_isotonic=least).apply(np.linspace(0, 1, 1001))
    assert (np.diff(found) > 0).all()
    assert found.min() > 0
    assert found.max() < 1


def test_scores_the_wrong_way_round_are_not_turned() -> None:
    actual = np.repeat([1.0, 0.0], 50)
    found = fit_calibrator(actual, np.linspace(0.1, 0.9, 100)).apply([0.1, 0.9])
    assert found == pytest.approx([0.5, 0.5], abs=0.01)


def test_separable_scores_keep_a_finite_slope() -> None:
    calibrator = fit_calibrator([0, 0, 0, 1, 1], [0.1, 0.2, 0.3, 0.8, 0.9])
    assert np.isfinite(calibrator.slope)
    # Platt's targets: (2 + 1) / (2 + 2) and 1 / (3 + 2)
    assert calibrator.apply([0.8, 0.9]).mean() == pytest.approx(3 / 4, abs=0.03)
    assert calibrator.apply([0.1, 0.2, 0.3]).mean() == pytest.approx(1 / 5, abs=0.03)


def test_one_outcome_cannot_be_calibrated() -> None:
    with pytest.raises(ModelError, match="both outcomes"):
        fit_calibrator([0, 0], [0.1, 0.2])


def test_a_stored_calibrator_is_the_same() -> None:
    actual, score, _ = bent(20_000)
    calibrator = fit_calibrator(actual, score)
    again = cloudpickle.loads(cloudpickle.dumps(calibrator))
    assert np.array_equal(calibrator.apply(score), again.apply(score))


def test_expected_calibration_error_by_hand() -> None:
    # low half: 0.2 predicted, 0 of 2 came; high half: 0.7 predicted, 2 of 2 came
    assert expected_calibration_error([0, 0, 1, 1], [0.1, 0.3, 0.6, 0.8], bins=2) == pytest.approx(0.25)
    assert np.isnan(expected_calibration_error([1.0], [np.nan]))


def test_the_table_has_bins_of_equal_mass() -> None:
    table = calibration_table(np.zeros(103), np.linspace(0, 1, 103))
    assert len(table) == 10
    assert set(table["users"]) == {10, 11}
    assert table["predicted_mean"].is_monotonic_increasing
    assert calibration_table([1.0, 0.0], [0.5, np.inf])["users"].tolist() == [1]


def test_ratio_error() -> None:
    assert ratio_error([10, 10], [12, 13]) == pytest.approx(0.25)
    assert ratio_error([0, 0], [0, 0]) == 0
    assert ratio_error([0, 0], [0, 1]) == float("inf")


def test_order_error_by_hand() -> None:
    # 4 before 2 with weights 1 and 3: the isotonic mean is 2.5; |4 - 2.5| + 3 |2 - 2.5| = 3, of 2 * (4 + 6)
    assert order_error([4.0, 2.0], [1, 3]) == pytest.approx(3 / 20)
    assert order_error([1.0, 2.0, 2.0], [5, 1, 1]) == 0
    assert order_error([0.0, 0.0], [5, 1]) == 0
    assert order_error([7.0], [5]) == 0
