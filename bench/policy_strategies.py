"""Strategies of when to retrain, each asked after every night; and a model's life under one.

- weekly and never; "2 of 5 windows" trains when two of the last five weekly measurements are below the promise
  (Databricks' mlops-stacks).
- Cara is the cumulative threshold of A. Mahadevan & M. Mathioudakis, "Cost-aware retraining" (arXiv 2310.04216):
  staleness is added up since the last training, and one follows when the sum is above a threshold, which is the one
  that costs least on worlds of other seeds. Staleness is what health shows: the shortfall where it is known, else by
  the drift.
- UPF is after F. Regol et al., "When to retrain a machine learning model" (ICML 2025), in little: a linear forecast of
  the shortfall by age and drift, from all earlier nights, with its standard error; a training follows when the loss
  that is forecast for the coming horizon, less one standard error, is more than a training costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from bench.policy_nights import (
    AREA_ERROR,
    FAULTS,
    HORIZON,
    NIGHTS,
    PROMISED,
    RATE_ERROR,
    WEEK,
    YEAR,
    Model,
    Shown,
    World,
    area,
    rate_gap,
    recalibrated_at,
    shown,
    trained_at,
    world,
)
from capflow_assets.monitoring.observations import Z95, Live, Night, PastTraining, Reliability
from capflow_assets.monitoring.policy import Past, Rules, decide

TUNING_SEED = 900
AREA_COST, RATE_COST, TRAINING_COST, RECALIBRATION_COST = 100.0, 5.0, 30.0, 3.0
START = datetime(2022, 1, 1, tzinfo=UTC)

# What a strategy says after a night: nothing, "retrain" or "recalibrate", and why.
Strategy = Callable[[list[Shown], int], tuple[str, str]]


@dataclass
class Life:
    """What became of a model under a strategy."""

    loss: float = 0.0
    spent: float = 0.0
    trainings: list[int] = field(default_factory=list)
    recalibrations: list[int] = field(default_factory=list)
    decisions: list[tuple[int, str, str]] = field(default_factory=list)

    @property
    def cost(self) -> float:
        """What was lost and what was spent."""
        return self.loss + self.spent


def lived(one: World, strategy: Strategy, nights: int = NIGHTS) -> Life:
    """Every night measured, decided and paid for; the model that answers tomorrow is what was decided today."""
    random = np.random.default_rng(one.seed + 1)
    first = YEAR + HORIZON
    model = trained_at(one, first, 1)
    life, past, history = Life(), {}, []
    for night in range(first, first + nights):
        past[night] = model
        life.loss += loss(one, night, model)
        history.append(shown(one, night, model, past, random))
        action, cause = strategy(history, model.trained)
        if cause not in ("", "calm"):
            life.decisions.append((night, action, cause))
        if action == "retrain":
            model = trained_at(one, night, model.version + 1)
            life.spent += TRAINING_COST
            life.trainings.append(night)
        elif action == "recalibrate":
            model = recalibrated_at(one, night, model)
            life.spent += RECALIBRATION_COST
            life.recalibrations.append(night)
    return life


def loss(one: World, night: int, model: Model) -> float:
    """What a night costs for answers that are worse than a model of tonight's could be."""
    best = PROMISED - 0.15 * bool(one.is_broken[night])
    return AREA_COST * max(0.0, best - area(one, night, model)) + chances_loss(one, night, model)


def chances_loss(one: World, night: int, model: Model) -> float:
    """What a night costs for chances that are off."""
    return RATE_COST * rate_gap(one, night, model)


def never(history: list[Shown], trained: int) -> tuple[str, str]:
    """Nothing, ever."""
    return "", ""


def weekly(history: list[Shown], trained: int) -> tuple[str, str]:
    """A training a week."""
    return ("retrain", "") if history[-1].night - trained >= WEEK else ("", "")


def two_of_five(history: list[Shown], trained: int) -> tuple[str, str]:
    """Two of the last five weekly measurements of the version below the promise by more than two standard errors."""
    version = history[-1].version
    if (history[-1].night - trained) % WEEK:
        return "", ""
    known = [one.live for one in history[::-WEEK] if one.version == version and one.live is not None][:5]
    return ("retrain", "") if sum(live < PROMISED - 2 * AREA_ERROR for live in known) >= 2 else ("", "")


def drift_alone(history: list[Shown], trained: int) -> tuple[str, str]:
    """As it was: two of the last three scorings over, and a cool-down of a week."""
    own = [one for one in history[-3:] if one.version == history[-1].version]
    is_cool = history[-1].night - trained >= WEEK
    return ("retrain", "") if is_cool and sum(one.is_over for one in own) >= 2 else ("", "")


def staleness(night: Shown) -> float:
    """What a night is taken to lose: the shortfall where it is known, else by the drift."""
    return AREA_COST * (max(0.0, PROMISED - night.live) if night.live is not None else 0.02 * min(night.psi, 2.0))


