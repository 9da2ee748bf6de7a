"""A model that fails a group is caught, and one that does not is left in peace."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from capflow_assets.learning.intervals import score_with_interval
from capflow_assets.learning.metrics import mean_by_subject, roc_auc
from capflow_assets.learning.ranking import recall_by_subject
from capflow_assets.learning.slices import Slice, sliced, slices_finding, user_slices, value_slices

AUC = roc_auc("bought")


def judged(seed: int, blind_to: str = "", users: int = 6000, stores: int = 5) -> list[Slice]:
    """A model that knows the chance but for one store's users, against a baseline that knows half of it."""
    random = np.random.default_rng(seed)
    index = pd.Index([f"u{number:05d}" for number in range(users)], name="user_id")
    store = pd.Series(random.choice([f"s{number}" for number in range(stores)], users), index)
    drive, blur = random.normal(size=users), random.normal(size=users)
    bought = pd.DataFrame({"bought": (random.random(users) < 1 / (1 + np.exp(-2 * drive))).astype(float)}, index)
    score = np.where(store == blind_to, random.normal(size=users), drive)
    answers, baseline = (pd.DataFrame({"score": values}, index) for values in (score, drive + blur))
    return sliced(AUC, bought, answers, baseline, value_slices(store, "store"), seed=seed)


@pytest.mark.parametrize("seed", range(5))
def test_the_one_store_that_is_failed_is_named(seed: int) -> None:
    slices = judged(seed, blind_to="s3")
    assert {one.name: one.standing for one in slices} == {
        f"store s{number}": "worse" if number == 3 else "better" for number in range(5)
    }
    finding = slices_finding(slices)
    assert not finding.passed
    assert finding.message.startswith("store s3: worse than the baseline by 0.")
    assert [row["slice"] for row in finding.sample] == ["store s3"]


def test_of_many_slices_without_a_difference_hardly_one_is_called_worse() -> None:
    alarms = 0
    for seed in range(20):
        random = np.random.default_rng(seed)
        users = 2000
        index = pd.RangeIndex(users)
        drive = random.normal(size=users)
        bought = pd.DataFrame({"bought": (random.random(users) < 1 / (1 + np.exp(-drive))).astype(float)}, index)
        twins = [pd.DataFrame({"score": drive + random.normal(size=users)}, index) for _ in range(2)]
        masks = {f"slice {place}": pd.Series(np.arange(users) % 10 == place, index) for place in range(10)}
        slices = sliced(AUC, bought, *twins, masks, seed=seed)
        assert len(slices) == 10
        alarms += not slices_finding(slices).passed
    assert alarms <= 2


def test_figures_are_those_of_the_slice_alone() -> None:
    random = np.random.default_rng(0)
    index = pd.Index([f"u{number}" for number in range(400)], name="user_id")
    bought = pd.DataFrame({"bought": random.integers(0, 2, 400).astype(float)}, index)
    answers, baseline = (pd.DataFrame({"score": random.random(400)}, index) for _ in range(2))
    mask = pd.Series(random.random(400) < 0.4, index)
    (one,) = sliced(AUC, bought, answers, baseline, {"some": mask}, seed=3)
    assert one.score == score_with_interval(AUC, bought[mask], answers[mask], seed=3)
    assert one.baseline == score_with_interval(AUC, bought[mask], baseline[mask], seed=3)
    assert one.difference is not None
    assert one.difference.value == pytest.approx(one.score.value - one.baseline.value)
    assert (one.subjects, one.share) == (int(mask.sum()), pytest.approx(mask.mean()))
    assert json.loads(json.dumps(one.row(), allow_nan=False))["slice"] == "some"


def test_lists_are_sliced_by_their_subjects() -> None:
    recall = mean_by_subject("recall", lambda outcomes, answers: recall_by_subject(outcomes, answers, 2), True, "")
    users = pd.Index([f"u{number:03d}" for number in range(100)], name="user_id")
    is_first = pd.Series(np.arange(100) < 50, users)
    outcomes = pd.DataFrame({"item_id": "a", "bought": 1.0}, users.repeat(1))
    outcomes = pd.concat([outcomes, outcomes.assign(item_id="b")])
    right = pd.DataFrame({"item_id": ["a", "b"] * 100, "score": [2.0, 1.0] * 100}, users.repeat(2))
    wrong = right.assign(item_id=["a", "x"] * 100)
    answers = pd.concat([wrong[wrong.index < "u050"], right[right.index >= "u050"]])
    first, second = sliced(recall, outcomes, answers, wrong.iloc[::-1], {"first": is_first, "second": ~is_first})
    assert (first.score.value, second.score.value) == (0.5, 1.0)  # type: ignore[union-attr]
    assert (first.standing, second.standing) == ("not told apart", "better")


def test_few_subjects_one_class_and_nobody_say_nothing() -> None:
    index = pd.RangeIndex(100)
    bought = pd.DataFrame({"bought": (np.arange(100) < 50).astype(float)}, index)
    answers = pd.DataFrame({"score": np.linspace(0, 1, 100)}, index)
    masks = {
        "few": pd.Series(np.arange(100) % 10 == 0, index),
        "buyers": pd.Series(np.arange(100) < 50, index),
        "nobody": pd.Series(False, index),
        "unknown": pd.Series([None] * 50 + [True] * 50, index, dtype="boolean"),
    }
    slices = sliced(AUC, bought, answers, answers, masks)
    assert {one.name: one.standing for one in slices} == {"few": "too few", "buyers": "too few", "unknown": "too few"}
    assert str(slices[0]) == "few: 10 subjects, too few to judge"
    assert slices_finding(slices).passed
    assert slices_finding([]).passed


def test_users_are_sliced_as_far_as_the_columns_tell() -> None:
    columns = pd.DataFrame({"visits": [1.0, np.nan, 7.0, 1.0], "tenure_days": [10.0, 400.0, 400.0, np.nan]})
    masks = user_slices(columns)
    assert (pd.concat(masks, axis=1).sum(axis=1) == 1).all()
    assert user_slices(columns[["visits"]]) == {}
    assert list(value_slices(pd.Series([3, 3, 1, 2, 2]), "store", most=2)) == ["store 2", "store 3"]
