"""Lists against TIFU-kNN in plain Python, and what no list may depend on."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from capflow_assets.learning import neighbours
from capflow_assets.learning.baskets import Baskets, baskets_of
from capflow_assets.learning.item_frequency import item_frequencies
from capflow_assets.learning.item_lists import Lists, Recipe, alike_lists, frequent_lists, list_rows
from capflow_assets.learning.neighbours import Neighbourhood
from capflow_assets_tests.learning.baskets import Shop, lines_of, random_shop, tifu_knn

# They fade, since users of whom one bought everything twice as often are equally near, but for rounding.
RECIPES = [
    Recipe(2, 0.5, 0.5, neighbours=4, own_share=0.5),
    Recipe(7, 0.9, 0.7, neighbours=7, own_share=0.7),
    Recipe(3, 0.9, 0.6, neighbours=300, own_share=0.2),
    Recipe(5, 0.87, 0.93, neighbours=16, own_share=0.0),
    Recipe(4, 0.8, 0.9, neighbours=2, own_share=1.0),
]


def numbers(baskets: Baskets, *users: str) -> np.ndarray:
    return baskets.numbers(np.array(users, dtype=object))


def written(baskets: Baskets, lists: Lists, place: int) -> list[str]:
    return [str(baskets.items[item]) for item in lists.items[place] if item >= 0]


@pytest.mark.parametrize("dense_share", [1 / 6, 2.0])
@pytest.mark.parametrize("recipe", RECIPES)
def test_lists_are_those_of_the_paper(recipe: Recipe, dense_share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the columns that many users have are held dense or not."""
    monkeypatch.setattr(neighbours, "DENSE_SHARE", dense_share)
    shop = random_shop(users=80, items=40, seed=2)
    baskets = baskets_of(lines_of(shop))
    names = [*shop, "nobody"]
    lists = alike_lists(baskets, numbers(baskets, *names), recipe, size=12)
    for place, name in enumerate(names):
        expected = tifu_knn(shop, name, 12, **recipe.describe())
        scored = [score for _, score in expected if score > 0]
        assert lists.scored[place] == len(scored)
        np.testing.assert_allclose(lists.scores[place, : len(scored)], scored, rtol=2e-6)
        _assert_same_order(expected, written(baskets, lists, place), len(scored))


def _assert_same_order(expected: list[tuple[str, float]], items: list[str], scored: int) -> None:
    """Equal, but that items whose scores differ by no more than rounding may stand the other way round."""
    scores = dict(expected)
    assert items[scored:] == [item for item, _ in expected[scored:]]
    for (item, score), listed in zip(expected[:scored], items[:scored], strict=True):
        assert listed == item or scores.get(listed, score) == pytest.approx(score, rel=1e-6)


def test_neighbours_by_hand() -> None:
    """Ana shares both items with eva, one with bea; cem shares none. Of equally near ones the first id is first."""
    shop: Shop = {
        "ana": [(0, frozenset({"jam", "tea"}))],
        "bea": [(0, frozenset({"tea"}))],
        "bob": [(0, frozenset({"tea"}))],
        "cem": [(0, frozenset({"oil"}))],
        "eva": [(3, frozenset({"jam", "tea"}))],
    }
    baskets = baskets_of(lines_of(shop))
    near = Neighbourhood.of(item_frequencies(baskets, RECIPES[0].decay)).nearest(numbers(baskets, "ana", "cem"), 4)
    assert near.tolist() == [[4, 1, 2, -1], [-1, -1, -1, -1]]


