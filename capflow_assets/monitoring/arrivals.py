"""How late a feed's rows land: the share of a day's rows that have come by the day's age, learned of past nights.

Each night counts the rows of each recent day; from one night to the next the count of a late day grows. With the step
ratio ``r(j) = sum of rows at age j - 1 / sum of the same days' rows at age j`` over pairs of consecutive nights, the
share that has come by age ``k`` is ``c(k) = r(k + 1) r(k + 2) ...`` (J. F. Lawless 1994, "Adjustments for reporting
delays", Canadian Journal of Statistics 22, eq. 2.4; actuaries call it the chain ladder). Nights that lie several days
apart spread the growth between them evenly, ``r ** (1 / days)`` for each day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

# Ages of days that are looked at, and the nights that say what is usual and what is so of late.
MOST_AGE_DAYS = 35
USUAL_DAYS, RECENT_DAYS = 56, 14
# A day of which so much has come counts as filled: single corrections move nothing that is measured.
FILLED = 0.95
# A day more may be a holiday or one landing that was missed.
BEYOND_USUAL_DAYS = 2

Counts = Mapping[date, Mapping[date, int]]


@dataclass(frozen=True, slots=True)
class LandingDelay:
    """How old a day is until it is filled, of late and usually, and the usual shares by age, 1 beyond them.

    ``short_days`` are last days that may be late for the first time (``monitoring.feed``).

    >>> LandingDelay(14, 0).is_late, LandingDelay(5, 5, (0.2, 0.4, 0.6, 0.8, 0.9)).is_late
    (True, False)
    """

    days: int = 0
    usual_days: int = 0
    shares: tuple[float, ...] = ()
    short_days: int = 0

    @property
    def wait_days(self) -> int:
        """How long after its end a horizon is judged."""
        return max(self.days, self.short_days)

    @property
    def is_late(self) -> bool:
        """Whether rows land clearly later than they usually do."""
        return self.days >= self.usual_days + BEYOND_USUAL_DAYS

    @property
    def words(self) -> str:
        """What is late, in words; empty where nothing is."""
        usual = f"{self.usual_days} days after" if self.usual_days else "on the day"
        return f"bills land up to {self.days} days late, usually {usual}" if self.is_late else ""

    def share(self, age_days: int) -> float:
        """The share of a day's rows that has usually come by its age; 1 where nothing is known."""
        return self.shares[age_days] if 0 <= age_days < len(self.shares) else 1.0


ON_TIME = LandingDelay()


def landing_delay(counts: Counts, today: date) -> LandingDelay:
    """The delay as of a night, of what the nights up to it counted; on time where nothing was compared yet.

    ``counts`` are the rows by day that each night knew. Nights after ``today`` are not looked at, whoever wrote them.

    >>> daily = {date(2024, 5, night): {date(2024, 5, day): 50 if night == day else 100 for day in range(1, night + 1)}
    ...          for night in range(1, 21)}
    >>> delay = landing_delay(daily, date(2024, 5, 20))
    >>> delay.days, delay.usual_days, delay.share(0), delay.is_late
    (1, 1, 0.5, False)
    """
    nights = sorted(night for night in counts if today - timedelta(days=USUAL_DAYS) <= night <= today)
    pairs = list(pairwise(nights))
    recent = [pair for pair in pairs if pair[1] > today - timedelta(days=RECENT_DAYS)]
    usual, of_late = _shares(counts, pairs), _shares(counts, recent or pairs)
    return LandingDelay(_days_until_filled(of_late), _days_until_filled(usual), usual)


def _shares(counts: Counts, pairs: Sequence[tuple[date, date]]) -> tuple[float, ...]:
    """The share that has come by each age from 0 on; 1 beyond the last."""
    before, after = [0.0] * (MOST_AGE_DAYS + 1), [0.0] * (MOST_AGE_DAYS + 1)
    for earlier, later in pairs:
        apart = (later - earlier).days
        for day, rows in counts[later].items():
            age = (earlier - day).days
            # A day that began after the earlier night says nothing of how rows of its age grew.
            if age < 0 or not rows:
                continue
            ratio = min(counts[earlier].get(day, 0) / rows, 1.0) ** (1 / apart)
            for step in range(age + 1, min(age + apart, MOST_AGE_DAYS) + 1):
                before[step] += ratio * rows
                after[step] += rows
    shares: list[float] = []
    share = 1.0
    for step in range(MOST_AGE_DAYS, 0, -1):
        share *= before[step] / after[step] if after[step] else 1.0
        if share < 1:
            shares.append(share)
    return tuple(reversed(shares))


def _days_until_filled(shares: Sequence[float]) -> int:
    """The first age from which on days are filled."""
    return next((age for age, share in enumerate(shares) if share >= FILLED), len(shares))
