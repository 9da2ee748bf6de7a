"""What a small customer's whole way costs in a process that is warm: 2,000 users, all tables and models.

Most customers of a night are small, and a small table costs what surrounds the work: plans, files, checks, pictures.
Wall seconds depend on what else the machine does; processor seconds (user and system) less so.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

USERS = 2_000
ROUNDS = 3
SLOWEST = 10


def run() -> None:
    """Simulate and onboard a brand, run it once, then again and again; print each run and its dearest tables."""
    from capflow_assets.simulation.brand import tiny
    from capflow_assets.simulation.files import write
    from capflow_assets.simulation.world import simulate

    with TemporaryDirectory() as folder:
        home = Path(folder, "home")
        toml = write(simulate(tiny("small", seed=1, users=USERS, days=500)), Path(folder, "files"))
        _capflow(home, "onboard", str(toml))
        for number in range(1 + ROUNDS):
            wall, processor = time.perf_counter(), time.process_time()
            _capflow(home, "run", "small", *(["--full"] if number else []))
            wall, processor = time.perf_counter() - wall, time.process_time() - processor
            seconds = _seconds_of_tables(home)
            print(  # noqa: T201
                f"small: {'again, in full' if number else 'first'}: {wall:.1f} s, processor {processor:.1f} s; "
                f"{len(seconds)} tables {sum(seconds.values()):.1f} s"
            )
        for table in sorted(seconds, key=lambda table: -seconds[table])[:SLOWEST]:
            print(f"small: {table} {seconds[table]:.2f} s")  # noqa: T201


def _capflow(home: Path, *arguments: str) -> None:
    from capflow_assets.cli.commands import main

    try:
        main([*arguments, "--home", str(home)])
    except SystemExit as ended:
        if ended.code:
            sys.exit(f"capflow {arguments[0]} failed")


def _seconds_of_tables(home: Path) -> dict[str, float]:
    """The wall seconds of each table, as its last materialization records them."""
    import dagster as dg

    from capflow_assets.definitions import STAGES
    from capflow_assets.graph.launch import dagster_instance
    from capflow_assets.home.places import Home

    seconds = {}
    with dagster_instance(Home.of(home)) as instance:
        for table in STAGES.order:
            event = instance.get_latest_materialization_event(dg.AssetKey(table.split("/")))
            materialization = event and event.asset_materialization
            if materialization and "seconds" in materialization.metadata:
                seconds[table] = float(str(materialization.metadata["seconds"].value))
    return seconds
