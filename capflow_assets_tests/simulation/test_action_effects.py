"""Campaigns in pairs, and what each action truly brings each user."""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache

import numpy as np
import pytest

from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.oracle import action_effects
from capflow_assets.simulation.world import World, simulate

ACTIONS = {"campaign_pairs": True, "campaign_answers": "actions", "campaign_uplift_pct": 100, "control_pct": 30}


@lru_cache
def world() -> World:
    """Nearly immortal users who buy about twice a week, so that the effect on the rate is seen clean."""
    dials = {"users": 6000, "days": 150, "opening_pct": 100, "opening_days": 7, "r": 20.0, "alpha_weeks": 10.0}
    return simulate(
        tiny("shop", seed=8, returns_pct=0, anonymous_pct=0, a=0.5, b=2000.0, campaigns=2, **dials, **ACTIONS)
    )


def test_two_campaigns_begin_at_once_and_nobody_is_in_both() -> None:
    campaigns, messages = world().campaigns, world().messages
    assert campaigns["starts_at"].nunique() == 1
    assert not messages["user_id"].duplicated().any()
    halves = messages["campaign_id"].value_counts(normalize=True)
    assert halves.to_numpy() == pytest.approx([0.5, 0.5], abs=0.05)
    assert set(world().coupons["campaign_id"]) == {"C001"}


def test_the_oracles_effects_show_between_those_who_got_an_action_and_those_held_out() -> None:
    begins, ends = world().campaigns.loc[0, ["starts_at", "ends_at"]]
    effects = action_effects(world(), begins - timedelta(hours=9))
    sent = world().messages.set_index("user_id")
    bills = world().bills
    during = bills[(bills["billed_at"] >= begins) & (bills["billed_at"] < ends)]
    counts = during.groupby("user_id").size().reindex(sent.index, fill_value=0)
    age = world().users.set_index("user_id")["age_band"].reindex(sent.index)
    coupon = sent["campaign_id"] == "C001"
    for band in ("18-29", "30-44", "60+"):
        left = counts[sent["is_control"] & (age == band)]
        for channel in ("email", "push"):
            got = counts[~sent["is_control"] & coupon & (sent["channel"] == channel) & (age == band)]
            planted = effects.loc[got.index, f"{channel} with coupon"].mean()
            error = np.hypot(got.sem(), left.sem())
            assert got.mean() - left.mean() == pytest.approx(planted, abs=4 * error), (band, channel)
            assert error < 0.8


def test_who_is_the_best_to_whom_differs_by_age_and_income() -> None:
    effects = action_effects(world(), world().campaigns["starts_at"][0])
    effects = effects[(effects != 0).any(axis=1)]  # those who have not left
    users = world().users.set_index("user_id").loc[effects.index]
    best = effects.idxmax(axis=1).where(effects.max(axis=1) > 0, "nothing")
    kinds = best.groupby([users["age_band"], users["income_band"]]).agg(lambda names: set(names))
    assert kinds["18-29", "low"] == {"push with coupon"}
    assert kinds["30-44", "high"] == {"email"}
    assert kinds["60+"].tolist() == [{"nothing"}] * 3


def test_other_worlds_are_as_they_were() -> None:
    """What a campaign brings does not differ by action where it is not switched on."""
    plain = simulate(tiny("shop", seed=8, users=50))
    effects = action_effects(plain, plain.end - timedelta(days=1))
    assert (effects.nunique(axis=1) == 1).all()
    assert not plain.campaigns["starts_at"].duplicated().any()
