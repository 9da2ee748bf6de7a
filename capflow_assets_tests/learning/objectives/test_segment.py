"""What all segment models share: their order against what was spent, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples, Horizon
from capflow_assets.learning.objectives.segment import (
    RecencyOnly,
    order_error_of,
    spend_by_segment,
    spend_plot,
    variance_explained,
)

ANSWERS = pd.DataFrame({"score": [1.0, 1.2, 2.0, 2.5], "segment": ["Lost", "Lost", "New", "New"]})


def test_the_calibration_sees_a_segment_out_of_order() -> None:
    assert order_error_of(pd.DataFrame({"spend": [0.0, 2.0, 3.0, 3.0]}), ANSWERS) == 0
    # means 3 and 1 of two users each: both have to meet at 2, moving 2 * 1 + 2 * 1 of 2 * 8
    assert order_error_of(pd.DataFrame({"spend": [3.0, 3.0, 0.0, 2.0]}), ANSWERS) == pytest.approx(0.25)


def test_spend_is_added_by_segment_from_the_worst_place_up() -> None:
    groups = spend_by_segment(pd.DataFrame({"spend": [0.0, 2.0, 3.0, 5.0]}), ANSWERS)
    assert groups.to_dict("list") == {
        "place": [1.0, 2.0],
        "segment": ["Lost", "New"],
        "users": [2, 2],
        "spend": [2.0, 8.0],
        "spend_avg": [1.0, 4.0],
    }


def test_the_picture_names_the_best_segments_shares() -> None:
    figure = spend_plot(pd.DataFrame({"spend": [0.0, 2.0, 3.0, 5.0]}), ANSWERS)
    assert figure.axes[0].get_title() == "New: 50 % of users, 80 % of spend"


def test_whoever_came_last_comes_first_and_one_who_never_came_last() -> None:
    users = pd.DataFrame({"recency_days": [3.0, None, 0.0]})
    assert RecencyOnly(Horizon()).fit(Examples(users)).predict(Examples(users))["score"].tolist() == [-3.0, -1e6, 0.0]


def test_the_share_of_differences_that_segments_explain() -> None:
    """Logarithms of 1 + spend are 0, 0, 2 and 2: between segments lies all of their variance, or none of it."""
    spend = pd.DataFrame({"spend": np.expm1([0.0, 0.0, 2.0, 2.0])})
    assert variance_explained(spend, ANSWERS) == pytest.approx(1.0)
    assert variance_explained(spend, ANSWERS.assign(segment=["a", "b", "a", "b"])) == pytest.approx(0.0)
    assert variance_explained(spend * 0, ANSWERS) == 0.0
