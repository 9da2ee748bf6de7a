"""A model of a thousand customers is rolled back, on SQLite: seconds of the list, and of doing and recording it.

MLflow's store and the lake are filled directly, as trainings leave them: two versions of the model, the second the
champion; Dagster has a materialization of each. What is measured is what `capflow rollback --all --model … --yes` does
once it has opened the home. Afterwards predictions of all customers are stale.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.status import fill_registry, model_names, names, write_lake

if TYPE_CHECKING:
    from collections.abc import Sequence

    import dagster as dg

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
            digests = write_lake(Path(place.lake.root), names(customers), 1)
            fill_registry(place.registry, names(customers), model_names(1), json.dumps(digests))
            fill_materializations(instance, names(customers), model_names(1)[0])
            pairs = [(name, model_names(1)[0]) for name in names(customers)]
            began = time.perf_counter()
            plan = planned(place.registry, pairs, "rollback", "a bad night")
            listed = time.perf_counter()
            spent = time.process_time()
            changes = carry_out(place, instance, pairs, "rollback", "a bad night")
            seconds, spent = time.perf_counter() - listed, time.process_time() - spent
            assert changes == plan  # noqa: S101
            assert all(change.after == 1 for change in changes)  # noqa: S101
            assert all(place.registry.champion(*pair) == 1 for pair in pairs[:: max(1, customers // 10)])  # noqa: S101
    print(  # noqa: T201
        f"rollback: {len(changes):,} customers: listed in {listed - began:.2f} s, rolled back and recorded in "
        f"{seconds:.2f} s (processor {spent:.2f} s; demanded under {SECONDS_DEMANDED} s); load {os.getloadavg()[0]:.1f}"
    )


def fill_materializations(instance: dg.DagsterInstance, customers: Sequence[str], model: str) -> None:
    """A materialization of the model of each customer, with the code and the inputs that it is of."""
    import dagster as dg

    from capflow_assets.graph.decision_records import keep_event, run_of

    run, key = run_of(instance, "promote"), dg.AssetKey(["models", model])
    tags = {"dagster/code_version": "1", "dagster/data_version": "champion 2"}
    for place, table in enumerate(("features/rfm", "features/rhythm", "clean/bills")):
        tags |= {f"dagster/input_data_version/{table}": "1", f"dagster/input_event_pointer/{table}": str(place)}
    for customer in customers:
        keep_event(instance, run, dg.AssetMaterialization(key, partition=customer, tags=tags))
