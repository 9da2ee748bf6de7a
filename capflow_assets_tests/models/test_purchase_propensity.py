"""How its trees are held apart from the calibrator, and its baseline; the rest is every chance's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples
from capflow_assets.learning.boosting import BoostedChance
from capflow_assets.models.purchase_propensity import MODEL, PurchasePropensityParams

PARAMS = PurchasePropensityParams(rounds=20)


def boosted(params: PurchasePropensityParams = PARAMS) -> BoostedChance:
    estimator = MODEL.challengers[0].make(params)
    assert isinstance(estimator, BoostedChance)
    return estimator


def examples(size: int = 400, moments: int = 3) -> Examples:
    """Users who buy the likelier the more recent they are, but in the newest moment half as often."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({name: random.random(size) for name in MODEL.columns})
    frame["recency_days"] = random.integers(0, 100, size)
    frame["moment"] = np.repeat(range(moments), size // moments + 1)[:size]
    chance = np.exp(-frame["recency_days"] / 30) * np.where(frame["moment"] == moments - 1, 0.5, 1.0)
    return Examples(frame, pd.DataFrame({"bought": (random.random(size) < chance).astype(float)}))


def bought(known: Examples) -> pd.Series:
    assert known.outcomes is not None
    return known.outcomes["bought"]


def test_the_trees_do_not_see_the_newest_moment() -> None:
    known = examples()
    is_newest = (known.columns["moment"] == 2).to_numpy()
    turned = replace(known, outcomes=pd.DataFrame({"bought": np.where(is_newest, 1 - bought(known), bought(known))}))
    one, other = (boosted().fit(of) for of in (known, turned))
    assert trees(one) == trees(other)
    assert not one.predict(known)["score"].equals(other.predict(known)["score"])


def trees(estimator: BoostedChance) -> list[str]:
    assert estimator.trees is not None
    return estimator.trees.get_dump(with_stats=True)


def test_another_seed_grows_other_trees() -> None:
    known = examples()
    one, other = (boosted(PARAMS.model_copy(update={"seed": seed})).fit(known).predict(known) for seed in (0, 1))
    assert not one["score"].equals(other["score"])


def test_the_recency_rule_never_grows_with_the_days() -> None:
    known = examples(3000)
    rule = MODEL.baseline.make(PARAMS).fit(known)
    days = pd.DataFrame({"recency_days": [0.0, 10.0, 50.0, 99.0, 5000.0]})
    assert rule.predict(Examples(days))["score"].is_monotonic_decreasing
    unknown = rule.predict(Examples(pd.DataFrame({"recency_days": [np.nan]})))["score"].iloc[0]
    assert unknown == pytest.approx(bought(known).mean())
