"""What is new to a user, whose tastes new items follow, and what those get of whom little is known."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from capflow_assets.clean.line_items import TABLE as LINE_ITEMS
from capflow_assets.contract import Examples
from capflow_assets.errors import ModelError
from capflow_assets.models.item_recommendations import (
    MODEL,
    USER_ITEM,
    Fused,
    ItemRecommendationsParams,
    PopularItems,
    PopularLately,
    SharedFactors,
    SimilarItems,
    outcome,
)
from capflow_assets_doubles.engines import frame_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PARAMS = ItemRecommendationsParams()
MOMENT = datetime(2024, 6, 30, 21, 59, tzinfo=UTC)
START, END = datetime(2020, 3, 1, 12, tzinfo=UTC), datetime(2020, 3, 31, 12, tzinfo=UTC)
CHALLENGERS = [Fused, SimilarItems, SharedFactors, PopularLately]


def line(user: str | None, at: datetime, item: str, **more: Any) -> dict[str, Any]:
    row = {"user_id": user, "billed_at": at, "billed_on": at.date(), "item_id": item, "is_return": False, "flags": ""}
    return {**row, **more}


def test_an_item_is_new_to_whom_never_bought_it_before(spark: SparkSession) -> None:
    before, within = datetime(2020, 2, 1, tzinfo=UTC), datetime(2020, 3, 9, tzinfo=UTC)
    lines = (
        line("ann", START, "tea"),  # the start itself belongs to the past
        line("ann", END, "tea"),  # the end itself belongs to the horizon
        line("ann", within, "jam"),
        line("ann", within, "jam"),
        line("bob", before, "tea"),
        line("bob", within, "postage", flags="not_an_item"),
        line("cas", before, "tea", is_return=True),  # what was only brought back was not bought from us
        line("cas", within, "tea"),
        line("dan", END.replace(microsecond=1), "tea"),
        line(None, within, "tea"),
    )
    rows = outcome(frame_of(spark, LINE_ITEMS, lines), START, END).collect()
    assert sorted(tuple(row) for row in rows) == [
        ("ann", "jam", 1.0, 0.0),
        ("ann", "tea", 0.0, 1.0),
        ("cas", "tea", 1.0, 0.0),
    ]


def examples_of(rows: list[tuple[str, str, int, int]], *users: str) -> Examples:
    """Users to answer for, of purchases by user and item: how many, and how many days ago the last one was."""
    table = pd.DataFrame(rows, columns=["user_id", "item_id", "purchases", "last_bought_days"])
    table = table.assign(decayed_purchases=table["purchases"] * 0.5 ** (table["last_bought_days"] / 90))
    index = pd.Index(users, name="user_id", dtype=object)
    return Examples(pd.DataFrame(index=index), None, {USER_ITEM: (table,)}, (MOMENT,), "UTC")


def herd() -> Examples:
    """Two tastes of ten items each; a user has bought six of one taste."""
    random = np.random.default_rng(0)
    rows = []
    for user in range(60):
        for item in random.choice(10, 6, replace=False):
            rows.append((f"u{user:02d}", f"{'ab'[user % 2]}{item}", 1, int(random.integers(0, 60))))
    return examples_of(rows, *(f"u{user:02d}" for user in range(60)))


@pytest.mark.parametrize(("estimator", "least"), [(SimilarItems, 1.0), (SharedFactors, 0.9)])
def test_new_items_are_of_the_users_taste(estimator: Any, least: float) -> None:
    """Of the fourteen that a user has not bought ten are of the other taste."""
    examples = herd()
    rows = estimator(PARAMS).fit(examples).predict(examples)
    first = rows[rows["is_new"]].groupby(level=0).head(2)
    assert len(first) == 2 * 60
    assert np.mean(first["item_id"].str[0] == ["ab"[int(user[1:]) % 2] for user in first.index]) >= least


@pytest.mark.parametrize("estimator", [*CHALLENGERS, PopularItems])
def test_new_and_known_items_are_told_apart(estimator: Any) -> None:
    examples = herd()
    rows = estimator(PARAMS).fit(examples).predict(examples)
    bought = pd.MultiIndex.from_frame(examples.table(USER_ITEM)[["user_id", "item_id"]])
    is_known = pd.MultiIndex.from_arrays([rows.index, rows["item_id"]]).isin(bought)
    assert (rows["is_new"] == ~is_known).all()
    assert (rows[~rows["is_new"]].groupby(level=0).size() == 6).all()


def test_known_items_are_those_bought_most_and_lately_first() -> None:
    examples = examples_of([("ana", "tea", 4, 180), ("ana", "jam", 2, 0), ("ana", "oil", 1, 0)], "ana")
    rows = PopularItems(PARAMS).fit(examples).predict(examples)
    assert rows[["item_id", "reasons"]].to_numpy().tolist() == [
        ["jam", "bought 2 times"],
        ["oil", "bought once"],
        ["tea", "bought 4 times"],
    ]


def test_the_reason_names_the_item_that_a_new_one_goes_with() -> None:
    rows = [(f"u{user}", item, 1, 5) for user in range(5) for item in ("tea", "milk")]
    rows += [(f"v{user}", item, 1, 5) for user in range(9) for item in ("rum", "lime")]
    examples = examples_of([*rows, ("ana", "tea", 3, 5), ("ana", "salt", 9, 5)], "ana")
    answers = SimilarItems(PARAMS).fit(examples).predict(examples)
    new = answers[answers["is_new"]]
    assert new[["item_id", "reasons"]].to_numpy().tolist() == [["milk", "goes with tea, bought 3 times"]]


def test_a_user_who_bought_nothing_gets_what_is_popular_lately() -> None:
    rows = [("ana", "tea", 1, 300), ("bea", "tea", 1, 300), ("bea", "jam", 1, 2)]
    examples = examples_of(rows, "new")
    for estimator, items in ((Fused, ["jam", "tea"]), (PopularLately, ["jam", "tea"]), (PopularItems, ["tea", "jam"])):
        answers = estimator(PARAMS).fit(examples).predict(examples)
        assert answers["item_id"].tolist() == items
        assert answers["is_new"].all()


@pytest.mark.parametrize("estimator", [*CHALLENGERS, PopularItems])
@pytest.mark.parametrize("rows", [[], [("ana", "tea", 0, 0)], [("ana", "tea", 1, 0)]])
def test_little_data_is_answered_by_little(estimator: Any, rows: list[tuple[str, str, int, int]]) -> None:
    """A shop that sold nothing, one to which things were only brought back, one of one user."""
    examples = examples_of(rows, "ana", "new")
    answers = estimator(PARAMS).fit(examples).predict(examples)
    assert set(answers["item_id"]) <= {"tea"}
    assert list(answers.columns) == ["item_id", "is_new", "score", "reasons"]


def test_predicting_before_fitting_is_refused() -> None:
    with pytest.raises(ModelError, match="not fitted"):
        Fused(PARAMS).predict(examples_of([], "ana"))


def test_the_metric_looks_at_new_items_alone_and_the_rule_at_known_ones() -> None:
    users = pd.Index(["ana"] * 4, name="user_id")
    outcomes = pd.DataFrame({"item_id": ["a", "b", "c", "d"], "bought_new": [1.0, 1.0, 0.0, 0.0]}, users)
    outcomes["bought_again"] = 1 - outcomes["bought_new"]
    lists = pd.DataFrame({"item_id": ["a", "c", "d", "x"], "is_new": [True, False, False, True]}, users)
    lists["score"] = [0.4, 0.9, 0.8, 0.7]
    assert MODEL.metric.compute(outcomes, lists) == 0.5
    assert {rule.name: rule.measure(outcomes, lists) for rule in MODEL.rules}["recall_10_known"] == 1.0


def test_the_parts_that_served_best_are_chosen_and_kept_for_the_refit() -> None:
    """Users go on with their taste: what is popular with all is of no use."""
    examples = herd()
    table = examples.table(USER_ITEM)
    bought = set(zip(table["user_id"], table["item_id"], strict=True))
    rows = [
        (user, item, 1.0, 0.0)
        for number, user in enumerate(examples.columns.index)
        for item in (f"{'ab'[number % 2]}{place}" for place in range(10))
        if (user, item) not in bought
    ]
    outcomes = pd.DataFrame(rows, columns=["user_id", "item_id", "bought_new", "bought_again"]).set_index("user_id")
    learned = Examples(examples.columns, outcomes, examples.tables, (MOMENT,), "UTC")
    params = ItemRecommendationsParams(items=10)
    estimator = Fused(params).fit(learned)
    parameters = estimator.parameters()
    assert parameters["past_recalls"]["similar"] == 1.0
    again = estimator.refit(examples)
    assert again.parameters()["parts"] == parameters["parts"]
    pd.testing.assert_frame_equal(again.predict(examples), estimator.predict(examples))
