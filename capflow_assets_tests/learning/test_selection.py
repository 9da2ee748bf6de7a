"""Columns are chosen that drive the outcome, and of each of the others it is said why not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Estimator, Examples
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.folds import folds_in_time
from capflow_assets.learning.metrics import roc_auc
from capflow_assets.learning.selection import Budget, Selection, select
from capflow_assets_tests.learning.logistic import Logistic
from capflow_assets_tests.learning.shoppers import shoppers

AUC = roc_auc("bought")


def selected(
    examples: Examples, make: Callable[[tuple[str, ...]], Estimator] = Logistic, seed: int = 0, **more: object
) -> Selection:
    menu = [name for name in examples.columns.columns if name != "moment"]
    folds = folds_in_time(examples, horizon_days=30)
    return select(examples, make, AUC, folds, menu, "bought", seed=seed, **more)  # type: ignore[arg-type]


def verdicts(selection: Selection) -> dict[str, str]:
    return {fate.column: fate.verdict for fate in selection.fates}


def with_columns(examples: Examples, **more: np.ndarray) -> Examples:
    return replace(examples, columns=examples.columns.assign(**more))


@pytest.mark.parametrize("seed", range(5))
def test_what_drives_the_outcome_is_chosen_and_nothing_else(seed: int) -> None:
    selection = selected(shoppers(seed=seed))
    assert selection.columns == ("rate", "taste")
    fates = verdicts(selection)
    assert fates["steady"] == "constant"
    assert fates["rate_copy"] == "redundant"
    assert {fates[f"noise_{number}"] for number in range(10)} <= {"unstable", "unneeded"}
    assert fates["taste_blurred"] in {"unstable", "unneeded"}
    assert selection.with_all is not None
    assert selection.with_chosen is not None
    assert selection.with_chosen > selection.with_all - 0.02


def test_each_fate_is_said_in_words_and_keeps_its_interval() -> None:
    selection = selected(shoppers(odds=-0.5))
    rows = {row["column"]: row for row in json.loads(json.dumps(selection.rows(), allow_nan=False))}
    assert list(rows) == [name for name in shoppers().columns.columns if name != "moment"]
    assert rows["steady"]["reason"] == "it is the same for all"
    assert rows["rate_copy"]["reason"] == "it goes with rate (rank correlation 1.00), which tells more"
    assert rows["rate"]["reason"].startswith("without it roc_auc is worse by 0.")
    value, low, high = rows["rate"]["importance"]
    assert 0 < low < value < high
    assert rows["rate"]["importance"] > rows["taste"]["importance"]
    assert rows["steady"]["importance"] is None


def test_what_helped_once_and_no_more_is_unstable() -> None:
    # All three moments that are validated on have the law but one.
    examples = shoppers(moments=5, fading=0.0, users=3000)
    parts = examples.columns["moment"].to_numpy()
    assert examples.outcomes is not None
    bought = examples.outcomes["bought"].to_numpy()
    # A column that foretells at moments 1 and 2 and is noise later on.
    random = np.random.default_rng(0)
    passing = np.where((parts <= 2), bought + random.normal(0, 1.2, bought.size), random.normal(0.3, 1.3, bought.size))
    selection = selected(with_columns(examples, passing=passing))
    assert verdicts(selection)["passing"] == "unstable"
    assert {"rate", "taste"} <= set(selection.columns)


def test_a_planted_future_is_leaking_and_never_chosen() -> None:
    examples = shoppers()
    assert examples.outcomes is not None
    bought = examples.outcomes["bought"].to_numpy()
    planted = with_columns(examples, spend_next_month=bought * 7 + np.random.default_rng(0).normal(0, 0.5, bought.size))
    selection = selected(planted)
    (fate,) = [fate for fate in selection.fates if fate.column == "spend_next_month"]
    assert fate.verdict == "leaking"
    assert fate.reason.startswith("alone orders the users by bought with an AUC of 1.000")
    assert selection.columns == ("rate", "taste")
    allowed = selected(planted, leak_bounds={"auc_at_most": 1.0, "r2_at_most": 1.0})
    assert verdicts(allowed)["spend_next_month"] == "chosen"


def test_texts_and_unknown_values_do_not_stop_it() -> None:
    examples = shoppers()
    random = np.random.default_rng(0)
    holes = np.where(random.random(len(examples)) < 0.3, np.nan, examples.columns["taste"])
    tier = np.where(random.random(len(examples)) < 0.3, "gold", "none")
    selection = selected(with_columns(examples, taste=holes, empty=np.full(len(examples), np.nan), tier=tier))
    fates = verdicts(selection)
    assert fates["empty"] == "constant"
    assert fates["tier"] == "no number"
    assert "rate" in selection.columns


def test_the_same_seed_chooses_the_same_and_the_order_of_the_menu_is_kept() -> None:
    examples = shoppers(users=800)
    first, again = selected(examples, seed=3), selected(examples, seed=3)
    assert first == again
    alike = examples.columns.drop(columns="rate_copy")  # of two that order alike the first is kept
    turned = replace(examples, columns=alike[alike.columns[::-1]])
    assert selected(turned, seed=3).columns == first.columns[::-1]


def test_examples_are_sampled_to_the_budget() -> None:
    rows: list[int] = []

    class Counting(Logistic):
        def fit(self, examples: Examples) -> Logistic:
            rows.append(len(examples))
            return super().fit(examples)

    selection = selected(shoppers(users=4000), Counting, budget=Budget(rows=3000, probed_rows=900))
    assert selection.columns == ("rate", "taste")
    assert max(rows) == 3000
    assert len(rows) == 6  # one fit per fold of all columns, and one of the chosen


def ticking(step: float) -> Callable[[], float]:
    """A clock that goes on by so much at each look."""
    times: Iterator[float] = count(0.0, step)
    return lambda: next(times)


def test_out_of_time_every_column_stays_that_nothing_speaks_against() -> None:
    examples = shoppers()
    for budget, clock in ((Budget(seconds=0), ticking(0.0)), (Budget(seconds=8), ticking(1.0))):
        selection = selected(examples, budget=budget, clock=clock)
        out = {name for name, verdict in verdicts(selection).items() if verdict != "chosen"}
        assert out == {"steady", "rate_copy"}
        assert "there was no time to weigh it" in selection.rows()[0]["reason"]


def test_pure_noise_keeps_its_columns_rather_than_none() -> None:
    random = np.random.default_rng(0)
    examples = shoppers(users=300)
    assert examples.outcomes is not None
    bought = pd.DataFrame({"bought": random.integers(0, 2, len(examples)).astype(float)}, examples.outcomes.index)
    assert selected(replace(examples, outcomes=bought)).columns


def test_moments_of_one_class_only_are_left_out() -> None:
    examples = shoppers(users=600)
    assert examples.outcomes is not None
    nobody = examples.outcomes["bought"].where((examples.columns["moment"] != 3).to_numpy(), 0.0)
    selection = selected(replace(examples, outcomes=nobody.to_frame()))
    assert {"rate"} <= set(selection.columns)
    none = replace(examples, outcomes=examples.outcomes * 0.0)
    assert "rate" in selected(none, RefusesOneClass).columns


class RefusesOneClass(Logistic):
    """As the models' own estimators do."""

    def fit(self, examples: Examples) -> Logistic:
        assert examples.outcomes is not None
        if examples.outcomes["bought"].nunique() < 2:
            raise EvidenceError("One class only")
        return super().fit(examples)


def test_a_menu_of_constants_is_too_little_evidence() -> None:
    examples = shoppers(users=50)
    folds = folds_in_time(examples, horizon_days=30)
    with pytest.raises(EvidenceError, match="steady: it is the same for all"):
        select(examples, Logistic, AUC, folds, ["steady"], "bought")
