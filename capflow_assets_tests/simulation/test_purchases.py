"""The law of buying and leaving against the closed forms of Fader, Hardie and Lee (2005), each within four errors."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import betaln, gammaln, hyp2f1
from scipy.stats import beta

from capflow_assets.simulation.brand import CAFE_DAY, CAFE_WEEK, Brand, tiny
from capflow_assets.simulation.purchases import favourite_hours
from capflow_assets.simulation.world import World, simulate

WEEKS = 52
R, ALPHA, A, B = 0.9, 5.0, 0.8, 3.5


def cohort(**dials: object) -> Brand:
    """Six thousand users who all come in the first hour, so that everybody has the same age."""
    law = {"r": R, "alpha_weeks": ALPHA, "a": A, "b": B, "opening_pct": 100, "opening_days": 1}
    size = {"users": 6000, "days": 7 * WEEKS, "anonymous_pct": 0, "returns_pct": 0, "campaigns": 0}
    flat = {"week": (1.0,) * 7, "hours": (1.0,) + (0.0,) * 23}
    return tiny("law", **({"seed": 5} | law | size | flat | dials))


@lru_cache
def world() -> World:
    return simulate(cohort())


def repeats(world: World) -> np.ndarray:
    return world.bills.groupby("user_id").size().to_numpy() - 1


def test_everybody_has_a_first_bill() -> None:
    assert world().bills["user_id"].nunique() == 6000


def test_mean_repeat_purchases_are_those_of_equation_9() -> None:
    t = WEEKS
    share = (ALPHA / (ALPHA + t)) ** R * hyp2f1(R, B, A + B - 1, t / (ALPHA + t))
    expected = (A + B - 1) / (A - 1) * (1 - share)
    counts = repeats(world())
    assert abs(counts.mean() - expected) < 4 * counts.std() / np.sqrt(len(counts))


@pytest.mark.parametrize("x", [0, 1, 2, 5])
def test_the_distribution_of_purchases_is_that_of_equation_8(x: int) -> None:
    t = WEEKS
    here = np.exp(betaln(A, B + x) - betaln(A, B) + gammaln(R + x) - gammaln(R) - gammaln(x + 1))
    expected = here * (ALPHA / (ALPHA + t)) ** R * (t / (ALPHA + t)) ** x
    if x > 0:
        terms = [np.exp(gammaln(R + j) - gammaln(R) - gammaln(j + 1)) * (t / (ALPHA + t)) ** j for j in range(x)]
        gone = 1 - (ALPHA / (ALPHA + t)) ** R * sum(terms)
        expected += np.exp(betaln(A + 1, B + x - 1) - betaln(A, B)) * gone
    share = (repeats(world()) == x).mean()
    assert abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / 6000)


def test_the_share_still_alive_is_the_mean_of_exp_minus_rate_dropout_time() -> None:
    """Alive at t with chance ``exp(-lambda p t)``, so ``(alpha / (alpha + p t)) ** r`` on average over the rates."""
    expected, _ = quad(lambda p: (ALPHA / (ALPHA + p * WEEKS)) ** R * beta.pdf(p, A, B), 0, 1)
    share = world().truth.users["is_alive"].mean()
    assert abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / 6000)


def test_nobody_buys_after_leaving_and_nobody_leaves_on_the_first_bill() -> None:
    users = world().truth.users.set_index("user_id")
    last = world().bills.groupby("user_id")["billed_at"].max()
    left = users["dropped_at"].dropna()
    past = left[left < world().end]
    assert len(past) > 1000
    assert (last[past.index] == past).all()
    assert repeats(world())[users.index.get_indexer(past.index)].min() >= 1


def test_seasons_and_profiles_move_purchases_and_leave_their_law_alone() -> None:
    """Over whole weeks of whole years the clock has run as far, so the mean of equation 9 holds to the percent."""
    t = 104
    seasonal = cohort(days=7 * t, season_strength=0.6, season_peak_day=180, week=CAFE_WEEK, hours=CAFE_DAY)
    share = (ALPHA / (ALPHA + t)) ** R * hyp2f1(R, B, A + B - 1, t / (ALPHA + t))
    moved = simulate(seasonal)
    counts = repeats(moved)
    assert abs(counts.mean() - (A + B - 1) / (A - 1) * (1 - share)) < 4 * counts.std() / np.sqrt(6000)
    local = moved.bills.loc[moved.bills["user_id"].duplicated(), "billed_at"]
    second = local[local >= "2025-01-01"]
    summer, winter = (second.dt.month.isin(months).sum() for months in ([5, 6, 7], [11, 12]))
    assert summer / 3 > 2 * winter / 2
    assert set(local.dt.hour) == set(range(7, 20))
    by_day = local.dt.dayofweek.value_counts(normalize=True)
    assert by_day[6] == pytest.approx(0.3 / 7, rel=0.1)
    assert by_day[2] == pytest.approx(1.2 / 7, rel=0.1)


def test_rates_have_the_mean_and_variance_of_their_gamma() -> None:
    rates = world().truth.users["rate_per_week"]
    assert rates.mean() == pytest.approx(R / ALPHA, rel=0.05)
    assert rates.var() == pytest.approx(R / ALPHA**2, rel=0.12)
    chances = world().truth.users["dropout_chance"]
    assert chances.mean() == pytest.approx(A / (A + B), rel=0.05)


def test_purchases_in_a_rhythm_come_as_often_and_more_evenly() -> None:
    """Erlang gaps of k stages deviate by 1 / sqrt(k) of their mean; k = 1 is at random."""
    dials = {"r": 5000.0, "alpha_weeks": 5000.0, "a": 1e-4, "b": 5000.0}
    counts, deviations = {}, {}
    for k in (1, 4):
        days = simulate(cohort(users=400, regularity=k, hours=(1.0,) * 24, **dials)).bills
        gaps = days.sort_values("billed_at").groupby("user_id")["billed_at"].diff().dropna().dt.total_seconds()
        counts[k], deviations[k] = len(gaps), gaps.std() / gaps.mean()
    # Everybody comes on the first of the days. The first gap of a rhythm is as long as any, which costs a third of one.
    weeks = WEEKS - 0.5 / 7
    assert counts[1] / 400 == pytest.approx(weeks, rel=0.015)
    assert counts[4] / 400 == pytest.approx(weeks - (1 - 1 / 4) / 2, rel=0.015)
    assert deviations[4] == pytest.approx(0.5, rel=0.04)
    assert deviations[1] == pytest.approx(1.0, rel=0.04)


def test_own_hours_move_bills_within_their_day_and_nothing_else() -> None:
    dials = {"campaigns": 0, "returns_pct": 0}
    plain, own = (simulate(tiny("shop", seed=3, own_hours_pct=share, **dials)) for share in (0, 60))
    keys = ["user_id", "store_id"]
    days = [world.bills.assign(day=world.bills["billed_at"].dt.date)[["user_id", "day"]] for world in (plain, own)]
    assert sorted(days[0].dropna().itertuples(index=False)) == sorted(days[1].dropna().itertuples(index=False))
    assert len(plain.bills[keys]) == len(own.bills[keys])
    first = own.bills.groupby("user_id")["billed_at"].min()
    assert (first == own.truth.users.set_index("user_id")["joined_at"].reindex(first.index)).all()


def test_own_hours_have_their_share_of_the_bills() -> None:
    brand = tiny("shop", seed=3, users=600, own_hours_pct=60, campaigns=0, returns_pct=0, anonymous_pct=0)
    bills = simulate(brand).bills
    repeat = bills[bills.groupby("user_id").cumcount() > 0]
    number = repeat["user_id"].str[1:].astype(int).to_numpy() - 1
    hours = np.array(brand.hours) / np.sum(brand.hours)
    favourite = favourite_hours(brand, 600)[number]
    by_chance = 0.4 * hours[favourite].mean()
    is_own = repeat["billed_at"].dt.hour.to_numpy() == favourite
    assert is_own.mean() == pytest.approx(0.6 + by_chance, abs=0.03)
