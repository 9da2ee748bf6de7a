"""A model of a thousand customers is rolled back, on SQLite: seconds of the list, and of doing and recording it.

MLflow's store is filled directly, as trainings leave it: two versions of the model, the second the champion. What is
measured is what `capflow rollback --all --model … --yes` does once it has opened the home.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from bench.status import fill_registry, model_names, names

CUSTOMERS = 1_000
SECONDS_DEMANDED = 60


def run(customers: int = CUSTOMERS) -> None:
    """Print the seconds of the list and of the rollback."""
    from capflow_assets.definitions import SOURCES, STAGES
    from capflow_assets.graph.engine import deployment
    from capflow_assets.graph.launch import dagster_instance
    from capflow_assets.graph.many_decisions import carry_out
    from capflow_assets.home.places import Home
    from capflow_assets.stores.registry_draft import planned

    with tempfile.TemporaryDirectory(prefix="capflow-rollback-") as folder:
        home = Home.of(Path(folder), {})
        with dagster_instance(home) as instance:
            place = deployment(STAGES, SOURCES, home=home)
            fill_registry(place.registry, names(customers), model_names(1), "{}")
            pairs = [(name, model_names(1)[0]) for name in names(customers)]
            began = time.perf_counter()
            plan = planned(place.registry, pairs, "rollback", "a bad night")
            listed = time.perf_counter()
            changes = carry_out(place, instance, pairs, "rollback", "a bad night")
            seconds = time.perf_counter() - listed
            assert changes == plan  # noqa: S101
            assert all(change.after == 1 for change in changes)  # noqa: S101
            assert all(place.registry.champion(*pair) == 1 for pair in pairs[:: max(1, customers // 10)])  # noqa: S101
    print(  # noqa: T201
        f"rollback: {len(changes):,} customers: listed in {listed - began:.2f} s, rolled back and recorded in "
        f"{seconds:.2f} s (demanded under {SECONDS_DEMANDED} s); load {os.getloadavg()[0]:.1f}"
    )
