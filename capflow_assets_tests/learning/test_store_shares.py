"""Shares of stores by hand, and what lists say of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.learning.habits import Habits, habits_of
from capflow_assets.learning.store_shares import StoreRecipe, StoreShares, reasons, store_lists


def habits(visits: dict[str, dict[str, int]]) -> Habits:
    """Users' visits to stores, a day apart each, the newest yesterday."""
    rows = [
        (user, store, np.datetime64("2024-05-09") - day)
        for user, stores in visits.items()
        for day, store in enumerate(store for store, count in stores.items() for _ in range(count))
    ]
    frame = pd.DataFrame(rows, columns=["user", "store", "day"])
    days = frame["day"].to_numpy().astype("datetime64[D]")
    return habits_of(frame["user"], frame["store"], days, np.datetime64("2024-05-10"))


VISITS = {"ana": {"north": 3, "south": 1}, "bob": {"north": 2, "east": 2}, "cem": {"west": 4}}


def test_own_visits_are_shrunk_to_everybodys() -> None:
    chances = StoreShares.of(habits(VISITS), 0.0, 1.0).chances(np.array([0, -1]), StoreRecipe(0.0, 4.0, 0.0, 1.0))
    everybody = np.array([2, 5, 1, 4]) / 12  # east, north, south, west
    np.testing.assert_allclose(chances[0], (np.array([0, 3, 1, 0]) + 4 * everybody) / 8)
    np.testing.assert_allclose(chances[1], everybody)


@pytest.mark.parametrize("focus", [1.0, 3.0])
def test_the_stores_of_those_who_go_to_the_same_stores_are_likelier(focus: float) -> None:
    """Computed store by store: where the visits went of those who go to a store, in the shares that they go there."""
    everybody = np.array([2, 5, 1, 4]) / 12
    counts = np.array([[0, 3, 1, 0], [2, 2, 0, 0], [0, 0, 0, 4]], dtype=float)
    own = (counts / counts.sum(axis=1, keepdims=True)) ** focus
    own /= own.sum(axis=1, keepdims=True)
    prior = np.zeros(4)
    for store in range(4):
        there = sum(own[user, store] * counts[user] for user in range(3))
        prior += own[0, store] * (there + 5 * everybody) / (there.sum() + 5)
    chances = StoreShares.of(habits(VISITS), 0.0, focus).chances(np.array([0]), StoreRecipe(0.0, 4.0, 1.0, focus))
    np.testing.assert_allclose(chances[0], (counts[0] + 4 * prior) / 8)
    assert chances.sum() == pytest.approx(1)
    # Bob, who goes to the north too, goes to the east; nobody who does goes to the west.
    assert prior[0] > everybody[0]
    assert prior[3] < everybody[3]


def test_lists_say_how_often_and_how_lately() -> None:
    known = habits(VISITS)
    shares = StoreShares.of(known, 0.0, 1.0)
    recipe = StoreRecipe(0.0, 1.0, 0.5, 1.0)
    lists = store_lists(known, known.numbers(pd.Index(["ana", "new"])), 3, lambda users: shares.chances(users, recipe))
    assert lists.place.tolist() == [0, 0, 0, 1, 1, 1]
    assert known.things[lists.store].tolist()[:2] == ["north", "south"]
    assert reasons(lists).tolist() == [
        "3 of 4 visits, the last 1 day ago",
        "1 of 4 visits, the last 4 days ago",
        "no visit yet; others who go to the same stores go there",
        *["much visited"] * 3,
    ]


def test_no_visits_no_lists() -> None:
    none = habits({})
    lists = store_lists(none, np.array([-1, -1]), 3, lambda users: StoreShares.of(none, 0.0, 1.0).shares[users])
    assert not len(lists.place)
    assert not len(reasons(lists))
