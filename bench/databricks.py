"""Our step launcher against the stock one, on a local workspace that executes the steps; cohorts against single runs.

Overhead is what passes besides the step itself: from the launch of the run to its end in Dagster, less the time from
the step's first event to its last, as the process that computed it stamped them. Both poll at 0.5 s.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

POLL_S = 0.5
ROUNDS = 3
COHORT = 25
# The stock launcher cannot run a range of customers, so both run one: a small and a large one.
LARGE_USERS = 40_000
FLEET = 300
TABLES = ("raw/bills", "clean/bills", "features/rfm")
LAUNCH = """
import json, os, sys, time, warnings
import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
module, names, tables = sys.argv[1], sys.argv[2].split(","), sys.argv[3].split(",")
repository = ReconstructableRepository.for_module(module, "defs")
job = ReconstructableJob(repository, "__ASSET_JOB")
tags = {"dagster/partition": names[0]} if len(names) == 1 else {
    "dagster/asset_partition_range_start": names[0], "dagster/asset_partition_range_end": names[-1]}
job.get_definition()
with dg.DagsterInstance.get() as instance, warnings.catch_warnings():
    warnings.simplefilter("ignore")
    instance.add_dynamic_partitions("customer", names)
    began = time.time()
    result = dg.execute_job(job, instance, tags=tags, raise_on_error=False,
        asset_selection=[dg.AssetKey(key.split("/")) for key in tables],
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}})
    wall = time.time() - began
    entries = [e for e in instance.all_logs(result.run_id) if e.is_dagster_event]
    times = {e.dagster_event.event_type_value: e.timestamp for e in entries}
    print("RESULT " + json.dumps({"ok": result.success, "wall": wall,
        "body": times.get("STEP_SUCCESS", 0) - times.get("STEP_START", 0)}))