def test_of_many_users_some_may_be_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every third; to those others are as near as if there were nobody else."""
    baskets = baskets_of(lines_of(random_shop(users=90, items=30, seed=6)))
    vectors = item_frequencies(baskets, RECIPES[1].decay)
    everybody = Neighbourhood.of(vectors).nearest(np.arange(90), 89)
    monkeypatch.setattr(neighbours, "MOST_OTHERS", 30)
    near = Neighbourhood.of(vectors).nearest(np.arange(90), 5)
    for user in range(90):
        chosen = [other for other in everybody[user] if other % 3 == 0]
        assert near[user].tolist() == chosen[:5]


def test_the_frequent_items_by_hand() -> None:
    """Tea twice; then, of what was bought once, what all shoppers buy more; then what only the others buy."""
    shop: Shop = {
        "ana": [(0, frozenset({"gin", "oil", "tea"})), (4, frozenset({"tea"}))],
        "bea": [(0, frozenset({"oil", "rum"})), (1, frozenset({"rum"})), (2, frozenset({"rum"}))],
        "cem": [(0, frozenset({"ale"}))],
    }
    baskets = baskets_of(lines_of(shop))
    lists = frequent_lists(baskets, numbers(baskets, "ana", "eva"), 10)
    assert written(baskets, lists, 0) == ["tea", "oil", "gin", "rum", "ale"]
    assert written(baskets, lists, 1) == ["rum", "oil", "tea", "ale", "gin"]
    # Six baskets: tea stood in two of them, oil in two, gin in one; rum, in three, comes below half of gin's.
    assert lists.scores[0, :5] == pytest.approx([2 + 1 / 6, 1 + 1 / 6, 1 + 1 / 12, (1 + 1 / 12) / 4, (1 + 1 / 12) / 12])
    assert np.isnan(lists.scores[0, 5:]).all()
    assert lists.scored.tolist() == [3, 0]


def test_a_list_depends_on_nobody_else_who_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    from capflow_assets.learning import item_lists

    baskets = baskets_of(lines_of(random_shop(users=90, items=30, seed=3)))
    users = np.arange(-1, 90)
    whole = alike_lists(baskets, users, RECIPES[1], 20)
    monkeypatch.setattr(item_lists, "USERS_AT_ONCE", 7)
    chosen = np.array([80, 3, 0, 41])
    for lists, places in (
        (alike_lists(baskets, users, RECIPES[1], 20, threads=3), slice(None)),
        (alike_lists(baskets, users[chosen], RECIPES[1], 20), chosen),
    ):
        for name in Lists.__slots__:
            np.testing.assert_array_equal(getattr(lists, name), getattr(whole, name)[places])


def test_one_user_alone_gets_the_own_items_and_none_is_no_list() -> None:
    baskets = baskets_of(lines_of({"ana": [(0, frozenset({"tea"})), (1, frozenset({"tea", "jam"}))]}))
    lists = alike_lists(baskets, np.array([0]), RECIPES[0], 5)
    assert written(baskets, lists, 0) == ["tea", "jam"]
    nothing = alike_lists(baskets_of(lines_of({})), np.array([-1]), RECIPES[0], 5)
    assert (nothing.items == -1).all()
    assert alike_lists(baskets, np.array([], dtype="int64"), RECIPES[0], 5).items.shape == (0, 5)


def test_rows_of_lists_say_why() -> None:
    shop: Shop = {
        "ana": [(0, frozenset({"tea"})), (4, frozenset({"tea"}))],
        "bea": [(0, frozenset({"tea", "rum"}))],
        "cem": [(8, frozenset({"ale"}))],
    }
    baskets = baskets_of(lines_of(shop))
    users = numbers(baskets, "cem", "ana", "eva")
    lists = alike_lists(baskets, users, RECIPES[0], 5)
    rows = list_rows(baskets, lists, users, pd.Index(["cem", "ana", "eva"], name="user_id"), date(2024, 1, 9))
    assert rows.index.name == "user_id"
    assert rows.loc["ana"].to_records(index=False)[["item_id", "reasons"]].tolist() == [
        ("tea", "bought 2 times, last 4 days ago"),
        ("rum", "bought by shoppers alike"),
        ("ale", "popular with all shoppers"),
    ]
    assert rows.loc["cem", "reasons"].tolist()[0] == "bought once, today"
    assert rows.loc["eva", "reasons"].unique().tolist() == ["popular with all shoppers"]
    assert rows.loc["eva", "item_id"].tolist() == ["tea", "ale", "rum"]
    assert rows.groupby("user_id")["score"].apply(lambda scores: scores.is_monotonic_decreasing).all()
