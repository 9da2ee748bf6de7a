"""A champion with a new calibration: the same order of subjects, its chances made honest again.

Of the subjects of the newest horizon, which the champion answered before anybody knew what came, one half fits the
calibration and the other judges it. It becomes a version like any other, promoted by the same rules; and it must lose
less a subject (log loss) than the champion does as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from capflow_assets.contract import Estimator, Examples, Horizon, Recalibrates
from capflow_assets.deployment import Deployment
from capflow_assets.errors import BrokenModelError, EvidenceError
from capflow_assets.learning.example_weights import example_weights
from capflow_assets.learning.moments import some_rows, together
from capflow_assets.learning.outcomes import past_windows
from capflow_assets.learning.promotion import Decision, decide, judgements, under_mode
from capflow_assets.life.answers import answered
from capflow_assets.life.comparison import ChampionRival, Comparison, compare, outcomes_of
from capflow_assets.life.examples import ExampleReader
from capflow_assets.life.feed_state import bills_delay
from capflow_assets.life.registration import Served, registered
from capflow_assets.life.report import (
    Calibration,
    Coverage,
    ExampleCounts,
    MetricScore,
    RivalScore,
    TrainingReport,
    training_report,
)
from capflow_assets.life.rungs import rung_of
from capflow_assets.life.split import Split, filled_until, first_bill
from capflow_assets.life.training import NotReady, Trained, code_version, train, trial_of
from capflow_assets.monitoring.arrivals import LandingDelay
from capflow_assets.stores.saved_estimators import types_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True, slots=True)
class _Champion:
    version: int
    estimator: Recalibrates
    report: TrainingReport


def recalibrate(deployment: Deployment, reader: ExampleReader, params: Horizon, as_of: datetime) -> Trained | NotReady:
    """Register the champion with a new calibration, promoted or not; trained anew where it cannot be recalibrated.

    Raises:
        EvidenceError: no horizon is over since the champion was trained, or too few outcomes came of it.
    """
    champion = _champion(deployment, reader)
    if champion is None:
        return train(deployment, reader, params, as_of)
    reader = reader.reading(champion.estimator)  # type: ignore[arg-type]
    delay = bills_delay(deployment, reader.customer, as_of)
    split, fitted_on = _halves(reader, params, champion.report, as_of, delay)
    estimator = champion.estimator.recalibrated(fitted_on)
    as_it_is: Estimator = champion.estimator  # type: ignore[assignment]
    answers = answered(reader, as_it_is, split.test, with_reasons=False)
    baseline = reader.spec.model.baseline.make(params).fit(split.train)
    scores = compare(reader, estimator, baseline, answers, split, params.seed)
    report = _report(deployment, reader, champion, scores, split, as_of)
    decision = _decision(deployment, reader, report.decision, outcomes_of(split.test), scores.answers, answers)
    report = replace(report, decision=decision, parameters=estimator.parameters(), code_version=code_version(reader))
    served = Served(estimator, reader.state(as_of), champion.report.fitted_moments)
    return Trained(registered(deployment, reader, served, report, {}), report, {})


def _champion(deployment: Deployment, reader: ExampleReader) -> _Champion | None:
    """The champion, where it is a model of the customer's own that can be recalibrated."""
    customer, name, model, registry = reader.customer.name, reader.spec.name, reader.spec.model, deployment.registry
    registry.settle(customer, name)
    version = registry.champion(customer, name)
    if not version:
        return None
    try:
        estimator = registry.load(customer, name, version, types_of(model))
        is_own = rung_of(model, registry.report(customer, name, version)) == "own"
        report = training_report(registry, customer, name, version)
    except BrokenModelError:
        return None
    return _Champion(version, estimator, report) if is_own and isinstance(estimator, Recalibrates) else None


