"""Calibrators mend what was bent; errors by hand."""

from __future__ import annotations

from collections.abc import Callable

import cloudpickle
import numpy as np
import pytest
from scipy.special import expit, logit

from capflow_assets.errors import ModelError
from capflow_assets.learning.calibration import KINDS, fit_calibrator
from capflow_assets.learning.calibration_errors import (
    expected_calibration_error,
)


def bent(size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes, overconfident scores, and the true chances."""
    random = np.random.default_rng(seed)
    truth = expit(random.normal(-1.0, 1.0, size))
    return (random.random(size) < truth).astype(float), expit(2 * logit(truth) + 0.7), truth


@pytest.mark.parametrize("size", [800, 20_000])
def test_a_bent_score_is_mended(size: int) -> None:
    actual, score, _ = bent(size)
    calibrator = fit_calibrator(actual, score)
    fresh, fresh_score, truth = bent(20_000, seed=1)
    assert calibrator.kind == "platt", "the bend is a line in log-odds, whatever the number of rows"
    assert expected_calibration_error(fresh, fresh_score) > 0.08
    assert np.mean(np.abs(calibrator.apply(fresh_score) - truth)) < 0.025
    assert calibrator.describe()["rows"] == size


@pytest.mark.parametrize(
    ("kind", "bend"),
    [
        ("none", lambda truth: truth),
        ("platt", lambda truth: expit(2 * logit(truth) + 0.7)),
        # c = 0 and different slopes: log(1 - s) alone is bent, which no line in log-odds mends
        ("beta", lambda truth: 1 - (1 - truth) ** 0.25),
        ("isotonic", lambda truth: 0.3 + 0.4 * truth + 0.25 * (truth > 0.25)),
    ],
)
def test_the_simplest_way_that_mends_a_bend_is_chosen(kind: str, bend: Callable[[np.ndarray], np.ndarray]) -> None:
    actual, _, truth = bent(30_000)
    calibrator = fit_calibrator(actual, bend(truth))
    *_, fresh_truth = bent(30_000, seed=1)
    assert calibrator.kind == kind
    assert np.mean(np.abs(calibrator.apply(bend(fresh_truth)) - fresh_truth)) < 0.015
    assert list(calibrator.losses) == list(KINDS)


def test_with_few_of_an_outcome_nothing_is_chosen_and_two_numbers_are_fitted() -> None:
    actual, score, _ = bent(30_000)
    few = np.concatenate([np.flatnonzero(actual > 0)[:49], np.flatnonzero(actual == 0)])
    assert fit_calibrator(actual[few], score[few]).kind == "platt"
    assert not fit_calibrator(actual[few], score[few]).losses


def test_the_order_of_the_rows_is_irrelevant() -> None:
    actual, score, _ = bent(3000)
    order = np.random.default_rng(1).permutation(3000)
    one, other = fit_calibrator(actual, score), fit_calibrator(actual[order], score[order])
    assert other.kind == one.kind
    assert other.losses == pytest.approx(one.losses, rel=1e-6)
    assert other.apply([0.2, 0.9]) == pytest.approx(one.apply([0.2, 0.9]), rel=1e-4)


def test_beta_calibration_is_a_logistic_regression_on_two_logs() -> None:
    from sklearn.linear_model import LogisticRegression

    actual, score, _ = bent(5000)
    calibrator = fit_calibrator(actual, score, kinds=("beta",))
    terms = np.column_stack([np.log(score), -np.log1p(-score)])
    other = LogisticRegression(C=1e9, tol=1e-8, max_iter=1000).fit(terms, actual)
    assert [calibrator.slope, calibrator.other_slope] == pytest.approx(other.coef_[0], rel=0.02)
    assert calibrator.apply(score) == pytest.approx(other.predict_proba(terms)[:, 1], abs=0.002)


@pytest.mark.parametrize("kind", KINDS)
def test_order_is_kept_and_chances_stay_inside(kind: str) -> None:
    actual, score, _ = bent(3000)
    calibrator = fit_calibrator(actual, score, kinds=(kind,))
    chances = calibrator.apply(np.linspace(0, 1, 1001))
    assert calibrator.kind == kind
    assert (np.diff(chances) > 0).all()
    assert chances.min() > 0
    assert chances.max() < 1


def test_scores_the_wrong_way_round_are_not_turned() -> None:
    actual = np.repeat([1.0, 0.0], 50)
    calibrated = fit_calibrator(actual, np.linspace(0.1, 0.9, 100)).apply([0.1, 0.9])
    assert calibrated == pytest.approx([0.5, 0.5], abs=0.01)


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
