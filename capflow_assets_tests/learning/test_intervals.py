"""Intervals cover the truth about as often as they say, compare in pairs, and refuse what has no answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Metric
from capflow_assets.errors import EvidenceError, ModelError
from capflow_assets.learning import intervals
from capflow_assets.learning.intervals import Interval, difference_with_interval, judged_units, score_with_interval
from capflow_assets.learning.metrics import aligned, mean_by_subject, roc_auc


def absolute_error(labels: pd.DataFrame, predictions: pd.DataFrame) -> float:
    actual, forecast = aligned(labels, predictions, "purchases", "score")
    return float(np.mean(np.abs(forecast - actual)))


ERROR = Metric("mae", absolute_error, False, "Mean absolute error.")


def frames(size: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    random = np.random.default_rng(seed)
    return pd.DataFrame({"purchases": random.exponential(1.0, size)}), pd.DataFrame({"score": np.zeros(size)})


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    scores = [score_with_interval(ERROR, *frames(400, seed), seed=seed) for seed in range(100)]
    covered = sum(score.low <= 1.0 <= score.high for score in scores)
    assert 85 <= covered <= 100
    assert np.mean([score.high - score.low for score in scores]) == pytest.approx(2 * 1.96 / 20, rel=0.15)


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
    apart = [score_with_interval(ERROR, labels, answers, seed=0) for answers in (first, second)]
    assert apart[0].high > apart[1].low
    assert difference_with_interval(ERROR, labels, first, second, seed=0).low > 0


def test_a_model_against_itself_is_no_better() -> None:
    labels, predictions = frames(100, 3)
    assert difference_with_interval(ERROR, labels, predictions, predictions, seed=0) == (0.0, 0.0, 0.0)


def test_one_outcome_has_no_interval() -> None:
    labels, predictions = pd.DataFrame({"bought": [0.0] * 9}), pd.DataFrame({"score": np.arange(9.0)})
    with pytest.raises(EvidenceError, match="positive"):
        score_with_interval(roc_auc("bought"), labels, predictions, seed=0)


def test_a_score_that_most_resamples_lack_is_refused() -> None:
    def middle(labels: pd.DataFrame, predictions: pd.DataFrame) -> float:
        # All three users are drawn in 6 of 27 resamples.
        if labels["purchases"].nunique() < 3:
            raise EvidenceError("too few users differ")
        return float(labels["purchases"].median())

    labels, predictions = frames(3, 0)
    with pytest.raises(EvidenceError, match="no interval"):
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


# -- metrics of subjects, and what a resample draws together -----------------------------------------------------------


def errors(outcomes: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"value": (outcomes["purchases"] - answers["score"]).abs()})


BY_SUBJECT = mean_by_subject("mae", errors, False, "Mean absolute error.")


def of_users(size: int, copies: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Outcomes and answers of users, each with as many campaigns, in which all went alike."""
    outcomes, answers = frames(size, 5)
    names = [f"u{number:03}" for number in range(size)]
    keys = pd.MultiIndex.from_product([names, range(copies)], names=["user_id", "campaign_id"])
    return tuple(frame.loc[frame.index.repeat(copies)].set_index(keys) for frame in (outcomes, answers))  # type: ignore[return-value]


def test_a_mean_over_subjects_has_the_interval_of_the_same_metric_by_rows() -> None:
    outcomes, answers = of_users(300)
    by_subject = score_with_interval(BY_SUBJECT, outcomes, answers, seed=0)
    assert by_subject == pytest.approx(score_with_interval(ERROR, outcomes, answers, seed=0))
    other = answers.assign(score=0.3)
    assert difference_with_interval(BY_SUBJECT, outcomes, answers, other, seed=0) == pytest.approx(
        difference_with_interval(ERROR, outcomes, answers, other, seed=0)
    )


@pytest.mark.parametrize("by_subject", [True, False])
def test_copies_of_a_users_rows_tell_nothing_new(by_subject: bool) -> None:
    """Nine copies of each row: drawn by themselves, the interval is a third as wide; drawn by user, it is as it was."""
    metric = BY_SUBJECT if by_subject else ERROR
    once = score_with_interval(metric, *of_users(300), seed=0, replicates=600)
    naive = score_with_interval(metric, *of_users(300, 9), seed=0, replicates=600)
    by_user = score_with_interval(replace(metric, unit=("user_id",)), *of_users(300, 9), seed=0, replicates=600)
    assert once.value == pytest.approx(naive.value) == pytest.approx(by_user.value)
    assert by_user.high - by_user.low == pytest.approx(once.high - once.low, rel=0.15)
    assert naive.high - naive.low == pytest.approx((once.high - once.low) / 3, rel=0.15)