def _halves(
    reader: ExampleReader, params: Horizon, report: TrainingReport, as_of: datetime, delay: LandingDelay
) -> tuple[Split, Examples]:
    """One half of the newest horizon's subjects to be judged on, and the other to fit the calibration on."""
    import pandas as pd

    zone = reader.customer.time_zone
    until, first = filled_until(reader, as_of, delay), first_bill(reader, as_of)
    windows = past_windows(until, report.horizon_days, 2, first, zone)
    if len(windows) < 2 or windows[-1].start < report.as_of:
        raise EvidenceError(
            f"{reader.spec.name} cannot be recalibrated yet",
            expected=f"a horizon of {report.horizon_days} days since its training as of {report.as_of.isoformat()}",
            came=f"outcomes known up to {until.isoformat()}",
            do="wait until a horizon is over, or train it again",
        )
    earlier, newest = reader.sampled(windows, params.max_examples).with_outcomes(windows)
    is_fitted_on = (pd.util.hash_pandas_object(newest.columns.index.to_frame(), index=False) % 2 == 0).to_numpy()
    judged = some_rows(newest, ~is_fitted_on)
    split = Split(together([earlier]), judged, windows[-1].start, (windows[0].start,))
    return split, some_rows(newest, is_fitted_on)


def _report(
    deployment: Deployment,
    reader: ExampleReader,
    champion: _Champion,
    scores: Comparison,
    split: Split,
    as_of: datetime,
) -> TrainingReport:
    """The champion's report with what the newest horizon showed of the new calibration."""
    model, old = reader.spec.model, champion.report
    rival = ChampionRival(champion.version, None, None)
    trial = trial_of(deployment, reader, scores, rival)
    rules = dict(zip((rule.name for rule in model.rules), zip(model.rules, scores.rules, strict=True), strict=True))
    calibrated = rules.get("calibrated")
    assert scores.champion is not None  # noqa: S101  (it was compared with)
    assert scores.against_champion is not None  # noqa: S101
    return replace(
        old,
        as_of=as_of,
        test_moment=split.test_moment,
        metric=MetricScore(
            model.metric.name, model.metric.description, model.metric.higher_is_better, scores.challenger
        ),
        baseline=RivalScore(model.baseline.name, scores.baseline, scores.against_baseline),
        champion=RivalScore(champion.version, scores.champion, scores.against_champion),
        calibration=None if calibrated is None else Calibration(calibrated[1], calibrated[0].at_most),
        coverage=Coverage(scores.coverage, model.coverage),
        data_versions=reader.data_versions(),
        examples=ExampleCounts(old.examples.train, len(split.test)) if old.examples else old.examples,
        decision=decide(trial),
        judgements=judgements(trial),
        slices=tuple(one.row() for one in scores.slices),
    )


def _decision(
    deployment: Deployment,
    reader: ExampleReader,
    by_rules: Decision,
    outcomes: pd.DataFrame,
    recalibrated: pd.DataFrame,
    as_it_is: pd.DataFrame,
) -> Decision:
    """What the rules say, unless the new calibration loses no less a subject than the old one."""
    observed = outcomes[reader.spec.model.outcome.columns[0]]
    weights = example_weights(outcomes)
    new, old = (_log_loss(observed, answers["score"], weights) for answers in (recalibrated, as_it_is))
    words = f"log loss {new:.4f} recalibrated, {old:.4f} as it was"
    if new >= old:
        return Decision("keep", f"The champion is kept: a new calibration brings nothing ({words}).")
    decision = replace(by_rules, reason=f"Recalibrated ({words}). {by_rules.reason}")
    return under_mode(decision, reader.customer.promotion_of(reader.spec.name))


def _log_loss(observed: pd.Series, chances: pd.Series, weights: np.ndarray | None) -> float:
    """The mean of ``-log p`` of what came."""
    import numpy as np

    chance = chances.to_numpy(dtype=float).clip(1e-9, 1 - 1e-9)
    losses = -np.log(np.where(observed.to_numpy(dtype=float) > 0, chance, 1 - chance))
    return float(np.average(losses, weights=weights))
