"""The coming night of a deployment, as ``capflow plan`` simulates it: whose it is, what it costs, what runs at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import cycle, islice

import dagster as dg

from capflow_assets.blueprint.stages import Stages
from capflow_assets.customers.night_settings import DeclaredNight, NightSettings, declared_night
from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError
from capflow_assets.graph.night_history import DATABRICKS, LOCAL, capacity_of, costs_of
from capflow_assets.graph.partitions import CUSTOMERS
from capflow_assets.nights.job_costs import History
from capflow_assets.nights.jobs import SCORING, TABLES, Capacity, Pool
from capflow_assets.nights.plan import Planned, arrivals_of
from capflow_assets.nights.simulation import Arrival
from capflow_assets.nights.windows import Night, next_night

# When the night of a customer begins whose TOML does not say.
ASSUMED_START = "22:00"


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a plan is made of, and what was assumed or left out for it, in words."""

    arrivals: list[Arrival]
    capacity: Capacity
    history: History
    notes: list[str]


def outlook(
    deployment: Deployment,
    instance: dg.DagsterInstance,
    more: int = 0,
    slots: int | None = None,
    memory_gib: float | None = None,
    at: str | None = None,
    now: float | None = None,
) -> Outlook:
    """The next night of every customer, and of ``more`` that are like them.

    ``slots`` and ``memory_gib`` take the place of what this machine and Dagster's queue have; ``at``, a time of day,
    that of every customer's start.
    """
    now = datetime.now(UTC).timestamp() if now is None else now
    declared, notes = declared_nights(deployment)
    places = {name: place for place, name in enumerate(instance.get_dynamic_partitions(str(CUSTOMERS.name)))}
    planned, without = [], 0
    for name, night in declared.items():
        without += night.night is None
        planned.append(Planned(name, night.vertical, _night(night, at, now), places.get(name, -1)))
    if without and at is None:
        notes.append(f"{without:,} customers have no [night]; {ASSUMED_START} of their own time is assumed")
    planned += _likes(planned, more, at, now, len(places))
    if more:
        notes.append(f"{more:,} customers are added that are like those that there are")
    capacity = dict(capacity_of(instance, memory_gib))
    if slots is not None:
        capacity[LOCAL] = Pool(slots, capacity[LOCAL].memory_gib)
    arrivals = arrivals_of(planned, pools_of(deployment.stages))
    verticals = {name: night.vertical for name, night in declared.items()}
    return Outlook(arrivals, capacity, costs_of(deployment.stages, instance, verticals, now), notes)


def declared_nights(deployment: Deployment) -> tuple[dict[str, DeclaredNight], list[str]]:
    """What each customer's TOML says of its night, and why some cannot be read."""
    declared, refused = {}, []
    for name in deployment.customers():
        file = deployment.home.customers / f"{name}.toml"
        try:
            declared[name] = declared_night(file.read_text(encoding="utf-8-sig"), str(file))
        except (CapflowError, OSError, UnicodeDecodeError) as error:
            refused.append(f"{name} is left out: {error}")
    return declared, refused


def pools_of(stages: Stages) -> Mapping[str, str]:
    """Where each half of a night runs: on Databricks, where all of it does, or here."""
    file = os.environ.get("CAPFLOW_DATABRICKS")
    if not file:
        return {TABLES: LOCAL, SCORING: LOCAL}
    from capflow_assets.graph.databricks.settings import read_settings

    settings = read_settings(file)
    tables = LOCAL if settings.compute_of("customer_tables") is None else DATABRICKS
    is_here = any(settings.compute_of(model) is None for model in stages.models)
    return {TABLES: tables, SCORING: LOCAL if is_here else DATABRICKS}


def _night(declared: DeclaredNight, at: str | None, now: float) -> Night:
    settings = declared.night or NightSettings(start=at or ASSUMED_START)
    if at is not None:
        settings = settings.model_copy(update={"start": at})
    return next_night(settings, now, declared.zone)


def _likes(planned: list[Planned], more: int, at: str | None, now: float, place: int) -> list[Planned]:
    """Customers like those that there are, in turn; where there are none, of no vertical and UTC."""
    if not planned:
        night = next_night(NightSettings(start=at or ASSUMED_START), now, "UTC")
        planned = [Planned("", "", night)]
    models = islice(cycle(planned), more)
    return [replace(like, customer=f"new {number}", place=place + number) for number, like in enumerate(models, 1)]
