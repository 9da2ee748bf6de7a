"""Combined answers, against sums by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.errors import ModelError
from capflow_assets.learning.combining import averaged, combined, fused, stacking_weights


def lists(*of: dict[str, str], reason: str = "") -> pd.DataFrame:
    rows = [
        (user, item, 10.0 - place, f"{reason}{item}")
        for part in of
        for user, items in part.items()
        for place, item in enumerate(items)
    ]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "score", "reasons"])
    return frame.set_index("user_id")


def test_places_are_fused_as_the_paper_does() -> None:
    first, second = lists({"u": "abc", "v": "xy"}, reason="1"), lists({"u": "cad", "v": "yz", "w": "q"}, reason="2")
    fusion = fused([first, second], (1.0, 1.0), ("item_id",))
    by_hand = {
        ("u", "a"): 1 / 61 + 1 / 62,
        ("u", "c"): 1 / 63 + 1 / 61,
        ("u", "b"): 1 / 62,
        ("v", "y"): 1 / 62 + 1 / 61,
        ("v", "x"): 1 / 61,
        ("w", "q"): 1 / 61,
    }
    scores = dict(zip(zip(fusion.index, fusion["item_id"], strict=True), fusion["score"], strict=True))
    assert scores == pytest.approx(by_hand)
    assert list(scores) == list(by_hand)
    assert fusion.columns.tolist() == ["item_id", "score", "reasons"]
    assert fusion.index.name == "user_id"
    assert fusion["reasons"].tolist() == ["1a", "1c", "1b", "1y", "1x", "2q"]


def test_a_heavier_list_has_more_say_and_row_order_has_none() -> None:
    first, second = lists({"u": "ab"}), lists({"u": "ba"})
    assert fused([first, second], (0.1, 0.9), ("item_id",))["item_id"].tolist() == ["b", "a"]
    assert fused([first, second], (0.9, 0.1), ("item_id",))["item_id"].tolist() == ["a", "b"]
    turned = fused([first.iloc[::-1], second], (0.9, 0.1), ("item_id",))
    pd.testing.assert_frame_equal(turned, fused([first, second], (0.9, 0.1), ("item_id",)))


def test_lists_of_pairs_keep_their_key() -> None:
    index = pd.MultiIndex.from_tuples([("u", "s1"), ("u", "s1"), ("u", "s2")], names=["user_id", "store_id"])
    frame = pd.DataFrame({"item_id": ["a", "b", "a"], "score": [2.0, 1.0, 1.0]}, index)
    fusion = fused([frame, frame], (0.5, 0.5), ("item_id",))
    assert fusion.index.equals(index)
    assert fusion["item_id"].tolist() == ["a", "b", "a"]


def test_figures_are_averaged_and_texts_are_the_first_ones() -> None:
    index = pd.Index(["a", "b", "c"], name="user_id")
    first = pd.DataFrame({"score": [0.2, 0.4, np.nan], "own": [1.0, 1, 1], "reasons": ["x", "y", "z"]}, index)
    second = pd.DataFrame({"score": [0.6, np.nan, np.nan], "other": [2.0, 2, 2]}, index)
    mean = combined("stack", [first, second], (0.75, 0.25))
    assert mean["score"].round(12).tolist()[:2] == [0.3, 0.4]
    assert np.isnan(mean["score"].iloc[2])
    assert mean["own"].tolist() == [1.0, 1.0, 1.0]
    assert mean["reasons"].tolist() == ["x", "y", "z"]
    with pytest.raises(ModelError, match="the same 3 subjects"):
        averaged([first, second.iloc[::-1]], (1, 1))


def test_weights_are_those_of_the_mixture_that_made_the_outcome() -> None:
    random = np.random.default_rng(0)
    scores = random.random((50_000, 3))
    outcome = scores @ [0.7, 0.3, 0.0] + random.normal(0, 0.1, 50_000)
    assert stacking_weights(outcome, scores) == pytest.approx((0.7, 0.3, 0.0), abs=0.02)
    labels = (random.random(50_000) < scores @ [0.2, 0.0, 0.8]).astype(float)
    assert stacking_weights(labels, scores) == pytest.approx((0.2, 0.0, 0.8), abs=0.05)


def test_weights_are_never_below_zero_and_sum_to_one() -> None:
    random = np.random.default_rng(1)
    scores = random.random((500, 2)) * 1000
    weights = stacking_weights(scores @ [2.0, -1.0], scores)
    assert weights == pytest.approx((1.0, 0.0))
    assert stacking_weights(np.array([np.nan]), np.ones((1, 2))) == (0.5, 0.5)
    assert stacking_weights(np.zeros(5), np.zeros((5, 2))) == pytest.approx((0.5, 0.5), abs=0.5)
    assert sum(stacking_weights(np.zeros(5), np.zeros((5, 2)))) == pytest.approx(1.0)
