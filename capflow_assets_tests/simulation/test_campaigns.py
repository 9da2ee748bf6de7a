from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

from capflow_assets.simulation import campaigns
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.world import World, simulate


@lru_cache
def world() -> World:
    """Nearly immortal users who buy about twice a week, so that the effect on the rate is seen clean."""
    dials = {"users": 6000, "days": 150, "opening_pct": 100, "opening_days": 7, "r": 20.0, "alpha_weeks": 10.0}
    reach = {"a": 0.5, "b": 2000.0, "campaigns": 2, "campaign_uplift_pct": 60, "control_pct": 40}
    return simulate(tiny("shop", seed=8, returns_pct=0, anonymous_pct=0, **dials, **reach))


def bought_in(campaign_id: str) -> pd.DataFrame:
    """Reached users of a campaign with their bills in it."""
    campaign = world().campaigns.set_index("campaign_id").loc[campaign_id]
    bills = world().bills
    during = bills[(bills["billed_at"] >= campaign["starts_at"]) & (bills["billed_at"] < campaign["ends_at"])]
    reached = world().truth.effects.query("campaign_id == @campaign_id")
    counts = during.groupby("user_id").size().rename("bills").reset_index()
    return reached.merge(counts, on="user_id", how="left").fillna({"bills": 0})


@pytest.mark.parametrize("campaign_id", ["C001", "C002"])
def test_the_planted_effect_shows_between_treated_and_control_in_every_group(campaign_id: str) -> None:
    reached = bought_in(campaign_id)
    for (age, income), group in reached.groupby(["age_band", "income_band"]):
        treated, control = group[~group["is_control"]]["bills"], group[group["is_control"]]["bills"]
        planted = group["uplift_if_treated_pct"].iloc[0] / 100
        measured = treated.mean() / control.mean() - 1
        error = np.sqrt(treated.var() / len(treated) + control.var() / len(control)) / control.mean()
        assert abs(measured - planted) < 4 * error, (age, income)
        assert error < 0.25


def test_the_young_and_poor_answer_most_and_the_old_not_at_all() -> None:
    effects = world().truth.effects.groupby(["age_band", "income_band"])["uplift_if_treated_pct"].agg(["min", "max"])
    assert (effects["min"] == effects["max"]).all()
    assert effects.loc[("18-29", "low"), "max"] == pytest.approx(60 * 1.5 * 1.25)
    assert effects.loc[("45-59", "high"), "max"] == pytest.approx(60 * 0.5 * 0.5)
    assert effects.loc["60+"].to_numpy().max() == 0


def test_nobody_is_touched_outside_the_campaign_or_held_out() -> None:
    effects = world().truth.effects
    assert (effects.loc[effects["is_control"], "uplift_pct"] == 0).all()
    reached = bought_in("C001")
    start = world().campaigns["starts_at"].iloc[0]
    before = world().bills[world().bills["billed_at"] < start].groupby("user_id").size()
    counts = before.reindex(reached["user_id"], fill_value=0).groupby(reached["is_control"].to_numpy())
    means, errors = counts.mean(), counts.sem()
    assert abs(means[True] - means[False]) < 4 * np.hypot(errors[True], errors[False])


def test_users_are_reached_and_held_out_by_lot_as_often_as_asked() -> None:
    messages = world().messages
    assert len(messages) / (2 * 6000) == pytest.approx(0.5, abs=0.02)
    assert messages["is_control"].mean() == pytest.approx(0.4, abs=0.02)
    assert not messages.duplicated(["campaign_id", "user_id"]).any()
    sent = messages.merge(world().users, on="user_id")
    assert (sent["joined_at"] < sent["sent_at"]).all()


def test_controls_open_nothing_and_clicks_follow_opens() -> None:
    messages = world().messages
    assert messages.loc[messages["is_control"], ["opened_at", "clicked_at"]].isna().all().all()
    opened = messages[messages["opened_at"].notna()]
    assert (opened["opened_at"] > opened["sent_at"]).all()
    assert opened["clicked_at"].notna().any()
    assert messages.loc[messages["opened_at"].isna(), "clicked_at"].isna().all()


def test_a_coupon_is_redeemed_once_by_a_treated_user_with_its_item_on_the_bill() -> None:
    used = world().redemptions
    assert len(used) > 100
    assert not used.duplicated(["user_id", "coupon_id"]).any()
    assert (used["campaign_id"] == "C001").all()
    treated = world().messages.query("not is_control and campaign_id == 'C001'")["user_id"]
    assert used["user_id"].isin(treated).all()
    sent = used.merge(world().messages, on=["campaign_id", "user_id"])["sent_at"]
    assert (used["redeemed_at"] >= sent).all()
    items = used.merge(world().coupons, on=["coupon_id", "campaign_id"])
    lines = world().line_items.rename(columns={"billed_at": "redeemed_at"})
    redeemed = items.merge(lines, on=["user_id", "item_id", "redeemed_at"])
    assert len(redeemed) == len(used)
    assert (redeemed["discount"] > 0).all()


def test_channels_of_their_own_are_opened_more_and_the_others_less() -> None:
    dials = {"users": 3000, "campaigns": 4, "campaign_reach_pct": 100, "control_pct": 20}
    brand = tiny("shop", seed=3, own_channel_pct=80, **dials)
    messages = simulate(brand).messages.query("not is_control")
    number = messages["user_id"].str[1:].astype(int).to_numpy() - 1
    chances = campaigns.open_chances(brand, 3000)[number]
    place = pd.Index(campaigns.CHANNELS).get_indexer(messages["channel"])
    is_own = place == chances.argmax(axis=1)
    opened = messages["opened_at"].notna()
    assert opened[is_own].mean() == pytest.approx(0.35 * 2.2, abs=0.03)
    assert opened[~is_own].mean() == pytest.approx(0.35 * 0.2, abs=0.02)
    assert is_own.mean() == pytest.approx(1 / 3, abs=0.03)


def test_without_the_dial_all_channels_are_opened_alike() -> None:
    assert np.unique(campaigns.open_chances(tiny("shop", seed=3), 50)).tolist() == [0.35]
