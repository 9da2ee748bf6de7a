"""Whether a feed came as usual: how fresh its newest day is, and how many rows the last days have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from statistics import median

# Days that are looked at together, and the weeks before that they are held against, weekday by weekday.
LAST_DAYS = 3
WEEKS = 8
LEAST_SHARE = 0.6
MOST_DAYS_OLD = 3
# With less than this share of a day's rows, hardly anything of it has landed.
LEAST_LANDED = 0.05
# A spell of days that are so short may be bills that land late for the first time: for so long it is waited for them.
SHORT_SHARE, SHORT_DAYS = 0.8, 14
# Standard errors of a count, beyond which it is no chance.
BEYOND_CHANCE = 4.0


@dataclass(frozen=True, slots=True)
class Feed:
    """The state of a feed: days since its newest row, the rows of the last days, and how many are usual.

    ``gap_days`` is the longest that its rows were apart in the last weeks, ``late_days`` how long it usually takes
    until anything of a day lands.
    """

    days_old: int
    rows: int
    usual: float
    gap_days: int = 1
    late_days: int = 0

    @property
    def faults(self) -> tuple[str, ...]:
        """What is broken, in words."""
        words = []
        if self.days_old - self.late_days > max(MOST_DAYS_OLD, 2 * self.gap_days):
            words.append(f"the newest bill is {self.days_old} days old")
        elif self.rows < LEAST_SHARE * self.usual and self.usual - self.rows > BEYOND_CHANCE * self.usual**0.5:
            share = 100 * self.rows / self.usual
            words.append(f"bills of the last {LAST_DAYS} days are {share:.0f} % of what is usual")
        return tuple(words)


def feed_of(
    rows_by_day: Mapping[date, int], today: date, share: Callable[[int], float] = lambda age_days: 1.0
) -> Feed | None:
    """The feed as of the end of a day; None without a row. Days that are not named had none.

    Usual are the medians of the same weekdays of the eight weeks before, so that neither Sundays nor a holiday stand
    out, as far as the history goes back; with less than two weeks nothing is usual. ``share`` is how much of a day's
    rows has usually landed by its age (``monitoring.arrivals``): a source that is always late is not broken.

    >>> daily = {date(2024, 1, 1) + timedelta(days=day): 100 for day in range(60)}
    >>> feed_of(daily | {date(2024, 2, day): 40 for day in (27, 28, 29)}, date(2024, 2, 29)).faults
    ('bills of the last 3 days are 40 % of what is usual',)
    """
    days = [day for day, rows in rows_by_day.items() if rows and day <= today]
    if not days:
        return None
    first, last = min(days), [today - timedelta(days=back) for back in range(LAST_DAYS)]
    gaps = [(later - earlier).days for earlier, later in pairwise(sorted(days))]
    usual = sum(_usual(rows_by_day, day, first) * share(age) for age, day in enumerate(last))
    rows = sum(rows_by_day.get(day, 0) for day in last)
    late_days = next((age for age in range(7 * WEEKS) if share(age) >= LEAST_LANDED), 0)
    return Feed((today - max(days)).days, rows, usual, max(gaps, default=7 * WEEKS), late_days)


def short_days(
    rows_by_day: Mapping[date, int], today: date, share: Callable[[int], float] = lambda age_days: 1.0
) -> int:
    """How many of the last days are short of bills together, up to fourteen; 0 where none are beyond chance.

    They may be late, or there may have been less to sell: which of both shows once late ones have landed.

    >>> daily = {date(2024, 1, 1) + timedelta(days=day): 100 for day in range(60)}
    >>> short_days(daily, date(2024, 2, 29))
    0
    >>> short_days(daily | {date(2024, 2, day): 60 for day in range(25, 30)}, date(2024, 2, 29))
    9
    """
    first = min((day for day, rows in rows_by_day.items() if rows), default=today)
    rows = usual = 0.0
    short = 0
    for age in range(SHORT_DAYS):
        day = today - timedelta(days=age)
        rows, usual = rows + rows_by_day.get(day, 0), usual + _usual(rows_by_day, day, first) * share(age)
        if rows < SHORT_SHARE * usual and usual - rows > BEYOND_CHANCE * usual**0.5:
            short = age + 1
    return short if short >= LAST_DAYS else 0


def _usual(rows_by_day: Mapping[date, int], day: date, first: date) -> float:
    """The median of the same weekdays before; 0 where fewer than two are known."""
    before = [day - timedelta(weeks=week) for week in range(1, WEEKS + 1)]
    known = [rows_by_day.get(one, 0) for one in before if one >= first]
    return float(median(known)) if len(known) > 1 else 0.0
