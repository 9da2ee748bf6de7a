"""How like each other items are, by hand and against comparing each with each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from capflow_assets.learning.item_likeness import item_parts, nearest, purchases_of
from capflow_assets.learning.likeness_weights import best_weights

NO_VECTORS = pd.DataFrame({"item_id": [], "embedding": []}, dtype=object)
NOTHING = {"text": NO_VECTORS, "pictures": NO_VECTORS}


def lines(*bills: str, **more: Any) -> pd.DataFrame:
    """Bills as texts of items, one letter each; every bill is of a user of its own."""
    rows = [(f"b{number}", f"u{number}", item) for number, bill in enumerate(bills) for item in bill]
    frame = pd.DataFrame(rows, columns=["bill_id", "user_id", "item_id"]).assign(is_return=False, flags="")
    return frame.assign(**more)


def vectors(**of_items: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"item_id": list(of_items), "embedding": [np.array(value) for value in of_items.values()]})


def test_items_on_the_same_bills_are_alike_by_the_cosine_of_their_weighted_bills() -> None:
    parts = item_parts(purchases_of(lines("ab", "ab", "abc", "bc", "d")), ["e"], NOTHING, 10)
    assert parts.items.tolist() == ["a", "b", "c", "d", "e"]
    assert parts.counts.tolist() == [3, 4, 2, 1, 0]
    # Of four items that were bought, a bill of two weighs ln(1 + 4 / 2), one of three ln(1 + 4 / 3).
    pair, three = np.log1p(4 / 2), np.log1p(4 / 3)
    a, b, c = np.array([pair, pair, three, 0]), np.array([pair, pair, three, pair]), np.array([0, 0, three, pair])
    expected = [one @ other / np.linalg.norm(one) / np.linalg.norm(other) for one, other in ((a, b), (a, c))]
    assert parts.cosines("bills", np.array([0]))[0].tolist() == pytest.approx([1, *expected, 0, 0])


def test_returns_and_what_is_no_item_say_nothing() -> None:
    flagged = lines("ab", "cd")
    flagged.loc[flagged["item_id"] == "b", "is_return"] = True
    flagged.loc[flagged["item_id"] == "d", "flags"] = "not_an_item"
    bought = purchases_of(flagged)
    assert bought.items.tolist() == ["a", "c"]
    assert bought.bills.nnz == 0


def test_of_too_many_items_those_on_most_bills_are_compared() -> None:
    parts = item_parts(purchases_of(lines("ab", "ab", "ac", "d")), ["e"], NOTHING, 3)
    assert parts.items.tolist() == ["a", "b", "c"]


def test_one_picture_for_everything_says_nothing_and_unheard_items_are_left_out() -> None:
    seen = vectors(a=[1.0, 0.0], b=[1.0, 0.0], c=[1.0, 0.0], unheard=[0.0, 1.0])
    parts = item_parts(purchases_of(lines("ab", "c")), [], {"text": NO_VECTORS, "pictures": seen}, 10)
    assert parts.items.tolist() == ["a", "b", "c"]
    assert not parts.like["pictures"].any()
    assert parts.like["text"].shape == (3, 0)


def test_several_pictures_of_an_item_are_one_vector_and_empty_ones_are_none() -> None:
    seen = pd.concat([vectors(a=[1.0, 0.0], b=[-1.0, 0.0], c=[0.0, 0.0]), vectors(a=[0.0, 1.0])], ignore_index=True)
    parts = item_parts(purchases_of(lines("ab", "c")), [], {"text": NO_VECTORS, "pictures": seen}, 10)
    # a is (1, 1) at length 1; less the mean of a and b the two are opposite.
    assert parts.cosines("pictures", np.array([0]))[0].tolist() == pytest.approx([1, -1, 0])


def test_the_nearest_have_the_highest_sum_and_ties_are_in_the_order_of_the_ids() -> None:
    parts = item_parts(purchases_of(lines("ab", "cd")), [], NOTHING, 10)
    listed = nearest(parts, np.array([0]), {"bills": 2.0, "popular": 1.0}, 3)
    assert listed.other.tolist() == [1, 2, 3]
    assert listed.score.tolist() == pytest.approx([3, 1, 1])
    assert listed.cosines["bills"].tolist() == pytest.approx([1, 0, 0])


def test_with_an_index_nearly_the_same_items_are_listed() -> None:
    random = np.random.default_rng(2)
    names = np.array([f"i{number:04d}" for number in range(900)])
    groups = random.integers(0, 30, 900)
    bills = [random.choice(names[groups == group], 3) for group in random.integers(0, 30, 600)]
    frame = pd.DataFrame({"bill_id": np.repeat(np.arange(600), 3).astype(str), "item_id": np.concatenate(bills)})
    frame = frame.assign(user_id=frame["bill_id"], is_return=False, flags="")
    middles = random.normal(size=(30, 12))
    seen = pd.DataFrame({"item_id": names, "embedding": list(middles[groups] + 0.3 * random.normal(size=(900, 12)))})
    parts = item_parts(purchases_of(frame), [], {"text": NO_VECTORS, "pictures": seen}, 900)
    weights, rows = {"bills": 1.0, "pictures": 1.0, "popular": 0.1}, np.arange(0, len(parts.items), 9)
    by_index, exact = (nearest(parts, rows, weights, 10, limit) for limit in (10, 10_000))
    pairs = [set(zip(one.item, one.other, strict=True)) for one in (by_index, exact)]
    assert len(pairs[0] & pairs[1]) > 0.95 * len(pairs[1])


def test_weights_go_to_the_part_that_tells_what_comes_next() -> None:
    random = np.random.default_rng(4)
    names = [f"i{number:03d}" for number in range(120)]
    groups = np.arange(120) % 12
    middles = random.normal(size=(12, 8))
    telling = vectors(**{name: middles[group] for name, group in zip(names, groups, strict=True)})
    noise = vectors(**{name: random.normal(size=8) for name in names})
    parts = item_parts(purchases_of(lines("ab")[:0]), names, {"text": telling, "pictures": noise}, 200)
    pairs = [
        (one, other)
        for one in names[:40]
        for other in names
        if one != other and (int(one[1:]) - int(other[1:])) % 12 == 0
    ]
    together = pd.DataFrame(pairs, columns=["item_id", "other"]).set_index("item_id")
    weights, recall = best_weights(parts, together, "other", ("text", "pictures"), 0)
    assert recall == pytest.approx(1)
    assert weights["text"] > 2 * weights["pictures"]
    assert best_weights(parts, together[:0], "other", ("text", "pictures"), 0) == ({"text": 1.0, "pictures": 1.0}, None)
