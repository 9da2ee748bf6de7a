"""The version that a training registers: its estimator, report, pictures, and the population it is held against.

Beside them lies the file that it answers online from (``life.online_files``).

What is decided is carried out: the version becomes champion or challenger. Where it does not become champion and nobody
else answers, ``life.substitutes`` finds who does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from capflow_assets.contract import Estimator, Examples
from capflow_assets.deployment import Deployment
from capflow_assets.life.answers import answered, figure_of
from capflow_assets.life.examples import ExampleReader
from capflow_assets.life.online_files import online_file
from capflow_assets.life.report import TrainingReport
from capflow_assets.stores.saved_estimators import dumps, types_of


@dataclass(frozen=True, slots=True)
class Served:
    """The estimator that will answer, and the subjects of the as-of moment, whom later scorings are held against."""

    estimator: Estimator
    population: Examples
    fitted_moments: tuple[datetime, ...]


def registered(
    deployment: Deployment, reader: ExampleReader, served: Served, report: TrainingReport, plots: Mapping[str, bytes]
) -> int:
    """Register the served estimator with its report, and carry the decision out; the version's number."""
    customer, name, registry = report.customer, report.model, deployment.registry
    online = online_file(reader.spec.model, served.estimator, served.population)
    files = {**plots, **online, "reference.json": _reference(reader, served)}
    content = dumps(served.estimator, types_of(reader.spec.model))
    version = registry.register(customer, name, content, report.to_json(), files)
    if report.decision.action == "promote":
        registry.promote(customer, name, version, report.decision.reason)
    else:
        registry.challenge(customer, name, version, report.decision.reason)
    return version


def _reference(reader: ExampleReader, served: Served) -> bytes:
    """The distribution of the features and answers of the population, for drift and skew."""
    from capflow_assets.monitoring.drift import reference

    answers = answered(reader, served.estimator, served.population, with_reasons=False)
    scores = figure_of(reader.spec.model, answers)
    columns = served.population.columns
    read = [name for name in reader.reading(served.estimator).columns_read if name in columns.columns]
    return reference(columns[read].assign(score=scores)).to_json().encode()
