"""A metric of how often each row was drawn is the metric of the drawn rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Metric
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.metrics import rmse, roc_auc, spend_gini

METRICS = [roc_auc("bought"), spend_gini("spend"), rmse("spend", "score")]


def shop(seed: int, users: int = 400) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Outcomes and answers with ties, returns, users who spent nothing, and some without an answer."""
    random = np.random.default_rng(seed)
    spend = np.where(random.random(users) < 0.5, 0, random.integers(-3, 50, users)).astype(float)
    outcomes = pd.DataFrame({"spend": spend, "bought": (spend > 0).astype(float)})
    answers = pd.DataFrame({"score": random.integers(0, 40, users) / 3.0})
    answers.loc[::41, "score"] = np.nan
    return outcomes, answers


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
@pytest.mark.parametrize("seed", range(5))
def test_counts_say_what_the_repeated_rows_say(metric: Metric, seed: int) -> None:
    outcomes, answers = shop(seed)
    assert metric.counted is not None
    of_counts = metric.counted(outcomes, answers)
    random = np.random.default_rng(seed + 100)
    for _ in range(5):
        rows = random.integers(0, len(outcomes), len(outcomes))
        repeated = metric.compute(outcomes.iloc[rows], answers.iloc[rows])
        assert of_counts(np.bincount(rows, minlength=len(outcomes))) == pytest.approx(repeated, rel=1e-12)


@pytest.mark.parametrize("metric", METRICS[:2], ids=lambda metric: metric.name)
def test_a_draw_that_says_nothing_is_refused_as_the_rows_are(metric: Metric) -> None:
    outcomes, answers = shop(0)
    assert metric.counted is not None
    counts = np.zeros(len(outcomes), dtype=int)
    counts[np.flatnonzero(outcomes["spend"] == 0)[1]] = 7
    with pytest.raises(EvidenceError):
        metric.counted(outcomes, answers)(counts)
