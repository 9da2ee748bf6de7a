"""Who calibrates, what is never read, and what is refused: the same of every kind of estimator of a chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError, ModelError
from capflow_assets.learning.boosting import BoostedChance, BoostingParams
from capflow_assets.learning.chances import ChanceEstimator
from capflow_assets.learning.extra_trees import ExtraTrees
from capflow_assets.learning.metrics import roc_auc
from capflow_assets.learning.spline_logistic import SplineLogistic

PARAMS = BoostingParams(rounds=20)
WORDS = {
    "recency_days": "last visit {:.0f} days ago",
    "visits": "{:.0f} visits in all",
    "gap_days": "{:.1f} days between visits",
    "spend": "{:,.2f} spent in all",
}
Make = Callable[[BoostingParams], ChanceEstimator[Any]]
KINDS = {kind.__name__: kind for kind in (BoostedChance, SplineLogistic, ExtraTrees)}


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Make:
    return lambda params: KINDS[request.param](params, "bought", WORDS)


def examples(size: int = 400, moments: int = 3, seed: int = 0) -> Examples:
    """Users who buy the likelier the more recent they are, but in the newest moment half as often."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({name: random.random(size) for name in WORDS})
    frame["recency_days"] = random.integers(0, 100, size)
    frame.loc[random.random(size) < 0.2, "gap_days"] = np.nan
    frame["moment"] = np.repeat(range(moments), size // moments + 1)[:size]
    return Examples(frame, pd.DataFrame({"bought": (random.random(size) < chances(frame, moments)).astype(float)}))


def chances(frame: pd.DataFrame, moments: int = 3) -> pd.Series:
    half = np.where(frame["moment"] == moments - 1, 0.5, 1.0)
    return np.exp(-frame["recency_days"] / 30) * half


def bought(known: Examples) -> pd.Series:
    assert known.outcomes is not None
    return known.outcomes["bought"]


def with_newest_turned(known: Examples) -> Examples:
    is_newest = (known.columns["moment"] == 2).to_numpy()
    return replace(known, outcomes=pd.DataFrame({"bought": np.where(is_newest, 1 - bought(known), bought(known))}))


def test_the_newest_moment_calibrates_and_the_others_train(make: Make) -> None:
    known = examples(6000)
    estimator = make(PARAMS).fit(known)
    is_newest = known.columns["moment"] == 2
    assert estimator.examples == {"training": int((~is_newest).sum()), "calibration": int(is_newest.sum())}
    answers = estimator.predict(Examples(known.columns[is_newest]))
    assert answers["score"].mean() == pytest.approx(bought(known)[is_newest].mean(), abs=0.02)


def test_it_orders_users_nearly_as_well_as_who_knows_the_law(make: Make) -> None:
    fresh = examples(6000, seed=1)
    answers = make(BoostingParams(rounds=100)).fit(examples(20_000)).figures(fresh)
    assert fresh.outcomes is not None
    auc = roc_auc("bought").compute(fresh.outcomes, answers)
    best = roc_auc("bought").compute(fresh.outcomes, pd.DataFrame({"score": chances(fresh.columns)}))
    assert auc == pytest.approx(best, abs=0.02)


def test_what_orders_users_does_not_see_the_newest_moment(make: Make) -> None:
    """With its outcomes turned round the calibrator changes, and the order does not."""
    known = examples(6000)
    one, other = (make(PARAMS).fit(of) for of in (known, with_newest_turned(known)))
    assert one.parameters()["gain_share"] == other.parameters()["gain_share"]
    assert not one.predict(known)["score"].equals(other.predict(known)["score"])


def test_once_promoted_the_newest_moment_is_learned_too_and_the_calibrator_stays(make: Make) -> None:
    known = examples(6000)
    measured = make(PARAMS).fit(known)
    before = measured.predict(known)
    served, other = measured.refit(known), measured.refit(with_newest_turned(known))
    is_newest = (known.columns["moment"] == 2).to_numpy()
    assert served.examples == {"training": 6000, "calibration": int(is_newest.sum())}
    assert not served.predict(known)["score"].equals(other.predict(known)["score"])
    assert served.calibrator is measured.calibrator
    assert measured.predict(known).equals(before), "what was measured stays as it was"


def test_the_moment_itself_is_no_feature(make: Make) -> None:
    known = examples()
    estimator = make(PARAMS).fit(known)
    later, none = known.columns.assign(moment=99), known.columns.drop(columns="moment")
    assert estimator.predict(Examples(later)).equals(estimator.predict(Examples(none)))


@pytest.mark.parametrize("single", [True, False])
def test_with_one_moment_a_fifth_of_the_users_is_held_out(make: Make, single: bool) -> None:
    known = examples(5000)
    columns = known.columns.assign(moment=0) if single else known.columns.drop(columns="moment")
    counts = make(PARAMS).fit(replace(known, columns=columns)).examples
    assert counts["calibration"] / 5000 == pytest.approx(0.2, abs=0.02)


def test_reasons_name_the_value_and_the_direction(make: Make) -> None:
    known = examples(3000)
    ordered = Examples(known.columns.sort_values("recency_days"))
    reasons = make(PARAMS).fit(known).predict(ordered)["reasons"]
    assert "last visit 0 days ago raises it" in reasons.iloc[0]
    assert "last visit 99 days ago lowers it" in reasons.iloc[-1]


def test_the_column_that_matters_has_the_largest_share(make: Make) -> None:
    shares = make(PARAMS).fit(examples(3000)).parameters()["gain_share"]
    assert max(shares, key=shares.get) == "recency_days"
    assert shares["recency_days"] > 0.5


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_one_outcome_is_too_little_to_learn_from(make: Make, value: float) -> None:
    known = examples()
    same = replace(known, outcomes=pd.DataFrame({"bought": np.full(len(known), value)}))
    with pytest.raises(EvidenceError, match=r"with it of 26\d"):
        make(PARAMS).fit(same)


def test_an_outcome_is_needed_for_each_example(make: Make) -> None:
    known = examples()
    assert known.outcomes is not None
    for wrong in (None, known.outcomes[1:]):
        with pytest.raises(ModelError, match="one outcome per example") as caught:
            make(PARAMS).fit(replace(known, outcomes=wrong))
        assert not isinstance(caught.value, EvidenceError), "that is wired wrongly, and more data do not mend it"


def test_constant_unknown_and_endless_columns_are_survived(make: Make) -> None:
    known = examples(3000)
    spoilt = known.columns.assign(visits=1.0, gap_days=np.nan)
    spoilt.loc[spoilt.index[:5], "spend"] = [np.inf, -np.inf, 1e300, -1e300, np.nan]
    answers = make(PARAMS).fit(replace(known, columns=spoilt)).predict(Examples(spoilt))
    assert answers["score"].between(0, 1).all()
    seen_first = make(PARAMS).fit(known).predict(Examples(spoilt))
    assert seen_first["score"].between(0, 1).all()
