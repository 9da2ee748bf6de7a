"""Users who come once, for what is reduced, and never again; on top of those who live by the laws of buying.

They come when others come first, to a store by its size, and put into their only basket as many items as others do, by
popularity. All of it is at the markdown. Their draws are their own: without them the world is the same, row by row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from capflow_assets.simulation.assortment import Assortment, store_shares
from capflow_assets.simulation.baskets import MARKDOWN, price_factor
from capflow_assets.simulation.brand import Brand
from capflow_assets.simulation.clock import Clock, moments
from capflow_assets.simulation.people import AGE_BANDS, AGE_SHARES, INCOME_BANDS, INCOME_SHARES, arrival_minutes
from capflow_assets.simulation.streams import stream


@dataclass(frozen=True)
class PassersBy:
    """Their rows of the bills, the line items and the users, in the columns of the world's."""

    bills: pd.DataFrame
    line_items: pd.DataFrame
    users: pd.DataFrame


def passers_by(brand: Brand, plain: Clock, goods: Assortment, places: pd.DataFrame) -> PassersBy:
    """Everybody who comes once, in the order of coming."""
    count = brand.one_time_users
    minute = np.sort(arrival_minutes(brand, plain, count, "arrivals of one-time users"))
    draws = stream(brand.seed, "traits of one-time users")
    store = draws.choice(len(places), count, p=store_shares(brand))
    numbers = [f"{number + 1:07d}" for number in range(count)]
    head = pd.DataFrame(
        {
            "bill_id": [f"O{number}" for number in numbers],
            "user_id": [f"V{number}" for number in numbers],
            "store_id": places["store_id"].to_numpy()[store],
            "billed_at": moments(brand, minute),
        }
    )
    users = pd.DataFrame(
        {
            "user_id": head["user_id"],
            "joined_at": head["billed_at"],
            "age_band": draws.choice(AGE_BANDS, count, p=AGE_SHARES),
            "income_band": draws.choice(INCOME_BANDS, count, p=INCOME_SHARES),
            "household_size": pd.array(1 + draws.binomial(4, 0.35, count), dtype="Int64"),
            "city": places["city"].to_numpy()[store],
        }
    )
    bill, item = _picked(brand, goods, count)
    full = np.round(goods.price[item] * price_factor(brand, minute[bill]), 2)
    discount = np.round(full * MARKDOWN, 2)
    lines = {
        "item_id": goods.frame["item_id"].to_numpy()[item],
        "quantity": np.ones(len(item)),
        "amount": np.round(full - discount, 2),
        "discount": discount,
    }
    sums = {name: np.bincount(bill, lines[name], count).round(2) for name in ("amount", "discount", "quantity")}
    line_items = pd.concat([head.take(bill).reset_index(drop=True), pd.DataFrame(lines)], axis=1)
    return PassersBy(head.assign(**sums), line_items, users)


def _picked(brand: Brand, goods: Assortment, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The bill and the item of each line, each item once on a bill; by the law of the size of everybody's baskets."""
    draws = stream(brand.seed, "baskets of one-time users")
    mean = draws.gamma(2.0, 0.5, count) * (brand.items_per_bill - 1)
    bill = np.repeat(np.arange(count), 1 + draws.poisson(mean))
    item = draws.choice(len(goods.price), len(bill), p=goods.popularity / goods.popularity.sum())
    return np.divmod(np.unique(bill * len(goods.price) + item), len(goods.price))
