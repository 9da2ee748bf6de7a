"""When to retrain: the policy by cause against others on simulated nights of two years with planted faults.

Costs are of one currency: a hundredth of the area lost for a night is 1, a base rate that is off by a tenth for a night
0.5, a training 30 and a recalibration 3. The oracle knows the truth and chooses its nights by dynamic programming. The
strategies are in ``bench.policy_strategies``, the worlds in ``bench.policy_nights``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bench.policy_nights import FAULTS, HORIZON, NIGHTS, WEEK, YEAR, Model, World, trained_at, world
from bench.policy_strategies import (
    RECALIBRATION_COST,
    TRAINING_COST,
    Life,
    chances_loss,
    lived,
    loss,
    strategies,
)

SEEDS, FIRST_SEED = 8, 100
OUT = Path(__file__).parent
OURS, WITHOUT = "by cause (ours)", "by cause, delay unknown"

RIGHT = {
    "gradual": ("decay", "drift"),
    "sudden": ("decay", "drift"),
    "price": ("drift", "decay"),
    "prior shift": ("prior shift",),
    "half a feed": ("feed",),
    "label delay": ("feed",),
    "none": (),
    "season": ("season",),
}


def oracle_cost(one: World, nights: int = NIGHTS) -> float:
    """The least that can be paid with the truth known: the best nights to train and to recalibrate, a week apart.

    The order depends on the last training alone and is chosen by dynamic programming; given that, so are the chances.
    """
    first = YEAR + HORIZON
    slots = list(range(first, first + nights, WEEK))
    models = [trained_at(one, slot, 1) for slot in slots]
    order = _least(
        one,
        slots,
        models,
        TRAINING_COST,
        lambda night, model: loss(one, night, model) - chances_loss(one, night, model),
    )
    rates = _least(one, slots, models, RECALIBRATION_COST, lambda night, model: chances_loss(one, night, model))
    return order + rates


def _least(
    one: World, slots: Sequence[int], models: Sequence[Model], cost: float, of_night: Callable[[int, Model], float]
) -> float:
    """The cheapest sequence of models, each from its slot to that of the next."""
    end = slots[-1] + WEEK
    best = [0.0] * (len(slots) + 1)
    for start in range(len(slots) - 1, -1, -1):
        running, choices = 0.0, []
        for stop in range(start + 1, len(slots) + 1):
            until = slots[stop] if stop < len(slots) else end
            running += sum(of_night(night, models[start]) for night in range(slots[stop - 1], until))
            choices.append(running + (cost + best[stop] if stop < len(slots) else 0.0))
        best[start] = min(choices)
    return best[0]


def first_cause(life: Life, one: World) -> tuple[str, int | None]:
    """The first cause that is decided after the fault began, and how many nights later."""
    since = one.began if one.began is not None else YEAR + HORIZON
    for night, _, cause in life.decisions:
        if since <= night < since + 180 or one.began is None:
            return cause, night - since
    return "calm", None


def run(seeds: int = SEEDS) -> None:
    """Write the tables and the plot beside this file, and print the first."""
    worlds = {fault: [world(fault, FIRST_SEED + seed) for seed in range(seeds)] for fault in FAULTS}
    oracles = {fault: [oracle_cost(one) for one in worlds[fault]] for fault in FAULTS}
    makers = strategies()
    lives = {
        name: {fault: [lived(one, make()) for one in worlds[fault]] for fault in FAULTS}
        for name, make in makers.items()
    }
    text = "\n".join([*_costs(lives, oracles, seeds), "", *_causes(lives[OURS], lives[WITHOUT], worlds)])
    (OUT / "policy.md").write_text(text + "\n")
    _plot(lives, oracles)
    print(f"policy: {text}")  # noqa: T201


def _costs(lives: dict[str, dict[str, list[Life]]], oracles: dict[str, list[float]], seeds: int) -> list[str]:
    lines = [
        f"# When to retrain: {len(FAULTS)} kinds of worlds, {seeds} of each, two years of nights",
        "",
        "Regret a model-year against an oracle that knows the truth, in the cost of a training (1).",
        "",
        "| strategy | all | " + " | ".join(FAULTS) + " | trainings a year | of them in calm and seasonal worlds |",
        "|---|" + "---|" * (len(FAULTS) + 3),
    ]
    for name, by_fault in lives.items():
        regrets = [_regret(by_fault[fault], oracles[fault]) for fault in FAULTS]
        trainings = np.mean([len(life.trainings) for fault in FAULTS for life in by_fault[fault]]) / 2
        alarms = np.mean([len(life.trainings) for fault in ("none", "season") for life in by_fault[fault]]) / 2
        figures = " | ".join(f"{regret:.1f}" for regret in regrets)
        lines.append(f"| {name} | {np.mean(regrets):.1f} | {figures} | {trainings:.1f} | {alarms:.1f} |")
    return [*lines, "", *_not_least(lives, oracles)]


def _not_least(lives: dict[str, dict[str, list[Life]]], oracles: dict[str, list[float]]) -> list[str]:
    """Where another strategy has less regret, in words."""
    words = []
    for fault in FAULTS:
        regrets = {name: _regret(by_fault[fault], oracles[fault]) for name, by_fault in lives.items()}
        best = min(regrets, key=lambda name: regrets[name])
        if best != OURS:
            trainings, own = (
                np.mean([len(life.trainings) for life in lives[name][fault]]) / 2 for name in (best, OURS)
            )
            words.append(
                f"- {fault}: {best} has {regrets[best]:.1f}, ours {regrets[OURS]:.1f}; "
                f"by {trainings:.1f} trainings a year, ours by {own:.1f}"
            )
    return ["Ours is not the least here:", "", *words] if words else ["Ours is the least everywhere."]


def _regret(lives: Sequence[Life], oracles: Sequence[float]) -> float:
    return float(np.mean([life.cost - least for life, least in zip(lives, oracles, strict=True)])) / 2 / TRAINING_COST


def _causes(
    lives: dict[str, list[Life]], lives_without: dict[str, list[Life]], worlds: dict[str, list[World]]
) -> list[str]:
    causes = ("feed", "season", "prior shift", "drift", "decay", "age", "calm")
    lines = [
        "The first cause that it names within 180 nights of the fault, in how many worlds; nights to the right one.",
        "",
        "| planted | " + " | ".join(causes) + " | nights |",
        "|---|" + "---|" * (len(causes) + 1),
    ]
    for fault in FAULTS:
        named = [first_cause(life, one) for life, one in zip(lives[fault], worlds[fault], strict=True)]
        counts = Counter(cause for cause, _ in named)
        delays = [delay for cause, delay in named if cause in RIGHT[fault] and delay is not None]
        nights = f"{np.median(delays):.0f}" if delays and fault != "season" else "–"
        lines.append(f"| {fault} | " + " | ".join(str(counts[cause]) for cause in causes) + f" | {nights} |")
    unknown = [
        first_cause(life, one) for life, one in zip(lives_without["label delay"], worlds["label delay"], strict=True)
    ]
    counts = Counter(cause for cause, _ in unknown)
    lines.append("| label delay, unknown | " + " | ".join(str(counts[cause]) for cause in causes) + " | – |")
    later = Counter(_cause_of_second_year(life) for life in lives["season"])
    return [*lines, "| season, second year | " + " | ".join(str(later[cause]) for cause in causes) + " | – |"]


def _cause_of_second_year(life: Life) -> str:
    """The first cause once a season before is known."""
    return next((cause for night, _, cause in life.decisions if night >= 2 * YEAR + 2 * HORIZON), "calm")


def _plot(lives: dict[str, dict[str, list[Life]]], oracles: dict[str, list[float]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), dpi=80, layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(FAULTS))
    width = 0.8 / len(lives)
    for number, (name, by_fault) in enumerate(lives.items()):
        regrets = [_regret(by_fault[fault], oracles[fault]) for fault in FAULTS]
        axes.bar(places + (number - len(lives) / 2 + 0.5) * width, regrets, width, label=name)
    axes.set_xticks(places, FAULTS, fontsize=8)
    axes.set_ylabel("regret a model-year, in trainings")
    axes.set_yscale("symlog", linthresh=1)
    axes.legend(fontsize=7, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    figure.savefig(OUT / "policy.png")
