"""Recall and NDCG of lists, by hand."""

from __future__ import annotations

from math import log2

import pandas as pd
import pytest

from capflow_assets.learning.metrics import mean_by_subject
from capflow_assets.learning.ranking import ndcg_by_subject, recall_by_subject, recall_plot


def outcomes(**items: list[str]) -> pd.DataFrame:
    rows = [(user, item, 1.0) for user, bought in items.items() for item in bought]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "bought"]).set_index("user_id")


def answers(**items: list[str]) -> pd.DataFrame:
    """Lists in the order of their scores, written down the other way round."""
    rows = [(user, item, -float(place)) for user, listed in items.items() for place, item in enumerate(listed)]
    return pd.DataFrame(rows[::-1], columns=["user_id", "item_id", "score"]).set_index("user_id")


OUTCOMES = outcomes(ana=["tea", "jam", "oil"], bea=["rum"], cem=["gin"], dan=["ale"])
LISTS = answers(ana=["tea", "gin", "jam", "oil"], bea=["tea", "gin", "rum"], cem=["gin"], eva=["tea"])


def test_recall_is_the_share_of_what_came() -> None:
    """Of ana's three items the first three of her list have two; dan, who bought, has no list; eva bought nothing."""
    values = recall_by_subject(OUTCOMES, LISTS, top=3)
    assert values.index.name == "user_id"
    assert values["value"].to_dict() == {"ana": pytest.approx(2 / 3), "bea": 1.0, "cem": 1.0, "dan": 0.0}
    assert recall_by_subject(OUTCOMES, LISTS, top=2)["value"].tolist() == pytest.approx([1 / 3, 0, 1, 0])


def test_ndcg_counts_less_the_lower_an_item_stands() -> None:
    values = ndcg_by_subject(OUTCOMES, LISTS, top=3)["value"]
    best = 1 + 1 / log2(3) + 1 / log2(4)
    assert values.to_dict() == {
        "ana": pytest.approx((1 + 1 / log2(4)) / best),
        "bea": pytest.approx(1 / log2(4)),
        "cem": 1.0,
        "dan": 0.0,
    }
    # With two shown, ana's best list would have two of her three items.
    assert ndcg_by_subject(OUTCOMES, LISTS, top=2)["value"]["ana"] == pytest.approx(1 / (1 + 1 / log2(3)))


def test_the_order_of_rows_is_irrelevant_and_repeated_items_count_once() -> None:
    mixed = pd.concat([OUTCOMES, OUTCOMES.iloc[:2]]).sample(frac=1, random_state=1)
    for of in (recall_by_subject, ndcg_by_subject):
        pd.testing.assert_frame_equal(of(mixed, LISTS.sample(frac=1, random_state=2), 3), of(OUTCOMES, LISTS, 3))


def test_of_equal_scores_the_row_that_stands_first_comes_first() -> None:
    listed = answers(ana=["tea", "gin"]).assign(score=1.0)
    assert recall_by_subject(outcomes(ana=["tea"]), listed, top=1)["value"].tolist() == [0.0]
    assert recall_by_subject(outcomes(ana=["tea"]), listed[::-1], top=1)["value"].tolist() == [1.0]


def test_what_did_not_come_is_no_outcome() -> None:
    rows = outcomes(ana=["tea", "jam"], bea=["rum"])
    rows.loc[rows["item_id"] != "tea", "bought"] = 0.0
    assert recall_by_subject(rows, LISTS)["value"].to_dict() == {"ana": 1.0}


def test_nobody_is_judged_where_nothing_came_or_was_listed() -> None:
    assert recall_by_subject(OUTCOMES[:0], LISTS).empty
    assert ndcg_by_subject(OUTCOMES, LISTS[:0])["value"].tolist() == [0.0] * 4


def test_as_a_metric_it_is_the_mean_over_users() -> None:
    metric = mean_by_subject("recall_3", lambda bought, lists: recall_by_subject(bought, lists, 3), True, "")
    assert metric.compute(OUTCOMES, LISTS) == pytest.approx((2 / 3 + 1 + 1 + 0) / 4)


def test_the_plot_names_both_figures() -> None:
    figure = recall_plot(OUTCOMES, LISTS, most=4)
    line = figure.axes[0].lines[0].get_ydata()
    assert list(line) == pytest.approx([(1 / 3 + 0 + 1) / 4, (1 / 3 + 1) / 4, (2 / 3 + 2) / 4, 3 / 4])
    assert "NDCG@10" in figure.axes[0].get_title()
