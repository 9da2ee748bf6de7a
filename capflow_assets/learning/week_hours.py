"""At which of the 168 local hours of the week each user comes: a hierarchical Dirichlet, factored by day and hour.

A user's weekdays and hours of the day, each by themselves, are shrunk to everybody's; both together tilt everybody's
week, ``q_u(d, h) ~ m(d, h) u(d) / m(d) u(h) / m(h)``; and that is the prior of the user's own hours of the week. So a
few visits tell of an hour on all days before they tell of one day's hour. Fading and concentrations are those under
which the visits after past moments were likeliest (``learning.habits``). An hour of the week is a number, 0 is Monday
from midnight to one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from capflow_assets.errors import EvidenceError
from capflow_assets.learning.habits import HALF_LIVES, Habits, Likelihood, Past, habits_of, is_better, joined

if TYPE_CHECKING:
    from collections.abc import Sequence

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
HOURS = 24
WEEK = len(DAYS) * HOURS
# Shares of a visit that count for the hour before and for that after.
SPREADS = (0.0, 0.2)
# How many visits the product of days and hours is worth beside everybody's own hours of the week.
PRODUCT_VISITS = 50.0
MOST_USERS = 20_000
# Bills that hold a day and no time stand at midnight.
LARGEST_SHARE = 0.95


def names(week_hours: np.ndarray) -> np.ndarray:
    """Hours of the week in words.

    >>> names(np.array([0, 114])).tolist()
    ['Mon 00:00', 'Fri 18:00']
    """
    words = np.array([f"{day} {hour:02d}:00" for day in DAYS for hour in range(HOURS)], dtype=object)
    return words[week_hours]


def week_habits(bills: pd.DataFrame, zone: str, today: np.datetime64) -> Habits:
    """The hours of the week of each known user's bills (``user_id``, ``billed_at``, ``billed_on``), returns apart."""
    bills = bills[~bills["is_return"].to_numpy(dtype=bool)]
    local = pd.to_datetime(bills["billed_at"], utc=True).dt.tz_convert(zone)
    days = np.asarray(bills["billed_on"]).astype("datetime64[D]")
    hour = (local.dt.dayofweek * HOURS + local.dt.hour).astype("int64")
    habits = habits_of(bills["user_id"], hour, days, today)
    thing = habits.things.astype("int64")[habits.thing] if len(habits.things) else habits.thing
    return replace(habits, things=np.arange(WEEK), thing=thing)


def require_times(habits: Habits) -> None:
    """Raise ``EvidenceError`` where nearly all bills are of one hour of the day, so that no time was kept."""
    share = np.bincount(habits.thing % HOURS, minlength=HOURS).max() / max(1, len(habits.thing))
    if share >= LARGEST_SHARE:
        raise EvidenceError(
            "Hours cannot be learned",
            expected="bills with the time of the day at which they were paid",
            came=f"{share:.0%} of them within one hour of the day",
            do="map raw/bills.billed_at to a column that has the time too",
        )


@dataclass(frozen=True, slots=True)
class WeekRecipe:
    """How profiles are made: after how many days a visit counts half (0: never), how far it spreads to the next hours,
    and how many visits everybody's days, everybody's hours and the tilted week are worth.
    """

    half_life_days: float
    spread: float
    days: float
    hours: float
    week: float

    def describe(self) -> dict[str, Any]:
        """The same as plain values, to be saved."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Weeks:
    """Faded counts of some users (users, 7, 24), and everybody's week (7, 24), which adds up to 1."""

    counts: np.ndarray
    everybody: np.ndarray

    @classmethod
    def of(cls, habits: Habits, users: np.ndarray, half_life_days: float) -> Weeks:
        """The weeks of users by their numbers; -1 is one without a visit."""
        counts = habits.counts(half_life_days)
        all_counts = np.asarray(counts.sum(axis=0)).reshape(len(DAYS), HOURS) + 1e-3
        shares = all_counts / all_counts.sum()
        product = np.outer(shares.sum(axis=1), shares.sum(axis=0))
        rows = np.zeros((len(users), len(DAYS), HOURS))
        known = np.flatnonzero(users >= 0)
        rows[known] = counts[users[known]].toarray().reshape(-1, len(DAYS), HOURS)
        return cls(rows, (all_counts + PRODUCT_VISITS * product) / (all_counts.sum() + PRODUCT_VISITS))

    @property
    def totals(self) -> np.ndarray:
        """The faded visits of each user."""
        totals: np.ndarray = self.counts.sum(axis=(1, 2))
        return totals

    @property
    def day_counts(self) -> np.ndarray:
        """By weekday, (users, 7)."""
        counts: np.ndarray = self.counts.sum(axis=2)
        return counts

    def hour_counts(self, spread: float) -> np.ndarray:
        """By hour of the day, (users, 24), each visit spread to the hours beside its own."""
        own = self.counts.sum(axis=1)
        beside = np.roll(own, 1, axis=1) + np.roll(own, -1, axis=1)
        counts: np.ndarray = (1 - 2 * spread) * own + spread * beside
        return counts

    def tilted(self, recipe: WeekRecipe) -> np.ndarray:
        """Everybody's week as the user's days and hours tilt it, (users, 168)."""
        totals, everybody = self.totals[:, None], self.everybody
        days, hours = everybody.sum(axis=1), everybody.sum(axis=0)
        own_days = (self.day_counts + recipe.days * days) / (totals + recipe.days)
        own_hours = (self.hour_counts(recipe.spread) + recipe.hours * hours) / (totals + recipe.hours)
        week = everybody * (own_days / days)[:, :, None] * (own_hours / hours)[:, None, :]
        tilted: np.ndarray = (week / week.sum(axis=(1, 2), keepdims=True)).reshape(len(week), WEEK)
        return tilted

    def chances(self, recipe: WeekRecipe) -> np.ndarray:
        """The chance of each hour of the week that a visit is in it, (users, 168); rows add up to 1."""
        own = self.counts.reshape(len(self.counts), WEEK)
        return (own + recipe.week * self.tilted(recipe)) / (self.totals[:, None] + recipe.week)


