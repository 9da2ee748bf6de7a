"""Fifty small customers in one run against one run for each of them, on the embedded engine.

A run is a process of its own, as Dagster starts it: its seconds are counted from its start to its end. Overhead is what
is left of them without the seconds that the tables' metadata call ``seconds_computing``. All customers send the same
bills; those who are run alone have a home of their own, so that neither finds anything computed.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.databricks import customers

COHORT = 50
# The runs of one customer are alike: half of these before the cohort's run and half after it.
TIMED = 10
TABLES = ("raw/bills", "clean/bills", "features/rfm", "features/rhythm")
LAUNCH = """
import json, sys, warnings
import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
names, tables = sys.argv[1].split(","), sys.argv[2].split(",")
repository = ReconstructableRepository.for_module("capflow_assets.definitions", "defs")
job = ReconstructableJob(repository, "__ASSET_JOB")
tags = {"dagster/partition": names[0]} if len(names) == 1 else {
    "dagster/asset_partition_range_start": names[0], "dagster/asset_partition_range_end": names[-1]}
with dg.DagsterInstance.get() as instance, warnings.catch_warnings():
    warnings.simplefilter("ignore")
    result = dg.execute_job(job, instance, tags=tags, raise_on_error=False,
        asset_selection=[dg.AssetKey(key.split("/")) for key in tables],
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}})
    made = [entry.asset_materialization for entry in instance.all_logs(result.run_id) if entry.asset_materialization]
    seconds = sum(float(each.metadata["seconds_computing"].value) for each in made)
    print("RESULT " + json.dumps({"ok": result.success, "made": len(made), "computing": seconds}))
"""


@dataclass(frozen=True)
class Measured:
    """Seconds of a run, of its whole process and of computing, for each of its customers."""

    wall: float
    computing: float

    @property
    def overhead(self) -> float:
        """Seconds besides computing."""
        return self.wall - self.computing


def run() -> None:
    """Print the seconds a customer of both, and how much of them is overhead."""
    with tempfile.TemporaryDirectory() as place:
        homes = {"together": Path(place) / "together", "alone": Path(place) / "alone"}
        cohort, singles = customers(homes["together"], COHORT), customers(homes["alone"], TIMED)
        alone = [_launched(homes["alone"], [name]) for name in singles[: TIMED // 2]]
        together = _launched(homes["together"], cohort)
        alone += [_launched(homes["alone"], [name]) for name in singles[TIMED // 2 :]]
    wall, overhead = (statistics.median(getattr(timing, part) for timing in alone) for part in ("wall", "overhead"))
    print(  # noqa: T201
        f"cohort: {COHORT} small customers, {len(TABLES)} tables each: in one run {together.wall:.2f} s a customer, "
        f"{together.overhead:.2f} s of it overhead; in runs of one ({TIMED} of {COHORT} timed) {wall:.2f} s, "
        f"{overhead:.2f} s overhead; {wall / together.wall:.1f} times as long"
    )


def _launched(folder: Path, names: Sequence[str]) -> Measured:
    home = folder / "home"
    variables = {"CAPFLOW_ENGINE": "sail", "CAPFLOW_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")}
    command = [sys.executable, "-c", LAUNCH, ",".join(names), ",".join(TABLES)]
    began = time.perf_counter()
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)  # noqa: S603
    wall = time.perf_counter() - began
    said = [json.loads(line.removeprefix("RESULT ")) for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not said or not said[0]["ok"] or said[0]["made"] != len(names) * len(TABLES):
        raise RuntimeError(f"a run of {len(names)} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return Measured(wall / len(names), said[0]["computing"] / len(names))
