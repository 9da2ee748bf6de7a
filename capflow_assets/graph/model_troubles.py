"""What is wrong with customers' models, without what ``status`` reads of the lake to say how ready each is.

Of the same records as ``status.status_rows``, and by its rules: a row has the same words in both.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import dagster as dg

from capflow_assets.blueprint.stages import Stages
from capflow_assets.deployment import Deployment
from capflow_assets.graph.newest import newest
from capflow_assets.graph.status import ENTRIES, state_of
from capflow_assets.life.scoring_version import scoring_version
from capflow_assets.stores.registry_snapshot import snapshot
from capflow_assets.stores.sound_files import SoundFiles

COLUMNS = ("customer", "model", "status", "reason", "drifted", "broken")
PARTS = ("models", "health")


def keys_of_troubles(stages: Stages) -> list[str]:
    """The assets in whose records troubles show."""
    return [f"{part}/{name}" for part in PARTS for name in stages.models]


def trouble_rows(
    deployment: Deployment, instance: dg.DagsterInstance, customers: Sequence[str]
) -> Generator[dict[str, Any], None, None]:
    """One row per customer and model, with the columns of ``COLUMNS``.

    Dagster and MLflow are asked for all customers at once, and of the files of champions those are read that have
    changed since they were last found whole.
    """
    models = list(deployment.stages.models)
    entries = {f"{part}/{name}": ENTRIES[part] for part in PARTS for name in models}
    records = newest(instance, entries, customers)
    registry, sound = snapshot(deployment.registry, customers), SoundFiles.of(deployment.home)
    try:
        for customer in customers:
            has_model = deployment.model_choice(customer)
            for name in models:
                trained, health = (records[f"{part}/{name}"].get(customer, {}) for part in PARTS)
                who = scoring_version(registry, customer, name, deployment.stages.model(name).model, sound)
                row = {"customer": customer, "model": name, "drifted": health.get("over"), "broken": who.warning}
                yield row | state_of(registry, who, trained, is_off=not has_model(name))
    finally:  # who listens may have heard enough: the files that were read need not be read again
        sound.save(is_complete=False)