@dataclass(frozen=True, slots=True)
class _Trial:
    """A past moment: the weeks of those who came, and of each visit the row of its user, its hour and its weight."""

    weeks: Weeks
    row: np.ndarray
    hour: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, past: Past, half_life_days: float) -> _Trial:
        users, row = np.unique(past.user, return_inverse=True)
        step = -(-len(users) // MOST_USERS) or 1
        users, is_kept = users[::step], row % step == 0
        weeks = Weeks.of(past.habits, users, half_life_days)
        return cls(weeks, row[is_kept] // step, past.thing[is_kept], past.weight[is_kept])

    def days(self) -> Likelihood:
        day = self.hour // HOURS
        return self._of(self.weeks.day_counts[self.row, day], self.weeks.everybody.sum(axis=1)[day])

    def hours(self, spread: float) -> Likelihood:
        hour = self.hour % HOURS
        return self._of(self.weeks.hour_counts(spread)[self.row, hour], self.weeks.everybody.sum(axis=0)[hour])

    def week(self, recipe: WeekRecipe) -> Likelihood:
        own = self.weeks.counts.reshape(-1, WEEK)[self.row, self.hour]
        return self._of(own, self.weeks.tilted(recipe)[self.row, self.hour])

    def _of(self, own: np.ndarray, prior: np.ndarray) -> Likelihood:
        return Likelihood(own, self.weeks.totals[self.row], prior, self.weight)


def best_recipe(pasts: Sequence[Past]) -> tuple[WeekRecipe, float]:
    """The recipe under which the visits after past moments were likeliest, and the mean logarithm of their chance.

    Of each half-life days, hours and the whole week are chosen one after the other.
    """
    best: tuple[WeekRecipe, float] | None = None
    for half_life in HALF_LIVES:
        trials = [_Trial.of(past, half_life) for past in pasts]
        days, _ = joined(trial.days() for trial in trials).best()
        by_spread = {spread: joined(trial.hours(spread) for trial in trials).best() for spread in SPREADS}
        spread = max(SPREADS, key=lambda one: by_spread[one][1])
        recipe = WeekRecipe(half_life, spread, days, by_spread[spread][0], 0.0)
        week, value = joined(trial.week(recipe) for trial in trials).best()
        if is_better(value, None if best is None else best[1]):
            best = replace(recipe, week=week), value
    assert best is not None  # noqa: S101  (half-lives are tried)
    return best


def reasons(habits: Habits, users: np.ndarray, hours: np.ndarray) -> np.ndarray:
    """Why hours of the week are listed for users by their numbers, in words; both (rows,)."""
    known = users >= 0
    figures = np.zeros((4, len(users)), dtype="int64")
    if len(habits.users):
        counts = np.rint(habits.counts(0.0).toarray()).astype("int64").reshape(-1, len(DAYS), HOURS)
        by_hour = counts.sum(axis=1)
        near = by_hour + np.roll(by_hour, 1, axis=1) + np.roll(by_hour, -1, axis=1)
        of, day, hour = users[known], hours[known] // HOURS, hours[known] % HOURS
        figures[:3, known] = counts.sum(axis=(1, 2))[of], counts.sum(axis=2)[of, day], near[of, hour]
    figures[3] = hours
    distinct, place = np.unique(figures, axis=1, return_inverse=True)
    texts = np.array([_words(*map(int, column)) for column in distinct.T], dtype=object)
    return texts[place.ravel()] if len(texts) else texts


def _words(visits: int, on_day: int, near: int, week_hour: int) -> str:
    """Say how often the user came on the day and about the hour.

    >>> _words(9, 3, 4, 114), _words(0, 0, 0, 114)
    ('of 9 visits 3 on a Fri and 4 within an hour of 18:00', 'busy with all shoppers')
    """
    if not on_day and not near:
        return "busy with all shoppers"
    day, hour = DAYS[week_hour // HOURS], week_hour % HOURS
    plural = "" if visits == 1 else "s"
    return f"of {visits:,} visit{plural} {on_day:,} on a {day} and {near:,} within an hour of {hour:02d}:00"
