"""What the estimators refuse and leave out, and that they answer each subject for itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError, ModelError
from capflow_assets.learning.uplift_estimators import (
    EffectReading,
    ResponseModel,
    TLearner,
    UpliftEstimator,
    UpliftParams,
    XLearner,
)

READING = EffectReading(
    words={"visits": "{:.0f} visits in all"},
    outcome="spend",
    treatment="treated",
    lot="campaign_id",
    traits_table="users",
    traits_level="user_id",
)
T, X, Response = (partial(kind, reading=READING) for kind in (TLearner, XLearner, ResponseModel))
LEARNERS = [T, X, Response]
PARAMS = UpliftParams(threads=1, rounds=100, learning_rate=0.1, l2=1.0)


def examples(rows: int = 2000, lots: Mapping[str, float] = {"a": 0.5, "b": 0.8}, seed: int = 0) -> Examples:
    """Users of each lot, of whom the share is treated; treatment brings the young 2, everybody has their visits."""
    random = np.random.default_rng(seed)
    users = pd.Index([f"u{number:04}" for number in range(rows)], name="user_id")
    lot = random.choice(list(lots), rows)
    index = pd.MultiIndex.from_arrays([users, lot], names=["user_id", "campaign_id"])
    columns = pd.DataFrame({"visits": random.poisson(3, rows).astype(float)}, index=index)
    age = random.choice(["18-29", "60+"], rows)
    treated = (random.random(rows) < pd.Series(lot).map(lots).to_numpy()).astype(float)
    spend = columns["visits"] + 2 * treated * (age == "18-29") + random.normal(0, 1, rows)
    table = pd.DataFrame({"user_id": users, "age": age})
    outcomes = pd.DataFrame({"spend": spend, "treated": treated}, index=index)
    return Examples(columns, outcomes, {"users": (table,)}, (datetime(2024, 1, 1, tzinfo=UTC),))


@pytest.mark.parametrize("kind", [T, X])
def test_a_trait_of_the_users_table_carries_the_effect(kind: Callable[[UpliftParams], UpliftEstimator]) -> None:
    known = examples()
    answers = kind(PARAMS).fit(known).predict(known)
    young = known.tables["users"][0]["age"].to_numpy() == "18-29"
    assert answers["score"][young].mean() == pytest.approx(2, abs=0.2)
    assert answers["score"][~young].mean() == pytest.approx(0, abs=0.2)
    assert "age 18-29 raises it" in answers["reasons"][young].iloc[0]
    assert "age other than 18-29 lowers it" in answers["reasons"][~young].iloc[0]


def test_the_response_model_scores_by_what_is_done_anyway() -> None:
    known = examples()
    answers = Response(PARAMS).fit(known).predict(known)
    assert np.corrcoef(answers["score"], known.columns["visits"])[0, 1] > 0.8
    assert answers["response_if_treated"].equals(answers["response_if_not"].rename("response_if_treated"))


@pytest.mark.parametrize("kind", LEARNERS)
def test_each_subject_is_answered_for_itself(kind: Callable[[UpliftParams], UpliftEstimator]) -> None:
    known = examples()
    estimator = kind(PARAMS).fit(known)
    some = Examples(known.columns.iloc[[7, 2]], None, known.tables, known.moments)
    pd.testing.assert_frame_equal(estimator.predict(some), estimator.predict(known).iloc[[7, 2]], check_exact=True)
    nobody = estimator.predict(Examples(known.columns[:0], None, known.tables, known.moments))
    assert nobody.empty
    assert list(nobody.index.names) == ["user_id", "campaign_id"]


def test_a_lot_without_both_groups_is_left_out_with_its_reason() -> None:
    estimator = T(PARAMS).fit(examples(lots={"a": 0.5, "all": 1.0, "none": 0.0}))
    left_out = estimator.parameters()["left_out"]
    assert set(left_out) == {"all", "none"}
    assert left_out["all"].endswith("treated, 0 held out")
    assert left_out["none"].startswith("0 treated")


@pytest.mark.parametrize("rows", [0, 1, 15])
def test_too_few_subjects_are_no_evidence(rows: int) -> None:
    with pytest.raises(EvidenceError, match="10 held out by chance"):
        T(PARAMS).fit(examples(rows, {"a": 0.5}))


def test_outcomes_are_needed_and_fitting_comes_first() -> None:
    known = examples()
    with pytest.raises(ModelError, match="one outcome per example"):
        T(PARAMS).fit(Examples(known.columns, None, known.tables, known.moments))
    for kind in LEARNERS:
        with pytest.raises(ModelError, match="not fitted"):
            kind(PARAMS).predict(known)


def test_traits_are_looked_up_at_each_example_s_moment() -> None:
    """The same users at two moments; the table of the first knows nobody's age."""
    one = examples()
    nobody = one.tables["users"][0].iloc[:0]
    columns = pd.concat([one.columns.assign(moment=0), one.columns.assign(moment=1)])
    assert one.outcomes is not None
    twice: dict[str, Any] = {"outcomes": pd.concat([one.outcomes, one.outcomes]), "moments": one.moments * 2}
    estimator = T(PARAMS).fit(Examples(columns, tables={"users": (nobody, one.tables["users"][0])}, **twice))
    answers = estimator.predict(Examples(columns, tables={"users": (nobody, one.tables["users"][0])}, **twice))
    mixed = np.random.default_rng(1).permutation(len(columns))
    tables = {"users": (nobody, one.tables["users"][0])}
    other = estimator.predict(Examples(columns.iloc[mixed], None, tables, one.moments * 2))
    assert other["score"].tolist() == answers["score"].iloc[mixed].tolist()
    early, late = answers["score"][: len(one)], answers["score"][len(one) :]
    young = one.tables["users"][0]["age"].to_numpy() == "18-29"
    assert early[young].mean() == pytest.approx(early[~young].mean(), abs=0.2)
    assert late[young].mean() > late[~young].mean() + 1
