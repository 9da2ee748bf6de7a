"""The version that a training registers: its estimator, report, pictures, and the population it is held against.

Beside them lies the file that it answers online from (``life.online_files``).

What is decided is carried out: the version becomes champion or challenger. Where it does not become champion and nobody
else answers, ``life.substitutes`` finds who does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from capflow_assets.contract import Estimator, Examples, GivesFigures
from capflow_assets.deployment import Deployment
from capflow_assets.life.answers import answered, figure_of
from capflow_assets.life.examples import ExampleReader
from capflow_assets.life.online_files import online_file
from capflow_assets.life.report import TrainingReport
from capflow_assets.life.training_answers import TrainingAnswers
from capflow_assets.stores.model_files import digest
from capflow_assets.stores.saved_estimators import dumps, types_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Served:
    """The estimator that will answer, and the subjects of the as-of moment, whom later scorings are held against."""

    estimator: Estimator
    population: Examples
    fitted_moments: tuple[datetime, ...]


def registered(
    deployment: Deployment,
    reader: ExampleReader,
    served: Served,
    report: TrainingReport,
    plots: Mapping[str, bytes],
    kept: TrainingAnswers | None = None,
) -> int:
    """Register the served estimator with its report, and carry the decision out; the version's number.

    What it answers for the population is ``kept`` for a scoring that follows.
    """
    customer, name, registry = report.customer, report.model, deployment.registry
    online = online_file(reader.spec.model, served.estimator, served.population)
    content = dumps(served.estimator, types_of(reader.spec.model))
    answers = answered(reader, served.estimator, served.population, with_reasons=False)
    if kept is not None and not isinstance(served.estimator, GivesFigures):
        kept.keep(digest(content), report.as_of, served.population, answers)
    files = {**plots, **online, "reference.json": _reference(reader, served, answers)}
    version = registry.register(customer, name, content, report.to_json(), files)
    if report.decision.action == "promote":
        registry.promote(customer, name, version, report.decision.reason)
    else:
        registry.challenge(customer, name, version, report.decision.reason)
    return version


def _reference(reader: ExampleReader, served: Served, answers: pd.DataFrame) -> bytes:
    """The distribution of the features and answers of the population, for drift and skew."""
    from capflow_assets.monitoring.drift import reference

    scores = figure_of(reader.spec.model, answers)
    columns = served.population.columns
    read = [name for name in reader.reading(served.estimator).columns_read if name in columns.columns]
    return reference(columns[read].assign(score=scores)).to_json().encode()
