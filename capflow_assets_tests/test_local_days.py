"""One who buys every day, seen from every training moment, wherever clocks change: last here today, a visit a day.

The bills are written by hand on the zone's own days; what is right is counted on its calendar. And bills at moments of
chance: what is right of them is counted by pandas in the zone's own time.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as F

from capflow_assets.clean.bills import TABLE
from capflow_assets.expressions.days import end_of_day, local_day
from capflow_assets.features.rfm import rfm
from capflow_assets.learning.outcomes import visits_within
from capflow_assets.learning.splits import windows
from capflow_assets_doubles.engines import frame_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Zones, and days shortly after clocks there were set forward and back; in Apia a moment falls on the day left out.
LAST_DAYS = {
    "Europe/Madrid": ("2024-04-20", "2024-11-10"),
    "America/Santiago": ("2024-09-20", "2024-04-20"),
    "Australia/Lord_Howe": ("2024-10-20", "2024-04-20"),
    "America/Sao_Paulo": ("2018-11-20", "2019-03-01"),
    "America/Asuncion": ("2023-10-20", "2024-04-10"),
    "Asia/Beirut": ("2024-04-20", "2024-11-10"),
    "America/Nuuk": ("2024-04-20", "2024-11-10"),
    "Pacific/Apia": ("2012-01-27", "2011-04-20"),
    "Asia/Kolkata": ("2024-04-20",),
    "UTC": ("2024-04-20",),
}
CASES = [(zone, date.fromisoformat(day)) for zone, days in LAST_DAYS.items() for day in days]
# In the first and the last hour of a day, and at noon.
HOURS = {"early": time(0, 20), "noon": time(12), "late": time(23, 40)}
MOMENTS, HORIZON = 8, 28


def is_on(moment: datetime, day: date, zone: str) -> bool:
    return moment.astimezone(ZoneInfo(zone)).date() == day


def days_until(last: date, zone: str, count: int = (MOMENTS + 2) * HORIZON) -> list[date]:
    """The days of a zone's calendar up to the last, newest first, without any day that the zone left out."""
    days = [last - timedelta(days=back) for back in range(count)]
    return [day for day in days if is_on(datetime.combine(day, time(12), ZoneInfo(zone)).astimezone(UTC), day, zone)]


def bills(zone: str, last: date) -> list[dict[str, Any]]:
    """A bill of each buyer on every day up to the last: at their hour, or as near to it as the day allows."""
    rows = []
    for day in days_until(last, zone):
        for user, hour in HOURS.items():
            readings = (datetime.combine(day, hour, ZoneInfo(zone)).replace(fold=fold) for fold in (0, 1))
            at = next(at for at in (reading.astimezone(UTC) for reading in readings) if is_on(at, day, zone))
            rows.append({"user_id": user, "billed_at": at, "billed_on": day, "amount": 1.0, "is_return": False})
    return [{"bill_id": f"b{n}", "is_anonymous": False, **row} for n, row in enumerate(rows)]


@pytest.mark.parametrize(("zone", "last"), CASES)
def test_who_comes_every_day_came_today_and_on_each_day_of_every_window(
    spark: SparkSession, zone: str, last: date
) -> None:
    frame = frame_of(spark, TABLE, bills(zone, last))
    horizons = windows(end_of_day(last, zone), HORIZON, MOMENTS, zone)
    days = days_until(last, zone)
    ends = [last - timedelta(days=HORIZON * back) for back in range(MOMENTS, -1, -1)]
    # A moment of a day that the zone left out is one of the day before.
    todays = [max(day for day in days if day <= end) for end in ends[:-1]]

    def visits(after: date, until: date) -> int:
        return sum(after < day <= until for day in days)

    states = rfm(frame, [horizon.start for horizon in horizons], zone).orderBy("as_of").toPandas()
    for user in HOURS:
        of_user = states[states["user_id"] == user]
        assert of_user["recency_days"].tolist() == [0] * MOMENTS
        assert of_user["visits_28d"].tolist() == [visits(day - timedelta(days=HORIZON), day) for day in todays]
    for horizon, (after, until) in zip(horizons, pairwise(ends), strict=True):
        visitors = visits_within(frame, horizon.start, horizon.end).groupBy("user_id").count().collect()
        assert dict(map(tuple, visitors)) == dict.fromkeys(HOURS, visits(after, until))


