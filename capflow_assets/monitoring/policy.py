"""What is to be done about a model: from its nights to one decision, its cause, and the mildest action that mends it.

    feed broken                        -> fix the feed: nothing is trained on what is broken
    outcomes come later than usual     -> wait: nothing is judged or trained before they are there
    as it was at this season before    -> wait; with less than two seasons known it says that it cannot tell
    chances off, their order intact    -> recalibrate
    worse than its training measured   -> retrain (decay)
    drift of columns that matter       -> retrain (drift)
    older than it may be               -> retrain (age)
    two retrainings that did not help  -> ask a person

Trained is after k of the last n scorings only, not within a cool-down, and not where it is known to cost more than it
brings. Time here is as-of time, never the clock: backfills decide alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from capflow_assets.expressions.days import days_after, local_day_of
from capflow_assets.monitoring.observations import Night, PastTraining

Action = Literal["none", "wait", "fix the feed", "recalibrate", "retrain", "ask"]
Cause = Literal["calm", "feed", "season", "prior shift", "drift", "decay", "age"]
# The order in which a budget is spent.
URGENCY: tuple[Cause, ...] = ("decay", "prior shift", "drift", "age")
# Those of retrainings, which may or may not have helped; a recalibration leaves the order as it is.
LEARNED_ANEW = ("decay", "drift", "age")
ASK_AFTER = 2
CANNOT_TELL = " Whether that is the season cannot be told: less than two of this season are known."


@dataclass(frozen=True, slots=True)
class Rules:
    """What a customer's TOML says in ``[retraining]``.

    ``least_importance_pct`` is the share of the model's weight below which drifted columns do not matter. ``cost`` is
    that of a retraining and ``gain_value`` what one unit of the metric is worth a night; of use only together.
    """

    k: int = 2
    n: int = 3
    cooldown_days: int = 7
    age_days: int = 365
    decay_pct: float = 2.0
    calibration_pct: float = 10.0
    least_importance_pct: float = 5.0
    memory_days: int = 180
    most_a_night: int = 10
    cost: float | None = None
    gain_value: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, why in a word and in a sentence, and the figures behind it."""

    action: Action
    cause: Cause
    reason: str
    as_of: datetime
    model_version: int
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def may_train(self) -> bool:
        """Whether a run follows from it."""
        return self.action in ("retrain", "recalibrate")


@dataclass(frozen=True, slots=True)
class Past:
    """What was done before: trainings, oldest first, the last request, and the moment that the champion knows up to."""

    trainings: tuple[PastTraining, ...] = ()
    last_requested: datetime | None = None
    trained_as_of: datetime | None = None


def decide(nights: Sequence[Night], rules: Rules, past: Past | None = None, zone: str = "UTC") -> Decision | None:
    """The decision after the newest of ``nights``, which are of one model of one customer; None without any.

    The current champion is the version of the newest scoring; scorings by earlier versions do not count. Scorings of
    the same as-of moment count once, the last one given. Days are local days of ``zone``.
    """
    if not nights:
        return None
    past = past or Past()
    latest = {night.as_of: night for night in nights}
    newest = latest[max(latest)]
    if newest.faults:
        return _decision(newest, "fix the feed", "feed", f"{'; '.join(newest.faults)}. Nothing is trained on that.")
    last = [latest[moment] for moment in sorted(latest) if latest[moment].model_version == newest.model_version]
    sound = [night for night in last if not night.faults][-rules.n :]
    needed = _needed(newest, sound, rules, past, zone)
    if newest.late:
        return _waiting_for_outcomes(newest, needed)
    if needed.action == "wait" or not needed.may_train:
        return needed
    return _restrained(needed, rules, past, zone)


def within_budget(decisions: Sequence[Decision], spent: int, rules: Rules) -> list[Decision]:
    """The decisions of one customer's night as far as its budget goes, in their order; the others wait.

    ``spent`` are the runs that were asked for in the same night before. The most urgent cause is first.
    """
    ordered = sorted((one for one in decisions if one.may_train), key=lambda one: URGENCY.index(one.cause))
    granted = ordered[: max(rules.most_a_night - spent, 0)]
    words = f"Waits for another night: {rules.most_a_night} runs a night are allowed. "
    return [
        replace(one, action="wait", reason=words + one.reason)
        if one.may_train and not any(one is other for other in granted)
        else one
        for one in decisions
    ]


def _waiting_for_outcomes(newest: Night, needed: Decision) -> Decision:
    """Labels that are late look like none, to a judgement and to a training alike."""
    words = f"Waits, since {newest.late}: no horizon is judged or learned from before its outcomes have come."
    reason = f"{words} {needed.reason}" if needed.may_train else words
    return _decision(newest, "wait", "feed", reason)


def _needed(newest: Night, last: Sequence[Night], rules: Rules, past: Past, zone: str) -> Decision:
    """The strongest need that the last nights show."""
    needs: tuple[Callable[[], Decision | None], ...] = (
        lambda: _decay(newest, last, rules, zone),
        lambda: _prior_shift(newest, last, rules, zone),
        lambda: _drift(newest, last, rules, zone),
        lambda: _age(newest, rules, past, zone),
    )
    for need in needs:
        decision = need()
        if decision is not None:
            return decision
    return _decision(newest, "none", "calm", "Nothing calls for a training.")


