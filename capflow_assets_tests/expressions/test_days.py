"""Local days and how long ago they are, on both engines; what is right is written down by hand, or looked for minute by
minute in the zone's own days.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from pyspark.sql import functions as F
from pyspark.sql import types as T

from capflow_assets.expressions.days import (
    MICROSECOND,
    days_after,
    days_after_each,
    days_before,
    end_of_day,
    local_day,
    local_day_of,
    local_span,
    local_time,
    moment_showing,
    within,
)
from capflow_assets_doubles.engines import rows_of

# On 31 March 2024 clocks in Madrid went from 2 to 3, on 27 October from 3 to 2.
DAYS = {
    ("2024-03-30T22:59:59", "Europe/Madrid"): (date(2024, 3, 30), 23),
    ("2024-03-30T23:00:00", "Europe/Madrid"): (date(2024, 3, 31), 0),
    ("2024-03-31T01:30:00", "Europe/Madrid"): (date(2024, 3, 31), 3),
    ("2024-10-27T22:30:00", "Europe/Madrid"): (date(2024, 10, 27), 23),
    ("2024-06-30T00:00:00", "America/New_York"): (date(2024, 6, 29), 20),
    ("2024-02-28T18:20:00", "Asia/Kathmandu"): (date(2024, 2, 29), 0),
}
# Days on which clocks change, at midnight, in the night or by half an hour; one that Apia left out; and one like all.
CHANGES = {
    "Europe/Madrid": ("2024-03-31", "2024-10-27"),
    "America/Santiago": ("2024-09-08", "2024-04-06"),
    "Australia/Lord_Howe": ("2024-10-06", "2024-04-07"),
    "America/Sao_Paulo": ("2018-11-04", "2019-02-16"),
    "America/Asuncion": ("2023-10-01", "2024-03-23"),
    "Asia/Beirut": ("2024-03-31", "2024-10-26"),
    "America/Nuuk": ("2024-03-30", "2024-10-26"),
    "America/Havana": ("2024-03-10", "2024-11-03"),
    "America/St_Johns": ("2010-03-14", "2010-11-06"),
    "Pacific/Apia": ("2011-12-30", "2011-04-02"),
    "Asia/Kolkata": ("2024-03-31",),
    "UTC": ("2024-03-31",),
}
CLOCK = [time(hour, minute) for hour in (0, 1, 2, 3, 12, 22, 23) for minute in (0, 1, 15, 30, 59)] + [time.max]
WEEK = 7


@pytest.mark.parametrize("engine", ["spark", "jvm"])
@pytest.mark.parametrize(("text", "zone"), DAYS)
def test_a_time_falls_on_a_day_of_the_customers_own(
    request: pytest.FixtureRequest, engine: str, text: str, zone: str
) -> None:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    assert local_day_of(moment, zone) == DAYS[text, zone][0]
    schema = T.StructType([T.StructField("at", T.TimestampType())])
    frame = request.getfixturevalue(engine).createDataFrame([(moment,)], schema)
    times = frame.select(local_day("at", zone).alias("day"), F.hour(local_time(F.col("at"), zone)).alias("hour"))
    assert rows_of(times) == [DAYS[text, zone]]


def test_today_is_one_of_the_last_days(spark) -> None:
    frame = spark.sql("select date'2024-03-10' today, explode(sequence(date'2024-03-01', date'2024-03-10')) day")
    assert [str(row[0]) for row in frame.filter(within("day", 3)).select("day").orderBy("day").collect()] == [
        "2024-03-08",
        "2024-03-09",
        "2024-03-10",
    ]


def minutes_around(day: str, zone: str) -> pd.Series:
    """What calendar and clock of a zone show, by moment: at each whole minute around a day, and just before it."""
    noon = pd.Timestamp(day, tz="UTC") + pd.Timedelta(hours=12)
    whole = pd.date_range(noon - pd.Timedelta(days=3), noon + pd.Timedelta(days=3), freq="min", unit="us")
    moments = whole.union(whole - pd.Timedelta(microseconds=1))
    return pd.Series(moments.tz_convert(zone).tz_localize(None), index=moments)


def looked_for(shown: datetime, minutes: pd.Series) -> datetime:
    """The last of the minutes of its day that shows no later time, else the first of the day, else the last before."""
    is_of_day = minutes.dt.normalize() == pd.Timestamp(shown).normalize()
    is_until = minutes <= pd.Timestamp(shown)
    of_day = minutes[is_of_day]
    if not len(of_day):
        return minutes[is_until].index.max().to_pydatetime()
    until = minutes[is_of_day & is_until]
    return (until.index.max() if len(until) else of_day.index.min()).to_pydatetime()


def shown_times(zone: str) -> list[datetime]:
    return [datetime.combine(date.fromisoformat(day), at) for day in CHANGES[zone] for at in CLOCK]


@pytest.mark.parametrize("zone", CHANGES)
def test_what_is_shown_twice_or_never_is_the_last_moment_of_the_day_that_shows_no_later_time(zone: str) -> None:
    for day in CHANGES[zone]:
        minutes = minutes_around(day, zone)
        for at in CLOCK:
            shown = datetime.combine(date.fromisoformat(day), at)
            assert moment_showing(shown, zone) == looked_for(shown, minutes), shown
        assert end_of_day(date.fromisoformat(day), zone) == looked_for(shown.replace(hour=23), minutes)


@pytest.mark.parametrize("zone", CHANGES)
def test_days_lead_to_the_same_time_of_another_day(zone: str) -> None:
    """From a week before and four weeks after, when clocks do not change."""
    for shown in shown_times(zone):
        landing = moment_showing(shown, zone)
        before, after = (
            (shown + timedelta(days=days)).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for days in (-WEEK, 4 * WEEK)
        )
        assert days_after(before, WEEK, zone) == days_before(after, 4 * WEEK, zone) == landing
        assert days_after(landing, 0, zone) == landing


def test_changes_of_clocks_by_hand() -> None:
    def utc(*parts: int) -> datetime:
        return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type]

    madrid = utc(2024, 4, 15, 10)
    assert [days_before(madrid, days, "Europe/Madrid") for days in (14, 15, 16)] == [
        utc(2024, 4, 1, 10),
        utc(2024, 3, 31, 10),
        utc(2024, 3, 30, 11),
    ]
    # The clocks skip 2:00 to 3:00, which is 1:00 in UTC.
    assert days_after(utc(2024, 3, 30, 1, 30), 1, "Europe/Madrid") == utc(2024, 3, 31, 1) - MICROSECOND
    # 2:30 comes at 0:30 and at 1:30 in UTC.
    assert days_after(utc(2024, 10, 26, 0, 30), 1, "Europe/Madrid") == utc(2024, 10, 27, 1, 30)
    # There is no midnight on 4 November in Sao Paulo: the day begins at 1:00, which is 3:00 in UTC.
    assert days_after(utc(2018, 11, 3, 3, 30), 1, "America/Sao_Paulo") == utc(2018, 11, 4, 3)
    # There is no end of 30 March in Nuuk: at 23:00 the next day begins.
    assert end_of_day(date(2024, 3, 30), "America/Nuuk") == utc(2024, 3, 31, 1) - MICROSECOND
    # There is no 30 December in Apia: what follows the 29th is the 31st.
    apia = [days_before(utc(2012, 1, 1, 10), days, "Pacific/Apia") for days in (1, 2, 3, 4)]
    change = utc(2011, 12, 30, 10)
    assert apia == [utc(2011, 12, 31, 10), change, change - MICROSECOND, utc(2011, 12, 29, 10)]


@pytest.mark.parametrize("engine", ["spark", "jvm"])
def test_engines_count_days_as_python_does(request: pytest.FixtureRequest, engine: str) -> None:
    session = request.getfixturevalue(engine)
    for zone in CHANGES:
        week_before = [shown.replace(tzinfo=ZoneInfo(zone)) - timedelta(days=WEEK) for shown in shown_times(zone)]
        # Those that clocks show twice begin the days as well.
        begins = {moment.astimezone(UTC) for moment in week_before}
        begins |= {moment.replace(tzinfo=ZoneInfo(zone), fold=1).astimezone(UTC) for moment in shown_times(zone)}
        schema = T.StructType([T.StructField("at", T.TimestampType())])
        frame = session.createDataFrame([(moment,) for moment in sorted(begins)] + [(None,)], schema)
        later = F.unix_micros(days_after_each("at", WEEK, zone)).alias("later")
        ends = {row[0]: row[1] for row in frame.select(F.unix_micros("at"), later).collect()}
        assert ends.pop(None) is None
        expected = [days_after(moment, WEEK, zone) for moment in sorted(begins)]
        assert [ends[at] for at in sorted(ends)] == [(at - EPOCH) // MICROSECOND for at in expected], zone


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def test_a_span_is_what_calendar_and_clock_went_on() -> None:
    start = datetime(2024, 3, 30, 11, tzinfo=UTC)
    for zone, hours in (("Europe/Madrid", 24), ("UTC", 23)):
        assert local_span(start, datetime(2024, 3, 31, 10, tzinfo=UTC), zone) == timedelta(hours=hours)
    twice = [datetime(2024, 10, 27, 0, 50, tzinfo=UTC), datetime(2024, 10, 27, 1, 10, tzinfo=UTC)]
    assert local_span(*twice, "Europe/Madrid") == timedelta()
