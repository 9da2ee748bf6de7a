"""The users that a version was trained on, and the rows to be scored held against them, ages as they were then."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from capflow_assets.blueprint.checking import choice
from capflow_assets.contract import Finding
from capflow_assets.customers.checks_settings import resting, severe
from capflow_assets.deployment import Deployment
from capflow_assets.errors import BrokenModelError
from capflow_assets.expressions.days import local_day_of
from capflow_assets.life.examples import ExampleReader

if TYPE_CHECKING:
    import pandas as pd

    from capflow_assets.monitoring.drift import Reference


@dataclass(frozen=True, slots=True)
class TrainingPopulation:
    """The users that one version was trained on: the distribution of their features and scores, and its moment."""

    reference: Reference
    as_of: datetime


def training_population(deployment: Deployment, reader: ExampleReader, version: int) -> TrainingPopulation:
    """What was kept beside a version of the users that it was trained on.

    Raises:
        BrokenModelError: the reference or the report is missing, damaged, or not the one that was registered.
    """
    from capflow_assets.monitoring.drift import Reference

    customer, name, registry = reader.customer.name, reader.spec.name, deployment.registry
    content = registry.file(customer, name, version, "reference.json")
    try:
        reference = Reference.from_json(content.decode())
    except (ValueError, KeyError, TypeError) as error:  # a version of an earlier release, without a digest
        received = f"{type(error).__name__}: {error}"
        raise BrokenModelError(
            f"The reference of version {version} of {customer}.{name} is damaged", came=received
        ) from None
    return TrainingPopulation(reference, registry.trained_as_of(customer, name, version))


def with_ages_of(then: datetime, reader: ExampleReader, features: pd.DataFrame, now: datetime) -> pd.DataFrame:
    """The features of ``now``, ages as they were ``then``.

    Everybody is a day older tomorrow, so ages drift over any threshold within weeks though nobody has changed. With the
    ages of the training's day, what differs is news: the users who came since.
    """
    days = _local_days(then, now, reader.customer.time_zone)
    blocks = [
        reader.stages.spec(reads.table).table
        for reads in reader.spec.model.joined
        if reads.table in reader.stages.tables
    ]
    ages = {column.name for table in blocks for column in table.columns if column.ages}
    return features.assign(**{name: features[name] - days for name in features.columns if name in ages})


def skew_finding(
    reader: ExampleReader, population: TrainingPopulation, features: pd.DataFrame, as_of: datetime
) -> Finding:
    """The features that are about to be scored, held against those that the champion was trained on.

    Where the finding blocks and did not pass, scores of them would be worse than yesterday's.
    """
    from capflow_assets.monitoring import skew

    name = reader.spec.name
    settings = choice(reader.stages, reader.customer, "skew", f"predictions/{name}")
    if settings.is_off:
        return resting("skew")
    columns = {column: bins for column, bins in population.reference.columns.items() if column != "score"}
    if not columns:
        return Finding("skew", True, "no feature is joined that could be compared", "block")
    state = with_ages_of(population.as_of, reader, features, as_of)
    comparison = skew.compare(replace(population.reference, columns=columns), state)
    return severe(skew.judge(comparison, **settings.thresholds), settings)


def _local_days(first: datetime, last: datetime, zone: str) -> int:
    return (local_day_of(last, zone) - local_day_of(first, zone)).days