"""


@dataclass(frozen=True)
class Measured:
    """One launched run: seconds, and calls to the API."""

    wall: float
    body: float
    calls: int

    @property
    def overhead(self) -> float:
        """Seconds besides the step."""
        return self.wall - self.body


def run() -> None:
    """Print overhead and calls of both launchers, and of a cohort against single runs."""
    from capflow_assets_doubles.databricks.workspace import local_workspace

    with tempfile.TemporaryDirectory() as place, local_workspace(Path(place) / "workspace") as workspace:
        workspace.warm()  # the stock main needs a running Spark
        folder = Path(place)
        names = customers(folder, COHORT)
        (large,) = customers(folder, 1, "large", LARGE_USERS)
        variables = _variables(folder, workspace)
        for name in (names[0], large):
            by_launcher: dict[str, list[Measured]] = {"ours": [], "stock": []}
            for _ in range(ROUNDS):
                for who in by_launcher:
                    by_launcher[who].append(_launched(who, [name], variables, workspace))
            _print_launchers(name, by_launcher)
        _print_cohort(names, variables, workspace)


def fleet() -> None:
    """Print the number of Databricks runs of a fleet by formula and by count, through the real daemon."""
    from capflow_assets.graph.partitions import TABLES_COHORT
    from capflow_assets_doubles.databricks.workspace import local_workspace
    from capflow_assets_doubles.page_server import serving

    with tempfile.TemporaryDirectory() as name, local_workspace(Path(name) / "workspace", spark=False) as workspace:
        folder = Path(name)
        names = customers(folder, FLEET)
        variables = _variables(folder, workspace)
        with _environment(variables), serving(folder / "home") as server:
            began = time.perf_counter()
            done = server.finished_backfill(server.backfill(["raw/bills"], names), seconds=3000)
            seconds = time.perf_counter() - began
        counts = done["assetBackfillData"]["assetBackfillStatuses"][0]
        print(  # noqa: T201
            f"fleet: {FLEET} customers in cohorts of {TABLES_COHORT}: {ceil(FLEET / TABLES_COHORT)} runs by formula, "
            f"{len(workspace.jobs.runs)} counted; {counts['numPartitionsMaterialized']} materialized in {seconds:.0f} s"
        )


def _print_launchers(name: str, by_launcher: dict[str, list[Measured]]) -> None:
    middle = {who: statistics.median(launch.overhead for launch in runs) for who, runs in by_launcher.items()}
    calls = {who: statistics.median(launch.calls for launch in runs) for who, runs in by_launcher.items()}
    body = statistics.median(launch.body for launch in by_launcher["ours"])
    print(  # noqa: T201
        f"databricks: a step of {name}, {body:.1f} s of work, polled at {POLL_S} s: overhead "
        f"{middle['ours']:.2f} s against {middle['stock']:.2f} s of the stock launcher "
        f"({middle['ours'] / middle['stock']:.2f}), {calls['ours']:.0f} calls against {calls['stock']:.0f} "
        f"({calls['ours'] / calls['stock']:.2f})"
    )


def _print_cohort(names: Sequence[str], variables: dict[str, str], workspace: Any) -> None:
    before = len(workspace.jobs.runs)
    together = _launched("ours", names, variables, workspace)
    alone = [_launched("ours", [name], variables, workspace) for name in names]
    wall, runs = sum(launch.wall for launch in alone), len(workspace.jobs.runs) - before - 1
    print(  # noqa: T201
        f"databricks: {len(names)} customers in 1 run: {together.wall:.0f} s, {together.calls} calls; in {runs} runs: "
        f"{wall:.0f} s, {sum(launch.calls for launch in alone)} calls ({wall / together.wall:.1f} times as long)"
    )


def _launched(who: str, names: Sequence[str], variables: dict[str, str], workspace: Any) -> Measured:
    module = {"ours": "capflow_assets.definitions", "stock": "bench.stock_launcher"}[who]
    given = {**os.environ, **variables}
    if who == "stock":
        given.pop("CAPFLOW_DATABRICKS")
    before = len(workspace.calls)
    command = [sys.executable, "-c", LAUNCH, module, ",".join(names), ",".join(TABLES)]
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=True)  # noqa: S603
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    said = json.loads(line.removeprefix("RESULT "))
    if not said["ok"]:
        raise RuntimeError(f"the {who} launcher's run failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return Measured(said["wall"], said["body"], len(workspace.calls) - before)


def customers(folder: Path, count: int, first: str = "c000", users: int = 60) -> list[str]:
    """Onboard ``count`` customers who all send the same bills."""
    from capflow_assets.definitions import SOURCES, STAGES
    from capflow_assets.graph.engine import deployment
    from capflow_assets.graph.launch import dagster_instance
    from capflow_assets.graph.onboarding import onboard
    from capflow_assets.home.places import Home
    from capflow_assets.simulation.brand import tiny
    from capflow_assets.simulation.files import write
    from capflow_assets.simulation.world import simulate

    home = Home.of(folder / "home")
    toml = write(simulate(tiny(first, seed=1, users=users, days=90, sends=("bills",))), folder / first)
    names = [first, *(f"c{number:03d}" for number in range(1, count))]
    with dagster_instance(home) as instance:
        for name in names:
            file = toml.with_name(f"{name}.toml")
            file.write_text(toml.read_text().replace(f'name = "{first}"', f'name = "{name}"'))
            onboard(deployment(STAGES, SOURCES, home=home), instance, file)
    return names


def _variables(folder: Path, workspace: Any) -> dict[str, str]:
    from capflow_assets_doubles.databricks.steps import settings

    code = folder / "code"
    root = Path(__file__).resolve().parents[1]
    for package in ("capflow_assets", "bench"):
        shutil.copytree(root / package, code / package, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {"CAPFLOW_ENGINE": "sail"}
    file = settings(folder, "dedicated", environment=environment, poll_seconds=POLL_S)
    return {
        "BENCH_CODE": str(code),
        "BENCH_POLL": str(POLL_S),
        "CAPFLOW_DATABRICKS": str(file),
        "CAPFLOW_ENGINE": "sail",
        "CAPFLOW_HOME": str(folder / "home"),
        "DAGSTER_HOME": str(folder / "home" / "dagster"),
        "DATABRICKS_HOST": workspace.url,
        "DATABRICKS_TOKEN": workspace.token,
        "PYTHONPATH": str(root),
    }


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
