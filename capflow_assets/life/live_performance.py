"""How good the answers of a past night were, once their horizon is over: held against what came, as they were given.

A horizon counts as over once its last bills have landed: where they land late, that long after its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Model, Window
from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError
from capflow_assets.expressions.days import days_after
from capflow_assets.life import answers_history
from capflow_assets.life.examples import ExampleReader
from capflow_assets.life.outcome_rows import Share
from capflow_assets.life.split import filled_until
from capflow_assets.monitoring.arrivals import ON_TIME, LandingDelay
from capflow_assets.monitoring.observations import Z95, Live, Reliability
from capflow_assets.stores.moments import moments

if TYPE_CHECKING:
    import pandas as pd

# Of more subjects a sample is drawn by a digest of their keys.
MOST_SUBJECTS = 200_000


@dataclass(frozen=True, slots=True)
class PastAnswers:
    """What was answered as of a past moment, by which version, held against what came in the horizon after it.

    ``live`` is None where the version's training measured nothing to hold it against; ``reliability`` where the
    answers are no chances.
    """

    as_of: datetime
    version: int
    live: Live | None
    reliability: Reliability | None
    subjects: int


def are_chances(model: Model[Any]) -> bool:
    """Whether a model's scores are meant as chances of its outcome."""
    return model.metric.name == "roc_auc" and any(rule.name == "calibrated" for rule in model.rules)


def past_answers(
    deployment: Deployment, reader: ExampleReader, as_of: datetime, delay: LandingDelay = ON_TIME
) -> PastAnswers | str:
    """The newest answers that were kept whose horizon is over by ``as_of``; or in words why there are none to judge.

    Over is a horizon whose bills have landed too, by the ``delay`` that they have.

    Subjects of whom nothing can be said are left out, as in a training.
    """
    from capflow_assets.learning.intervals import score_with_interval

    customer, name, model = reader.customer.name, reader.spec.name, reader.spec.model
    if reader.spec.events is not None:
        return "what it answers of is no state of a moment"
    try:
        over = _over(deployment, reader, as_of, delay)
        if over is None:
            landed = f" and has landed, which takes up to {delay.wait_days} days" if delay.wait_days else ""
            return f"no horizon of what was answered is over{landed} yet"
        window, version = over
        outcomes, answers = held_together(reader, window)
        interval = score_with_interval(model.metric, outcomes, answers, seed=0)
        promised = deployment.registry.report(customer, name, version).get("metric") or {}
    except CapflowError as error:
        return str(error).splitlines()[0]
    except KeyError as error:
        return f"{model.metric.name} reads {error}, which is not kept of the answers"
    return PastAnswers(
        window.start,
        version,
        _beside(promised, model, *interval),
        _reliability(outcomes[model.outcome.columns[0]], answers["score"]) if are_chances(model) else None,
        int(answers.index.nunique()),
    )


def promised_of(report: Mapping[str, Any], model: Model[Any], value: float, low: float, high: float) -> Live | None:
    """A figure of a version beside what its report says that its training measured; None where it measured nothing."""
    return _beside(report.get("metric") or {}, model, value, low, high)


def _over(
    deployment: Deployment, reader: ExampleReader, as_of: datetime, delay: LandingDelay
) -> tuple[Window, int] | None:
    """The newest kept moment whose horizon is over, with the version that answered."""
    lake, customer, name = deployment.lake, reader.customer.name, reader.spec.name
    table, zone = answers_history.table_of(name), reader.customer.time_zone
    kept = [moment for moment in moments(lake, customer, table) if moment < as_of]
    if not kept:
        return None
    until = filled_until(reader, as_of, delay)
    for moment in reversed(kept):
        answers = answers_history.as_of(lake, customer, name, moment)
        first = answers.select("model_version").limit(1).collect() if answers is not None else []
        if not first:
            continue
        version = int(first[0][0])
        horizon_days = int(deployment.registry.report(customer, name, version).get("horizon_days") or 0)
        end = days_after(moment, horizon_days, zone)
        if horizon_days and end <= until:
            return Window(moment, end), version
    return None


def sampled(reader: ExampleReader) -> ExampleReader:
    """The same, of so small a share of the subjects that about ``MOST_SUBJECTS`` are held against what came."""
    lake, customer, table = reader.lake, reader.customer.name, answers_history.table_of(reader.spec.name)
    rows, kept = lake.rows(customer, table), len(moments(lake, customer, table))
    return replace(reader, share=Share(0, max(1, -(-rows // max(kept, 1) // MOST_SUBJECTS))))


def held_together(reader: ExampleReader, window: Window) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What came in a window, and what was answered as of its start, of the same subjects in the same order."""
    reader = sampled(reader)
    frame = answers_history.as_of(reader.lake, reader.customer.name, reader.spec.name, window.start)
    assert frame is not None  # noqa: S101  (its moment was kept)
    answers = reader.share.of(frame, reader.key).toPandas().set_index(reader.key)
    (outcomes,) = reader.outcomes_in([window], [answers.index.unique()])
    if reader.spec.model.outcome.absent == "unknown":
        outcomes = outcomes.dropna()
        answers = answers[answers.index.isin(outcomes.index)]
    return outcomes, answers


def _beside(promised: Mapping[str, Any], model: Model[Any], value: float, low: float, high: float) -> Live | None:
    if promised.get("value") is None or promised.get("name") != model.metric.name:
        return None
    then, then_low, then_high = (float(promised[end]) for end in ("value", "low", "high"))
    return Live(model.metric.name, value, low, high, then, then_low, then_high, model.metric.higher_is_better)


def _reliability(outcome: pd.Series, scores: pd.Series) -> Reliability | None:
    """The mean chance, and the share that came with its normal interval."""
    outcomes = (outcome > 0).to_numpy(dtype=float)
    if not outcomes.size:
        return None
    observed = float(outcomes.mean())
    reach = float(Z95 * (observed * (1 - observed) / outcomes.size) ** 0.5)
    return Reliability(float(scores.mean()), observed, max(0.0, observed - reach), min(1.0, observed + reach))
