"""What a champion was trained on, and the rows to be scored held against it: ages as they were then."""

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
from capflow_assets.life.examples import Examples

if TYPE_CHECKING:
    import pandas as pd

    from capflow_assets.monitoring.drift import Reference


@dataclass(frozen=True, slots=True)
class TrainedOn:
    """The training population of one version: what is remembered of it, and its as-of moment."""

    reference: Reference
    as_of: datetime


def trained_on(deployment: Deployment, examples: Examples, version: int) -> TrainedOn:
    """What was kept beside a version when it was trained."""
    from capflow_assets.monitoring.drift import Reference

    customer, name, registry = examples.customer.name, examples.spec.name, deployment.registry
    content = registry.file(customer, name, version, "reference.json")
    try:
        reference = Reference.from_json(content.decode())
    except (ValueError, KeyError, TypeError) as error:  # a version without a digest, of a release before
        came = f"{type(error).__name__}: {error}"
        raise BrokenModelError(
            f"The reference of version {version} of {customer}.{name} is damaged", came=came
        ) from None
    return TrainedOn(reference, datetime.fromisoformat(registry.report(customer, name, version)["as_of"]))


def as_then(examples: Examples, features: pd.DataFrame, then: datetime, now: datetime) -> pd.DataFrame:
    """The features of ``now``, ages as they were ``then``.

    Everybody is a day older tomorrow, so ages drift over any threshold within weeks though nobody has changed. Held
    against the training population at its own time, they tell what is news: how many users there are who came since.
    """
    days = _local_days(then, now, examples.customer.time_zone)
    blocks = [examples.stages.spec(f"features/{name}").table for name in examples.spec.model.features]
    ages = {column.name for table in blocks for column in table.columns if column.ages}
    return features.assign(**{name: features[name] - days for name in features.columns if name in ages})


def skew_finding(examples: Examples, then: TrainedOn, features: pd.DataFrame, as_of: datetime) -> Finding:
    """The features that are about to be scored, held against those that the champion knows.

    Where the finding blocks and did not pass, scores of them would be worse than yesterday's.
    """
    from capflow_assets.monitoring import skew

    name = examples.spec.name
    chosen = choice(examples.stages, examples.customer, "skew", f"predictions/{name}")
    if chosen.is_off:
        return resting("skew")
    columns = {each: bins for each, bins in then.reference.columns.items() if each != "score"}
    state = as_then(examples, features, then.as_of, as_of)
    found = skew.compare(replace(then.reference, columns=columns), state)
    return severe(skew.judge(found, **chosen.thresholds), chosen)


def _local_days(first: datetime, last: datetime, zone: str) -> int:
    return (local_day_of(last, zone) - local_day_of(first, zone)).days
