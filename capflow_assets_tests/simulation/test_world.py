from __future__ import annotations

from datetime import date
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.world import World, simulate

SHIFT_ON = date(2024, 9, 1)


@lru_cache
def world(**dials: object) -> World:
    return simulate(tiny("shop", seed=3, **dials))


def all_frames(world: World) -> dict[str, pd.DataFrame]:
    truth = {f"true {name}": getattr(world.truth, name) for name in ("users", "affinities", "effects", "future_bills")}
    return {**world.tables, **truth, "dirt": world.dirt}


def test_the_same_seed_makes_the_same_world() -> None:
    again = all_frames(simulate(tiny("shop", seed=3)))
    for name, frame in all_frames(world()).items():
        pd.testing.assert_frame_equal(frame, again[name], check_exact=True)


def test_another_seed_makes_another_world() -> None:
    other = all_frames(simulate(tiny("shop", seed=4)))
    for name, frame in all_frames(world()).items():
        if name != "campaigns":
            assert not frame.equals(other[name]), name


def test_keys_are_unique_and_references_lead_somewhere() -> None:
    tables = world().tables
    for name, key in [("bills", "bill_id"), ("users", "user_id"), ("items", "item_id"), ("stores", "store_id")]:
        assert tables[name][key].is_unique, name
    assert not tables["line_items"].duplicated(["bill_id", "item_id"]).any()
    for name, key, target in [
        ("line_items", "bill_id", "bills"),
        ("line_items", "item_id", "items"),
        ("bills", "store_id", "stores"),
        ("messages", "user_id", "users"),
        ("messages", "campaign_id", "campaigns"),
        ("redemptions", "coupon_id", "coupons"),
        ("coupons", "item_id", "items"),
    ]:
        assert tables[name][key].isin(tables[target][key]).all(), (name, key)
    assert tables["bills"]["user_id"].dropna().isin(tables["users"]["user_id"]).all()


def test_a_bill_is_the_sum_of_its_lines() -> None:
    sums = world().line_items.groupby("bill_id")[["amount", "discount", "quantity"]].sum()
    bills = world().bills.set_index("bill_id")[["amount", "discount", "quantity"]]
    pd.testing.assert_frame_equal(sums, bills, check_like=True)


def test_times_are_in_utc_in_microseconds_in_order_and_inside_the_history() -> None:
    billed_at = world().bills["billed_at"]
    assert str(billed_at.dtype) == "datetime64[us, UTC]"
    assert billed_at.is_monotonic_increasing
    for name, frame in world().tables.items():
        for column in frame.select_dtypes("datetimetz"):
            assert frame[column].dropna().between(pd.Timestamp("2024-01-01", tz="UTC"), world().end).all(), (
                name,
                column,
            )


def test_a_user_joins_with_the_first_bill() -> None:
    first = world().bills.groupby("user_id")["billed_at"].min()
    joined = world().users.set_index("user_id")["joined_at"]
    assert (first.reindex(joined.index) == joined).all()


def test_the_future_is_known_to_the_truth_alone_and_holds_known_users() -> None:
    future = world().truth.future_bills
    assert len(future) > 20
    assert (future["billed_at"] >= world().end).all()
    assert (future["billed_at"] < world().end + pd.Timedelta(days=90)).all()
    assert future["user_id"].isin(world().users["user_id"]).all()
    assert not future["bill_id"].isin(world().bills["bill_id"]).any()


def test_returns_take_back_a_line_that_the_same_user_bought_in_the_28_days_before() -> None:
    lines = world(returns_pct=20).line_items
    back, sold = lines[lines["quantity"] < 0], lines[lines["quantity"] > 0]
    assert (back["amount"] < 0).all()
    known = back.dropna(subset="user_id")
    pairs = known.merge(sold, on=["user_id", "item_id", "store_id"], suffixes=("", "_sold"))
    days = (pairs["billed_at"] - pairs["billed_at_sold"]).dt.total_seconds() / 86400
    matches = pairs[(pairs["amount"] == -pairs["amount_sold"]) & days.between(0.9, 28.1)]
    assert known["bill_id"].isin(matches["bill_id"]).all()
    purchases = (world(returns_pct=20).bills["amount"] > 0).sum()
    assert len(back) / purchases == pytest.approx(0.20, abs=0.05)


