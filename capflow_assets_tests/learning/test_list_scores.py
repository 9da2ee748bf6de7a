"""The places of outcomes on lists, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.learning.list_scores import places, reciprocal_place, share_in_top, top_plot

LISTS = pd.DataFrame(
    {"store_id": ["a", "b", "c", "b", "a"], "score": [0.1, 0.6, 0.3, 0.5, 0.5]},
    index=pd.Index(["ana", "ana", "ana", "bob", "bob"], name="user_id"),
)
OUTCOMES = pd.DataFrame(
    {"store_id": ["b", "a", "x", "a", "b"], "visits": [2.0, 1.0, 1.0, 3.0, 1.0]},
    index=pd.Index(["ana", "ana", "ana", "bob", "eve"], name="user_id"),
)


def test_the_highest_score_stands_first_and_of_equal_ones_the_first_row() -> None:
    assert places(OUTCOMES, LISTS, "store_id").tolist() == [1.0, 3.0, np.inf, 2.0, np.inf]


def test_of_each_user_the_share_among_the_first() -> None:
    shares = share_in_top(OUTCOMES, LISTS, "store_id", "visits", 2)
    assert shares["value"].to_dict() == {"ana": 0.5, "bob": 1.0, "eve": 0.0}


def test_of_each_user_the_mean_of_one_over_the_place() -> None:
    values = reciprocal_place(OUTCOMES, LISTS, "store_id", "visits")["value"]
    assert values.to_dict() == pytest.approx({"ana": (2 + 1 / 3) / 4, "bob": 0.5, "eve": 0.0})


def test_the_order_of_the_rows_is_irrelevant() -> None:
    mixed = reciprocal_place(
        OUTCOMES.sample(frac=1, random_state=1),
        LISTS.iloc[[4, 2, 0, 3, 1]].query("user_id == 'ana'"),
        "store_id",
        "visits",
    )
    assert mixed["value"]["ana"] == pytest.approx((2 + 1 / 3) / 4)


def test_users_of_whom_nothing_came_do_not_count_and_no_list_is_no_hit() -> None:
    assert share_in_top(OUTCOMES.iloc[:0], LISTS, "store_id", "visits", 1).empty
    assert share_in_top(OUTCOMES, LISTS.iloc[:0], "store_id", "visits", 1)["value"].to_list() == [0.0, 0.0, 0.0]
    assert share_in_top(OUTCOMES.assign(visits=0.0), LISTS, "store_id", "visits", 1).empty


def test_the_plot_says_how_good_the_first_is() -> None:
    figure = top_plot(OUTCOMES, LISTS, "store_id", "visits", 3, ("stores", "the visits"))
    assert figure.axes[0].get_title() == "The first: 16.7%; the first 3: 58.3%"
