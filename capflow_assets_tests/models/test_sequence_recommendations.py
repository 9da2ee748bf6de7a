"""Whether the planted order of visits is learned, and what is answered where there is no order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError, ModelError
from capflow_assets.learning.intervals import difference_with_interval
from capflow_assets.models.sequence_recommendations import (
    LINES,
    MODEL,
    BasketSequences,
    NeighbourItems,
    SequenceParams,
)

ITEMS, VISITS = 40, 10
MOMENT = datetime(2024, 6, 30, 21, 59, tzinfo=UTC)
PARAMS = SequenceParams(epochs=8)


@cache
def ordered() -> Examples:
    """Users who buy items in one order, one a visit, each from another first one: after item 7 comes item 8."""
    random = np.random.default_rng(0)
    first = random.integers(0, ITEMS, 600)
    visits = (first[:, None] + np.arange(VISITS + 1)[None, :]) % ITEMS
    users = pd.Index([f"u{number:03d}" for number in range(len(first))], name="user_id")
    lines = pd.DataFrame(
        {
            "user_id": np.repeat(users, VISITS),
            "item_id": [f"i{item:02d}" for item in visits[:, :-1].ravel()],
            "billed_on": np.tile(pd.date_range("2024-05-01", periods=VISITS).date, len(first)),
            "is_return": False,
            "flags": "",
        }
    )
    outcomes = pd.DataFrame({"item_id": [f"i{item:02d}" for item in visits[:, -1]], "bought": 1.0}, users)
    return Examples(pd.DataFrame(index=users), outcomes, {LINES: (lines,)}, (MOMENT,), "UTC")


@cache
def fitted() -> BasketSequences:
    return BasketSequences(PARAMS).fit(ordered())


def test_the_planted_order_is_learned_which_item_knn_cannot_know() -> None:
    outcomes = ordered().outcomes
    assert outcomes is not None
    answers, baseline = fitted().predict(ordered()), NeighbourItems(PARAMS).fit(ordered()).predict(ordered())
    gain = difference_with_interval(MODEL.metric, outcomes, answers, baseline, seed=0)
    assert gain.low > 0.8, gain
    right = answers[answers["item_id"] == outcomes["item_id"].reindex(answers.index)]
    assert set(right["reasons"]) == {"follows on visits like the user's last"}


def test_item_knn_lists_what_was_bought_and_what_is_bought_with_it() -> None:
    rows = NeighbourItems(PARAMS).fit(ordered()).predict(ordered()).loc["u000"]
    lines = ordered().table(LINES)
    own = set(lines.loc[lines["user_id"] == "u000", "item_id"])
    assert set(rows["item_id"].iloc[:VISITS]) == own
    assert set(rows["reasons"].iloc[VISITS:]) == {"bought by shoppers alike"}


def test_training_again_on_all_that_is_known_takes_the_best_epochs() -> None:
    again = fitted().refit(ordered())
    assert len(again.course["losses"]) == fitted().course["best_epoch"]
    assert again.course["recalls"] == []
    assert fitted().course["recalls"][fitted().course["best_epoch"] - 1] == max(fitted().course["recalls"])


def test_a_user_without_visits_gets_what_is_popular() -> None:
    subjects = replace(ordered(), columns=pd.DataFrame(index=pd.Index(["new"], name="user_id")))
    rows = fitted().predict(subjects)
    assert len(rows) == PARAMS.items
    assert set(rows["reasons"]) == {"popular with all shoppers"}
    assert rows["score"].is_monotonic_decreasing


def test_what_a_user_gets_does_not_depend_on_who_else_is_asked_about() -> None:
    alone = replace(ordered(), columns=ordered().columns.loc[["u017"]])
    pd.testing.assert_frame_equal(fitted().predict(alone), fitted().predict(ordered()).loc[["u017"]], check_exact=True)


def test_items_that_came_after_the_training_do_not_disturb_it() -> None:
    lines = ordered().table(LINES)
    more = lines[lines["item_id"] == "i00"].assign(item_id="new")
    later = replace(ordered(), tables={LINES: (pd.concat([lines, more]),)})
    assert len(fitted().predict(later)) == PARAMS.items * len(ordered())


def test_visits_of_which_none_follows_another_are_not_enough() -> None:
    lines = ordered().table(LINES).drop_duplicates("user_id")
    with pytest.raises(EvidenceError, match="Nothing follows on anything"):
        BasketSequences(PARAMS).fit(replace(ordered(), tables={LINES: (lines,)}))


def test_predicting_before_fitting_is_refused() -> None:
    with pytest.raises(ModelError, match="not fitted"):
        BasketSequences(PARAMS).predict(ordered())
