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
from capflow_assets.life.examples import ExampleReader
from capflow_assets.life.reference import TrainingPopulation, skew_finding
from capflow_assets.life.scoring_version import load_scoring_version

if TYPE_CHECKING:
    import pandas as pd

SUBJECTS_AT_ONCE = 200_000


@dataclass(frozen=True, slots=True)
class Scored:
    """The predictions of one customer and model. ``version`` is None where skew kept them from being written.

    ``answers`` are those for ``examples``: all subjects, or where there are many a sample of them drawn by a digest of
    their keys. ``totals`` are of all that were answered for. ``champion`` is the version that scored; ``warning`` says
    why, where it is not the champion.
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


def score(
    deployment: Deployment, reader: ExampleReader, as_of: datetime, at_once: int = SUBJECTS_AT_ONCE
) -> Scored | None:
    """Answer for every subject known at the moment with the champion and replace the table; None without a champion.

    What was answered is kept besides, see ``answers_history``.

    Where the champion's files are broken, the champion before it answers, see ``scoring_version``.

    First the features are compared with those that the champion was trained on. Where their skew blocks, the last good
    predictions stay, and some that were not written are returned all the same: drift is measured on them.
    """
    customer, name, model = reader.customer.name, reader.spec.name, reader.spec.model
    loaded = load_scoring_version(deployment, reader)
    if loaded is None:
        return None
    reader = reader.reading(loaded.estimator)
    parts = reader.parts(as_of, at_once)
    examples = next(parts)
    skew = skew_finding(reader, loaded.population, examples.columns, as_of)
    version = None
    with AnswerParts(model, loaded.version, as_of, loaded.rung) as written:
        answers = answered(reader, loaded.estimator, examples)
        written.add(answers)
        if skew.passed or skew.severity != "block":
            for part in parts:
                written.add(answered(reader, loaded.estimator, part))
            version = deployment.lake.write_batches(customer, f"predictions/{name}", written.rows())
        totals = written.totals()
    if version is not None:
        answers_history.keep(deployment, reader.customer, name, loaded.version, as_of)
    population, champion = loaded.population, loaded.version
    return Scored(
        answers, examples, totals, champion, version, as_of, population, skew, model.answer, loaded.warning, loaded.rung
    )
