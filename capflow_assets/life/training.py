"""The life of a model up to its promotion, the same for every model.

examples as of several past moments → split in time → leaks looked for → baseline → fit → scores on the newest horizon
with intervals → served estimator → reference for drift → registered version → promote, keep or ask, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version as package_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capflow_assets.blueprint.code_version import code_digest
from capflow_assets.contract import Estimator, Model, Params, Verdict, Window
from capflow_assets.customers.value_rules import rule_of
from capflow_assets.deployment import Deployment
from capflow_assets.errors import BrokenModelError, ModelError
from capflow_assets.expressions.as_of import newest
from capflow_assets.expressions.history import first_moment
from capflow_assets.learning import outcomes
from capflow_assets.life.answering import in_short
from capflow_assets.life.examples import Examples
from capflow_assets.life.leaking import barred, leakage_finding, told
from capflow_assets.life.verdicts import judged
from capflow_assets.stores.saved_estimators import dumps, types_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Trained:
    """One finished training: the version it made, and everything a person asks about it."""

    version: int
    report: dict[str, Any]
    plots: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class NotReady:
    """The evidence is not enough; nothing was trained and the champion, if there is one, stays."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Split:
    """Examples of past moments to learn from, and the newest horizon to be judged on."""

    train: pd.DataFrame
    train_labels: pd.DataFrame | None
    test: pd.DataFrame
    test_labels: pd.DataFrame
    test_moment: datetime
    moments: tuple[datetime, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """The predictions of several estimators on the same rows, and their scores with 95 % intervals."""

    predictions: dict[str, pd.DataFrame]
    scores: dict[str, dict[str, float]]
    against_baseline: dict[str, float]
    against_champion: dict[str, float] | None


def params_of(deployment: Deployment, customer: str, model: str, given: dict[str, Any]) -> Params:
    """A model's parameters: what the run says, else what the customer's TOML says, else the defaults.

    Raises:
        ModelError: a parameter that the model does not have, or a value out of bounds.
    """
    from pydantic import ValidationError

    declared = deployment.customer(customer).models.get(model, {})
    try:
        return deployment.stages.model(model).model.params(**{**declared, **given})
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc']))}: {rule_of(e)}, came {e['input']!r}" for e in error.errors()]
        raise ModelError(
            f"The parameters of {model} are wrong for {customer}",
            came="; ".join(problems),
            where=f"[models.{model}] in the customer's TOML, or the run's configuration",
        ) from None


def first_bill(examples: Examples, moment: datetime) -> datetime:
    """The time of the first bill up to the moment of a customer's history (``expressions.history``)."""
    from pyspark.sql import functions as F

    bills = examples.lake.table(examples.customer.name, "clean/bills").filter(F.col("billed_at") <= F.lit(moment))
    first = first_moment(bills)
    if first is None:
        raise ModelError(f"{examples.customer.name} has no bill up to {moment.isoformat()}")
    return first.astimezone(moment.tzinfo)


def known_until(examples: Examples, as_of: datetime) -> datetime:
    """The moment up to which outcomes are known (``learning.outcomes``)."""
    return outcomes.known_until(as_of, newest(examples.lake.table(examples.customer.name, "clean/bills"), as_of))


def train(deployment: Deployment, examples: Examples, params: Params, as_of: datetime) -> Trained | NotReady:
    """Train one model for one customer as of a moment and register it, promoted or not."""
    from capflow_assets.learning.promotion import decide

    customer, name, model = examples.customer.name, examples.spec.name, examples.spec.model
    split, verdict = _split(examples, params, as_of)
    if split is None:
        return NotReady(verdict)
    registry = deployment.registry
    learnt = (split.test, split.test_labels) if split.train_labels is None else (split.train, split.train_labels)
    leak = leakage_finding(examples, *learnt)
    estimator = model.estimator(params).fit(split.train, split.train_labels)
    registry.settle(customer, name)
    champion = registry.champion(customer, name)
    served_champion, broken = _champion(deployment, examples, split, champion) if champion else (None, "")
    rivals = {
        "challenger": estimator,
        "baseline": model.baseline(params).fit(split.train, split.train_labels),
    } | ({"champion": served_champion} if served_champion else {})
    measured = _measure(model, rivals, split, params.seed)
    calibration = float(model.gate.calibration(split.test_labels, measured.predictions["challenger"]))
    coverage = _coverage(measured.predictions["challenger"])
    decision = decide(
        metric=model.metric,
        score=measured.scores["challenger"],
        baseline=measured.scores["baseline"],
        baseline_name=model.baseline_name,
        against_baseline=measured.against_baseline,
        against_champion=measured.against_champion,
        calibration=calibration,
        coverage=coverage,
        gate=model.gate,
        frozen=registry.frozen(customer, name),
        broken_champion=f"version {champion}" if broken else "",
    )
    decision = barred(decision, leak)
    served, population = _served(examples, params, as_of, estimator)
    report = {
        "customer": customer,
        "model": name,
        "family": model.family,
        "question": model.question,
        "as_of": as_of.isoformat(),
        "horizon_days": params.horizon_days,
        "test_moment": split.test_moment.isoformat(),
        "train_moments": [moment.isoformat() for moment in split.moments],
        "params": params.model_dump(),
        "parameters": served.parameters(),
        "metric": {
            "name": model.metric.name,
            "description": model.metric.description,
            "higher_is_better": model.metric.higher_is_better,
            **measured.scores["challenger"],
        },
        "baseline": {
            "name": model.baseline_name,
            **measured.scores["baseline"],
            "difference": measured.against_baseline,
        },
        "champion": {"version": champion, **measured.scores["champion"], "difference": measured.against_champion}
        if served_champion
        else None,
        "calibration": {"error": calibration, "at_most": model.gate.at_most},
        "coverage": {"share": coverage, "at_least": model.gate.coverage},
        "feature_columns": list(model.columns),
        "data_versions": dict(examples.data_versions()),
        "code_version": code_version(examples),
        "seed": params.seed,
        "examples": {"train": len(split.train), "test": len(split.test)},
        "leakage": told(leak),
        "decision": {"action": decision.action, "reason": decision.reason},
        "readiness": [_reason(reason) for reason in verdict.reasons],
    }
    if broken:
        report["broken_champion"] = {"version": champion, "came": broken, "comparison": "not possible"}
    plots = _plots(model, split, measured)
    files = {**plots, "reference.json": _reference(served, population)}
    version = registry.register(customer, name, dumps(served, types_of(model)), report, files)
    if decision.action == "promote":
        registry.promote(customer, name, version, decision.reason)
    else:
        registry.challenge(customer, name, version, decision.reason)
    return Trained(version, report | {"version": version}, plots)


def code_version(examples: Examples) -> str:
    """The package's version and a digest of the model's file and of all that it imports from the package."""
    digest = code_digest(Path(str(examples.spec.module.__file__)))
    return f"{package_version('capflow-assets')}+{digest[:12]}"


def _split(examples: Examples, params: Params, as_of: datetime) -> tuple[Split | None, Verdict]:
    """The examples split in time, or None with the verdict that says what is missing."""
    import pandas as pd

    model = examples.spec.model
    found = judged(examples, params, as_of)
    if not found.ready:
        return None, found
    first, until = first_bill(examples, as_of), known_until(examples, as_of)
    *earlier, newest_moment = outcomes.past_moments(until, params.horizon_days, params.moments, first)
    horizon = timedelta(days=params.horizon_days)
    if model.learns_from == "features":
        test = examples.features(newest_moment)
        test_labels = examples.labels(newest_moment, newest_moment + horizon, test.index)
        return Split(test, None, test, test_labels, newest_moment, ()), found
    every = [*earlier, newest_moment]
    *frames, test = examples.features_at(every)
    windows = [Window(moment, moment + horizon) for moment in every]
    *labels, test_labels = examples.labels_in(windows, [frame.index for frame in (*frames, test)])
    frames = [frame.assign(moment=position) for position, frame in enumerate(frames)]
    return Split(pd.concat(frames), pd.concat(labels), test, test_labels, newest_moment, tuple(earlier)), found


def _champion(deployment: Deployment, examples: Examples, split: Split, version: int) -> tuple[Estimator | None, str]:
    """The champion as a rival on the newest horizon; or None, and why its files cannot be used.

    One that was fitted to the state of the users after the test moment has seen what it would be judged on; its recipe
    is then fitted again at the test moment, so that both rivals know the same.
    """
    from pydantic import ValidationError

    customer, name, model = examples.customer.name, examples.spec.name, examples.spec.model
    try:
        served = deployment.registry.load(customer, name, version, types_of(model))
        report = deployment.registry.report(customer, name, version)
    except BrokenModelError as error:  # a broken champion is one more reason to train
        return None, in_short(error)
    try:
        served.predict(split.test)
    except Exception as error:  # one of an older code may want other features than there are now
        return None, f"it can be loaded and cannot score: {type(error).__name__}: {error}"[:500]
    if model.learns_from == "labels" or datetime.fromisoformat(report["as_of"]) <= split.test_moment:
        return served, ""
    try:
        params = model.params(**report["params"])
    except ValidationError:  # parameters of an older code; there is no recipe to fit again
        return served, ""
    return model.estimator(params).fit(split.train, None), ""


def _measure(model: Model, rivals: dict[str, Estimator], split: Split, seed: int) -> Measured:
    from capflow_assets.learning.intervals import difference_with_interval, score_with_interval

    predictions = {name: rival.predict(split.test) for name, rival in rivals.items()}
    labels = split.test_labels

    def against(rival: str) -> dict[str, float]:
        found = difference_with_interval(model.metric, labels, predictions["challenger"], predictions[rival], seed=seed)
        return _interval(found)

    return Measured(
        predictions=predictions,
        scores={
            name: _interval(score_with_interval(model.metric, labels, predicted, seed=seed))
            for name, predicted in predictions.items()
        },
        against_baseline=against("baseline"),
        against_champion=against("champion") if "champion" in rivals else None,
    )


def _interval(found: Any) -> dict[str, float]:
    value, low, high = found
    return {"value": float(value), "low": float(low), "high": float(high)}


def _coverage(predictions: pd.DataFrame) -> float:
    import numpy as np

    return float(np.isfinite(predictions["score"].to_numpy(dtype=float)).mean())


def _served(examples: Examples, params: Params, as_of: datetime, measured: Estimator) -> tuple[Estimator, pd.DataFrame]:
    """The estimator that will score, and the population of the as-of moment.

    A model that learns from labels is served as it was measured. One that learns from the state of the users needs no
    outcome, so it is fitted again at the as-of moment.
    """
    population = examples.features(as_of)
    if examples.spec.model.learns_from == "labels":
        return measured, population
    return examples.spec.model.estimator(params).fit(population, None), population


def _reference(served: Estimator, population: pd.DataFrame) -> bytes:
    from capflow_assets.monitoring.drift import reference

    return reference(population.assign(score=served.predict(population)["score"])).to_json().encode()


def _plots(model: Model, split: Split, measured: Measured) -> dict[str, bytes]:
    from capflow_assets.pages.plots import png

    if model.plot is None:
        return {}
    return {"holdout.png": png(model.plot(split.test_labels, measured.predictions["challenger"]))}


def _reason(reason: Any) -> dict[str, Any]:
    return {"need": reason.need, "found": reason.found, "needed": reason.needed, "met": reason.met, "fix": reason.fix}
