"""Lists as rows with their reasons, and a figure that equals the one that models are judged by."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.learning.category_habits import category_visits
from capflow_assets.learning.category_lists import category_rows, firsts, frequent_chances, lifts, ndcg
from capflow_assets.learning.ranking import ndcg_by_subject

TODAY = np.datetime64("2024-06-30")


def test_the_figure_that_recipes_are_chosen_by_is_the_one_that_models_are_judged_by() -> None:
    random = np.random.default_rng(0)
    scores, bought = random.random((50, 8)), random.random((50, 8)) < 0.3
    bought[:, 0] |= ~bought.any(axis=1)
    index = pd.Index([f"u{number:02d}" for number in range(50)], name="user_id")
    user, item = np.nonzero(np.ones_like(bought))
    answers = pd.DataFrame({"item_id": item, "score": scores[user, item]}, index=index.take(user))
    user, item = np.nonzero(bought)
    outcomes = pd.DataFrame({"item_id": item, "bought": 1.0}, index=index.take(user))
    expected = ndcg_by_subject(outcomes, answers, top=3)["value"]
    assert ndcg(scores, bought, 3).tolist() == pytest.approx(expected.tolist())


def test_of_equal_scores_the_first_comes_first() -> None:
    scores = np.array([[1.0, 3.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0]])
    assert firsts(scores, 3).tolist() == [[1, 2, 3], [0, 1, 2]]
    assert firsts(scores, 9).shape == (2, 4)


def test_rows_say_how_often_and_how_lately_and_what_is_in_season() -> None:
    days = {"ann": ["2024-06-29", "2024-06-01"], "bob": ["2023-06-30"]}
    lines = pd.DataFrame(
        [("ann", "tea", days["ann"][0]), ("ann", "tea", days["ann"][1]), ("bob", "jam", days["bob"][0])],
        columns=["user_id", "item_id", "billed_on"],
    )
    items = pd.DataFrame({"item_id": ["tea", "jam"], "category": ["drinks", "spreads"]})
    visits = category_visits(lines.assign(is_return=False, flags=""), items, TODAY)
    index = pd.Index(["bob", "new", "ann"], name="user_id")
    rows = category_rows(visits, frequent_chances(visits), index, 5, np.array([1.5, 0.7]))
    assert rows.index.tolist() == ["bob", "bob", "new", "new", "ann", "ann"]
    assert rows["category"].tolist() == ["spreads", "drinks", "drinks", "spreads", "drinks", "spreads"]
    season = "all shoppers buy it 1.5 times as often as usual now"
    assert rows["reasons"].tolist() == [
        "bought on 1 of 1 visits, last 366 days ago",
        f"popular with all shoppers now; {season}",
        f"popular with all shoppers now; {season}",
        "popular with all shoppers now",
        f"bought on 2 of 2 visits, last 1 day ago; {season}",
        "popular with all shoppers now",
    ]
    assert rows["score"].tolist() == pytest.approx([1 + 1 / 6, 1 / 3, 1 / 3, 1 / 6, 2 + 1 / 3, 1 / 6])


def test_a_category_that_all_buy_more_often_now_is_in_season() -> None:
    """Of 40 visits of a year ago a tenth had spreads, of 40 of this month all had: (40 + 20 s) / 60 over s = 0.55."""
    days = ["2023-07-10"] * 40 + ["2024-06-20"] * 40
    users = [f"u{number}" for number in range(40)]
    items = pd.DataFrame({"item_id": ["tea", "jam"], "category": ["drinks", "spreads"]})
    lines = pd.DataFrame({"user_id": users * 2, "item_id": ["jam"] * 4 + ["tea"] * 36 + ["jam"] * 40})
    visits = category_visits(lines.assign(billed_on=days, is_return=False, flags=""), items, TODAY)
    assert visits.categories.tolist() == ["spreads", "drinks"]
    assert lifts(visits, 1.0)[0] == pytest.approx((40 + 20 * 0.55) / 60 / 0.55)
    assert lifts(visits, 0.0).tolist() == [1.0, 1.0]
