"""Shoppers who go on through the items in an order, and a small net that has learned from them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from capflow_assets.learning.baskets import Baskets, baskets_of
from capflow_assets.learning.nets.loop import Plan
from capflow_assets.learning.sequence_lists import SequenceNet, Shape, trained_sequences

ITEMS, SIZE = 60, 10
SHAPE = Shape(visits=6, size=8)


class Followed:
    """A trained net, as an estimator gives it."""

    def __init__(self, trained: SequenceNet, shape: Shape = SHAPE) -> None:
        self.trained, self.shape = trained, shape

    def visit_net(self) -> tuple[SequenceNet, Shape, int]:
        return self.trained, self.shape, SIZE


def walks(users: int, seed: int) -> list[tuple[str, str, int]]:
    """Who bought what on which visit: each goes on through the items by threes, from somewhere."""
    chance = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        item = int(chance.integers(ITEMS))
        for visit in range(int(chance.integers(1, 9))):
            bought = {item, *map(int, chance.integers(0, ITEMS, int(chance.integers(0, 3))))}
            rows += [(f"u{user:04}", f"i{one:02}", visit) for one in sorted(bought)]
            item = (item + 3) % ITEMS
    return rows


def read(rows: list[tuple[str, str, int]]) -> Baskets:
    """The baskets of such rows, a visit a week."""
    lines = pd.DataFrame(rows, columns=["user_id", "item_id", "visit"])
    days = pd.Timestamp("2024-05-01") + pd.to_timedelta(lines["visit"] * 7, unit="D")
    return baskets_of(lines.assign(billed_on=days, is_return=False, flags=""))


def trained_on(known: Baskets) -> SequenceNet:
    """A net that has seen all stretches once."""
    return trained_sequences(known, SHAPE, Plan(seed=0, epochs=1, seconds=20, batch=64, rate=0.01))[0]
