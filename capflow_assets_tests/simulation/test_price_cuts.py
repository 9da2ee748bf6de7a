from __future__ import annotations

import numpy as np
import pandas as pd

from capflow_assets.simulation import oracle
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.price_cuts import DEPTHS, depths
from capflow_assets.simulation.world import World, simulate

PLAIN = {"affinities": 0, "campaigns": 0, "markdown_pct": 0, "returns_pct": 0, "anonymous_pct": 0}
BUSY = {"r": 4.0, "alpha_weeks": 2.0, "a": 0.5, "b": 100.0, "opening_pct": 100, "opening_days": 1}


def sold(world: World) -> pd.DataFrame:
    lines = world.line_items.merge(world.items[["item_id", "category"]], on="item_id")
    week = (lines["billed_at"] - pd.Timestamp(world.brand.start, tz="UTC")).dt.days // 7
    item = lines["item_id"].str[1:].astype(int) - 1
    return lines.assign(depth=depths(world.brand)[item, week], week=week)


def test_reduced_items_are_sold_at_the_depth_of_their_week() -> None:
    lines = sold(simulate(tiny("shop", seed=6, users=300, reduced_weeks_pct=25, **PLAIN)))
    full = lines["amount"] + lines["discount"]
    assert np.allclose(lines["discount"], lines["depth"] * full, atol=0.006)
    assert set(lines["depth"]) == {0.0, *DEPTHS}


def test_users_take_more_of_what_is_reduced_as_their_elasticities_say() -> None:
    """Pieces of a reduced week over those of a full one: the mean of ``(1 - depth) ** elasticity`` over its buyers.

    The buyers are weighed by what they buy in full weeks; weeks in which nobody joins are alike but by chance.
    """
    world = simulate(tiny("shop", seed=6, users=800, days=364, reduced_weeks_pct=30, **PLAIN, **BUSY))
    lines, elasticity = sold(world), oracle.elasticities(world)
    weeks = 52 * np.array([(depths(world.brand)[:, :52] == depth).mean(axis=1) for depth in (0.0, 0.3)])
    number = lines["item_id"].str[1:].astype(int) - 1
    for category in elasticity.columns:
        here = lines["category"] == category
        full, reduced = here & (lines["depth"] == 0), here & (lines["depth"] == 0.3)
        buyers = lines[full].groupby("user_id")["quantity"].sum()
        factor = 0.7 ** elasticity.loc[buyers.index, category]
        # What the same items would have sold in their reduced weeks at the full price.
        of_item = lines[full].groupby(number[full])["quantity"].sum()
        usual = (of_item / weeks[0][of_item.index] * weeks[1][of_item.index]).sum()
        pieces = lines.loc[reduced, "quantity"].sum()
        error = np.sqrt(1.2 / pieces + 1.2 / lines.loc[full, "quantity"].sum())
        assert abs(np.log(pieces / usual) - np.log(np.average(factor, weights=buyers))) < 4 * error + 0.02, category


def test_reduced_weeks_leave_who_comes_when_as_it_was() -> None:
    plain, reduced = (simulate(tiny("shop", seed=6, users=60, reduced_weeks_pct=of)) for of in (0, 30))
    columns = ["bill_id", "user_id", "store_id", "billed_at"]
    pd.testing.assert_frame_equal(plain.bills[columns], reduced.bills[columns])
    pd.testing.assert_frame_equal(plain.items, reduced.items)
    assert len(reduced.line_items) > len(plain.line_items)
