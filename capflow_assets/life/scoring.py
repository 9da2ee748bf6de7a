"""Predictions by the champion: the answers for all subjects that are known, as the rows of a table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from capflow_assets.contract import Answer, Examples, Finding
from capflow_assets.deployment import Deployment
from capflow_assets.life.answers import answered, ddl, rows_of
from capflow_assets.life.examples import ExampleReader
from capflow_assets.life.reference import TrainingPopulation, skew_finding
from capflow_assets.life.scoring_version import load_scoring_version

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Scored:
    """The predictions of one customer and model. ``version`` is None where skew kept them from being written.

    ``answers`` are indexed by the subject's key, ``frame`` are the same as rows of the table; ``answer`` is the shape.
    ``champion`` is the version that scored; ``warning`` says why, where it is not the champion.
    """

    answers: pd.DataFrame
    frame: pd.DataFrame
    examples: Examples
    champion: int
    version: int | None
    as_of: datetime
    population: TrainingPopulation
    skew: Finding
    answer: Answer
    warning: str = ""


def score(deployment: Deployment, reader: ExampleReader, as_of: datetime) -> Scored | None:
    """Answer for every subject known at the moment with the champion and replace the table; None without a champion.

    Where the champion's files are broken, the champion before it answers, see ``scoring_version``.

    First the features are compared with those that the champion was trained on. Where their skew blocks, the last good
    predictions stay, and those that were not written are returned all the same: drift is measured on them.
    """
    customer, name, model = reader.customer.name, reader.spec.name, reader.spec.model
    loaded = load_scoring_version(deployment, reader)
    if loaded is None:
        return None
    champion, population, warning = loaded.version, loaded.population, loaded.warning
    examples = reader.state(as_of)
    skew = skew_finding(reader, population, examples.columns, as_of)
    answers = answered(reader, loaded.estimator, examples)
    frame = rows_of(model, answers, champion, as_of)
    if skew.severity == "block" and not skew.passed:
        return Scored(answers, frame, examples, champion, None, as_of, population, skew, model.answer, warning)
    session = deployment.lake.spark()
    rows = session.createDataFrame(frame, schema=ddl(model, frame))
    version = deployment.lake.write(rows, customer, f"predictions/{name}")
    return Scored(answers, frame, examples, champion, version, as_of, population, skew, model.answer, warning)
