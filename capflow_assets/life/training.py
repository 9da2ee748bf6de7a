"""The life of a model up to its promotion, the same for every model.

examples as of several past moments → split in time → leaks looked for → challenger, baseline and champion compared on
the newest horizon → promote, keep or ask, with the reason → served estimator → reference for drift → registered version
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version as package_version
from typing import Any

from capflow_assets.blueprint.code_version import code_digest
from capflow_assets.contract import Estimator, Finding, Horizon, Model, Refits, Verdict
from capflow_assets.customers.value_rules import rule_of
from capflow_assets.deployment import Deployment
from capflow_assets.errors import ModelError
from capflow_assets.learning.promotion import Decision, Judgement, Trial, decide, judgements, under_mode
from capflow_assets.life.comparison import (
    ChampionRival,
    Comparison,
    champion_rival,
    compare,
    outcomes_of,
    units_in_words,
)
from capflow_assets.life.examples import ExampleReader
from capflow_assets.life.feed_state import bills_delay
from capflow_assets.life.leaks import barred, leak_bounds, leakage_finding
from capflow_assets.life.pooling import give
from capflow_assets.life.recipes import RecipeChoice, chosen_recipe
from capflow_assets.life.registration import Served, registered
from capflow_assets.life.report import (
    BrokenChampion,
    Calibration,
    Coverage,
    ExampleCounts,
    MetricScore,
    RivalScore,
    TrainingReport,
    earlier_trials,
)
from capflow_assets.life.rungs import needs_substitute
from capflow_assets.life.split import Split, split_in_time
from capflow_assets.life.substitutes import let_substitute_answer, unjudged_substitute
from capflow_assets.life.training_answers import TrainingAnswers
from capflow_assets.life.unjudged import unjudged_decision, unjudged_report
from capflow_assets.life.verdicts import training_verdict


@dataclass(frozen=True, slots=True)
class Trained:
    """One finished training: the version it made, what was measured and decided, and its pictures by file name."""

    version: int
    report: TrainingReport
    plots: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class NotReady:
    """The evidence is not enough; nothing was trained and the champion, if there is one, stays."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class _Judged:
    """The challenger, how it compares with its rivals on the newest horizon, and what follows from that."""

    split: Split
    choice: RecipeChoice
    challenger: Estimator
    champion: ChampionRival | None
    comparison: Comparison
    leak: Finding
    judgements: tuple[Judgement, ...]
    decision: Decision

    @property
    def champion_score(self) -> RivalScore | None:
        """The champion's score, where there was one to compare with."""
        champion, score, difference = self.champion, self.comparison.champion, self.comparison.against_champion
        if champion is None or score is None or difference is None:
            return None
        return RivalScore(champion.version, score, difference)

    @property
    def broken_champion(self) -> BrokenChampion | None:
        """The champion, where it could not be compared with."""
        if self.champion is None or not self.champion.damage:
            return None
        return BrokenChampion(self.champion.version, self.champion.damage)


def train(
    deployment: Deployment,
    reader: ExampleReader,
    params: Horizon,
    as_of: datetime,
    kept: TrainingAnswers | None = None,
) -> Trained | NotReady:
    """Train one model for one customer as of a moment and register it, promoted or not.

    Its answers are ``kept`` for a scoring that follows.

    Raises:
        EvidenceError: the needs are met, and there is too little to learn from or to judge by all the same.
    """
    verdict = training_verdict(reader, params, as_of)
    if not verdict.ready:
        pooled = unjudged_substitute(deployment, reader, params, as_of, verdict, code_version(reader))
        return NotReady(verdict) if pooled is None else Trained(*pooled, {})
    if verdict.not_judged:
        return _described(deployment, reader, params, as_of, verdict, kept)
    split = split_in_time(reader, params, as_of, bills_delay(deployment, reader.customer, as_of))
    judged = _judged(deployment, reader, params, as_of, split)
    served = _served(reader, params, as_of, judged)
    report = _report(reader, params, as_of, verdict, judged, served)
    report = replace(report, shared=give(deployment, reader, params, split.known))
    plots = _plots(reader.spec.model, judged)
    version = registered(deployment, reader, served, report, plots, kept)
    if report.decision.action != "promote" and needs_substitute(deployment, reader):
        let_substitute_answer(deployment, reader, params, judged.split, served.population, report)
    return Trained(version, report, plots)


def _described(
    deployment: Deployment,
    reader: ExampleReader,
    params: Horizon,
    as_of: datetime,
    verdict: Verdict,
    kept: TrainingAnswers | None,
) -> Trained:
    """Fit a model that describes to the as-of moment and register it, where there is nothing yet to judge it by."""
    population, candidate = reader.state(as_of), reader.spec.model.challengers[0]
    served = Served(candidate.make(params).fit(population), population, ())
    mode = reader.customer.promotion_of(reader.spec.name)
    decision = under_mode(unjudged_decision(deployment, reader, verdict), mode)
    code, users = code_version(reader), len(population)
    report = unjudged_report(reader, params, as_of, verdict, served.estimator, users, decision, code)
    return Trained(registered(deployment, reader, served, report, {}, kept), report, {})


def params_of(deployment: Deployment, customer: str, model: str, of_run: dict[str, Any]) -> Horizon:
    """A model's parameters: what the run says, else what the customer's TOML says, else the defaults.

    Raises:
        ModelError: a parameter that the model does not have, or a value out of bounds.
    """
    from pydantic import ValidationError

    declared = deployment.customer(customer).models.get(model, {})
    try:
        return deployment.stages.model(model).model.params(**{**declared, **of_run})
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc']))}: {rule_of(e)}, came {e['input']!r}" for e in error.errors()]
        raise ModelError(
            f"The parameters of {model} are wrong for {customer}",
            came="; ".join(problems),
            where=f"[models.{model}] in the customer's TOML, or the run's configuration",
        ) from None


