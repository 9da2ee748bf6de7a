"""Metrics by hand, on frames small enough to check."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from capflow_assets.errors import ModelError
from capflow_assets.learning.metrics import rmse, roc_auc, spend_gini


def frames(actual: list[float], score: list[float], name: str = "bought") -> tuple[pd.DataFrame, pd.DataFrame]:
    return pd.DataFrame({name: actual}), pd.DataFrame({"score": score})


def test_roc_auc_counts_pairs_and_half_of_ties() -> None:
    # positives 0.9 and 0.4, negatives 0.4 and 0.1: 3 pairs won, 1 tied, of 4
    assert roc_auc("bought").compute(*frames([1, 1, 0, 0], [0.9, 0.4, 0.4, 0.1])) == 3.5 / 4


@pytest.mark.parametrize("actual", [[0, 0], [1, 1]])
def test_roc_auc_needs_both_outcomes(actual: list[float]) -> None:
    with pytest.raises(ModelError, match="one positive and one negative"):
        roc_auc("bought").compute(*frames(actual, [0.1, 0.2]))


def test_spend_gini_by_hand() -> None:
    # ranks of spend (0, 0, 10, 30): 1.5, 1.5, 3, 4. covariance with itself: -10*1.5*2 + 0*3 + 20*4 = 50
    # order 2, 1, 4, 3: -10*2 - 10*1 + 0*4 + 20*3 = 30
    metric = spend_gini()
    assert metric.compute(*frames([0, 0, 10, 30], [2, 1, 4, 3], "spend")) == pytest.approx(30 / 50)
    assert metric.compute(*frames([0, 0, 10, 30], [0, 0, 1, 2], "spend")) == 1.0
    assert metric.compute(*frames([0, 0, 10, 30], [5, 5, 5, 5], "spend")) == 0.0
    assert metric.compute(*frames([0, 10, 30], [3, 2, 1], "spend")) < 0


def test_spend_gini_needs_spend_that_differs() -> None:
    with pytest.raises(ModelError, match="spent the same"):
        spend_gini().compute(*frames([0, 0], [1, 2], "spend"))


def test_the_error_of_counts() -> None:
    labels, predictions = frames([0, 2], [1, 4], "purchases")
    assert rmse("purchases", "score").compute(labels, predictions) == pytest.approx(math.sqrt(5 / 2))


def test_rows_without_a_finite_prediction_are_left_out() -> None:
    labels, predictions = frames([0, 2, 7, 7], [1, 4, np.nan, np.inf], "purchases")
    assert rmse("purchases", "score").compute(labels, predictions) == pytest.approx(math.sqrt(5 / 2))
    with pytest.raises(ModelError, match="finite"):
        rmse("purchases", "score").compute(labels[2:], predictions[2:])


def test_frames_of_different_length_are_refused() -> None:
    with pytest.raises(ModelError, match="aligned"):
        roc_auc("bought").compute(pd.DataFrame({"bought": [1]}), pd.DataFrame({"score": [0.1, 0.2]}))
