"""Two years of simulated nights of one model: what health measures, and the truth behind it.

A light generator, not the simulated brands: what a night shows are figures, drawn with the noise that they have. The
model's order is lost as what it learned (the concept) and whom it learned from (the covariates) move away; its chances
are off as the base rate does. Outcomes come a horizon later, so a training learns of the world as it was then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
FAULTS = ("none", "season", "gradual", "sudden", "price", "prior shift", "half a feed", "label delay")


@dataclass(frozen=True)
class World:
    """One model's two years, by night: the concept, the level of its columns, the base rate, and broken nights.

    ``began`` is the first night of the fault, None without one. ``late`` are the nights more that outcomes take.
    """

    fault: str
    began: int | None
    concept: np.ndarray
    level: np.ndarray
    rate: np.ndarray
    is_broken: np.ndarray
    late: np.ndarray
    seed: int


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
    return World(fault, began if is_planted else None, concept, level, rate, is_broken, late, seed)


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
    return seen * (0.75 if one.late[night] else 1.0)


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
    """What health measures of a night: drift, its season, the feed, and the answers of a horizon before."""

    night: int
    version: int
    psi: float
    is_over: bool
    is_seasonal: bool | None
    is_broken: bool
    live: float | None
    observed: float | None
    predicted: float


def shown(one: World, night: int, model: Model, past: dict[int, Model], random: np.random.Generator) -> Shown:
    """A night as it is measured. ``past`` are the models that answered, by night."""
    moved = float(one.level[night]) - model.level
    noise = float(random.chisquare(9)) * 2 / USERS
    psi = PSI_OF_ONE * moved**2 + noise + (1.0 if one.is_broken[night] else 0.0)
    before = night - YEAR
    has_season = before >= YEAR + HORIZON
    is_alike = abs(float(one.level[night] - one.level[before])) <= 0.25
    answered = night - HORIZON
    was = past.get(answered)
    live = observed = None
    # What was answered on a broken feed is left out, as health does.
    if was is not None and was.version == model.version and not one.is_broken[answered]:
        is_late = bool(one.late[night])
        true = area(one, answered, was)
        # Half of the outcomes that are to come look like none.
        live = float(np.clip(true - 0.04 * is_late + random.normal(0, AREA_ERROR), 0.4, 1))
        observed = float(max(one.rate[answered] * (0.75 if is_late else 1.0) + random.normal(0, RATE_ERROR), 0.001))
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
    )
