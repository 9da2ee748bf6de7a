"""A small customer, materialized warm: seconds on its data against seconds of overhead.

On its data: reading, computing, validating, writing and drawing of each asset, as the assets' own metadata says.
Overhead: all else that passes until the run is over (orchestration, event log, look-ups).
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

ROUNDS = 3


def run() -> None:
    """Print the split for a simulated customer of 2,000 users, the median of several warm runs."""
    from capflow_assets.definitions import SOURCES, STAGES, defs
    from capflow_assets.graph.engine import deployment
    from capflow_assets.graph.launch import dagster_instance, run_customer, select
    from capflow_assets.graph.onboarding import onboard
    from capflow_assets.home.places import Home
    from capflow_assets.simulation.brand import tiny
    from capflow_assets.simulation.files import write
    from capflow_assets.simulation.world import simulate

    with tempfile.TemporaryDirectory() as folder:
        home = Home.of(Path(folder) / "home")
        toml = write(simulate(tiny("small", seed=1, users=2000, days=500)), Path(folder) / "files")
        with dagster_instance(home) as instance:
            onboard(deployment(STAGES, SOURCES, home=home), instance, toml)
            keys = select(STAGES, [])
            splits = []
            for _ in range(ROUNDS + 1):
                began = time.perf_counter()
                finished = run_customer(defs, STAGES, instance, "small", keys)
                wall = time.perf_counter() - began
                assert finished.ok, finished.failures  # noqa: S101
                data = sum(float(metadata.get("seconds", 0)) for metadata in finished.done.values())
                splits.append((wall, data))
    wall, data = sorted(splits[1:])[ROUNDS // 2]
    share = 100 * data / wall
    print(  # noqa: T201
        f"overhead: {len(finished.done)} assets of a small customer, warm: {wall:.2f} s, "
        f"{data:.2f} s ({share:.0f} %) on its data, {wall - data:.2f} s overhead; cold {splits[0][0]:.2f} s"
    )
