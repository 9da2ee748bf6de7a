"""Items that come into the shops one after the other, on top of the assortment, and who buys them.

A launched item is sold for ``SOLD_DAYS``. On some bills of some users one is bought besides all else, of a category by
the user's taste and there by the user's style: of each attribute a user loves one value, and an item is the likelier
the more of its values the user loves (a multinomial logit). So nobody can know of an item before it is sold but by what
it is like. The list of items has all of them from the start, those of the future too. Without them the world is the
same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from capflow_assets.simulation.assortment import drawn_prices, item_rows
from capflow_assets.simulation.baskets import price_factor
from capflow_assets.simulation.brand import Brand
from capflow_assets.simulation.clock import MINUTES_A_DAY, local_minutes, moments
from capflow_assets.simulation.streams import stream

SOLD_DAYS = 30
BRAND = "brand"
BILLS_AT_ONCE = 2_000


@dataclass(frozen=True)
class Launches:
    """``items`` in the order in which they come, in the columns of the list of items; ``launched`` are their minutes.

    ``styles``: one row per known user, indexed by user_id: of each attribute the value that the user loves.
    ``line_items`` are the further rows of bills, past and future, in the columns of the world's.
    """

    items: pd.DataFrame
    launched: np.ndarray
    styles: pd.DataFrame
    line_items: pd.DataFrame


def laid_on(
    brand: Brand, tables: Mapping[str, pd.DataFrame], users: pd.DataFrame, future_bills: pd.DataFrame
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tables ``bills``, ``line_items`` and ``items`` with what is launched; and what the truth then knows."""
    added = launches(brand, users, pd.concat([tables["bills"], future_bills], ignore_index=True))
    lines = added.line_items[added.line_items["bill_id"].isin(tables["bills"]["bill_id"])]
    own = pd.concat([tables["line_items"], lines]).sort_values("bill_id", kind="stable", ignore_index=True)
    items = pd.concat([tables["items"], added.items], ignore_index=True)
    known = {"launches": _true_launches(brand, added), "styles": added.styles.reset_index()}
    return (
        {"bills": _with_lines(tables["bills"], lines), "line_items": own, "items": items},
        {"future_bills": _with_lines(future_bills, added.line_items), **known},
    )


def launches(brand: Brand, users: pd.DataFrame, bills: pd.DataFrame) -> Launches:
    """The items that are launched, and who buys them: ``users`` are those of the truth, ``bills`` theirs."""
    numbers = np.arange(brand.launches)
    code = stream(brand.seed, "categories of launches").permutation(numbers % len(brand.categories))
    price = drawn_prices(brand, code, "prices of launches")
    items = item_rows(brand, brand.items + numbers, code, price)
    days = brand.days + brand.future_days
    launched = (numbers / max(1, brand.launches) * days * MINUTES_A_DAY).astype(np.int64)
    styles = _styles(brand, pd.Index(users["user_id"], name="user_id"))
    bill, item = _bought(brand, users, bills, matches(styles, items), code, launched)
    rows = bills.iloc[bill][["bill_id", "user_id", "store_id", "billed_at"]].reset_index(drop=True)
    minute = local_minutes(brand, pd.DatetimeIndex(rows["billed_at"]))
    paid = np.round(price[item] * price_factor(brand, minute), 2)
    lines = {"item_id": items["item_id"].to_numpy()[item], "quantity": 1.0, "amount": paid, "discount": 0.0}
    return Launches(items, launched, styles, rows.assign(**lines))


def _with_lines(bills: pd.DataFrame, line_items: pd.DataFrame) -> pd.DataFrame:
    """The bills with the sums of further line items."""
    sums = line_items.groupby("bill_id")[["amount", "discount", "quantity"]].sum().reindex(bills["bill_id"])
    more = {name: (bills[name] + sums[name].fillna(0.0).to_numpy()).round(2) for name in sums.columns}
    return bills.assign(**more)


def _true_launches(brand: Brand, launches: Launches) -> pd.DataFrame:
    """One row per launched item: item_id, launched_at."""
    return pd.DataFrame({"item_id": launches.items["item_id"], "launched_at": moments(brand, launches.launched)})


def matches(styles: pd.DataFrame, items: pd.DataFrame) -> np.ndarray:
    """How many values of each item each user loves: (users, items)."""
    counts = np.zeros((len(styles), len(items)))
    for name in styles.columns:
        counts += styles[name].to_numpy()[:, None] == items[name].to_numpy()[None, :]
    return counts


def _styles(brand: Brand, users: pd.Index) -> pd.DataFrame:
    """The value of each attribute that each user loves, all alike likely."""
    values: dict[str, list[str]] = {BRAND: list(brand.makers)}
    for category in brand.categories:
        for name, some in category.attributes.items():
            known = values.setdefault(name, [])
            known += [value for value in some if value not in known]
    loved = {name: stream(brand.seed, f"styles of {name}").choice(of, len(users)) for name, of in values.items()}
    return pd.DataFrame(loved, index=users).astype(object)


def _bought(
    brand: Brand, users: pd.DataFrame, bills: pd.DataFrame, match: np.ndarray, code: np.ndarray, launched: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The bills (places) on which a launched item is bought, and the item; none where none of the category is sold."""
    lots = stream(brand.seed, "bills with a launched item").random((len(bills), 2))
    user = pd.Index(users["user_id"]).get_indexer(bills["user_id"])
    follows = stream(brand.seed, "users who buy launched items").random(len(users)) < brand.launch_users_pct / 100
    is_bought = (lots[:, 0] < brand.launch_bills_pct / 100) & (user >= 0) & follows[user]
    chosen = np.flatnonzero(is_bought & (bills["amount"] > 0).to_numpy())
    minute = local_minutes(brand, pd.DatetimeIndex(bills["billed_at"].iloc[chosen]))
    taste = users[[f"taste_{category.name.replace(' ', '_')}" for category in brand.categories]].to_numpy()
    edges = np.cumsum(taste[user[chosen]], axis=1)
    category = np.minimum((lots[chosen, 1:] > edges).sum(axis=1), len(brand.categories) - 1)
    draws, item = stream(brand.seed, "launched items of bills"), np.full(len(chosen), -1)
    for first in range(0, len(chosen), BILLS_AT_ONCE):
        some = slice(first, first + BILLS_AT_ONCE)
        age = minute[some, None] - launched[None, :]
        is_sold = (age >= 0) & (age < SOLD_DAYS * MINUTES_A_DAY) & (category[some, None] == code[None, :])
        # The largest of sums with Gumbel draws is a draw by the exponentials.
        weight = brand.launch_style * match[user[chosen[some]]] + draws.gumbel(size=is_sold.shape)
        best = np.where(is_sold, weight, -np.inf).argmax(axis=1)
        item[some] = np.where(is_sold.any(axis=1), best, -1)
    return chosen[item >= 0], item[item >= 0]
