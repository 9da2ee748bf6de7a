"""Intervals cover the truth about as often as they say, compare in pairs, and refuse what has no answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Metric
from capflow_assets.errors import ModelError
from capflow_assets.learning import intervals
from capflow_assets.learning.intervals import difference_with_interval, score_with_interval
from capflow_assets.learning.metrics import aligned, roc_auc


def absolute_error(labels: pd.DataFrame, predictions: pd.DataFrame) -> float:
    actual, forecast = aligned(labels, predictions, "purchases", "score")
    return float(np.mean(np.abs(forecast - actual)))


ERROR = Metric("mae", absolute_error, False, "Mean absolute error.")


def frames(size: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    random = np.random.default_rng(seed)
    return pd.DataFrame({"purchases": random.exponential(1.0, size)}), pd.DataFrame({"score": np.zeros(size)})


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    found = [score_with_interval(ERROR, *frames(400, seed), seed=seed) for seed in range(100)]
    covered = sum(each.low <= 1.0 <= each.high for each in found)
    assert 85 <= covered <= 100
    assert np.mean([each.high - each.low for each in found]) == pytest.approx(2 * 1.96 / 20, rel=0.15)


def test_a_capped_resample_is_as_wide_as_a_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, predictions = frames(4000, 1)
    whole = score_with_interval(ERROR, labels, predictions, seed=0, replicates=600)
    monkeypatch.setattr(intervals, "MOST_ROWS", 500)
    capped = score_with_interval(ERROR, labels, predictions, seed=0, replicates=600)
    assert capped.value == whole.value
    assert capped.high - capped.low == pytest.approx(whole.high - whole.low, rel=0.2)


def test_the_same_seed_gives_the_same_interval() -> None:
    labels, predictions = frames(200, 1)
    assert score_with_interval(ERROR, labels, predictions, 7) == score_with_interval(ERROR, labels, predictions, 7)
    assert score_with_interval(ERROR, labels, predictions, 7) != score_with_interval(ERROR, labels, predictions, 8)


def test_better_is_positive_whichever_way_the_metric_points() -> None:
    labels = pd.DataFrame({"purchases": [0.0, 1.0, 2.0, 3.0] * 50, "bought": [0, 0, 1, 1] * 50})
    good, bad = pd.DataFrame({"score": [0.0, 1.0, 2.0, 3.0] * 50}), pd.DataFrame({"score": [3.0, 1.0, 2.0, 0.0] * 50})
    for metric in (ERROR, roc_auc("bought")):
        ahead = difference_with_interval(metric, labels, good, bad, seed=0)
        behind = difference_with_interval(metric, labels, bad, good, seed=0)
        assert ahead.low > 0
        assert behind.high < 0
        assert ahead.value == -behind.value


def test_pairing_tells_apart_what_separate_intervals_cannot() -> None:
    labels, _ = frames(400, 2)
    random = np.random.default_rng(0)
    first = pd.DataFrame({"score": labels["purchases"] + random.normal(0, 1.0, 400)})
    second = pd.DataFrame({"score": first["score"] + 0.05 * np.sign(first["score"] - labels["purchases"])})
    apart = [score_with_interval(ERROR, labels, each, seed=0) for each in (first, second)]
    assert apart[0].high > apart[1].low
    assert difference_with_interval(ERROR, labels, first, second, seed=0).low > 0


def test_a_model_against_itself_is_no_better() -> None:
    labels, predictions = frames(100, 3)
    assert difference_with_interval(ERROR, labels, predictions, predictions, seed=0) == (0.0, 0.0, 0.0)


def test_one_outcome_has_no_interval() -> None:
    labels, predictions = pd.DataFrame({"bought": [0.0] * 9}), pd.DataFrame({"score": np.arange(9.0)})
    with pytest.raises(ModelError, match="positive"):
        score_with_interval(roc_auc("bought"), labels, predictions, seed=0)


def test_a_score_that_most_resamples_lack_is_refused() -> None:
    def middle(labels: pd.DataFrame, predictions: pd.DataFrame) -> float:
        # All three users are drawn in 6 of 27 resamples.
        if labels["purchases"].nunique() < 3:
            raise ModelError("too few users differ")
        return float(labels["purchases"].median())

    labels, predictions = frames(3, 0)
    with pytest.raises(ModelError, match="no interval"):
        score_with_interval(Metric("middle", middle, True, ""), labels, predictions, seed=1)


def test_different_rows_are_refused() -> None:
    labels, predictions = frames(10, 0)
    with pytest.raises(ModelError, match="same rows"):
        difference_with_interval(ERROR, labels, predictions, predictions[1:], seed=0)


def test_texts_are_not_resampled_and_rows_only_one_scored_are_left_out() -> None:
    labels = pd.DataFrame({"purchases": [0.0, 1.0, 2.0]})
    first = pd.DataFrame({"score": [0.0, 1.0, np.nan], "reasons": ["a", "b", "c"]})
    second = pd.DataFrame({"score": [1.0, 1.0, 2.0], "reasons": ["a", "b", "c"]})
    assert difference_with_interval(ERROR, labels, first, second, seed=0).value == 0.5