@pytest.mark.parametrize("day", ["2024-02-10", "2024-04-20", "2024-08-10", "2024-11-10"])
def test_in_madrid_a_daily_buyer_is_alike_in_winter_and_in_summer(spark: SparkSession, day: str) -> None:
    """As of the newest bill: recency is 0 at each of eight moments, and there are 28 visits in 28 days."""
    last, zone = date.fromisoformat(day), "Europe/Madrid"
    rows = [row for row in bills(zone, last) if row["user_id"] == "late"]
    moments = [horizon.start for horizon in windows(rows[0]["billed_at"], HORIZON, MOMENTS, zone)]
    states = rfm(frame_of(spark, TABLE, rows), moments, zone).collect()
    assert [(row["recency_days"], row["visits_28d"]) for row in states] == [(0, 28)] * MOMENTS


def bills_at_random(zone: str, last: date, seed: int) -> pd.DataFrame:
    """Sixty bills of each of four users at moments of the ten months up to a day, in UTC, and their local days."""
    random = np.random.default_rng(seed)
    newest = pd.Timestamp(end_of_day(last, zone))
    seconds = random.integers(0, (MOMENTS + 2) * HORIZON * 86_400, size=(4, 60))
    frame = pd.DataFrame({"user_id": np.repeat([f"u{n}" for n in range(4)], 60)})
    frame["billed_at"] = newest.floor("s") - pd.to_timedelta(seconds.ravel(), unit="s")
    frame["day"] = frame["billed_at"].dt.tz_convert(zone).dt.tz_localize(None).dt.normalize()
    return frame


@pytest.mark.parametrize(("zone", "last"), CASES)
def test_recency_visits_and_outcomes_of_bills_at_random_moments_are_those_that_pandas_counts(
    spark: SparkSession, zone: str, last: date
) -> None:
    drawn = bills_at_random(zone, last, seed=7)
    rows = drawn[["user_id", "billed_at"]].assign(amount=1.0, is_return=False, is_anonymous=False)
    rows = rows.assign(bill_id=[f"b{n}" for n in range(len(rows))])
    frame = frame_of(spark, TABLE, rows.to_dict("records")).withColumn("billed_on", local_day("billed_at", zone))
    horizons = windows(drawn["billed_at"].max().to_pydatetime(), HORIZON, MOMENTS, zone)
    states = rfm(frame, [horizon.start for horizon in horizons], zone).toPandas()
    received = {(row["user_id"], n): row for n, horizon in enumerate(horizons) for row in _at(states, horizon.start)}
    for n, horizon in enumerate(horizons):
        start, end = pd.Timestamp(horizon.start), pd.Timestamp(horizon.end)
        today = start.tz_convert(zone).tz_localize(None).normalize()
        before = drawn[drawn["billed_at"] <= start]
        for user, days in before.groupby("user_id")["day"]:
            row = received[user, n]
            assert row["recency_days"] == (today - days.max()).days
            assert row["visits"] == days.nunique()
            for width in (28, 91):
                assert row[f"visits_{width}d"] == days[days > today - pd.Timedelta(days=width)].nunique()
        within = drawn[(drawn["billed_at"] > start) & (drawn["billed_at"] <= end)]
        visits = visits_within(frame, horizon.start, horizon.end).groupBy("user_id")
        visit_days = visits.agg(F.count_distinct("billed_on")).collect()
        assert dict(map(tuple, visit_days)) == within.groupby("user_id")["day"].nunique().to_dict()


def _at(states: pd.DataFrame, moment: datetime) -> list[dict[str, Any]]:
    as_of = pd.to_datetime(states["as_of"], utc=True)
    return states[as_of == pd.Timestamp(moment)].to_dict("records")
