"""Two years of simulated nights of one model: what health measures, and the truth behind it.

A light generator, not the simulated brands: what a night shows are figures, drawn with the noise that they have. The
model's order is lost as what it learned (the concept) and whom it learned from (the covariates) move away; its chances
are off as the base rate does. Outcomes come a horizon later, so a training learns of the world as it was then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import numpy as np

from capflow_assets.monitoring.arrivals import MOST_AGE_DAYS, ON_TIME, USUAL_DAYS, LandingDelay, landing_delay
from capflow_assets.monitoring.feed import short_days

NIGHTS = 728
WEEK = 7
HORIZON = 28
YEAR = 364
PROMISED, BASE_RATE = 0.80, 0.20
USERS = 4000
# Standard errors of a night's live area and base rate, of so many users.
AREA_ERROR, RATE_ERROR = 0.008, 0.0065
# What is lost of the area by a unit of concept, and of covariates beyond half a standard deviation.
CONCEPT_LOSS, COVARIATE_LOSS = 0.10, 0.04
PSI_OF_ONE = 1.0
# Of a late day this part of the bills waits: few enough for the feed to look sound. A horizon that lacks all of its
# outcomes would lose this much of its area.
BILLS, LATE_SHARE, LATE_LOSS = 400, 0.35, 0.16
FAULTS = ("none", "season", "gradual", "sudden", "price", "prior shift", "half a feed", "label delay")


@dataclass(frozen=True)
class World:
    """One model's two years, by night: the concept, the level of its columns, the base rate, and broken nights.

    ``began`` is the first night of the fault, None without one. ``late`` are the nights more that a part of a day's
    outcomes take; ``delays`` what is learned of it by each night (``monitoring.arrivals``), on time without an entry.
    """

    fault: str
    began: int | None
    concept: np.ndarray
    level: np.ndarray
    rate: np.ndarray
    is_broken: np.ndarray
    late: np.ndarray
    seed: int
    delays: Mapping[int, LandingDelay] = field(default_factory=dict)


def world(fault: str, seed: int, nights: int = NIGHTS) -> World:
    """The world with one planted fault, at a night that the seed draws of the middle of the two years.

    Two years before the first night are part of it, for what a model learned from and for the season before; index 0 is
    a year and a horizon before.
    """
    random = np.random.default_rng(seed)
    total = nights + YEAR + HORIZON
    day = np.arange(total)
    began = int(random.integers(YEAR + HORIZON + 120, YEAR + HORIZON + nights - 240))
    after = day >= began
    concept, level, rate = np.zeros(total), np.zeros(total), np.full(total, BASE_RATE)
    is_broken, late = np.zeros(total, bool), np.zeros(total, int)
    # Everywhere the concept wanders a little: an old model is somewhat worse.
    concept += 0.0006 * day + np.cumsum(random.normal(0, 0.004, total))
    if fault == "season":
        level = 0.9 * np.sin(2 * np.pi * (day - random.integers(YEAR)) / YEAR) ** 3
    elif fault == "gradual":
        concept += 1.2 * np.clip((day - began) / 120, 0, 1)
    elif fault == "sudden":
        concept += 1.2 * after
    elif fault == "price":
        level = 1.4 * after
    elif fault == "prior shift":
        rate = np.where(after, 1.5 * BASE_RATE, BASE_RATE)
    elif fault == "half a feed":
        is_broken[began : began + 6] = True
    elif fault == "label delay":
        late[began : began + 60] = 14
    is_planted = fault not in ("none", "season")
    delays = learned_delays(late, seed) if late.any() else {}
    return World(fault, began if is_planted else None, concept, level, rate, is_broken, late, seed, delays)


def learned_delays(late: np.ndarray, seed: int) -> dict[int, LandingDelay]:
    """What the package learns, night by night, of bills that land as they do in a world where some days' are late.

    Of a late day a part of the bills, drawn, lands so many nights later; the others on the day.
    """
    random = np.random.default_rng((seed, 2))
    weekday = 1 + 0.2 * np.sin(2 * np.pi * np.arange(late.size) / WEEK)
    bills = random.poisson(BILLS * weekday)
    waiting = np.where(late > 0, random.binomial(bills, LATE_SHARE), 0)

    def known(night: int, days: int) -> dict[date, int]:
        past = range(max(night - days, 0), night + 1)
        return {day_of(day): int(bills[day] - (waiting[day] if night - day < late[day] else 0)) for day in past}

    counts = {day_of(night): known(night, MOST_AGE_DAYS) for night in range(late.size)}
    around = np.flatnonzero(late)
    delays = {}
    for night in range(around[0], min(around[-1] + 2 * USUAL_DAYS, late.size)):
        delay = landing_delay(counts, day_of(night))
        short = short_days(known(night, USUAL_DAYS + WEEK), day_of(night), delay.share)
        delays[night] = replace(delay, short_days=short)
    return delays


def day_of(night: int) -> date:
    """The day of a night."""
    return date(2020, 1, 1) + timedelta(days=night)


def missing(one: World, night: int, answered: int) -> float:
    """The share of the outcomes of the horizon after ``answered`` that has not landed by a night."""
    days = np.arange(answered + 1, answered + HORIZON + 1)
    return float(LATE_SHARE * (night - days < one.late[days]).mean())


@dataclass
class Model:
    """A model in its world: when it learned, what of, and how its chances were set."""

    trained: int
    concept: float
    level: float
    rate: float
    version: int = 1
    is_spoilt: bool = False


def trained_at(one: World, night: int, version: int) -> Model:
    """A model that learned from the four horizons whose outcomes are known by a night; spoilt on broken nights."""
    until = max(night - HORIZON - int(one.late[night]), 1)
    learned = slice(max(until - 28, 0), until)
    is_spoilt = bool(one.is_broken[night])
    # Whom it learned from are the newest users; what they do is known a horizon later.
    return Model(
        night, float(one.concept[learned].mean()), float(one.level[night]), _rate(one, night), version, is_spoilt
    )


def recalibrated_at(one: World, night: int, model: Model) -> Model:
    """The same order with its chances set anew."""
    rate = _rate(one, night)
    return Model(model.trained, model.concept, model.level, rate, model.version + 1, model.is_spoilt)


def _rate(one: World, night: int) -> float:
    """The base rate as the newest outcomes show it; too few of them have come where labels are late."""
    until = max(night - HORIZON, 1)
    seen = float(one.rate[max(until - 28, 0) : until].mean())
    return seen * (1 - missing(one, night, until))


def area(one: World, night: int, model: Model) -> float:
    """The true area of a model's answers of a night."""
    moved = abs(float(one.level[night]) - model.level)
    lost = CONCEPT_LOSS * abs(float(one.concept[night]) - model.concept) + 0.05 * model.is_spoilt
    return max(
        0.5, PROMISED - lost - COVARIATE_LOSS * max(0.0, min(moved, 2.0) - 0.8) - 0.15 * bool(one.is_broken[night])
    )


