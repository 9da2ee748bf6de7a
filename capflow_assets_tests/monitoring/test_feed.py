"""A feed that is half empty or stale is broken; Sundays, holidays, small shops and young ones are not."""

from __future__ import annotations

from datetime import date, timedelta

from capflow_assets.monitoring.feed import Feed, feed_of, short_days

TODAY = date(2024, 3, 31)


def daily(days: int, rows: int = 100, closed_on: int | None = None) -> dict[date, int]:
    all_days = [TODAY - timedelta(days=back) for back in range(days)]
    return {day: rows for day in all_days if day.weekday() != closed_on}


def last_days(rows: int) -> dict[date, int]:
    return {TODAY - timedelta(days=back): rows for back in range(3)}


def test_half_a_feed_is_broken() -> None:
    feed = feed_of(daily(90) | last_days(50), TODAY)
    assert feed == Feed(0, 150, 300.0)
    assert feed.faults == ("bills of the last 3 days are 50 % of what is usual",)
    assert Feed(0, 180, 300.0).faults == (), "six tenths may be a quiet weekend"


def test_a_stale_feed_is_broken() -> None:
    old = {day: rows for day, rows in daily(90).items() if day < TODAY - timedelta(days=4)}
    feed = feed_of(old, TODAY)
    assert feed is not None
    assert feed.faults == ("the newest bill is 5 days old",)


def test_a_shop_with_a_bill_a_month_is_no_stale_feed() -> None:
    monthly = {date(2024, month, 10): 5 for month in (1, 2, 3)}
    feed = feed_of(monthly, TODAY)
    assert feed is not None
    assert (feed.days_old, feed.gap_days, feed.faults) == (21, 31, ())
    late = feed_of(monthly, TODAY + timedelta(days=42))
    assert late is not None
    assert late.faults == ("the newest bill is 63 days old",)


def test_closed_sundays_and_one_bad_week_are_usual() -> None:
    feed = feed_of(daily(90, closed_on=6), TODAY)
    assert feed == Feed(1, 200, 200.0, gap_days=2)
    holiday = {TODAY - timedelta(weeks=2, days=back): 0 for back in range(3)}
    assert feed_of(daily(90) | holiday, TODAY) == Feed(0, 300, 300.0, gap_days=4)


def test_few_rows_may_be_chance_and_a_young_shop_has_no_usual() -> None:
    small = feed_of(daily(90, rows=3) | last_days(1), TODAY)
    assert small == Feed(0, 3, 9.0)
    assert small.faults == ()
    young = feed_of(daily(10) | last_days(10), TODAY)
    assert young == Feed(0, 30, 0.0)
    assert young.faults == ()
    assert feed_of({}, TODAY) is None


def test_a_source_that_is_always_late_is_not_broken() -> None:
    """Half of a day's bills come the day after, and nothing of the last day yet."""
    late = daily(90) | {TODAY: 0, TODAY - timedelta(days=1): 50}
    usual = (0.0, 0.5, 1.0)
    feed = feed_of(late, TODAY, lambda age: usual[age] if age < 3 else 1.0)
    assert feed == Feed(1, 150, 150.0, late_days=1)
    assert feed.faults == ()
    broken = feed_of(late | {TODAY - timedelta(days=2): 20}, TODAY)
    assert broken is not None
    assert broken.faults == ("bills of the last 3 days are 23 % of what is usual",)


def test_a_spell_of_short_days_is_seen_though_the_feed_looks_sound() -> None:
    spell = {TODAY - timedelta(days=back): 65 for back in range(6)}
    feed = feed_of(daily(90) | spell, TODAY)
    assert feed is not None
    assert feed.faults == ()
    assert short_days(daily(90) | spell, TODAY) == 10, "together they are below eight tenths"
    assert short_days(daily(90), TODAY) == 0
    assert short_days(daily(90, rows=3) | {TODAY: 1}, TODAY) == 0, "that may be chance"
