"""Staples are bought when they are used up, and a world without them is the same world."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.staples import staple_gaps
from capflow_assets.simulation.world import World, simulate

DIALS = {"r": 40.0, "alpha_weeks": 8.0, "b": 1e6, "opening_pct": 100, "campaigns": 0, "returns_pct": 0}
DIALS |= {"items": 300, "items_per_bill": 1.0}


@cache
def world(staples: int) -> World:
    return simulate(tiny("shop", seed=2, users=60, days=300, staples=staples, **DIALS))


def test_the_rest_of_the_world_is_the_same() -> None:
    plain, other = world(0), world(6)
    key = ["bill_id", "item_id"]
    pd.testing.assert_frame_equal(
        other.line_items.merge(plain.line_items[key], on=key).sort_values(key, ignore_index=True),
        plain.line_items.sort_values(key, ignore_index=True),
    )
    pd.testing.assert_frame_equal(other.truth.users, plain.truth.users)
    assert len(other.line_items) > len(plain.line_items)
    assert not other.line_items.duplicated(key).any()


def test_bills_are_the_sums_of_their_lines() -> None:
    sums = world(6).line_items.groupby("bill_id")[["amount", "quantity"]].sum()
    bills = world(6).bills.set_index("bill_id")[["amount", "quantity"]]
    np.testing.assert_allclose(sums.loc[bills.index], bills, atol=0.006)


def test_who_comes_five_times_a_week_buys_a_staple_after_the_days_that_it_lasts() -> None:
    """Visits are a day or two apart, so that little is added to the days of each need."""
    staples = world(6).items["item_id"].iloc[:6]
    lines = world(6).line_items[lambda rows: rows["item_id"].isin(staples)].sort_values("billed_at")
    pairs = lines.groupby(["user_id", "item_id"])["billed_at"]
    mean = pairs.diff().dt.total_seconds().groupby([lines["user_id"], lines["item_id"]]).mean() / 86_400
    gaps = pd.DataFrame(staple_gaps(world(6).brand, 60), world(6).users["user_id"], staples).stack()
    both = pd.concat([mean.rename("seen"), gaps.rename("law")], axis=1).dropna()
    assert len(both) > 100
    np.testing.assert_allclose((both["seen"] / both["law"]).median(), 1.05, atol=0.1)