def _decay(newest: Night, last: Sequence[Night], rules: Rules, zone: str) -> Decision | None:
    """Worse than promised, on what came; else on what came so far; else as the scores alone say."""
    worse = [
        (night, live)
        for night in last
        if (live := night.live or night.partial or night.estimate) and live.is_worse(rules.decay_pct)
    ]
    if len(worse) < rules.k:
        return None
    words = ", ".join(f"{live.value:.3f} on {local_day_of(night.as_of, zone)}" for night, live in worse)
    live = worse[-1][1]
    so_far = "on what came so far" if live.is_partial else "on what was answered"
    source = "estimated of its scores" if live.is_estimate else so_far
    reason = (
        f"{len(worse)} of the last {len(last)} scorings by version {newest.model_version} are worse than its training "
        f"({live.metric} {source}: {words}; then {live.promised:.3f})."
    )
    return _decision(newest, "retrain", "decay", reason, shortfall=live.shortfall)


def _prior_shift(newest: Night, last: Sequence[Night], rules: Rules, zone: str) -> Decision | None:
    off = [
        (night, night.reliability)
        for night in last
        if night.reliability and night.live and night.reliability.is_off(rules.calibration_pct)
    ]
    if len(off) < rules.k:
        return None
    words = ", ".join(
        f"{one.predicted:.1%} said and {one.observed:.1%} came on {local_day_of(night.as_of, zone)}"
        for night, one in off
    )
    reason = (
        f"The chances of {len(off)} of the last {len(last)} scorings by version {newest.model_version} are off, and "
        f"their order holds ({words})."
    )
    newest_off = off[-1][1]
    return _decision(
        newest, "recalibrate", "prior shift", reason, ratio=newest_off.observed / max(newest_off.predicted, 1e-9)
    )


def _drift(newest: Night, last: Sequence[Night], rules: Rules, zone: str) -> Decision | None:
    over = [night for night in last if night.over and 100 * night.importance >= rules.least_importance_pct]
    if len(over) < rules.k:
        return None
    figures = ", ".join(f"{night.column} {night.psi_max:.2f} on {local_day_of(night.as_of, zone)}" for night in over)
    reason = f"{len(over)} of the last {len(last)} scorings by version {newest.model_version} drifted (PSI: {figures})."
    seasons = [night.is_seasonal for night in over]
    if sum(season is True for season in seasons) >= rules.k or all(seasons):
        return _decision(newest, "wait", "season", f"{reason} It was so at this season of a year before.")
    if None in seasons:
        reason += CANNOT_TELL
    return _decision(newest, "retrain", "drift", reason, psi=over[-1].psi_max, importance=over[-1].importance)


def _age(newest: Night, rules: Rules, past: Past, zone: str) -> Decision | None:
    if past.trained_as_of is None or newest.as_of < days_after(past.trained_as_of, rules.age_days, zone):
        return None
    days = (local_day_of(newest.as_of, zone) - local_day_of(past.trained_as_of, zone)).days
    reason = f"Version {newest.model_version} was trained {days} days ago, {rules.age_days} are allowed."
    return _decision(newest, "retrain", "age", reason, days=days)


def _restrained(needed: Decision, rules: Rules, past: Past, zone: str) -> Decision:
    """What is needed, unless it was asked for of late, did not help before, or costs more than it brings."""
    if past.last_requested is not None:
        until = days_after(past.last_requested, rules.cooldown_days, zone)
        if needed.as_of < until:
            words = f"Waits until {local_day_of(until, zone)}, {rules.cooldown_days} days after the last request. "
            return replace(needed, action="wait", reason=words + needed.reason)
    if needed.action != "retrain":
        return needed
    since = days_after(needed.as_of, -rules.memory_days, zone)
    own = [one for one in past.trainings if since <= one.as_of <= needed.as_of and one.cause in LEARNED_ANEW]
    if len(own) >= ASK_AFTER and not any(one.has_helped for one in own[-ASK_AFTER:]):
        versions = " and ".join(str(one.version) for one in own[-ASK_AFTER:])
        words = f"A person is asked: the last {ASK_AFTER} retrainings (versions {versions}) did not help. "
        return replace(needed, action="ask", reason=words + needed.reason)
    brings = _brings(own, rules)
    if brings is not None and rules.cost is not None and brings < rules.cost:
        words = f"Waits: a retraining brings about {brings:.2f} and costs {rules.cost:.2f}. "
        return replace(needed, action="wait", reason=words + needed.reason)
    return needed


def _brings(trainings: Sequence[PastTraining], rules: Rules) -> float | None:
    """The worth of a retraining: the mean gain of those before, over the nights of a cool-down, at least four weeks.

    A gain that was measured since counts before the one that was promised.
    """
    gains = [max(gain, 0.0) if one.is_promoted else 0.0 for one in trainings if (gain := one.known_gain) is not None]
    if rules.gain_value is None or not gains:
        return None
    return sum(gains) / len(gains) * rules.gain_value * max(rules.cooldown_days, 28)


def _decision(newest: Night, action: Action, cause: Cause, reason: str, **figures: float) -> Decision:
    return Decision(action, cause, reason, newest.as_of, newest.model_version, figures)
