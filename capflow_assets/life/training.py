"""The life of a model up to its promotion, the same for every model.

examples as of several past moments → split in time → leaks looked for → challenger, baseline and champion compared on
the newest horizon → promote, keep or ask, with the reason → served estimator → reference for drift → registered version
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version as package_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capflow_assets.blueprint.code_version import code_digest
from capflow_assets.contract import Estimator, Finding, Model, Params, Verdict
from capflow_assets.customers.value_rules import rule_of
from capflow_assets.deployment import Deployment
from capflow_assets.errors import ModelError
from capflow_assets.life.comparison import ChampionRival, Comparison, champion_rival, compare
from capflow_assets.life.examples import Examples
from capflow_assets.life.leaks import barred, leakage_finding
from capflow_assets.life.report import (
    BrokenChampion,
    Calibration,
    Coverage,
    ExampleCounts,
    MetricScore,
    RivalScore,
    TrainingReport,
)
from capflow_assets.life.split import Split, split_in_time
from capflow_assets.life.verdicts import training_verdict
from capflow_assets.stores.saved_estimators import dumps, types_of

if TYPE_CHECKING:
    import pandas as pd

    from capflow_assets.learning.promotion import Decision


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
    challenger: Estimator
    champion: ChampionRival | None
    comparison: Comparison
    leak: Finding
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


@dataclass(frozen=True, slots=True)
class _Served:
    """The estimator that will score, and the users of the as-of moment, whom later scorings are held against."""

    estimator: Estimator
    population: pd.DataFrame


def train(deployment: Deployment, examples: Examples, params: Params, as_of: datetime) -> Trained | NotReady:
    """Train one model for one customer as of a moment and register it, promoted or not."""
    verdict = training_verdict(examples, params, as_of)
    if not verdict.ready:
        return NotReady(verdict)
    split = split_in_time(examples, params, as_of)
    judged = _judged(deployment, examples, params, split)
    served = _served(examples, params, as_of, judged.challenger)
    report = _report(examples, params, as_of, verdict, judged, served)
    plots = _plots(examples.spec.model, judged)
    version = _registered(deployment, examples, served, report, plots)
    return Trained(version, report, plots)


def params_of(deployment: Deployment, customer: str, model: str, of_run: dict[str, Any]) -> Params:
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


def code_version(examples: Examples) -> str:
    """The package's version and a digest of the model's file and of all that it imports from the package."""
    digest = code_digest(Path(str(examples.spec.module.__file__)))
    return f"{package_version('capflow-assets')}+{digest[:12]}"


def _judged(deployment: Deployment, examples: Examples, params: Params, split: Split) -> _Judged:
    """Fit the challenger and its baseline, and judge them beside the champion."""
    model = examples.spec.model
    leak = leakage_finding(examples, *split.labelled)
    challenger = model.estimator(params).fit(split.train, split.train_labels)
    champion = champion_rival(deployment, examples, split)
    baseline = model.baseline(params).fit(split.train, split.train_labels)
    rival = None if champion is None else champion.estimator
    comparison = compare(model, challenger, baseline, rival, split, params.seed)
    decision = barred(_decision(deployment, examples, comparison, champion), leak)
    return _Judged(split, challenger, champion, comparison, leak, decision)


def _decision(
    deployment: Deployment, examples: Examples, comparison: Comparison, champion: ChampionRival | None
) -> Decision:
    from capflow_assets.learning.promotion import Trial, decide

    model = examples.spec.model
    return decide(
        Trial(
            metric=model.metric,
            score=comparison.challenger,
            baseline=comparison.baseline,
            baseline_name=model.baseline_name,
            against_baseline=comparison.against_baseline,
            against_champion=comparison.against_champion,
            calibration=comparison.calibration,
            coverage=comparison.coverage,
            gate=model.gate,
            is_frozen=deployment.registry.frozen(examples.customer.name, examples.spec.name),
            broken_champion=f"version {champion.version}" if champion and champion.damage else "",
        )
    )


def _served(examples: Examples, params: Params, as_of: datetime, challenger: Estimator) -> _Served:
    """The estimator to serve.

    A model that learns from labels is served as it was measured. One that learns from the state of the users needs no
    outcome, so it is fitted again at the as-of moment.
    """
    population = examples.features(as_of)
    if examples.spec.model.learns_from == "labels":
        return _Served(challenger, population)
    return _Served(examples.spec.model.estimator(params).fit(population, None), population)


def _report(
    examples: Examples, params: Params, as_of: datetime, verdict: Verdict, judged: _Judged, served: _Served
) -> TrainingReport:
    model, split, scores = examples.spec.model, judged.split, judged.comparison
    metric = model.metric
    return TrainingReport(
        customer=examples.customer.name,
        model=examples.spec.name,
        family=model.family,
        question=model.question,
        as_of=as_of,
        horizon_days=params.horizon_days,
        test_moment=split.test_moment,
        train_moments=split.train_moments,
        params=params.model_dump(),
        parameters=served.estimator.parameters(),
        metric=MetricScore(metric.name, metric.description, metric.higher_is_better, scores.challenger),
        baseline=RivalScore(model.baseline_name, scores.baseline, scores.against_baseline),
        champion=judged.champion_score,
        calibration=Calibration(scores.calibration, model.gate.at_most),
        coverage=Coverage(scores.coverage, model.gate.coverage),
        feature_columns=model.columns,
        data_versions=examples.data_versions(),
        code_version=code_version(examples),
        seed=params.seed,
        examples=ExampleCounts(len(split.train), len(split.test)),
        leakage=judged.leak,
        decision=judged.decision,
        readiness=verdict.reasons,
        broken_champion=judged.broken_champion,
    )


def _plots(model: Model, judged: _Judged) -> dict[str, bytes]:
    from capflow_assets.pages.plots import png

    if model.plot is None:
        return {}
    return {"holdout.png": png(model.plot(judged.split.test_labels, judged.comparison.predictions))}


def _registered(
    deployment: Deployment, examples: Examples, served: _Served, report: TrainingReport, plots: Mapping[str, bytes]
) -> int:
    """Register the served estimator with its report, and carry the decision out; the version's number."""
    customer, name, registry = report.customer, report.model, deployment.registry
    files = {**plots, "reference.json": _reference(served)}
    content = dumps(served.estimator, types_of(examples.spec.model))
    version = registry.register(customer, name, content, report.to_json(), files)
    if report.decision.action == "promote":
        registry.promote(customer, name, version, report.decision.reason)
    else:
        registry.challenge(customer, name, version, report.decision.reason)
    return version


def _reference(served: _Served) -> bytes:
    """The distribution of the features and scores of the population, for drift and skew."""
    from capflow_assets.monitoring.drift import reference

    scores = served.estimator.predict(served.population)["score"]
    return reference(served.population.assign(score=scores)).to_json().encode()
