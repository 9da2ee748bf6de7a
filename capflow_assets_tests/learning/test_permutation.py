"""What is lost without a column, against values that can be worked out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples
from capflow_assets.learning.folds import folds_in_time
from capflow_assets.learning.metrics import mean_by_subject, rmse, roc_auc
from capflow_assets.learning.permutation import Probe, loss_of, losses
from capflow_assets_tests.learning.logistic import Logistic
from capflow_assets_tests.learning.shoppers import shoppers


class Sum:
    """Answers the sum of two columns; nothing is learned."""

    def fit(self, examples: Examples) -> Sum:
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        return (examples.columns["a"] + examples.columns["b"]).to_frame("score")

    def parameters(self) -> dict[str, float]:
        return {}


def plane(rows: int = 20_000) -> Examples:
    """An amount that is 3 a + b and nothing else, of which ``Sum`` with a tripled is right."""
    random = np.random.default_rng(0)
    columns = pd.DataFrame({"a": random.normal(size=rows) * 3, "b": random.normal(size=rows)})
    return Examples(columns, (columns["a"] + columns["b"]).to_frame("spend"))


def test_the_loss_is_the_spread_that_the_column_explains() -> None:
    probe = Probe.of(Sum(), plane(), rmse("spend", "score"), rows=20_000, seed=0)
    worth = losses([probe], ["a", "b"], seed=0)
    # Permuted, an independent column of spread s errs by the root of 2 s².
    assert worth["a"].interval.value == pytest.approx(3 * 2**0.5, rel=0.02)
    assert worth["b"].interval.value == pytest.approx(2**0.5, rel=0.02)
    together = loss_of([probe.scores() - probe.without(["a", "b"], seed=0)])
    assert together.interval.value == pytest.approx(20**0.5, rel=0.02)


def test_intervals_of_noise_hold_zero_and_those_of_what_drives_do_not() -> None:
    (*_, fold) = folds_in_time(shoppers(users=2000), 30)
    columns = ("rate", "taste", *(f"noise_{number}" for number in range(10)))
    probe = Probe.of(Logistic(columns).fit(fold.train), fold.validation, roc_auc("bought"), rows=2000, seed=0)
    worth = losses([probe], columns, seed=0)
    assert worth["rate"].interval.low > 0
    assert worth["taste"].interval.low > 0
    noise = [worth[name].interval for name in columns[2:]]
    assert sum(interval.low <= 0 <= interval.high for interval in noise) >= 8
    assert max(abs(interval.value) for interval in noise) < 0.01


def test_one_good_fold_among_three_is_not_stable() -> None:
    alike = np.array([0.10, 0.11, 0.09, 0.1, 0.1])
    noise = np.array([0.01, -0.01, 0.02, -0.02, 0.0])
    assert loss_of([alike, alike, noise]).is_stable
    once = loss_of([alike, noise, noise])
    assert once.interval.low > 0
    assert not once.is_stable
    assert loss_of([alike]).is_stable
    assert not loss_of([np.array([np.nan, 0.3])]).is_stable


def test_subjects_of_one_unit_are_of_one_group_and_lists_are_judged_too() -> None:
    keys = [(f"u{number}", f"c{campaign}") for number in range(60) for campaign in range(3)]
    index = pd.MultiIndex.from_tuples(keys, names=["user_id", "campaign_id"])
    columns = pd.DataFrame({"a": np.arange(180.0), "b": 0.0}, index=index)
    examples = Examples(columns, pd.DataFrame({"bought": np.arange(180) % 2.0}, index=index))
    by_user = mean_by_subject(
        "m", lambda outcomes, answers: answers.rename(columns={"score": "value"}), True, "", unit=("user_id",)
    )
    probe = Probe.of(Sum(), examples, by_user, rows=1000, seed=0)
    groups = pd.Series(probe.groups, index=index).groupby("user_id").nunique()
    assert groups.max() == 1
    assert np.isclose(np.mean(probe.scores()), np.arange(180).mean())
