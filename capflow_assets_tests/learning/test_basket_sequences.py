"""Baskets in their order: which rows there are, and what a step of the training sees of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from capflow_assets.learning.basket_sequences import WIDTH, BasketRows, basket_rows, learned_items
from capflow_assets.learning.baskets import Baskets, baskets_of

# Each user's baskets in the order of their days.
BOUGHT = {
    "ana": ("tea", "tea jam", "oil", "tea oil"),
    "bea": ("jam", "gin"),
    "cem": ("tea",),
}


def known(bought: dict[str, tuple[str, ...]] = BOUGHT) -> Baskets:
    rows = [
        (user, item, day)
        for user, baskets in bought.items()
        for day, basket in enumerate(baskets)
        for item in basket.split()
    ]
    lines = pd.DataFrame(rows, columns=["user_id", "item_id", "day"]).assign(is_return=False, flags="")
    lines["billed_on"] = pd.Timestamp("2024-05-01") + pd.to_timedelta(lines.pop("day"), unit="D")
    return baskets_of(lines.sample(frac=1, random_state=0))


def rows() -> BasketRows:
    return basket_rows(known(), learned_items(known()))


def named(baskets: np.ndarray) -> list[str]:
    return [" ".join(sorted(rows().items[basket[basket > 0] - 1])) for basket in baskets]


def test_baskets_stand_in_their_order_without_items_bought_once() -> None:
    assert list(rows().items) == ["tea", "jam", "oil"]
    assert rows().begins.tolist() == [0, 4, 6, 7]
    assert named(rows().baskets) == ["tea", "jam tea", "oil", "oil tea", "jam", "", "tea"]


def test_the_newest_baskets_stand_last_and_nobodys_are_empty() -> None:
    newest = rows().newest(np.array([0, 2, -1]), 3)
    assert [named(of_user) for of_user in newest] == [["jam tea", "oil", "oil tea"], ["", "", "tea"], ["", "", ""]]


def test_every_basket_but_the_first_follows_once() -> None:
    begins, ends = rows().stretches(2)
    assert sorted(zip(begins.tolist(), ends.tolist(), strict=True)) == [(0, 2), (1, 4), (4, 6)]
    followers = [place for begin, end in zip(begins, ends, strict=True) for place in range(begin + 1, end)]
    assert sorted(followers) == [1, 2, 3, 5]


def test_a_step_sees_baskets_and_what_follows_them() -> None:
    baskets, own, slots, following, others = next(
        rows().batches((np.array([1]), np.array([4])), 2, np.random.default_rng(0), 8)
    )
    assert named(baskets[0]) == ["jam tea", "oil"]
    assert own.tolist() == [[1, 2, 3]]

    def of(places: np.ndarray) -> list[set[str]]:
        return [{rows().items[own[0, place] - 1] for place in basket if place < 3} for basket in places[0]]

    assert of(slots) == [{"tea", "jam"}, {"oil"}]
    assert of(following) == [{"oil"}, {"tea", "oil"}]
    assert sorted(others) == [1, 2, 3]


def test_of_a_large_basket_the_most_frequent_items_count() -> None:
    everything = " ".join(f"i{number:02d}" for number in range(WIDTH + 6))
    large = known({"ana": (everything, everything), "bea": ("i29 i28",)})
    read = basket_rows(large, learned_items(large))
    assert (read.baskets[:2] > 0).sum(axis=1).tolist() == [WIDTH, WIDTH]
    assert {"i29", "i28"} <= {read.items[number - 1] for number in read.baskets[0]}


def test_nothing_has_no_rows() -> None:
    nothing = baskets_of(known_lines())
    read = basket_rows(nothing, learned_items(nothing))
    assert read.baskets.shape == (0, WIDTH)
    assert len(read.stretches(3)[0]) == 0
    assert not read.newest(np.array([-1]), 3).any()


def known_lines() -> pd.DataFrame:
    columns = {"user_id": str, "item_id": str, "billed_on": "datetime64[ns]", "is_return": bool, "flags": str}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in columns.items()})
