"""Whether a challenger takes the champion's place: on evidence, and always with the reason.

A rule says keep, ask or nothing. Any keep keeps; otherwise any ask asks a person; otherwise the challenger is
promoted. Intervals are 95 %; a difference above 0 means that the challenger is better.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from capflow_assets.contract import Gate, Metric
from capflow_assets.learning.intervals import Interval

Action = Literal["promote", "keep", "ask"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with the challenger, and one sentence that says why."""

    action: Action
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What the newest horizon showed of a challenger.

    ``score`` and ``baseline`` are the metric of the challenger and of the baseline; ``against_baseline`` and
    ``against_champion`` are paired differences on the same users, the latter None where there is no champion, or where
    ``broken_champion`` names one whose files cannot be used: the baseline alone decides then.
    """

    metric: Metric
    score: Interval
    baseline: Interval
    baseline_name: str
    against_baseline: Interval
    against_champion: Interval | None
    calibration: float
    coverage: float
    gate: Gate
    is_frozen: bool = False
    broken_champion: str = ""


def decide(trial: Trial) -> Decision:
    """Promote, keep or ask.

    Keep: coverage below the gate; not better than the baseline (surely worse, where the gate wants no more than "not
    worse"); surely worse than the champion. Ask: better than the baseline, but maybe by chance; calibration error
    above the gate or unknown; a champion that is frozen. Promote otherwise: the first champion, a better one, or one
    that is not surely worse and was fitted on newer data.

    >>> decision = decide(Trial(
    ...     metric=Metric("roc_auc", lambda labels, predictions: 0.0, True, ""),
    ...     score=Interval(0.8, 0.78, 0.82), baseline=Interval(0.75, 0.73, 0.77), baseline_name="recency alone",
    ...     against_baseline=Interval(0.05, 0.03, 0.07), against_champion=None,
    ...     calibration=0.02, coverage=1.0, gate=Gate(lambda labels, predictions: 0.0, at_most=0.05)))
    >>> decision.action
    'promote'
    >>> print(decision.reason)
    Promoted as the first champion: roc_auc 0.8000, better than recency alone (0.7500) by 0.0500 [0.0300, 0.0700].
    """
    keeps, asks, gain = "; ".join(_keeps(trial)), "; ".join(_asks(trial)), _gain(trial)
    if keeps:
        outcome = "Not promoted" if trial.against_champion is None else "The champion is kept"
        return Decision("keep", f"{outcome}: {keeps}.")
    if trial.is_frozen:
        otherwise = f"it would be asked about: {asks}" if asks else f"it would be {gain[0].lower()}{gain[1:]}"
        return Decision("ask", f"A person decides, since the champion is frozen; otherwise {otherwise}.")
    if asks:
        return Decision("ask", f"A person decides: {asks}.")
    return Decision("promote", f"{gain}.")


def _keeps(trial: Trial) -> Iterator[str]:
    if not trial.coverage >= trial.gate.coverage:
        yield f"only {trial.coverage:.1%} of users got a score, {trial.gate.coverage:.1%} needed"
    strict = trial.gate.baseline == "better"
    if not (trial.against_baseline.value > 0 if strict else trial.against_baseline.high >= 0):
        yield (
            f"{trial.metric.name} {trial.score.value:.4f} is no better than {trial.baseline_name} "
            f"({trial.baseline.value:.4f}), by {trial.against_baseline}"
        )
    if trial.against_champion is not None and trial.against_champion.high < 0:
        yield f"worse than the champion on the same users, by {trial.against_champion}"


def _asks(trial: Trial) -> Iterator[str]:
    if trial.gate.baseline == "better" and not trial.against_baseline.low > 0:
        yield (
            f"{trial.metric.name} {trial.score.value:.4f} is better than {trial.baseline_name} "
            f"({trial.baseline.value:.4f}) by {trial.against_baseline}, which may be chance"
        )
    if not isfinite(trial.calibration):
        yield "its calibration error cannot be told"
    elif trial.calibration > trial.gate.at_most:
        yield f"its calibration error is {trial.calibration:.4f}, at most {trial.gate.at_most:g} allowed"


def _gain(trial: Trial) -> str:
    score = f"{trial.metric.name} {trial.score.value:.4f}"
    standard = "better" if trial.against_baseline.low > 0 else "not surely worse"
    beats = f"{standard} than {trial.baseline_name} ({trial.baseline.value:.4f}) by {trial.against_baseline}"
    if trial.broken_champion:
        return f"Promoted in the place of {trial.broken_champion}, which cannot be loaded to compare: {score}, {beats}"
    if trial.against_champion is None:
        return f"Promoted as the first champion: {score}, {beats}"
    if trial.against_champion.low > 0:
        return f"Promoted: {score}, better than the champion by {trial.against_champion}, {beats}"
    return (
        f"Promoted: {score}, not surely worse than the champion ({trial.against_champion}) "
        f"and fitted on newer data, {beats}"
    )
