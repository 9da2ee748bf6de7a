"""Staples: items that users use up at a pace of their own and buy again on the first visit after that.

They are on top of what is bought by taste: each user of some staples puts one on the first bill that comes after it is
used up. Their draws are their own: without them the world is the same, row by row. Only bills of the history get them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from capflow_assets.simulation.brand import Brand
from capflow_assets.simulation.streams import stream

SHORTEST_DAYS, LONGEST_DAYS = 10.0, 60.0
USERS_SHARE = 0.4
PACE, CHANGE = 0.3, 0.15
DAY = pd.Timedelta(days=1)


def staple_gaps(brand: Brand, users: int) -> np.ndarray:
    """The days in which each user uses up each staple, (users, staples); NaN for a staple that the user does not buy.

    Staples last from ten days to sixty; users live at a pace of their own, ``exp(normal)`` with a deviation of 0.3.
    """
    draws = stream(brand.seed, "staples")
    days = np.geomspace(SHORTEST_DAYS, LONGEST_DAYS, brand.staples)
    pace = np.exp(PACE * draws.standard_normal(users))
    is_used = draws.random((users, brand.staples)) < USERS_SHARE
    return np.where(is_used, pace[:, None] * days, np.nan)


def with_staples(
    brand: Brand, bills: pd.DataFrame, line_items: pd.DataFrame, items: pd.DataFrame, users: pd.Series
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The bills and line items with a line for each staple bought; the first items of the list are the staples.

    A need lasts ``exp(normal)`` of its usual days, with a deviation of 0.15. Where a bill has the item already by
    taste, that serves.
    """
    gaps, draws = staple_gaps(brand, len(users)), stream(brand.seed, "needs of staples")
    number = pd.Index(users).get_indexer(bills["user_id"])
    is_visit = (number >= 0) & (bills["amount"] > 0).to_numpy()
    day = ((bills["billed_at"] - bills["billed_at"].min()) / DAY).to_numpy()
    rows: list[int] = []
    staples: list[int] = []
    for of_user in pd.Series(np.flatnonzero(is_visit)).groupby(number[is_visit]).indices.values():
        visits = np.flatnonzero(is_visit)[of_user]
        own = gaps[number[visits[0]]]
        empty_on = day[visits[0]] + own * draws.random(brand.staples)
        for bill in visits:
            needed = np.flatnonzero(empty_on <= day[bill])
            rows += [bill] * len(needed)
            staples += needed.tolist()
            changes = np.exp(CHANGE * draws.standard_normal(len(needed)))
            empty_on[needed] = day[bill] + own[needed] * changes
    return _added(bills, line_items, items, np.array(rows, dtype=int), np.array(staples, dtype=int))


def _added(
    bills: pd.DataFrame, line_items: pd.DataFrame, items: pd.DataFrame, rows: np.ndarray, staples: np.ndarray
) -> tuple[pd.DataFrame, pd.DataFrame]:
    head = bills[["bill_id", "user_id", "store_id", "billed_at"]].take(rows).reset_index(drop=True)
    listed = items.iloc[staples]
    more = head.assign(
        item_id=listed["item_id"].to_numpy(), quantity=1.0, amount=listed["price"].to_numpy(), discount=0.0
    )
    pairs = pd.MultiIndex.from_frame(line_items[["bill_id", "item_id"]])
    more = more[~pd.MultiIndex.from_frame(more[["bill_id", "item_id"]]).isin(pairs)]
    lines = pd.concat([line_items, more[line_items.columns]], ignore_index=True)
    sums = more.groupby("bill_id")[["amount", "quantity"]].sum().reindex(bills["bill_id"], fill_value=0.0)
    added = {name: (bills[name].to_numpy() + sums[name].to_numpy()).round(2) for name in ("amount", "quantity")}
    return bills.assign(**added), lines.sort_values("billed_at", kind="stable", ignore_index=True)
