"""Predictions by the champion: the answers for all subjects that are known, as the rows of a table.

Where there are many subjects they are answered for some at a time, so that neither all of their features nor all of
their rows are ever held (``answer_parts``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from capflow_assets.contract import Answer, Examples, Finding
from capflow_assets.deployment import Deployment
from capflow_assets.life import answers_history
from capflow_assets.life.answer_parts import AnswerParts, Totals
from capflow_assets.life.answers import answered
from capflow_assets.life.engine_scoring import may_score_in_engine, write_answers
from capflow_assets.life.examples import ExampleReader
from capflow_assets.life.reference import TrainingPopulation, skew_finding
from capflow_assets.life.scoring_version import LoadedVersion, load_scoring_version
from capflow_assets.life.shadow import answer_in_shadow
from capflow_assets.life.training_answers import TrainingAnswers
from capflow_assets.stores.model_files import MODEL
from capflow_assets.stores.saved_estimators import types_of

if TYPE_CHECKING:
    import pandas as pd

SUBJECTS_AT_ONCE = 200_000
EMBEDDED = "sail"


@dataclass(frozen=True, slots=True)
class Scored:
    """The predictions of one customer and model. ``version`` is None where skew kept them from being written.

    ``answers`` are those for ``examples``: all subjects, or where there are many a sample of them drawn by a digest of
    their keys. ``totals`` are of all that were answered for. ``champion`` is the version that scored; ``warning`` says
    why, where it is not the champion. ``shadow`` says what the former champion did, where it answered besides.
    """

    answers: pd.DataFrame
    examples: Examples
    totals: Totals
    champion: int
    version: int | None
    as_of: datetime
    population: TrainingPopulation
    skew: Finding
    answer: Answer
    warning: str = ""
    rung: str = "own"
    shadow: str = ""


def score(
    deployment: Deployment,
    reader: ExampleReader,
    as_of: datetime,
    at_once: int = SUBJECTS_AT_ONCE,
    in_engine: bool | None = None,
    kept: TrainingAnswers | None = None,
) -> Scored | None:
    """Answer for every subject known at the moment with the champion and replace the table; None without a champion.

    ``in_engine`` says whether the engine's workers answer (``engine_scoring``); by default they do on every engine but
    the one in this process, where rows would only go to and fro. What the training before it has ``kept`` is not asked
    again.

    What was answered is kept besides, see ``answers_history``; after a promotion so is what the former champion would
    have answered, see ``shadow``.

    Where the champion's files are broken, the champion before it answers, see ``scoring_version``.

    First the features are compared with those that the champion was trained on. Where their skew blocks, the last good
    predictions stay, and some that were not written are returned all the same: drift is measured on them.
    """
    customer, name, model = reader.customer.name, reader.spec.name, reader.spec.model
    loaded = load_scoring_version(deployment, reader)
    if loaded is None:
        return None
    whole, reader = reader, reader.reading(loaded.estimator)
    parts = reader.parts(as_of, at_once)
    examples = next(parts)
    skew = skew_finding(reader, loaded.population, examples.columns, as_of)
    version, shadow = None, ""
    with AnswerParts(model, loaded.version, as_of, loaded.rung) as written:
        answers = _kept(deployment, reader, loaded, examples, as_of, kept)
        if answers is None:
            answers = answered(reader, loaded.estimator, examples)
        written.add(answers)
        is_written = skew.passed or skew.severity != "block"
        elsewhere = deployment.engine.engine != EMBEDDED if in_engine is None else in_engine
        if is_written and elsewhere and may_score_in_engine(model) and len(answers):
            version, totals = _in_engine(deployment, reader, loaded, as_of, answers)
        else:
            if is_written:
                for part in parts:
                    written.add(answered(reader, loaded.estimator, part))
                version = deployment.lake.write_batches(customer, f"predictions/{name}", written.rows())
            totals = written.totals()
    if version is not None:
        answers_history.keep(deployment, reader.customer, name, loaded.version, as_of)
        shadow = answer_in_shadow(deployment, whole, examples, loaded.version, as_of, at_once)
    population, champion = loaded.population, loaded.version
    return Scored(
        answers,
        examples,
        totals,
        champion,
        version,
        as_of,
        population,
        skew,
        model.answer,
        loaded.warning,
        loaded.rung,
        shadow,
    )


def _kept(
    deployment: Deployment,
    reader: ExampleReader,
    loaded: LoadedVersion,
    examples: Examples,
    as_of: datetime,
    kept: TrainingAnswers | None,
) -> pd.DataFrame | None:
    """What the version answered when it was trained in this run; None where it was not, or not for those subjects."""
    if kept is None:
        return None
    _, digest = deployment.registry.paths(reader.customer.name, reader.spec.name, loaded.version)[MODEL]
    return kept.of(digest, as_of, examples) if digest else None


def _in_engine(
    deployment: Deployment, reader: ExampleReader, loaded: LoadedVersion, as_of: datetime, sample: pd.DataFrame
) -> tuple[int, Totals]:
    registry, customer, name = deployment.registry, reader.customer.name, reader.spec.name
    content, types = registry.read(customer, name, loaded.version, MODEL), types_of(reader.spec.model)
    return write_answers(deployment, reader, content, types, as_of, sample, loaded.version, loaded.rung)
