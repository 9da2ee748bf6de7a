"""The challenger beside its baseline and the champion, all judged on the newest horizon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from capflow_assets.contract import Estimator, Model
from capflow_assets.deployment import Deployment
from capflow_assets.errors import BrokenModelError
from capflow_assets.life.examples import Examples
from capflow_assets.life.report import TrainingReport, training_report
from capflow_assets.life.scoring_version import in_one_line
from capflow_assets.life.split import Split
from capflow_assets.stores.saved_estimators import types_of

if TYPE_CHECKING:
    import pandas as pd

    from capflow_assets.learning.intervals import Interval


@dataclass(frozen=True, slots=True)
class ChampionRival:
    """The champion's version and its estimator; where that cannot be used, ``damage`` says why."""

    version: int
    estimator: Estimator | None
    damage: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The challenger's predictions for the test's users, and the scores of all rivals with their 95 % intervals.

    The differences are paired on the same users, above 0 where the challenger is better. ``champion`` and
    ``against_champion`` are None where there is no champion to compare with.
    """

    predictions: pd.DataFrame
    challenger: Interval
    baseline: Interval
    against_baseline: Interval
    champion: Interval | None
    against_champion: Interval | None
    calibration: float
    coverage: float


def champion_rival(deployment: Deployment, examples: Examples, split: Split) -> ChampionRival | None:
    """The champion as a rival on the newest horizon; None where there is no champion."""
    customer, name = examples.customer.name, examples.spec.name
    deployment.registry.settle(customer, name)
    version = deployment.registry.champion(customer, name)
    if not version:
        return None
    try:
        served = deployment.registry.load(customer, name, version, types_of(examples.spec.model))
        report = training_report(deployment.registry, customer, name, version)
    except BrokenModelError as error:  # a broken champion is one more reason to train
        return ChampionRival(version, None, in_one_line(error))
    try:
        served.predict(split.test)
    except Exception as error:  # one of an older code may want other features than there are now
        damage = f"it can be loaded and cannot score: {type(error).__name__}: {error}"[:500]
        return ChampionRival(version, None, damage)
    return ChampionRival(version, _at_test_moment(examples.spec.model, served, report, split))


def _at_test_moment(model: Model, served: Estimator, report: TrainingReport, split: Split) -> Estimator:
    """The champion as it would be, had it been trained at the test moment.

    One that was fitted to the state of the users after that moment has seen what it would be judged on. Its recipe is
    fitted again at the test moment, so that both rivals know the same.
    """
    from pydantic import ValidationError

    if model.learns_from == "labels" or report.as_of <= split.test_moment:
        return served
    try:
        params = model.params(**report.params)
    except ValidationError:  # parameters of an older code; there is no recipe to fit again
        return served
    return model.estimator(params).fit(split.train, None)


def compare(
    model: Model, challenger: Estimator, baseline: Estimator, champion: Estimator | None, split: Split, seed: int
) -> Comparison:
    """Score all rivals on the test's users."""
    from capflow_assets.learning.intervals import difference_with_interval, score_with_interval

    labels, predictions = split.test_labels, challenger.predict(split.test)

    def score(rival: pd.DataFrame) -> Interval:
        return score_with_interval(model.metric, labels, rival, seed=seed)

    def lead_over(rival: pd.DataFrame) -> Interval:
        return difference_with_interval(model.metric, labels, predictions, rival, seed=seed)

    by_baseline = baseline.predict(split.test)
    by_champion = None if champion is None else champion.predict(split.test)
    return Comparison(
        predictions=predictions,
        challenger=score(predictions),
        baseline=score(by_baseline),
        against_baseline=lead_over(by_baseline),
        champion=None if by_champion is None else score(by_champion),
        against_champion=None if by_champion is None else lead_over(by_champion),
        calibration=float(model.gate.calibration(labels, predictions)),
        coverage=_coverage(predictions),
    )


def _coverage(predictions: pd.DataFrame) -> float:
    """The share of the users who got a score."""
    import numpy as np

    return float(np.isfinite(predictions["score"].to_numpy(dtype=float)).mean())
