"""The landing delay is learned of what nights counted: held against the law that the bills landed by."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from capflow_assets.monitoring.arrivals import ON_TIME, landing_delay

START = date(2024, 1, 1)
DELAYS = np.array([0.6, 0.2, 0.1, 0.06, 0.04])  # of bills that land so many days later


def counts(nights: range, late_from: int | None = None, seed: int = 1) -> dict[date, dict[date, int]]:
    """What each night knows: bills land by ``DELAYS``, or all at once; from a day on half of them ten days later."""
    random = np.random.default_rng(seed)
    landed = np.zeros((nights.stop, nights.stop + 40), int)
    for day in range(nights.stop):
        bills = random.poisson(500)
        if late_from is None:
            landed[day, day : day + DELAYS.size] = random.multinomial(bills, DELAYS)
        else:
            late = random.binomial(bills, 0.5 if day >= late_from else 0.0)
            landed[day, day] += bills - late
            landed[day, day + 10] += late
    known = landed.cumsum(axis=1)
    return {
        START + timedelta(days=night): {
            START + timedelta(days=day): int(known[day, night]) for day in range(max(night - 30, 0), night + 1)
        }
        for night in nights
    }


def test_the_shares_by_age_are_those_of_the_law() -> None:
    delay = landing_delay(counts(range(60)), START + timedelta(days=59))
    assert [delay.share(age) for age in range(6)] == pytest.approx([*DELAYS.cumsum(), 1.0], abs=0.01)
    assert (delay.days, delay.usual_days, delay.is_late, delay.words) == (3, 3, False, "")


def test_weekly_nights_see_the_same_delay_within_their_week() -> None:
    delay = landing_delay(counts(range(4, 60, 7)), START + timedelta(days=59))
    assert 3 <= delay.days <= 7
    assert delay.share(0) == pytest.approx(0.6, abs=0.3)


def test_bills_that_come_later_than_they_used_to_are_late_until_that_is_usual() -> None:
    nights = counts(range(110), late_from=60)
    by_night = {night: landing_delay(nights, START + timedelta(days=night)) for night in (59, 72, 74, 100)}
    assert (by_night[59].days, landing_delay({}, START)) == (0, ON_TIME)
    assert (by_night[72].days, by_night[72].usual_days, by_night[72].is_late) == (10, 0, True)
    assert by_night[72].words == "bills land up to 10 days late, usually on the day"
    assert (by_night[100].days, by_night[100].is_late) == (10, False)


def test_nights_to_come_are_not_looked_at() -> None:
    """A backfill of night 40 knows nothing of what later nights counted."""
    nights = counts(range(110), late_from=20)
    today = START + timedelta(days=40)
    assert landing_delay(nights, today) == landing_delay({at: nights[at] for at in nights if at <= today}, today)


def test_one_landing_that_was_missed_is_waited_for() -> None:
    """Night 50 knows nothing of its day; the next one knows all."""
    nights = counts(range(52), late_from=52)
    nights[START + timedelta(days=50)][START + timedelta(days=50)] = 0
    delay = landing_delay(nights, START + timedelta(days=51))
    assert delay.days == 1
    assert not delay.is_late
