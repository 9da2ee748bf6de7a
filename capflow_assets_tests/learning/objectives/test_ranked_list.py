"""What all models of ranked lists share, by hand."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from capflow_assets.contract import Candidate, Examples, Horizon, Needs, Reads
from capflow_assets.learning.objectives.ranked_list import ranked_list_model


class Nothing:
    """Lists nothing."""

    def __init__(self, params: Horizon) -> None:
        self.params = params

    def fit(self, examples: Examples) -> Nothing:
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        return pd.DataFrame({"category": [], "score": [], "reasons": []}, index=examples.columns.index[:0])

    def parameters(self) -> dict[str, Any]:
        return {}


MODEL = ranked_list_model(
    question="Which category next?",
    needs=Needs(tables=("clean/bills",)),
    reads=(Reads("clean/line_items", form="frame"),),
    outcome=lambda bills, start, end: bills,
    params=Horizon,
    candidates=(Candidate("nothing", Nothing), Candidate("nothing either", Nothing, is_baseline=True)),
    listed="category",
    observed="visits",
    words="the next categories",
)
USERS = pd.Index(["ana", "ana", "bea"], name="user_id")
OUTCOMES = pd.DataFrame({"category": ["tea", "jam", "rum"], "visits": [1.0, 2.0, 1.0]}, USERS)
LISTS = pd.DataFrame({"category": ["gin", "tea", "rum"], "score": [2.0, 1.0, 1.0], "reasons": "bought"}, USERS)


def test_a_list_is_judged_by_the_share_of_what_came_among_its_first_ten() -> None:
    assert MODEL.metric.name == "recall_10"
    assert MODEL.metric.compute(OUTCOMES, LISTS) == pytest.approx((1 / 2 + 1) / 2)
    assert MODEL.metric.description == "Share of the next categories among the first ten listed."


def test_the_ndcg_is_reported_and_decides_nothing() -> None:
    (rule,) = MODEL.rules
    assert (rule.name, rule.otherwise) == ("ndcg_10", "tell")
    best = 1 + 0.6309297535714575
    assert rule.measure(OUTCOMES, LISTS) == pytest.approx((0.6309297535714575 / best + 1) / 2)


def test_what_is_listed_tells_answers_and_outcomes_apart() -> None:
    assert MODEL.objective == "list"
    assert MODEL.answer.shape == "list"
    assert MODEL.answer.per == MODEL.outcome.per == ("category",)


def test_the_picture_says_what_came() -> None:
    assert MODEL.plot is not None
    axes = MODEL.plot(OUTCOMES, LISTS).axes[0]
    assert axes.get_ylabel() == "share of the next categories among them"
    assert axes.get_title().startswith("Recall@10 0.750")