def cara(threshold: float) -> Strategy:
    """The cumulative threshold on staleness since the last training."""

    def strategy(history: list[Shown], trained: int) -> tuple[str, str]:
        total = 0.0
        for one in reversed(history):
            if one.night <= trained:
                break
            total += staleness(one)
        return ("retrain", "") if total > threshold else ("", "")

    return strategy


def tuned_cara(nights: int = NIGHTS, seeds: int = 2) -> Strategy:
    """The threshold that costs least on worlds of other seeds."""
    worlds = [world(fault, TUNING_SEED + seed, nights) for fault in FAULTS for seed in range(seeds)]
    costs = {
        threshold: sum(lived(one, cara(threshold), nights).cost for one in worlds)
        for threshold in (15.0, 30.0, 60.0, 120.0, 240.0)
    }
    return cara(min(costs, key=lambda threshold: costs[threshold]))


def upf() -> Strategy:
    """A ridge forecast of the shortfall by age and drift, and its standard error, over the coming horizon."""

    def strategy(history: list[Shown], trained: int) -> tuple[str, str]:
        now = history[-1]
        if now.night % WEEK:
            return "", ""
        by_night = {one.night: one for one in history}
        rows = [
            (1.0, (one.night - HORIZON - trained_of(history, one.version)) / 100, by_night[one.night - HORIZON].psi)
            for one in history
            if one.live is not None and one.night - HORIZON in by_night
        ]
        losses = [PROMISED - one.live for one in history if one.live is not None and one.night - HORIZON in by_night]
        if len(rows) < 2 * HORIZON:
            return "", ""
        design, target = np.array(rows), np.array(losses)
        gram = design.T @ design + 1e-3 * np.eye(3)
        weights = np.linalg.solve(gram, design.T @ target)
        error = float(np.std(target - design @ weights))
        ahead = np.array([(1.0, (now.night + night - trained) / 100, now.psi) for night in range(HORIZON)])
        reach = np.sqrt(error**2 * np.einsum("ij,jk,ik->i", ahead, np.linalg.inv(gram), ahead))
        # A new model starts where the line does.
        fresh = np.array([(1.0, night / 100, 0.0) for night in range(HORIZON)])
        gain = AREA_COST * float(((ahead - fresh) @ weights - reach).clip(0).sum())
        return ("retrain", "") if gain > TRAINING_COST else ("", "")

    return strategy


def trained_of(history: Sequence[Shown], version: int) -> int:
    """The night before a version's first answers."""
    return next(one.night for one in history if one.version == version) - 1


def by_cause(rules: Rules | None = None, *, knows_delay: bool = True) -> Strategy:
    """The policy as it is shipped, with a cool-down of two weeks, what health measures made its nights.

    Without ``knows_delay`` horizons are judged as soon as they are over, as they were before.
    """
    chosen = rules or Rules(cooldown_days=14)
    trainings: list[PastTraining] = []
    requested: list[datetime] = []

    def strategy(history: list[Shown], trained: int) -> tuple[str, str]:
        nights = [night_of(one, knows_delay=knows_delay) for one in history[-14:]]
        past = Past(tuple(trainings), requested[-1] if requested else None, moment(trained))
        decision = decide(nights, chosen, past)
        assert decision is not None  # noqa: S101
        if decision.may_train:
            requested.append(decision.as_of)
            if decision.action == "retrain":
                trainings.append(PastTraining(decision.as_of, history[-1].version + 1, decision.cause, True, 0.01))
        return decision.action if decision.may_train else "", decision.cause

    return strategy


def moment(night: int) -> datetime:
    """The moment of a night."""
    return START + timedelta(days=night)


def night_of(one: Shown, *, knows_delay: bool) -> Night:
    """A night as health records it."""
    live = reliability = None
    newest = None if one.live is None or one.observed is None else (one.live, one.observed)
    figures = one.filled if knows_delay else newest
    if figures is not None:
        area_of, observed = figures
        reach = Z95 * AREA_ERROR
        live = Live("roc_auc", area_of, area_of - reach, area_of + reach, PROMISED, PROMISED - reach, PROMISED + reach)
        reach = Z95 * RATE_ERROR
        reliability = Reliability(one.predicted, observed, observed - reach, observed + reach)
    faults = ("half a feed",) if one.is_broken else ()
    seasonal = one.is_seasonal if one.is_over else None
    return Night(
        moment(one.night),
        one.version,
        one.psi,
        "level",
        one.is_over,
        1.0,
        faults,
        seasonal,
        live,
        None,
        reliability,
        late=one.late if knows_delay else "",
    )


def strategies() -> dict[str, Callable[[], Strategy]]:
    """Each strategy by its name, made anew for each life."""
    tuned = tuned_cara()
    return {
        "by cause (ours)": by_cause,
        "by cause, delay unknown": lambda: by_cause(knows_delay=False),
        "drift alone, 2 of 3": lambda: drift_alone,
        "2 of 5 windows": lambda: two_of_five,
        "Cara": lambda: tuned,
        "UPF": upf,
        "weekly": lambda: weekly,
        "never": lambda: never,
    }
