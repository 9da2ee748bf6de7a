"""Whether a challenger takes the champion's place: on evidence, and always with the reason.

Every condition is asked once and gives one ``Judgement``; the decision, the asset's checks and the model's card all
tell it. Any that says keep keeps; otherwise any that says ask asks a person; otherwise the challenger is promoted.
Intervals are 95 %; a difference above 0 means that the challenger is better.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isfinite, isinf
from typing import Literal

from capflow_assets.contract import Finding, Metric, Rule
from capflow_assets.contract.models import LEAST_JUDGED, Otherwise
from capflow_assets.learning.intervals import Interval

Action = Literal["promote", "keep", "ask"]
# Who promotes, as a customer's TOML says.
Mode = Literal["automatic", "dry run", "ask"]
BASELINE, ENOUGH = "beats_baseline", "enough"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with the challenger, and one sentence that says why."""

    action: Action
    reason: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """One condition, asked once: whether it holds, the figures in words, and what follows where it does not.

    ``message`` tells the figures whether it holds or not, ``complaint`` only where it does not. ``found`` holds them.
    """

    name: str
    passed: bool
    message: str
    otherwise: Otherwise = "keep"
    complaint: str = ""
    found: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What the newest horizon showed of a challenger.

    ``score`` and ``baseline`` are the metric of the challenger and of the baseline; ``against_baseline`` and
    ``against_champion`` are paired differences on the same subjects, the latter None where there is no champion, or
    where ``broken_champion`` names one whose files cannot be used: the baseline alone decides then. ``beats`` is the
    standard that the model holds against its baseline, see ``contract.Model``. ``coverage`` is the share of subjects
    who got an answer, ``least_coverage`` the smallest that will do. ``judged`` is how many ``units`` the intervals rest
    on, ``least_judged`` the fewest that convince. ``rules`` are the model's, each with its figure; ``said`` are the
    sentences of those that have one, by name. ``slices`` says on which of some groups of subjects the challenger is
    surely worse than the baseline.
    """

    metric: Metric
    score: Interval
    baseline: Interval
    baseline_name: str
    against_baseline: Interval
    against_champion: Interval | None
    coverage: float
    judged: int
    rules: tuple[tuple[Rule, float], ...] = ()
    said: Mapping[str, str] = field(default_factory=dict)
    slices: Finding | None = None
    subjects: str = "users"
    beats: Literal["better", "not worse"] = "better"
    least_coverage: float = 0.99
    least_judged: int = LEAST_JUDGED
    units: str = "users"
    is_frozen: bool = False
    broken_champion: str = ""


def judgements(trial: Trial) -> tuple[Judgement, ...]:
    """Every condition of a promotion, asked of the trial, in the order in which the decision names them."""
    conditions = [_coverage(trial), _baseline(trial), _enough(trial)]
    if trial.against_champion is not None:
        conditions.append(_champion(trial, trial.against_champion))
    conditions += [_rule(rule, figure, trial.said.get(rule.name, "")) for rule, figure in trial.rules]
    if trial.slices is not None:
        conditions.append(_slices(trial.slices))
    return tuple(replace(condition, complaint="") if condition.passed else condition for condition in conditions)


def decide(trial: Trial) -> Decision:
    """Promote, keep or ask.

    Keep: too few subjects with an answer; not better than the baseline (surely worse, where the model wants no more
    than "not worse"); surely worse than the champion; a rule that keeps. Ask: better than the baseline, but maybe by
    chance, or judged on too few to tell; a rule that asks; a champion that is frozen. Promote otherwise: the first
    champion, a better one, or one that is not surely worse and was fitted on newer data.

    >>> rule = Rule("calibrated", lambda outcomes, answers: 0.0, "its calibration error", at_most=0.05)
    >>> decision = decide(Trial(
    ...     metric=Metric("roc_auc", lambda outcomes, answers: 0.0, True, ""),
    ...     score=Interval(0.8, 0.78, 0.82), baseline=Interval(0.75, 0.73, 0.77), baseline_name="recency alone",
    ...     against_baseline=Interval(0.05, 0.03, 0.07), against_champion=None, coverage=1.0, judged=500,
    ...     rules=((rule, 0.02),)))
    >>> decision.action
    'promote'
    >>> print(decision.reason)
    Promoted as the first champion: roc_auc 0.8000, better than recency alone (0.7500) by 0.0500 [0.0300, 0.0700].
    """
    broken = [judgement for judgement in judgements(trial) if not judgement.passed]
    keeps = "; ".join(judgement.complaint for judgement in broken if judgement.otherwise == "keep")
    asks = "; ".join(judgement.complaint for judgement in broken if judgement.otherwise == "ask")
    gain = _gain(trial)
    if keeps:
        outcome = "Not promoted" if trial.against_champion is None else "The champion is kept"
        return Decision("keep", f"{outcome}: {keeps}.")
    if trial.is_frozen:
        otherwise = f"it would be asked about: {asks}" if asks else f"it would be {gain[0].lower()}{gain[1:]}"
        return Decision("ask", f"A person decides, since the champion is frozen; otherwise {otherwise}.")
    if asks:
        return Decision("ask", f"A person decides: {asks}.")
    return Decision("promote", f"{gain}.")


def under_mode(decision: Decision, mode: Mode) -> Decision:
    """The decision as the customer's TOML lets it be carried out; evidence that keeps a version keeps it always.

    ``automatic`` leaves it. ``dry run`` promotes nothing and asks nobody, ``ask`` asks a person before any promotion;
    both say what would have been done.

    >>> under_mode(Decision("promote", "Promoted as the first champion: roc_auc 0.8."), "dry run").reason
    'Not promoted, since its promotion is a dry run; otherwise: promoted as the first champion: roc_auc 0.8.'
    """
    if mode == "automatic" or decision.action == "keep":
        return decision
    would = f"otherwise: {decision.reason[0].lower()}{decision.reason[1:]}"
    if mode == "dry run":
        return Decision("keep", f"Not promoted, since its promotion is a dry run; {would}")
    if decision.action == "ask":
        return decision
    return Decision("ask", f"A person decides, as the customer's TOML says; {would}")


def _coverage(trial: Trial) -> Judgement:
    words = f"{trial.coverage:.1%} of {trial.subjects} got a score"
    return Judgement(
        "coverage",
        trial.coverage >= trial.least_coverage,
        f"{words}, {trial.least_coverage:.1%} needed",
        complaint=f"only {words}, {trial.least_coverage:.1%} needed",
        found={"share": trial.coverage, "at_least": trial.least_coverage},
    )


def _baseline(trial: Trial) -> Judgement:
    """Better than the baseline beyond chance; or, where the model wants no more, not surely worse."""
    gain, is_strict = trial.against_baseline, trial.beats == "better"
    score = f"{trial.metric.name} {trial.score.value:.4f}"
    rival = f"{trial.baseline_name} ({trial.baseline.value:.4f})"
    may_be_chance = is_strict and gain.value > 0
    return Judgement(
        BASELINE,
        gain.low > 0 if is_strict else gain.high >= 0,
        f"{trial.metric.name} {trial.score.value:.4g} against {trial.baseline.value:.4g} of {trial.baseline_name}; "
        f"better by {gain.value:.4g} ({gain.low:.4g} to {gain.high:.4g})"
        + ("" if is_strict else ", where no more is asked than not to be surely worse"),
        "ask" if may_be_chance else "keep",
        f"{score} is better than {rival} by {gain}, which may be chance"
        if may_be_chance
        else f"{score} is no better than {rival}, by {gain}",
        gain._asdict(),
    )


def is_evidence(gain: Interval, judged: int, least: int) -> bool:
    """Whether a gain rests on enough units, and its interval has a width.

    Two callers who are both understood have an interval of no width: all resamples are alike, and nothing is said of
    chance. A gain of nothing is the exception, since who answers alike is as good.
    """
    return judged >= least and (gain.has_width or gain.value <= 0)


def _enough(trial: Trial) -> Judgement:
    words = f"judged on {trial.judged:,} {trial.units}"
    needed = f"at least {trial.least_judged:,} needed"
    is_few = trial.judged < trial.least_judged
    return Judgement(
        ENOUGH,
        is_evidence(trial.against_baseline, trial.judged, trial.least_judged),
        f"{words}, {needed}"
        if is_few or trial.against_baseline.has_width
        else f"{words}, of whom all resamples say the same",
        "ask",
        f"it was {words} only, {needed}"
        if is_few
        else f"it was {words}, of whom all resamples say the same: an interval of no width says nothing of chance",
        {"judged": trial.judged, "at_least": trial.least_judged},
    )


def _champion(trial: Trial, gain: Interval) -> Judgement:
    return Judgement(
        "holds_against_champion",
        gain.high >= 0,
        f"ahead of the champion by {gain}",
        complaint=f"worse than the champion on the same {trial.subjects}, by {gain}",
        found=gain._asdict(),
    )


def _rule(rule: Rule, figure: float, said: str) -> Judgement:
    bounds = [
        f"{words} {bound:g} allowed"
        for words, bound in (("at least", rule.at_least), ("at most", rule.at_most))
        if not isinf(bound)
    ]
    words = f"{rule.words} is {figure:.4f}, {' and '.join(bounds) or 'any value allowed'}"
    return Judgement(
        rule.name,
        isfinite(figure) and rule.at_least <= figure <= rule.at_most,
        f"{rule.words.removeprefix('its ')} {figure:.4g}, {' and '.join(bounds) or 'any value allowed'}".replace(
            " allowed", ""
        ),
        rule.otherwise,
        ": ".join(filter(None, (said, words))) if isfinite(figure) else f"{rule.words} cannot be told",
        {"error": figure, "at_most": rule.at_most}
        if isinf(rule.at_least)
        else {"value": figure, "at_least": rule.at_least, "at_most": rule.at_most},
    )


def _slices(finding: Finding) -> Judgement:
    """Whether it is surely worse than the baseline for none of the groups; a person decides where it is."""
    return Judgement("slices", finding.passed, finding.message, "ask", finding.message)


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