def rate_gap(one: World, night: int, model: Model) -> float:
    """By how much of itself the base rate is off."""
    return abs(model.rate / float(one.rate[night]) - 1)


@dataclass(frozen=True)
class Shown:
    """What health measures of a night: drift, its season, the feed, and the answers of a horizon before.

    ``filled`` are the live figures of the newest horizon that is filled by what is learned of late bills, ``late`` the
    words where they land later than usual.
    """

    night: int
    version: int
    psi: float
    is_over: bool
    is_seasonal: bool | None
    is_broken: bool
    live: float | None
    observed: float | None
    predicted: float
    filled: tuple[float, float] | None = None
    late: str = ""


def shown(one: World, night: int, model: Model, past: dict[int, Model], random: np.random.Generator) -> Shown:
    """A night as it is measured. ``past`` are the models that answered, by night."""
    moved = float(one.level[night]) - model.level
    noise = float(random.chisquare(9)) * 2 / USERS
    psi = PSI_OF_ONE * moved**2 + noise + (1.0 if one.is_broken[night] else 0.0)
    before = night - YEAR
    has_season = before >= YEAR + HORIZON
    is_alike = abs(float(one.level[night] - one.level[before])) <= 0.25
    delay = one.delays.get(night, ON_TIME)
    newest = filled = measured(one, night, night - HORIZON, model, past, random)
    if delay.wait_days:
        others = np.random.default_rng((one.seed, night))
        filled = measured(one, night, night - HORIZON - delay.wait_days, model, past, others)
    live, observed = newest or (None, None)
    return Shown(
        night,
        model.version,
        psi,
        psi > 0.25,
        is_alike if has_season else None,
        # Half a feed is seen by its volume, though not on its first night always.
        bool(one.is_broken[night]) and random.random() < 0.9,
        live,
        observed,
        model.rate,
        filled,
        delay.words,
    )


def measured(
    one: World, night: int, answered: int, model: Model, past: dict[int, Model], random: np.random.Generator
) -> tuple[float, float] | None:
    """The live area and the share of outcomes so far of what the model answered on a night; None where another one did.

    Outcomes that have not landed look like none. What was answered on a broken feed is left out, as health does.
    """
    was = past.get(answered)
    if was is None or was.version != model.version or one.is_broken[answered]:
        return None
    share = missing(one, night, answered)
    live = float(np.clip(area(one, answered, was) - LATE_LOSS * share + random.normal(0, AREA_ERROR), 0.4, 1))
    return live, float(max(one.rate[answered] * (1 - share) + random.normal(0, RATE_ERROR), 0.001))
