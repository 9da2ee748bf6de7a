"""Health of a champion: the users that it scores now, compared with those that it was trained on, and how good it is.

Two histories are kept: ``health/{model}``, a row per column and scoring, and ``performance/{model}``, a row per scoring
with what was estimated of it, what came of the newest answers whose horizon is over, and the state of the feed. From
them follows what is to be done (``monitoring.policy``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Column, Table
from capflow_assets.deployment import Deployment
from capflow_assets.errors import BrokenModelError
from capflow_assets.life import retrainings
from capflow_assets.life.answers import figure_of
from capflow_assets.life.drift_history import DriftHistory, keep_rows
from capflow_assets.life.examples import ExampleReader
from capflow_assets.life.feed_state import bills_delay, feed_state
from capflow_assets.life.live_performance import PastAnswers, are_chances, past_answers, promised_of
from capflow_assets.life.partial_performance import PartialAnswers, partial_answers
from capflow_assets.life.reference import with_ages_of
from capflow_assets.life.scoring import Scored
from capflow_assets.life.scoring_history import keep_scoring, scoring_rows
from capflow_assets.life.shadow import measure_gain
from capflow_assets.monitoring.observations import Live, Night
from capflow_assets.monitoring.policy import Decision, Past, Rules, decide
from capflow_assets.monitoring.scorings import Scoring, nights_of, past_errors

if TYPE_CHECKING:
    import pandas as pd

HEALTH = Table(
    grain="column (a feature, or the score) and scoring",
    key=("as_of", "model_version", "column"),
    time="as_of",
    columns=(
        Column("as_of", "timestamp", "The as-of moment of the scoring.", required=True),
        Column("model_version", "int", "The champion that scored.", required=True),
        Column("column", "string", "A feature's name, or `score`.", required=True),
        Column("psi", "double", "Population stability index against the training population.", at_least=0),
        Column("threshold", "double", "Above it the column counts as drifted.", required=True),
        Column("is_over", "boolean", "Whether the index is over the threshold, and over chance too.", required=True),
        Column("p_value", "double", "Of no change: chi-squared, corrected for the columns.", at_least=0, at_most=1),
        Column("js", "double", "Jensen-Shannon divergence in bits.", at_least=0, at_most=1),
        Column("ks", "double", "Kolmogorov-Smirnov distance at the bins' edges.", at_least=0, at_most=1),
        Column("fill_then_pct", "double", "Rows of the training with a value.", at_least=0, at_most=100, unit="%"),
        Column("fill_now_pct", "double", "Rows of the scoring with a value.", at_least=0, at_most=100, unit="%"),
        Column("mean", "double", "Mean of the scoring; seasons are told apart by it."),
        Column("deviation", "double", "Standard deviation of the scoring.", at_least=0),
        Column("importance", "double", "The column's share in the model's weight.", at_least=0),
        Column("fault", "string", "What is broken of the column's feed, in words."),
    ),
)


@dataclass(frozen=True, slots=True)
class Health:
    """One scoring's drift: the worst column, and whether any is over the customer's threshold and over chance.

    ``scoring`` has how good it is, estimated and measured; ``night`` as much of that as may be relied on, ``decision``
    what is to be done. ``plots`` are by name.
    """

    as_of: datetime
    champion: int
    worst: str
    psi_max: float
    threshold: float
    is_over: bool
    version: int
    plot: bytes
    scoring: Scoring
    night: Night
    decision: Decision
    trained_as_of: datetime
    plots: Mapping[str, bytes]


def watch(deployment: Deployment, reader: ExampleReader, scored: Scored) -> Health:
    """Measure a scoring, add it to the histories (the same scoring again replaces itself), decide, and draw it."""
    from capflow_assets.monitoring.columns import is_seasonal, measured, moved_importance
    from capflow_assets.pages.health_plots import drift_bars, history_plots
    from capflow_assets.pages.plots import png

    customer, name = reader.customer.name, reader.spec.name
    before, history = scoring_rows(deployment.lake, customer, name), DriftHistory.of(deployment.lake, customer, name)
    threshold = reader.customer.retraining.psi
    report = _report_of(deployment, reader, scored.champion)
    rows = measured(
        scored.population.reference,
        _state(reader, scored),
        threshold,
        _importance(report),
        history.sound_fill(scored.as_of),
    )
    worst = rows.iloc[0]
    night = Night(
        as_of=scored.as_of,
        model_version=scored.champion,
        psi_max=float(worst["psi"]),
        column=str(worst["column"]),
        over=bool(rows["is_over"].any()),
        importance=moved_importance(rows),
        faults=tuple(fault for fault in rows["fault"] if fault),
        is_seasonal=is_seasonal(rows, history.year_before(scored.as_of)),
    )
    scoring = _scoring(deployment, reader, scored, night, report, before)
    version = keep_rows(deployment.lake, customer, name, HEALTH, _rows(rows, scored, threshold))
    keep_scoring(deployment.lake, customer, name, scoring)
    after = scoring_rows(deployment.lake, customer, name)
    nights = [known for known in nights_of(after) if known.as_of <= scored.as_of]
    return Health(
        as_of=scored.as_of,
        champion=scored.champion,
        worst=night.column,
        psi_max=night.psi_max,
        threshold=threshold,
        is_over=night.over,
        version=version,
        plot=png(drift_bars(rows, threshold)),
        scoring=scoring,
        night=nights[-1],
        decision=_decision(deployment, reader, scored, nights),
        trained_as_of=scored.population.as_of,
        plots={
            plot: png(figure)
            for plot, figure in history_plots(history.with_rows(rows, scored.as_of).rows, after).items()
        },
    )


def _state(reader: ExampleReader, scored: Scored) -> pd.DataFrame:
    """The features, ages as they were at the training, and the scores."""
    scores = figure_of(reader.spec.model, scored.answers)
    state = with_ages_of(scored.population.as_of, reader, scored.examples.columns, scored.as_of)
    return state.assign(score=scores)


def _report_of(deployment: Deployment, reader: ExampleReader, version: int) -> Mapping[str, Any]:
    """What the version's training measured; nothing where it was deleted or damaged since it was loaded."""
    try:
        return deployment.registry.report(reader.customer.name, reader.spec.name, version)
    except BrokenModelError:
        return {}


