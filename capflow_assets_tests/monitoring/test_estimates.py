"""The estimate of scores alone agrees with drawn outcomes and with scikit-learn, and says when it is blind."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from capflow_assets.learning.intervals import Interval
from capflow_assets.monitoring.estimates import blindness, expected_roc_auc, histogram, with_past_errors


def test_a_histogram_keeps_the_mean_of_each_bin() -> None:
    scores = histogram(np.array([0.001, 0.003, 0.5, 1.0, np.nan]))
    assert scores.size == 4
    assert (scores.counts[0], scores.counts[128], scores.counts[255]) == (2, 1, 1)
    assert scores.means[0] == pytest.approx(0.002)
    assert scores.means[1] == pytest.approx(1.5 / 256)


def test_the_expected_area_by_hand() -> None:
    """Two at 0.2 and one at 0.8: pos 0.4 and 0.8, neg 1.6 and 0.2; 0.4 x 0.8 + 0.8 x (1.6 + 0.1) of 1.2 x 1.8."""
    area = expected_roc_auc(histogram(np.array([0.2, 0.2, 0.8])))
    assert area is not None
    assert area.value == pytest.approx((0.4 * 0.8 + 0.8 * 1.7) / (1.2 * 1.8))


def test_it_is_what_honest_chances_have_on_the_mean_and_within_its_interval() -> None:
    """Outcomes are drawn by the chances a hundred times; the area of each is scikit-learn's."""
    random = np.random.default_rng(1)
    chances = random.beta(0.6, 3.0, 4000)
    estimate = expected_roc_auc(histogram(chances))
    assert estimate is not None
    areas = np.array([roc_auc_score(random.random(4000) < chances, chances) for _ in range(100)])
    assert estimate.value == pytest.approx(areas.mean(), abs=0.004)
    within = (areas > estimate.low) & (areas < estimate.high)
    assert within.mean() >= 0.9


def test_nobody_expected_has_no_area() -> None:
    assert expected_roc_auc(histogram(np.zeros(5))) is None
    assert expected_roc_auc(histogram(np.array([]))) is None


def test_past_errors_widen_the_interval() -> None:
    """Half of 0.04 is 0.02, and 1.96 x 0.03 = 0.0588; together 0.0621."""
    wider = with_past_errors(Interval(0.8, 0.78, 0.82), [0.03, -0.03])
    assert (wider.value, wider.low, wider.high) == (
        0.8,
        pytest.approx(0.7379, abs=1e-4),
        pytest.approx(0.8621, abs=1e-4),
    )
    assert with_past_errors(Interval(0.8, 0.78, 0.82), []) == Interval(0.8, 0.78, 0.82)


@pytest.mark.parametrize(
    ("metric", "changes", "words"),
    [
        ("rmse", {}, "rmse cannot be told of scores alone"),
        ("roc_auc", {"are_chances": False}, "its scores are no chances"),
        ("roc_auc", {"is_calibrated": False}, "its chances are off, as the newest outcomes show"),
        ("roc_auc", {"moved": 0.6}, "columns with 60% of the model's weight have moved"),
        (
            "roc_auc",
            {"errors": [0.01]},
            "estimates were checked against outcomes on 1 of the 2 nights needed to trust them",
        ),
        ("roc_auc", {}, ""),
    ],
)
def test_it_says_when_it_is_blind(metric: str, changes: dict[str, object], words: str) -> None:
    sound: dict[str, object] = {"are_chances": True, "is_calibrated": None, "moved": 0.0, "errors": [0.01, 0.02]}
    reason = blindness(metric, **(sound | changes))  # type: ignore[arg-type]
    assert reason.startswith(words)
    assert bool(reason) == bool(words)