def test_anonymous_bills_come_on_top_and_leave_the_known_users_as_they_were() -> None:
    hidden = world(anonymous_pct=50)
    assert hidden.bills["user_id"].isna().mean() == pytest.approx(0.5, abs=0.1)
    alone = world(anonymous_pct=0)
    columns = ["user_id", "joined_at", "rate_per_week", "dropout_chance"]
    pd.testing.assert_frame_equal(hidden.truth.users[columns], alone.truth.users[columns])


def test_attributes_are_missing_as_often_as_asked_and_the_truth_has_them() -> None:
    gappy = world(users=2000, attributes_missing_pct=30)
    assert gappy.users[["age_band", "income_band", "household_size"]].isna().mean().tolist() == pytest.approx(
        [0.3] * 3, abs=0.04
    )
    assert gappy.truth.users[["age_band", "income_band", "household_size"]].notna().all().all()
    is_known = gappy.users["age_band"].notna()
    assert (gappy.users["age_band"] == gappy.truth.users["age_band"])[is_known].all()


def test_users_buy_at_home_mostly() -> None:
    bills = world(users=400).bills.dropna(subset="user_id").merge(world(users=400).truth.users, on="user_id")
    other_by_chance = 0.2 / 3
    assert (bills["store_id"] == bills["home_store_id"]).mean() == pytest.approx(0.8 + other_by_chance, abs=0.06)


@pytest.mark.parametrize("kind", ["sudden", "gradual", "seasonal"])
@pytest.mark.parametrize("factor", [0.4, 2.5])
def test_a_shift_changes_what_comes_after_its_day_and_nothing_before(kind: str, factor: float) -> None:
    calm = world(users=600, returns_pct=5)
    shifted = world(users=600, returns_pct=5, shift_on=SHIFT_ON, shift_kind=kind, shift_factor=factor)
    day = pd.Timestamp(SHIFT_ON, tz="UTC")
    for name in ("bills", "line_items"):
        before = [frame[frame["billed_at"] < day] for frame in (calm.tables[name], shifted.tables[name])]
        assert len(before[0]) > 1000
        pd.testing.assert_frame_equal(*before, check_exact=True)
    after = [frame[frame["billed_at"] >= day] for frame in (calm.bills, shifted.bills)]
    assert (len(after[1]) > len(after[0])) == (factor > 1)


def test_a_sudden_shift_multiplies_rates_and_prices_by_its_factor() -> None:
    dials = {"users": 1500, "a": 0.5, "b": 200.0, "opening_pct": 100, "opening_days": 7, "campaigns": 0}
    calm, shifted = world(**dials), world(**dials, shift_on=SHIFT_ON, shift_factor=0.5)
    day = pd.Timestamp(SHIFT_ON, tz="UTC")
    per_item = []
    counts = []
    for variant in (calm, shifted):
        bills = variant.bills[(variant.bills["billed_at"] >= day) & (variant.bills["amount"] > 0)]
        counts.append(len(bills))
        lines = variant.line_items[variant.line_items["bill_id"].isin(bills["bill_id"])]
        joined = lines.merge(variant.items[["item_id", "price"]], on="item_id")
        per_item.append(((joined["amount"] + joined["discount"]) / joined["quantity"] / joined["price"]).median())
    assert counts[1] / counts[0] == pytest.approx(0.5, abs=0.05)
    assert per_item == pytest.approx([1.0, 0.5], abs=0.002)


def test_a_price_change_holds_from_its_day_on() -> None:
    dear = world(price_change_on=SHIFT_ON, price_change_pct=25)
    lines = dear.line_items.merge(dear.items[["item_id", "price"]], on="item_id").query("quantity > 0")
    ratio = (lines["amount"] + lines["discount"]) / lines["quantity"] / lines["price"]
    after = lines["billed_at"] >= pd.Timestamp(SHIFT_ON, tz="UTC")
    assert np.allclose(ratio[~after], 1, atol=0.003)
    assert np.allclose(ratio[after], 1.25, atol=0.003)


def test_a_world_without_campaigns_has_empty_tables_of_them() -> None:
    bare = world(campaigns=0)
    for name in ("campaigns", "messages", "coupons", "redemptions"):
        assert bare.tables[name].empty
        assert list(bare.tables[name].columns) == list(world().tables[name].columns)