def code_version(reader: ExampleReader) -> str:
    """The package's version and a digest of the model's file, of the feature blocks that it reads, and of all that
    these import from the package.
    """
    digest = code_digest(*reader.stages.code_of(reader.spec))
    return f"{package_version('capflow-assets')}+{digest[:12]}"


def _judged(deployment: Deployment, reader: ExampleReader, params: Horizon, as_of: datetime, split: Split) -> _Judged:
    """Fit the challenger and its baseline, and judge them beside the champion."""
    model = reader.spec.model
    leak = leakage_finding(reader, split.labelled)
    earlier = earlier_trials(deployment.registry, reader.customer.name, reader.spec.name, as_of)
    choice = chosen_recipe(model, params, split, earlier, leak_bounds(reader))
    challenger = choice.recipe.make().fit(split.train)
    champion = champion_rival(deployment, reader, split)
    baseline = model.baseline.make(params).fit(split.train)
    rival = None if champion is None else champion.answers
    comparison = compare(reader, challenger, baseline, rival, split, params.seed)
    trial = trial_of(deployment, reader, comparison, champion)
    decision = under_mode(barred(decide(trial), leak), reader.customer.promotion_of(reader.spec.name))
    return _Judged(split, choice, challenger, champion, comparison, leak, judgements(trial), decision)


def trial_of(
    deployment: Deployment, reader: ExampleReader, comparison: Comparison, champion: ChampionRival | None
) -> Trial:
    """What the newest horizon showed of a challenger, for the rules of the promotion."""
    from capflow_assets.learning.slices import slices_finding

    model = reader.spec.model
    return Trial(
        metric=model.metric,
        score=comparison.challenger,
        baseline=comparison.baseline,
        baseline_name=model.baseline.name,
        against_baseline=comparison.against_baseline,
        against_champion=comparison.against_champion,
        coverage=comparison.coverage,
        judged=comparison.judged.units,
        rules=tuple(zip(model.rules, comparison.rules, strict=True)),
        said=comparison.said,
        slices=slices_finding(comparison.slices) if comparison.slices else None,
        subjects=model.subject.plural,
        beats=model.beats,
        least_coverage=model.coverage,
        least_judged=model.least_judged,
        units=units_in_words(model.subject, comparison.judged.columns),
        is_frozen=deployment.registry.frozen(reader.customer.name, reader.spec.name),
        broken_champion=f"version {champion.version}" if champion and champion.damage else "",
    )


def _served(reader: ExampleReader, params: Horizon, as_of: datetime, judged: _Judged) -> Served:
    """The estimator to serve, and the moments whose outcomes it has learned from.

    One that is fitted to the state of a moment needs no outcome, so it is fitted again at the as-of moment. One that
    learns from outcomes is fitted again, where it is promoted, on all that are known: the horizon that it was judged on
    is the newest that there is. Otherwise it is kept as it was measured.
    """
    population, split = reader.state(as_of), judged.split
    if reader.spec.model.fitted == "now":
        return Served(judged.choice.recipe.make().fit(population), population, ())
    if judged.decision.action != "promote":
        return Served(judged.challenger, population, split.train_moments)
    known, challenger = split.known, judged.challenger
    again = challenger.refit(known) if isinstance(challenger, Refits) else judged.choice.recipe.make().fit(known)
    return Served(again, population, (*split.train_moments, split.test_moment))


def _report(
    reader: ExampleReader, params: Horizon, as_of: datetime, verdict: Verdict, judged: _Judged, served: Served
) -> TrainingReport:
    model, split, scores = reader.spec.model, judged.split, judged.comparison
    metric = model.metric
    return TrainingReport(
        customer=reader.customer.name,
        model=reader.spec.name,
        family=model.family,
        question=model.question,
        as_of=as_of,
        horizon_days=params.horizon_days,
        test_moment=split.test_moment,
        train_moments=split.train_moments,
        params=judged.choice.recipe.params.model_dump(),
        parameters=served.estimator.parameters(),
        metric=MetricScore(metric.name, metric.description, metric.higher_is_better, scores.challenger),
        baseline=RivalScore(model.baseline.name, scores.baseline, scores.against_baseline),
        champion=judged.champion_score,
        calibration=_calibration(model, scores),
        coverage=Coverage(scores.coverage, model.coverage),
        feature_columns=reader.reading(served.estimator).columns_read,
        data_versions=reader.data_versions(),
        code_version=code_version(reader),
        seed=params.seed,
        examples=ExampleCounts(len(split.train), len(split.test)),
        leakage=judged.leak,
        decision=judged.decision,
        readiness=verdict.reasons,
        broken_champion=judged.broken_champion,
        candidate=judged.choice.recipe.name,
        fitted_moments=served.fitted_moments,
        judgements=judged.judgements,
        choices=judged.choice.rows(),
        slices=tuple(one.row() for one in scores.slices),
    )


def _calibration(model: Model[Any], scores: Comparison) -> Calibration | None:
    """The figure of the rule ``calibrated``, where the model has one."""
    errors = dict(zip((rule.name for rule in model.rules), zip(model.rules, scores.rules, strict=True), strict=True))
    if "calibrated" not in errors:
        return None
    rule, error = errors["calibrated"]
    return Calibration(error, rule.at_most)


def _plots(model: Model[Any], judged: _Judged) -> dict[str, bytes]:
    from capflow_assets.pages.plots import png

    if model.plot is None:
        return {}
    return {"holdout.png": png(model.plot(outcomes_of(judged.split.test), judged.comparison.answers))}
