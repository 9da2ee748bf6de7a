from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from capflow_assets.simulation.brand import SHOP_DAY, SHOP_WEEK, tiny
from capflow_assets.simulation.clock import Effects, clock, local_minutes, moments, shift

FLAT = {"week": (1.0,) * 7, "hours": (1.0,) * 24}


def test_a_flat_clock_is_the_calendar() -> None:
    flat = clock(tiny("shop", seed=1, **FLAT))
    assert flat.weeks_at(np.array([0, 7 * 1440, 10.5 * 1440])) == pytest.approx([0, 1, 1.5])


def test_with_profiles_the_clock_agrees_at_the_end_of_every_week_and_stands_still_at_night() -> None:
    busy = clock(tiny("shop", seed=1, week=SHOP_WEEK, hours=SHOP_DAY))
    assert busy.weeks_at(np.arange(50) * 7 * 1440.0) == pytest.approx(np.arange(50))
    assert busy.weeks_at(np.array([20 * 60])) == busy.weeks_at(np.array([33 * 60]))


def test_minutes_come_back_from_the_clock() -> None:
    busy = clock(tiny("shop", seed=1, week=SHOP_WEEK, hours=SHOP_DAY, season_strength=0.5))
    minutes = np.array([9 * 60 + 30.0, 3 * 1440 + 12 * 60 + 7])
    assert busy.minutes_at(busy.weeks_at(minutes) + 1e-9).tolist() == minutes.astype(int).tolist()


def test_the_season_is_high_at_its_peak_and_even_over_a_year() -> None:
    brand = tiny("shop", seed=1, days=1461, season_strength=0.4, season_peak_day=330, **FLAT)
    daily = np.diff(clock(brand).weeks_at(np.arange(1462) * 1440.0)) * 7
    assert daily[329] == pytest.approx(1.4)
    assert daily[:1461].mean() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("kind", "factors"),
    [
        ("sudden", {99: 1, 100: 3, 190: 3, 191: 3, 465: 3}),
        ("gradual", {99: 1, 100: 1 + 2 / 50, 124: 2, 149: 3, 465: 3}),
        ("seasonal", {99: 1, 100: 3, 190: 3, 191: 1, 464: 1, 465: 3}),
    ],
)
def test_a_shift_has_its_shape(kind: str, factors: dict[int, float]) -> None:
    dials = {"shift_on": date(2024, 4, 10), "shift_kind": kind, "shift_factor": 3, "shift_ramp_days": 50}
    assert shift(tiny("shop", seed=1, **dials), np.array(list(factors))) == pytest.approx(list(factors.values()))


def test_felt_time_runs_faster_inside_a_campaign_and_comes_back() -> None:
    effects = Effects(np.array([2.0, 10.0]), np.array([4.0, 11.0]), np.array([[0.5, 1.0], [0.0, 0.0]]))
    weeks = np.array([1.0, 3.0, 4.0, 10.5, 20.0])
    treated, other = np.zeros(5, dtype=int), np.ones(5, dtype=int)
    felt = effects.felt(weeks, treated)
    assert felt == pytest.approx([1.0, 3.5, 5.0, 12.0, 22.0])
    assert effects.unfelt(felt, treated) == pytest.approx(weeks)
    assert effects.felt(weeks, other) == pytest.approx(weeks)


def test_moments_follow_the_zone_through_the_changes_of_the_clocks() -> None:
    brand = tiny("shop", seed=1, time_zone="Europe/London")
    local = ["2024-01-15 12:00", "2024-03-31 01:30", "2024-07-01 12:00", "2024-10-27 01:30"]
    minutes = ((pd.DatetimeIndex(local) - pd.Timestamp("2024-01-01")) / pd.Timedelta(minutes=1)).to_numpy().astype(int)
    utc = moments(brand, minutes)
    assert utc.strftime("%Y-%m-%d %H:%M").tolist() == [
        "2024-01-15 12:00",
        "2024-03-31 01:00",
        "2024-07-01 11:00",
        "2024-10-27 00:30",
    ]
    assert local_minutes(brand, utc)[[0, 2, 3]].tolist() == minutes[[0, 2, 3]].tolist()
