"""Folds in time: what is learned is over by what is validated, and a future that was planted is seen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError, ModelError
from capflow_assets.learning.folds import Fold, folds_in_time
from capflow_assets.learning.leakage import judge, leaks
from capflow_assets.learning.metrics import roc_auc
from capflow_assets.learning.moments import apart, of_moments, some_rows, together

BEGIN = datetime(2024, 1, 1, 9, tzinfo=UTC)


def shop(every_days: int, moments: int, horizon_days: int = 30, users: int = 1500, seed: int = 0) -> Examples:
    """Users who all buy at the same rate, on days that nothing foretells; ``last_day`` is that of the last outcome."""
    random = np.random.default_rng(seed)
    days = random.random((users, every_days * moments + horizon_days)) < 0.02
    parts = []
    for place in range(moments):
        first = place * every_days
        after, before = days[:, first : first + horizon_days], days[:, :first]
        index = pd.Index([f"u{number}" for number in range(users)], name="user_id")
        columns = pd.DataFrame(
            {"visits": before.sum(axis=1), "visits_to_come": after.sum(axis=1), "noise": random.random(users)}, index
        )
        last = np.where(after.any(axis=1), first + horizon_days - after[:, ::-1].argmax(axis=1), -1)
        outcomes = pd.DataFrame({"bought": after.any(axis=1).astype(float), "last_day": last}, index)
        parts.append(Examples(columns, outcomes, moments=(BEGIN + timedelta(days=first),)))
    return together(parts)


def outcomes_of(examples: Examples) -> pd.DataFrame:
    assert examples.outcomes is not None
    return examples.outcomes


def auc_of_memory(fold: Fold) -> float:
    """How well the newest outcome that was learned of a user foretells the user's next one."""
    *_, newest = apart(fold.train)
    remembered = pd.DataFrame({"score": outcomes_of(newest)["bought"]})
    return roc_auc("bought").compute(outcomes_of(fold.validation), remembered)


@pytest.mark.parametrize("every_days", [7, 10, 30, 45])
def test_no_outcome_that_is_learned_came_after_the_moment_that_is_validated(every_days: int) -> None:
    examples = shop(every_days, moments=9)
    folds = folds_in_time(examples, horizon_days=30)
    assert [fold.moment for fold in folds] == list(examples.moments[-3:])
    for fold in folds:
        day = (fold.moment - BEGIN).days
        assert outcomes_of(fold.train)["last_day"].max() <= day
        assert (outcomes_of(fold.validation)["last_day"] > day).any()
        # All that is over is used: the next moment would reach beyond.
        assert fold.moment - fold.train.moments[-1] < timedelta(days=30 + every_days)


def test_overlapping_horizons_do_not_reward_memory() -> None:
    examples = shop(every_days=5, moments=12)
    *older, newest = apart(examples)
    careless = Fold(together(older), newest, examples.moments[-1])
    assert auc_of_memory(careless) > 0.7  # it has seen 25 of the 30 days that it is asked about
    assert all(abs(auc_of_memory(fold) - 0.5) < 0.05 for fold in folds_in_time(examples, horizon_days=30))


def test_a_planted_future_column_is_seen_in_every_fold_and_honest_ones_are_not() -> None:
    for fold in folds_in_time(shop(30, moments=5), horizon_days=30):
        bought = outcomes_of(fold.train)[["bought"]]
        finding = judge(leaks(fold.train.columns, bought, ["visits", "visits_to_come", "noise"]))
        assert {row["column"] for row in finding.sample} == {"visits_to_come"}
        assert judge(leaks(fold.train.columns, bought, ["visits", "noise"])).passed


def test_the_gap_is_of_the_customers_own_days() -> None:
    # Clocks in Madrid went an hour ahead on 31 March 2024, so that 30 local days were an hour short of 30 times 24.
    moments = (datetime(2024, 3, 10, 11, tzinfo=UTC), datetime(2024, 4, 9, 10, tzinfo=UTC))
    columns = pd.DataFrame({"visits": [1, 2], "moment": [0, 1]}, index=pd.Index(["a", "a"], name="user_id"))
    outcomes = pd.DataFrame({"bought": [1.0, 0.0]}, index=columns.index)
    (fold,) = folds_in_time(Examples(columns, outcomes, moments=moments, zone="Europe/Madrid"), horizon_days=30)
    assert fold.train.moments == moments[:1]
    with pytest.raises(EvidenceError, match="no fold"):
        folds_in_time(Examples(columns, outcomes, moments=moments, zone="UTC"), horizon_days=30)


def test_lists_and_frames_go_with_their_moments() -> None:
    parts = []
    for place, moment in enumerate((BEGIN, BEGIN + timedelta(days=30), BEGIN + timedelta(days=60))):
        columns = pd.DataFrame({"visits": [place, place]}, index=pd.Index(["a", "b"], name="user_id"))
        items = pd.DataFrame({"item_id": [f"i{place}", "i9", "i8"]}, index=pd.Index(["a", "a", "b"], name="user_id"))
        lines = pd.DataFrame({"bill_id": [f"b{place}"]})
        parts.append(Examples(columns, items, {"clean/line_items": (lines,)}, (moment,)))
    examples = together(parts)
    _, fold = folds_in_time(examples, horizon_days=30)
    assert fold.validation.table("clean/line_items")["bill_id"].tolist() == ["b2"]
    assert outcomes_of(fold.validation)["item_id"].tolist() == ["i2", "i9", "i8"]
    assert [frame["bill_id"].item() for frame in fold.train.tables["clean/line_items"]] == ["b0", "b1"]
    assert outcomes_of(of_moments(examples, (1, 2)))["moment"].tolist() == [0, 0, 0, 1, 1, 1]
    second = some_rows(examples, np.array([False, False, True, False, False, False]))
    assert outcomes_of(second)["item_id"].tolist() == ["i1", "i9"]


def test_a_moment_without_subjects_makes_no_fold() -> None:
    examples = shop(30, moments=4, users=20)
    is_kept = (examples.columns["moment"] != 3).to_numpy()
    assert [fold.moment for fold in folds_in_time(some_rows(examples, is_kept), 30)] == list(examples.moments[1:3])


def test_examples_of_one_moment_and_unnumbered_ones_are_refused() -> None:
    examples = shop(30, moments=2, users=20)
    with pytest.raises(EvidenceError, match="wait for more history"):
        folds_in_time(of_moments(examples, (0,)), horizon_days=30)
    unnumbered = Examples(examples.columns.drop(columns="moment"), examples.outcomes, moments=examples.moments)
    with pytest.raises(ModelError, match="a column moment"):
        folds_in_time(unnumbered, horizon_days=30)
