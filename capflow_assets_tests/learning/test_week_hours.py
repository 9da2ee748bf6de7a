"""Hours of the week are read by the customer's clock, and profiles are shrunk as the formula says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.errors import EvidenceError
from capflow_assets.learning.habits import Habits
from capflow_assets.learning.week_hours import WeekRecipe, Weeks, names, reasons, require_times, week_habits


def habits(*rows: tuple[str | None, str], zone: str = "UTC") -> Habits:
    """Bills by user and time in UTC."""
    frame = pd.DataFrame(rows, columns=["user_id", "billed_at"]).assign(is_return=False)
    frame["billed_at"] = pd.to_datetime(frame["billed_at"])
    frame["billed_on"] = frame["billed_at"].dt.tz_localize("UTC").dt.tz_convert(zone).dt.date
    return week_habits(frame, zone, np.datetime64("2024-07-01"))


def test_hours_are_those_of_the_customers_clock() -> None:
    """A minute to midnight on Sunday in UTC it is Monday in Madrid, in summer by two hours."""
    for zone, name in (("UTC", "Sun 23:00"), ("Europe/Madrid", "Mon 01:00"), ("America/New_York", "Sun 19:00")):
        read = habits(("ana", "2024-06-30 23:59"), zone=zone)
        assert names(read.thing).tolist() == [name]


def test_returns_and_unknown_users_are_left_out() -> None:
    frame = pd.DataFrame(
        {
            "user_id": ["ana", None, "bob"],
            "billed_at": pd.to_datetime(["2024-06-03 09:00", "2024-06-03 10:00", "2024-06-03 11:00"]),
            "billed_on": pd.to_datetime(["2024-06-03"] * 3).date,
            "is_return": [False, False, True],
        }
    )
    read = week_habits(frame, "UTC", np.datetime64("2024-07-01"))
    assert (read.users.tolist(), read.thing.tolist()) == (["ana"], [9])


VISITS = habits(
    ("ana", "2024-06-03 09:00"), ("ana", "2024-06-10 09:30"), ("ana", "2024-06-11 10:00"), ("bob", "2024-06-08 18:00")
)


def test_chances_are_those_of_the_formula() -> None:
    """Cell by cell: everybody's week tilted by the user's days and hours, then the user's own hours of the week."""
    recipe = WeekRecipe(0.0, 0.2, days=3.0, hours=2.0, week=5.0)
    weeks = Weeks.of(VISITS, np.array([0, -1]), 0.0)
    everybody = weeks.everybody
    assert everybody.sum() == pytest.approx(1)
    days, hours = everybody.sum(axis=1), everybody.sum(axis=0)
    own_days, own_hours, own = np.zeros(7), np.zeros(24), np.zeros((7, 24))
    for day, hour in ((0, 9), (0, 9), (1, 10)):
        own[day, hour] += 1
        own_days[day] += 1
        for beside, share in ((-1, 0.2), (0, 0.6), (1, 0.2)):
            own_hours[hour + beside] += share
    tilted = np.empty((7, 24))
    for day in range(7):
        for hour in range(24):
            of_day = (own_days[day] + 3 * days[day]) / 6 / days[day]
            of_hour = (own_hours[hour] + 2 * hours[hour]) / 5 / hours[hour]
            tilted[day, hour] = everybody[day, hour] * of_day * of_hour
    expected = (own + 5 * tilted / tilted.sum()) / 8
    chances = weeks.chances(recipe)
    np.testing.assert_allclose(chances[0], expected.ravel())
    np.testing.assert_allclose(chances[1], everybody.ravel())


def test_an_hour_on_some_days_tells_of_it_on_other_days() -> None:
    chances = Weeks.of(VISITS, np.array([0]), 0.0).chances(WeekRecipe(0.0, 0.0, 3.0, 2.0, 5.0))[0].reshape(7, 24)
    assert chances[4, 9] > 2 * chances[4, 18]


def test_midnight_is_beside_the_last_hour_of_the_day() -> None:
    counts = Weeks.of(habits(("ana", "2024-06-03 23:00")), np.array([0]), 0.0).hour_counts(0.2)[0]
    assert (counts[22], counts[23], counts[0]) == pytest.approx((0.2, 0.6, 0.2))


def test_reasons_count_the_day_and_the_hour() -> None:
    assert reasons(VISITS, np.array([0, 0, 0, -1]), np.array([9, 34, 5 * 24 + 18, 9])).tolist() == [
        "of 3 visits 2 on a Mon and 3 within an hour of 09:00",
        "of 3 visits 1 on a Tue and 3 within an hour of 10:00",
        "busy with all shoppers",
        "busy with all shoppers",
    ]


def test_bills_without_a_time_of_the_day_are_refused() -> None:
    with pytest.raises(EvidenceError, match="100% of them within one hour"):
        require_times(habits(("ana", "2024-06-03"), ("bob", "2024-06-04")))
    require_times(VISITS)