def _importance(report: Mapping[str, Any]) -> dict[str, float] | None:
    from capflow_assets.monitoring.columns import importance_of

    return importance_of(report.get("parameters") or {})


def _scoring(
    deployment: Deployment,
    reader: ExampleReader,
    scored: Scored,
    night: Night,
    report: Mapping[str, Any],
    before: Sequence[Mapping[str, Any]],
) -> Scoring:
    """The night with how good its answers are: what came of earlier ones, and what its scores say."""
    from dataclasses import replace

    delay = bills_delay(deployment, reader.customer, scored.as_of)
    feed = feed_state(deployment, reader.customer, scored.as_of, delay)
    measure_gain(deployment, reader, scored.as_of, delay)
    past = past_answers(deployment, reader, scored.as_of, delay)
    held = past if isinstance(past, PastAnswers) else None
    is_own = held is not None and held.version == scored.champion
    # While nothing of the version is over: afterwards the newest horizon says nearly the same for certain.
    so_far = None if is_own else partial_answers(deployment, reader, scored.as_of, scored.champion, report, delay)
    partial = so_far if isinstance(so_far, PartialAnswers) else None
    estimate, blind = _estimate(reader, scored, night, report, held, before)
    night = replace(
        night,
        faults=(*night.faults, *(feed.faults if feed else ())),
        live=held.live if held and is_own else None,
        reliability=held.reliability if held and is_own else None,
        estimate=estimate,
        partial=partial.live if partial else None,
        late=delay.words,
    )
    return Scoring(
        night=night,
        subjects=scored.totals.subjects,
        feed=feed,
        blind=blind,
        unknown="" if held else "; ".join(str(words) for words in (past, so_far) if words and words is not partial),
        live=held.live if held else None,
        live_as_of=held.as_of if held else None,
        live_version=held.version if held else None,
        partial_as_of=partial.as_of if partial else None,
        partial_pct=partial.come_pct if partial else None,
    )


def _estimate(
    reader: ExampleReader,
    scored: Scored,
    night: Night,
    report: Mapping[str, Any],
    held: PastAnswers | None,
    before: Sequence[Mapping[str, Any]],
) -> tuple[Live | None, str]:
    """What the scores alone say of how good they are; and why that is not to be relied on, where it is not."""
    from dataclasses import replace

    from capflow_assets.monitoring.estimates import blindness, expected_roc_auc, histogram, with_past_errors

    model, rules = reader.spec.model, reader.customer.retraining
    errors = past_errors(before)
    reliability = held.reliability if held else None
    blind = blindness(
        model.metric.name,
        are_chances=are_chances(model),
        is_calibrated=None if reliability is None else not reliability.is_off(rules.calibration_pct),
        moved=night.importance if night.over else 0.0,
        errors=errors,
    )
    if not are_chances(model):
        return None, blind
    interval = expected_roc_auc(histogram(scored.answers["score"]))
    if interval is None:
        return None, blind or "nobody, or everybody, is expected to have the outcome"
    live = promised_of(report, model, *with_past_errors(interval, errors))
    return (None if live is None else replace(live, is_estimate=True)), blind


def _decision(deployment: Deployment, reader: ExampleReader, scored: Scored, nights: Sequence[Night]) -> Decision:
    """What is to be done, by the nights up to this one and by what earlier trainings brought."""
    customer = reader.customer
    trainings = retrainings.past_trainings(deployment.lake, customer.name, reader.spec.name)
    past = Past(trainings, retrainings.last_by_policy(trainings), scored.population.as_of)
    decision = decide(nights, Rules(**customer.retraining.rules()), past, customer.time_zone)
    assert decision is not None  # noqa: S101  (the night itself is among them)
    return decision


def _rows(measures: pd.DataFrame, scored: Scored, threshold: float) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    rows = measures.assign(
        as_of=pd.Timestamp(scored.as_of), model_version=np.int32(scored.champion), threshold=threshold
    )
    return rows[[column.name for column in HEALTH.columns]]
