from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.world import World, simulate


@lru_cache
def world() -> World:
    return simulate(tiny("shop", seed=6, users=1500, items=60, affinities=4, affinity_pct=40, returns_pct=0))


def together(first: str, second: str) -> float:
    """Share of the bills with ``first`` that have ``second``."""
    items = world().line_items.groupby("item_id")["bill_id"].agg(set)
    return len(items[first] & items[second]) / len(items[first])


def test_planted_pairs_stand_together_as_often_as_planted_and_far_more_than_others() -> None:
    pairs = world().truth.affinities
    shares = [together(*pair) for pair in pairs[["item_id", "with_item_id"]].itertuples(index=False)]
    assert len(shares) == 4
    assert min(shares) > 0.36
    others = [together(first, second) for first in pairs["item_id"] for second in pairs["item_id"] if first != second]
    assert max(others) < 0.15


def test_items_fall_off_by_rank_in_their_category() -> None:
    """Zipf of exponent 1 over 12 items: the first has 32 % of the category, and the later half 21 %."""
    sold = world().line_items.merge(world().items, on="item_id")
    partners = world().truth.affinities["with_item_id"]
    shares = sold[~sold["item_id"].isin(partners)].groupby(["category", "item_id"]).size()
    top = shares.groupby("category").max() / shares.groupby("category").sum()
    assert top.between(0.2, 0.6).all()


def test_users_buy_the_categories_that_they_like() -> None:
    """The share of lines per category follows the taste, user by user, once affinities are left out."""
    plain = simulate(tiny("shop", seed=6, users=300, affinities=0, campaigns=0, returns_pct=0, r=6.0, b=60.0))
    sold = plain.line_items.dropna(subset="user_id").merge(plain.items[["item_id", "category"]], on="item_id")
    counts = pd.crosstab(sold["user_id"], sold["category"])
    counts = counts[counts.sum(axis=1) >= 40]
    taste = plain.truth.users.set_index("user_id").filter(like="taste_").rename(columns=lambda name: name[6:])
    taste.columns = taste.columns.str.replace("_", " ")
    shares = counts.div(counts.sum(axis=1), axis=0)
    expected = taste.loc[counts.index, counts.columns]
    assert len(counts) > 50
    assert np.abs(shares - expected).mean().max() < 0.05
    assert (shares.idxmax(axis=1) == expected.idxmax(axis=1)).mean() > 0.85


def test_those_who_mind_the_price_pay_less_for_the_same_kind_of_thing() -> None:
    sold = (
        world().line_items.dropna(subset="user_id").merge(world().items[["item_id", "category", "price"]], on="item_id")
    )
    sold = sold.merge(world().truth.users[["user_id", "price_sensitivity"]], on="user_id")
    typical = sold.groupby(["category", "price_sensitivity"])["price"].mean().unstack()
    assert (typical[4] < typical[0]).all()


def test_the_poorer_mind_the_price_more() -> None:
    minded = world().truth.users.groupby("income_band")["price_sensitivity"].mean()
    assert minded["low"] > minded["middle"] + 0.5 > minded["high"] + 1


def test_prices_lie_in_the_range_of_their_category_and_markdowns_take_a_fifth() -> None:
    for category in world().brand.categories:
        prices = world().items.query("category == @category.name")["price"]
        assert prices.between(category.price_from, category.price_to).all()
    lines = world().line_items
    reduced = lines[lines["discount"] > 0]
    full = reduced["amount"] + reduced["discount"]
    assert np.allclose(reduced["discount"], 0.2 * full, atol=0.006)
    assert len(reduced) / len(lines) == pytest.approx(0.10, abs=0.02)


def test_descriptions_name_the_attributes() -> None:
    items = world().items
    coloured = items[items["colour"].notna()]
    assert len(coloured) == len(items)
    for item in coloured.itertuples():
        assert f"colour {item.colour}" in item.description
        assert item.subcategory.capitalize() in item.description


def test_categories_have_their_season_where_they_are_given_one() -> None:
    """Who likes all alike buys in the first month of boots, whose peak it is, as the factors of mid-month say."""
    dials = {"affinities": 0, "campaigns": 0, "taste_concentration": 1e4, "category_season": 1.0, "r": 6.0, "b": 60.0}
    seasonal = simulate(tiny("shop", seed=6, users=800, days=366, opening_pct=100, opening_days=1, **dials))
    sold = seasonal.line_items.merge(seasonal.items[["item_id", "category"]], on="item_id")
    month = sold[sold["billed_at"] < "2024-02-01"]
    counts = month["category"].value_counts()
    categories = seasonal.brand.categories
    weights = np.array([category.weight for category in categories])
    angles = 2 * np.pi * (15.5 / 365.25 - np.arange(len(categories)) / len(categories))
    expected = weights * np.exp(np.cos(angles))
    shares = counts[[category.name for category in categories]] / counts.sum()
    error = np.sqrt(shares * (1 - shares) / counts.sum())
    assert (np.abs(shares - expected / expected.sum()) < 4 * error + 0.01).all()


def test_a_season_of_categories_leaves_who_comes_when_as_it_was() -> None:
    plain, seasonal = (simulate(tiny("shop", seed=6, users=50, category_season=of)) for of in (0.0, 1.0))
    columns = ["bill_id", "user_id", "store_id", "billed_at"]
    pd.testing.assert_frame_equal(plain.bills[columns], seasonal.bills[columns])
    assert not plain.line_items["item_id"].equals(seasonal.line_items["item_id"])


def test_coupons_are_used_by_those_who_mind_the_price_where_they_alone_answer() -> None:
    """Of those with one bill in a campaign, a fifth of level 2, two fifths of level 4, and nobody of level 0."""
    dials = {"campaigns": 4, "control_pct": 0, "campaign_reach_pct": 100}
    thrifty = simulate(tiny("shop", seed=6, users=4000, redemption_answers="thrifty", **dials))
    levels = thrifty.truth.users.set_index("user_id")["price_sensitivity"]
    single: list[tuple[int, bool]] = []
    for campaign in thrifty.campaigns[thrifty.campaigns["kind"] == "coupon"].itertuples():
        treated = thrifty.messages.loc[thrifty.messages["campaign_id"] == campaign.campaign_id, "user_id"]
        at = thrifty.bills["billed_at"]
        bills = thrifty.bills[(at >= campaign.starts_at) & (at < campaign.ends_at) & (thrifty.bills["amount"] > 0)]
        counts = bills["user_id"].value_counts()
        used = thrifty.redemptions.query("campaign_id == @campaign.campaign_id")["user_id"]
        single += [(levels[user], user in set(used)) for user in counts[counts == 1].index.intersection(treated)]
    shares = pd.DataFrame(single, columns=["level", "used"]).groupby("level")["used"].agg(["mean", "size"])
    for level, chance in ((0, 0.0), (1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)):
        error = np.sqrt(chance * (1 - chance) / shares["size"][level])
        assert abs(shares["mean"][level] - chance) <= 4 * error, level


def test_who_uses_coupons_is_all_that_their_dial_changes() -> None:
    plain, thrifty = (simulate(tiny("shop", seed=6, users=60, redemption_answers=of)) for of in ("all", "thrifty"))
    columns = ["bill_id", "user_id", "store_id", "billed_at"]
    pd.testing.assert_frame_equal(plain.bills[columns], thrifty.bills[columns])
    pd.testing.assert_frame_equal(plain.messages, thrifty.messages)
