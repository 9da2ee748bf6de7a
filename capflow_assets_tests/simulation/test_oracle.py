from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

from capflow_assets.errors import CapflowError
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.oracle import (
    category_chances,
    expected_purchases,
    outcome,
    second_purchase_chances,
)
from capflow_assets.simulation.world import World, simulate

AS_OF = datetime(2024, 11, 5, 12, tzinfo=UTC)


@lru_cache
def world() -> World:
    dials = {"season_strength": 0.5, "shift_on": date(2024, 8, 1), "shift_factor": 1.4}
    return simulate(tiny("shop", seed=9, users=5000, days=420, campaigns=3, **dials))


@pytest.mark.parametrize("column", ["purchases", "purchases_knowing_all"])
@pytest.mark.parametrize("as_of", [AS_OF, None])
def test_what_is_expected_happens_on_average_and_in_every_fifth(column: str, as_of: datetime | None) -> None:
    moment = as_of or world().end
    both = expected_purchases(world(), moment, 60).merge(
        outcome(world(), moment, 60), on="user_id", suffixes=("", "_made")
    )
    actual = "purchases_made"
    fifths = both.groupby(pd.qcut(both[column].rank(method="first"), 5), observed=True)
    for _, group in fifths:
        error = group[actual].std() / np.sqrt(len(group))
        assert abs(group[column].mean() - group[actual].mean()) < 4 * error + 0.01


def test_p_alive_is_a_chance_that_holds() -> None:
    truth = expected_purchases(world(), world().end, 30)
    for _, group in truth.groupby(pd.cut(truth["p_alive"], [0, 0.2, 0.4, 0.6, 0.8, 1.0]), observed=True):
        error = np.sqrt(0.25 / len(group))
        assert abs(group["p_alive"].mean() - group["is_alive"].mean()) < 4 * error


@pytest.mark.parametrize("as_of", [AS_OF, None])
def test_the_chance_of_a_purchase_holds(as_of: datetime | None) -> None:
    moment = as_of or world().end
    both = expected_purchases(world(), moment, 60).merge(outcome(world(), moment, 60), on="user_id")
    for _, group in both.groupby(pd.qcut(both["p_purchase"].rank(method="first"), 5), observed=True):
        error = np.sqrt(0.25 / len(group))
        assert abs(group["p_purchase"].mean() - (group["purchases_y"] > 0).mean()) < 3 * error


def test_who_knows_more_errs_less() -> None:
    both = expected_purchases(world(), AS_OF, 60).merge(
        outcome(world(), AS_OF, 60), on="user_id", suffixes=("", "_made")
    )
    errors = [
        ((both[column] - both["purchases_made"]) ** 2).mean() for column in ("purchases_knowing_all", "purchases")
    ]
    blind = both["purchases_made"].var()
    assert errors[0] < errors[1] < 0.7 * blind


def test_the_dead_are_expected_to_buy_nothing_by_those_who_know() -> None:
    truth = expected_purchases(world(), AS_OF, 60)
    assert (truth.loc[~truth["is_alive"], "purchases_knowing_all"] == 0).all()
    assert (truth.loc[truth["is_alive"], "purchases_knowing_all"] > 0).all()


def test_the_outcome_counts_bills_after_the_moment_up_to_the_end_of_the_horizon() -> None:
    actual = outcome(world(), AS_OF, 60).set_index("user_id")
    bills = world().bills[(world().bills["billed_at"] > AS_OF) & (world().bills["amount"] > 0)]
    bills = bills[bills["billed_at"] <= AS_OF + timedelta(days=60)]
    user_id = bills.loc[bills["user_id"].isin(actual.index), "user_id"].mode()[0]
    hers = bills[bills["user_id"] == user_id]
    assert actual.loc[user_id, "purchases"] == len(hers) > 1
    assert actual.loc[user_id, "spend"] == pytest.approx(hers["amount"].sum())
    assert len(actual) == (world().users["joined_at"] <= AS_OF).sum()


def test_a_horizon_is_of_the_brands_own_days() -> None:
    """In Madrid 28 days from 1 October on last an hour more: bills until noon of the 29th by the clock count."""
    madrid = simulate(tiny("shop", seed=3, users=3000, days=420, time_zone="Europe/Madrid", start=date(2023, 9, 1)))
    as_of, end = datetime(2024, 10, 1, 10, tzinfo=UTC), datetime(2024, 10, 29, 11, tzinfo=UTC)
    bills = pd.concat([madrid.bills, madrid.truth.future_bills])
    inside = bills[(bills["billed_at"] > as_of) & (bills["billed_at"] <= end) & (bills["amount"] > 0)]
    known = set(madrid.truth.users.loc[madrid.truth.users["joined_at"] <= as_of, "user_id"])
    assert outcome(madrid, as_of, 28)["purchases"].sum() == inside["user_id"].isin(known).sum()
    late = inside[inside["billed_at"] > end - timedelta(hours=1)]
    assert late["user_id"].isin(known).any(), "the hour more tells"


def test_many_bills_do_not_overflow() -> None:
    busy = simulate(tiny("busy", seed=2, users=40, r=50.0, alpha_weeks=2.0, a=1.0, b=900.0))
    truth = expected_purchases(busy, busy.end, 30)
    assert busy.bills["user_id"].value_counts().max() > 900
    assert np.isfinite(truth[["p_alive", "purchases"]]).all().all()
    assert truth["purchases"].sum() == pytest.approx(outcome(busy, busy.end, 30)["purchases"].sum(), rel=0.1)


def test_the_oracle_says_how_far_it_sees() -> None:
    with pytest.raises(CapflowError, match="cannot see that far"):
        expected_purchases(world(), world().end, 91)
    with pytest.raises(CapflowError, match="cannot see that far"):
        outcome(world(), world().end + timedelta(days=1), 1)


def test_the_chances_of_categories_are_what_is_bought_in_that_season() -> None:
    dials = {"affinities": 0, "campaigns": 0, "category_season": 1.0, "r": 6.0, "b": 60.0}
    seasonal = simulate(tiny("shop", seed=4, users=1500, days=400, **dials))
    from_, to = (datetime(2024, 9, day, tzinfo=UTC) for day in (1, 15))
    lines = seasonal.line_items.dropna(subset="user_id").merge(seasonal.items[["item_id", "category"]], on="item_id")
    lines = lines[(lines["billed_at"] >= from_) & (lines["billed_at"] < to)]
    chances = category_chances(seasonal, datetime(2024, 9, 8, tzinfo=UTC))
    assert chances.sum(axis=1).to_numpy() == pytest.approx(1)
    expected = chances.loc[lines["user_id"]].mean()
    shares = lines["category"].value_counts(normalize=True)[expected.index]
    assert np.abs(shares - expected).max() < 4 * np.sqrt(0.25 / len(lines))


def test_the_chance_of_a_second_purchase_holds_of_those_who_may_come_once_only() -> None:
    dials = {"one_time_users": 3000, "campaigns": 0, "affinities": 0, "season_strength": 0.4}
    once = simulate(tiny("shop", seed=2, users=6000, days=300, **dials))
    chances = second_purchase_chances(once, once.end, 60)
    bought = outcome(once, once.end, 60).set_index("user_id")["purchases"].reindex(chances.index, fill_value=0) > 0
    assert len(chances) > 2000
    for _, group in chances.groupby(pd.cut(chances, [-0.01, 0.05, 0.2, 0.4, 0.6, 1.0]), observed=True):
        error = np.sqrt(0.25 / len(group))
        assert abs(group.mean() - bought[group.index].mean()) < 3 * error
