"""Items that are launched: the world beside them is the same, and who buys them goes by style."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.launches import SOLD_DAYS
from capflow_assets.simulation.world import World, simulate

DIALS = {"users": 200, "returns_pct": 2, "duplicates_pct": 2, "anonymous_pct": 5, "one_time_users": 20}


@cache
def shop(launches: int) -> World:
    return simulate(tiny("shop", seed=3, days=200, launches=launches, launch_bills_pct=60, **DIALS))


def launched_lines() -> pd.DataFrame:
    lines = shop(500).line_items
    return lines[~lines["item_id"].isin(shop(0).items["item_id"])]


def test_beside_the_launched_items_nothing_changes() -> None:
    plain, with_launches = shop(0), shop(500)
    lines = with_launches.line_items
    others = lines[~lines.index.isin(launched_lines().index)].sort_values(["bill_id", "item_id"], ignore_index=True)
    pd.testing.assert_frame_equal(others, plain.line_items.sort_values(["bill_id", "item_id"], ignore_index=True))
    pd.testing.assert_frame_equal(with_launches.items[: len(plain.items)], plain.items)
    sums = ["amount", "discount", "quantity"]
    pd.testing.assert_frame_equal(with_launches.bills.drop(columns=sums), plain.bills.drop(columns=sums))
    pd.testing.assert_frame_equal(with_launches.users, plain.users)
    pd.testing.assert_frame_equal(with_launches.dirt, plain.dirt)
    totals = lines.groupby("bill_id")[sums].sum().round(2)
    pd.testing.assert_frame_equal(totals, with_launches.bills.set_index("bill_id")[sums].sort_index())


def test_an_item_is_sold_for_some_weeks_from_its_launch() -> None:
    lines = launched_lines().merge(shop(500).truth.launches, on="item_id")
    age = lines["billed_at"] - lines["launched_at"]
    assert age.min() >= pd.Timedelta(0)
    assert age.max() < pd.Timedelta(days=SOLD_DAYS)
    # Some are still to come: nobody has bought them, and the list has them.
    assert (shop(500).truth.launches["launched_at"] > shop(500).end).mean() > 0.2
    assert len(shop(500).items) == 30 + 500


def test_users_buy_by_style() -> None:
    """The values of the bought items that their users love are as many as the law has it: by a sum over what was sold.

    In standard errors of the sum, which would be beyond four by chance once in thousands of seeds.
    """
    world = shop(500)
    items = world.items.merge(world.truth.launches, on="item_id")
    styles = world.truth.styles.set_index("user_id")
    names, category = list(styles.columns), items["category"].to_numpy()
    values, launched = items[names].to_numpy(dtype=object), items["launched_at"]
    gap, variance = 0.0, 0.0
    for line in launched_lines().itertuples():
        bought = int(np.flatnonzero(items["item_id"] == line.item_id)[0])
        age = line.billed_at - launched
        is_sold = (age >= pd.Timedelta(0)) & (age < pd.Timedelta(days=SOLD_DAYS))
        on_sale = np.flatnonzero(is_sold.to_numpy() & (category == category[bought]))
        loved = (values[on_sale] == styles.loc[line.user_id].to_numpy(dtype=object)).sum(axis=1)
        chance = np.exp(world.brand.launch_style * loved)
        chance = chance / chance.sum()
        gap += float(loved[on_sale == bought][0] - chance @ loved)
        variance += float(chance @ loved**2 - (chance @ loved) ** 2)
    assert len(launched_lines()) > 400
    assert abs(gap) < 4 * np.sqrt(variance), (gap, variance)