def test_a_weighted_mean_of_two_units_by_hand() -> None:
    """Ann has 1 with the weight 1 and 4 with the weight 3; bob has 10 with the weight 1: (1 + 12 + 10) / 5 = 4.6.

    A resample draws ann twice (13 / 4 = 3.25), bob twice (10), or both (4.6).
    """
    keys = pd.MultiIndex.from_tuples([("ann", 1), ("ann", 2), ("bob", 1)], names=["user_id", "campaign_id"])
    values = pd.DataFrame({"value": [1.0, 4.0, 10.0], "weight": [1.0, 3.0, 1.0]}, index=keys)
    metric = mean_by_subject("mean", lambda outcomes, answers: values, True, "", unit=("user_id",))
    nothing = pd.DataFrame(index=keys)
    assert metric.compute(nothing, nothing) == pytest.approx(4.6)
    interval = score_with_interval(metric, nothing, nothing, seed=0, replicates=2_000)
    assert interval == pytest.approx((4.6, 3.25, 10.0))


@pytest.mark.parametrize("unknown", [np.nan, np.inf])
def test_a_value_that_is_unknown_takes_its_weight_along(unknown: float) -> None:
    """Of ann one value is unknown, whatever it weighs: (12 + 10) / 4 = 5.5."""
    keys = pd.MultiIndex.from_tuples([("ann", 1), ("ann", 2), ("bob", 1)], names=["user_id", "campaign_id"])
    values = pd.DataFrame({"value": [unknown, 4.0, 10.0], "weight": [5.0, 3.0, 1.0]}, index=keys)
    metric = mean_by_subject("mean", lambda outcomes, answers: values, True, "", unit=("user_id",))
    nothing = pd.DataFrame(index=keys)
    interval = score_with_interval(metric, nothing, nothing, seed=0, replicates=2_000)
    assert metric.compute(nothing, nothing) == interval.value == 5.5
    assert (interval.low, interval.high) == pytest.approx((4.0, 10.0))


def test_subjects_that_only_one_answered_for_are_left_out_of_the_comparison() -> None:
    outcomes, answers = of_users(3)
    known = BY_SUBJECT
    gain = difference_with_interval(known, outcomes, answers, answers.assign(score=[1.0, np.nan, 1.0]), seed=0)
    purchases = outcomes["purchases"].to_numpy()[[0, 2]]
    assert gain.value == pytest.approx(np.mean(np.abs(purchases - 1.0) - purchases))


def test_where_no_subject_counts_there_is_nothing_to_judge_by() -> None:
    outcomes, answers = of_users(3)
    for compute in (BY_SUBJECT.compute, lambda *frames: score_with_interval(BY_SUBJECT, *frames, seed=0)):
        with pytest.raises(EvidenceError, match="nothing to judge by"):
            compute(outcomes * np.nan, answers)


def test_what_a_score_rests_on_is_what_its_interval_draws() -> None:
    """Rows of one user together, values that are unknown or weigh nothing left out, as the mean leaves them out."""
    index = pd.MultiIndex.from_product([["a", "b", "c"], [1, 2]], names=["user_id", "campaign_id"])
    values = pd.DataFrame({"value": [1.0, 0.0, 1.0, np.nan, 1.0, 1.0], "weight": [1, 1, 1, 1, 0, 0]}, index)
    by_row = mean_by_subject("share", lambda outcomes, answers: values, True, "")
    assert judged_units(by_row, values, values) == (3, ("user_id", "campaign_id"))
    assert judged_units(replace(by_row, unit=("user_id",)), values, values) == (2, ("user_id",))
    assert judged_units(replace(ERROR, unit=("user_id",)), values, values.assign(score=1.0)) == (3, ("user_id",))


def test_units_that_are_all_alike_have_an_interval_of_no_width() -> None:
    labels = pd.DataFrame({"purchases": [1.0] * 3})
    right, wrong = pd.DataFrame({"score": [1.0] * 3}), pd.DataFrame({"score": [0.9] * 3})
    assert not difference_with_interval(ERROR, labels, right, wrong, seed=0).has_width
    assert Interval(0.5, 0.5, 0.51).has_width


@pytest.mark.parametrize("gain", [-0.2, 0.0, 0.2])
def test_the_paired_interval_is_the_one_that_scipy_draws(gain: float) -> None:
    """Both gates of a promotion ask on which side of zero its ends lie."""
    from scipy.stats import bootstrap

    random = np.random.default_rng(3)
    outcomes = pd.DataFrame({"purchases": random.exponential(1.0, 800)})
    ours, theirs = (pd.DataFrame({"score": outcomes["purchases"] + random.normal(0, 1 - by, 800)}) for by in (gain, 0))
    errors_of = [np.abs(answers["score"] - outcomes["purchases"]).to_numpy() for answers in (theirs, ours)]
    interval = difference_with_interval(ERROR, outcomes, ours, theirs, seed=0, replicates=4_000)
    by_scipy = bootstrap(
        errors_of,
        lambda theirs, ours, axis: np.mean(theirs - ours, axis=axis),
        paired=True,
        n_resamples=4_000,
        method="percentile",
        rng=random,
    ).confidence_interval
    width = by_scipy.high - by_scipy.low
    assert interval.value == pytest.approx(np.mean(errors_of[0] - errors_of[1]))
    assert (interval.low, interval.high) == (
        pytest.approx(by_scipy.low, abs=width / 15),
        pytest.approx(by_scipy.high, abs=width / 15),
    )
