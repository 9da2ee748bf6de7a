"""Who calibrates, what is never read, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError, ModelError
from capflow_assets.models.purchase_propensity import MODEL, PurchasePropensity, PurchasePropensityParams, RecencyRule

PARAMS = PurchasePropensityParams(rounds=20)


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


def of(known: Examples, is_wanted: pd.Series) -> Examples:
    assert known.outcomes is not None
    return Examples(known.columns[is_wanted], known.outcomes[is_wanted])


def test_the_newest_moment_calibrates_and_the_others_train() -> None:
    known = examples(6000)
    estimator = PurchasePropensity(PARAMS).fit(known)
    is_newest = known.columns["moment"] == 2
    assert estimator.examples == {"training": int((~is_newest).sum()), "calibration": int(is_newest.sum())}
    answers = estimator.predict(of(known, is_newest))
    assert answers["score"].mean() == pytest.approx(bought(known)[is_newest].mean(), abs=0.01)


def test_the_trees_do_not_see_the_newest_moment() -> None:
    known = examples()
    is_newest = (known.columns["moment"] == 2).to_numpy()
    turned = replace(known, outcomes=pd.DataFrame({"bought": np.where(is_newest, 1 - bought(known), bought(known))}))
    one, other = (PurchasePropensity(PARAMS).fit(each) for each in (known, turned))
    assert trees(one) == trees(other)
    assert not one.predict(known)["score"].equals(other.predict(known)["score"])


def trees(estimator: PurchasePropensity) -> list[str]:
    assert estimator.trees is not None
    return estimator.trees.get_dump(with_stats=True)


def test_once_promoted_the_newest_moment_reaches_the_trees_and_the_calibrator_stays() -> None:
    known = examples(6000)
    is_newest = (known.columns["moment"] == 2).to_numpy()
    turned = replace(known, outcomes=pd.DataFrame({"bought": np.where(is_newest, 1 - bought(known), bought(known))}))
    measured = PurchasePropensity(PARAMS).fit(known)
    before = trees(measured)
    served, other = measured.refit(known), measured.refit(turned)
    assert served.examples == {"training": 6000, "calibration": int(is_newest.sum())}
    assert trees(served) != trees(other)
    assert served.calibrator is measured.calibrator
    assert trees(measured) == before, "what was measured stays as it was"


def test_the_moment_itself_is_no_feature() -> None:
    known = examples()
    estimator = PurchasePropensity(PARAMS).fit(known)
    later, none = known.columns.assign(moment=99), known.columns.drop(columns="moment")
    assert estimator.predict(Examples(later)).equals(estimator.predict(Examples(none)))


@pytest.mark.parametrize("single", [True, False])
def test_with_one_moment_a_fifth_of_the_users_is_held_out(single: bool) -> None:
    known = examples(5000)
    columns = known.columns.assign(moment=0) if single else known.columns.drop(columns="moment")
    counts = PurchasePropensity(PARAMS).fit(replace(known, columns=columns)).examples
    assert counts["calibration"] / 5000 == pytest.approx(0.2, abs=0.02)


def test_another_seed_grows_other_trees() -> None:
    known = examples()
    one, other = (
        PurchasePropensity(PARAMS.model_copy(update={"seed": seed})).fit(known).predict(known) for seed in (0, 1)
    )
    assert not one["score"].equals(other["score"])


def test_reasons_name_the_value_and_the_direction() -> None:
    known = examples(3000)
    ordered = Examples(known.columns.sort_values("recency_days"))
    reasons = PurchasePropensity(PARAMS).fit(known).predict(ordered)["reasons"]
    assert "last visit 0 days ago raises it" in reasons.iloc[0]
    assert "last visit 99 days ago lowers it" in reasons.iloc[-1]


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_one_outcome_is_too_little_to_learn_from(value: float) -> None:
    known = examples()
    same = replace(known, outcomes=pd.DataFrame({"bought": np.full(len(known), value)}))
    with pytest.raises(EvidenceError, match=r"with it of 26\d"):
        PurchasePropensity(PARAMS).fit(same)


def test_an_outcome_is_needed_for_each_example() -> None:
    known = examples()
    assert known.outcomes is not None
    for wrong in (None, known.outcomes[1:]):
        with pytest.raises(ModelError, match="one outcome per example") as caught:
            PurchasePropensity(PARAMS).fit(replace(known, outcomes=wrong))
        assert not isinstance(caught.value, EvidenceError), "that is wired wrongly, and more data do not mend it"


def test_the_recency_rule_never_grows_with_the_days() -> None:
    known = examples(3000)
    rule = RecencyRule(PARAMS).fit(known)
    days = pd.DataFrame({"recency_days": [0.0, 10.0, 50.0, 99.0, 5000.0]})
    assert rule.predict(Examples(days))["score"].is_monotonic_decreasing
    unknown = rule.predict(Examples(pd.DataFrame({"recency_days": [np.nan]})))["score"].iloc[0]
    assert unknown == pytest.approx(bought(known).mean())
