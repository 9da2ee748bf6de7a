"""Newsletters, consents and opt-outs: off they change nothing, on they follow their law."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.mailing_list import NEWSLETTER
from capflow_assets.simulation.world import World, simulate

WEEK = pd.Timedelta(weeks=1)


@lru_cache
def world(**dials: float) -> World:
    return simulate(tiny("shop", seed=3, users=3000, **dials))


def listed() -> World:
    return world(newsletters_a_week=1.0, opt_out_pct=3.0)


def test_without_the_dials_nobody_is_asked() -> None:
    assert world().consents.empty
    assert world().truth.readers.empty
    assert not (world().messages["campaign_id"] == NEWSLETTER).any()


def test_buying_and_campaigns_are_those_of_the_world_without_it() -> None:
    plain, other = world(), listed()
    for name in ("bills", "line_items", "users", "campaigns", "redemptions"):
        pd.testing.assert_frame_equal(plain.tables[name], other.tables[name], check_exact=True)
    of_campaigns = other.messages[other.messages["campaign_id"] != NEWSLETTER]
    key = ["campaign_id", "user_id"]
    pd.testing.assert_frame_equal(
        of_campaigns.sort_values(key, ignore_index=True), plain.messages.sort_values(key, ignore_index=True)
    )
    pd.testing.assert_frame_equal(world(opt_out_pct=3.0).messages, plain.messages, check_exact=True)


def test_newsletters_come_at_own_rates_are_opened_by_interest_and_end_with_the_opt_out() -> None:
    readers = listed().truth.readers.set_index("user_id")
    letters = listed().messages.query("campaign_id == @NEWSLETTER")
    left = letters["user_id"].map(readers["opted_out_at"])
    assert (left.isna() | (letters["sent_at"] < left)).all()
    stays = readers[readers["opted_out_at"].isna()].join(listed().users.set_index("user_id")["joined_at"])
    weeks = (listed().end - stays["joined_at"]) / WEEK
    sent = letters.groupby("user_id").size().reindex(stays.index, fill_value=0)
    assert sent.sum() == pytest.approx((stays["newsletters_a_week"] * weeks).sum(), rel=0.03)
    expected = letters["user_id"].map(readers["interest"])
    # Those of the last hours are opened after the end.
    assert letters["opened_at"].notna().mean() == pytest.approx(expected.mean(), abs=0.01)
    assert (letters["opened_at"].dropna() > letters.loc[letters["opened_at"].notna(), "sent_at"]).all()


def test_the_hazard_grows_with_messages_and_with_those_ignored() -> None:
    """Of each user and week, from the messages themselves: 4 i² c a week, of a hundred at 1."""
    brand, messages = listed().brand, listed().messages[~listed().messages["is_control"]]
    start = pd.Timestamp(brand.start, tz="UTC")
    left = listed().truth.readers.set_index("user_id")["opted_out_at"]
    hazards, departures = [], []
    for week in range(10, brand.days // 7, 7):
        now = start + week * WEEK
        lately = messages[(messages["sent_at"] >= now - 13 * WEEK) & (messages["sent_at"] < now)]
        lately = lately[~(lately["user_id"].map(left) < now)]
        users = lately.groupby("user_id")["opened_at"].agg(["size", "count"])
        ignored = 1 - users["count"] / users["size"]
        hazards.append(4 * ignored**2 * users["size"] / 13 * brand.opt_out_pct / 100)
        departures.append(left.reindex(users.index).between(now, now + WEEK, inclusive="left"))
    hazard, is_gone = pd.concat(hazards), pd.concat(departures)
    assert is_gone.sum() > 150
    chance = -np.expm1(-hazard)
    for part in np.array_split(np.argsort(chance.to_numpy()), 3):
        expected, spread = chance.iloc[part].sum(), (chance * (1 - chance)).iloc[part].sum() ** 0.5
        assert is_gone.iloc[part].sum() == pytest.approx(expected, abs=3 * spread)


def test_consents_are_a_grant_of_each_channel_and_a_denial_of_all() -> None:
    consents, readers = listed().consents, listed().truth.readers
    granted = consents[consents["status"] == "granted"]
    assert (granted.groupby("user_id")["channel"].nunique() == 3).all()
    assert set(granted["user_id"]) == set(listed().users["user_id"])
    denied = consents[consents["status"] == "denied"].set_index("user_id")
    assert denied["channel"].isna().all()
    pd.testing.assert_series_equal(
        denied["captured_at"].sort_index(),
        readers.dropna(subset="opted_out_at").set_index("user_id")["opted_out_at"].sort_index(),
        check_names=False,
    )
