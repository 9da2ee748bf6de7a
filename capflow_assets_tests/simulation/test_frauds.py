"""Frauds are as many as asked, in bills and lines alike, and leave all other bills as they were."""

from __future__ import annotations

from functools import lru_cache

import pandas as pd
import pytest

from capflow_assets.errors import CapflowError
from capflow_assets.simulation import dirt
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.world import World, simulate


@lru_cache
def world(**dials: int) -> World:
    return simulate(tiny("shop", seed=2, users=400, **dials))


def sent(of: World) -> dict[str, pd.DataFrame]:
    return dirt.sent(of.tables, of.dirt, of.brand, None)


def test_frauds_leave_all_other_bills_as_they_were() -> None:
    plain, wrong = world(), world(discount_frauds=5, refund_frauds=2)
    is_fraud = wrong.dirt["share_off"].notna() | wrong.dirt["paid_back_to"].notna()
    assert 5 + 2 < is_fraud.sum() <= 5 + 12
    pd.testing.assert_frame_equal(plain.bills, wrong.bills)
    honest = set(wrong.dirt.loc[~is_fraud, "bill_id"])
    for name in ("bills", "line_items"):
        before, after = (sent(one)[name] for one in (plain, wrong))
        pd.testing.assert_frame_equal(before[before["bill_id"].isin(honest)], after[after["bill_id"].isin(honest)])


def test_bills_are_the_sums_of_their_lines_and_prices_stay() -> None:
    before, after = sent(world()), sent(world(discount_frauds=5, refund_frauds=2))
    sums = after["line_items"].groupby("bill_id")[["amount", "discount", "quantity"]].sum().round(2)
    pd.testing.assert_frame_equal(sums, after["bills"].set_index("bill_id")[list(sums.columns)], check_dtype=False)
    plan = world(discount_frauds=5, refund_frauds=2).dirt.set_index("bill_id")
    cheap = plan.index[plan["share_off"].notna()]
    old, new = (one["bills"].set_index("bill_id").loc[cheap] for one in (before, after))
    assert (new["amount"] + new["discount"]).tolist() == pytest.approx((old["amount"] + old["discount"]).tolist())
    assert (new["discount"] / (new["amount"] + new["discount"])).between(0.59, 0.96).all()
    back = plan.index[plan["paid_back_to"].notna()]
    old, new = (one["bills"].set_index("bill_id").loc[back] for one in (before, after))
    assert new["amount"].tolist() == pytest.approx((-old["amount"]).tolist())
    assert new["user_id"].tolist() == plan.loc[back, "paid_back_to"].tolist()
    assert new.groupby("user_id")["store_id"].nunique().max() == 1


def test_more_frauds_than_bills_are_refused() -> None:
    with pytest.raises(CapflowError, match="more frauds than there are bills"):
        world(discount_frauds=10**6)
