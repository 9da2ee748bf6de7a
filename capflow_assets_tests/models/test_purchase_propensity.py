"""Who calibrates, what is never read, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.errors import ModelError
from capflow_assets.models.purchase_propensity import COLUMNS, PurchasePropensity, PurchasePropensityParams, RecencyRule

PARAMS = PurchasePropensityParams(rounds=20)


def examples(size: int = 400, moments: int = 3) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Users who buy the likelier the more recent they are, but in the newest moment half as often."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({name: random.random(size) for name in COLUMNS})
    frame["recency_days"] = random.integers(0, 100, size)
    frame["moment"] = np.repeat(range(moments), size // moments + 1)[:size]
    chance = np.exp(-frame["recency_days"] / 30) * np.where(frame["moment"] == moments - 1, 0.5, 1.0)
    return frame, pd.DataFrame({"bought": (random.random(size) < chance).astype(float)})


def test_the_newest_moment_calibrates_and_the_others_train() -> None:
    frame, labels = examples(6000)
    estimator = PurchasePropensity(PARAMS).fit(frame, labels)
    newest = frame["moment"] == 2
    assert estimator.examples == {"training": int((~newest).sum()), "calibration": int(newest.sum())}
    found = estimator.predict(frame[newest])["score"].mean()
    assert found == pytest.approx(labels[newest]["bought"].mean(), abs=0.01)


def test_the_trees_do_not_see_the_newest_moment() -> None:
    frame, labels = examples()
    newest = (frame["moment"] == 2).to_numpy()
    turned = labels.assign(bought=np.where(newest, 1 - labels["bought"], labels["bought"]))
    one, other = (PurchasePropensity(PARAMS).fit(frame, each) for each in (labels, turned))
    assert np.array_equal(one._raw(frame[list(COLUMNS)]), other._raw(frame[list(COLUMNS)]))
    assert not np.array_equal(one.predict(frame)["score"], other.predict(frame)["score"])


def test_the_moment_itself_is_no_feature() -> None:
    frame, labels = examples()
    estimator = PurchasePropensity(PARAMS).fit(frame, labels)
    assert estimator.predict(frame.assign(moment=99)).equals(estimator.predict(frame.drop(columns="moment")))


@pytest.mark.parametrize("single", [True, False])
def test_with_one_moment_a_fifth_of_the_users_is_held_out(single: bool) -> None:
    frame, labels = examples(5000)
    frame = frame.assign(moment=0) if single else frame.drop(columns="moment")
    found = PurchasePropensity(PARAMS).fit(frame, labels).examples
    assert found["calibration"] / 5000 == pytest.approx(0.2, abs=0.02)


def test_another_seed_grows_other_trees() -> None:
    frame, labels = examples()
    one, other = (
        PurchasePropensity(PARAMS.model_copy(update={"seed": seed})).fit(frame, labels).predict(frame)
        for seed in (0, 1)
    )
    assert not one["score"].equals(other["score"])


def test_reasons_name_the_value_and_the_direction() -> None:
    frame, labels = examples(3000)
    found = PurchasePropensity(PARAMS).fit(frame, labels).predict(frame.sort_values("recency_days"))["reasons"]
    assert "last visit 0 days ago raises it" in found.iloc[0]
    assert "last visit 99 days ago lowers it" in found.iloc[-1]


@pytest.mark.parametrize("bought", [0.0, 1.0])
def test_one_outcome_is_refused(bought: float) -> None:
    frame, labels = examples()
    with pytest.raises(ModelError, match=r"buyers of 26\d"):
        PurchasePropensity(PARAMS).fit(frame, labels.assign(bought=bought))


def test_labels_are_needed_for_each_example() -> None:
    frame, labels = examples()
    for wrong in (None, labels[1:]):
        with pytest.raises(ModelError, match="one label per example"):
            PurchasePropensity(PARAMS).fit(frame, wrong)


def test_the_recency_rule_never_grows_with_the_days() -> None:
    frame, labels = examples(3000)
    rule = RecencyRule(PARAMS).fit(frame, labels)
    days = pd.DataFrame({"recency_days": [0.0, 10.0, 50.0, 99.0, 5000.0]})
    assert rule.predict(days)["score"].is_monotonic_decreasing
    unknown = rule.predict(pd.DataFrame({"recency_days": [np.nan]}))["score"].iloc[0]
    assert unknown == pytest.approx(labels["bought"].mean())
