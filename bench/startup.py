"""A run's process until its first step: started anew, and forked from one that has imported everything.

Both open the home's Dagster, build the job of one customer's tables and plan it, as Dagster does for a run; its events
are not written. Seconds of the process's own CPU, and the memory that it shares with nobody.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

ROUNDS = 5
MODULE = "capflow_assets.definitions"


def run() -> None:
    """Print the medians of both, and of creating such a run: its plan is written event by event, or at once."""
    from capflow_assets.graph.launch import dagster_instance
    from capflow_assets.graph.webpage.forked_runs import RunProcesses
    from capflow_assets.home.places import Home

    with tempfile.TemporaryDirectory(prefix="capflow-startup-") as folder:
        home = Home.of(Path(folder))
        with dagster_instance(home) as instance:
            instance.add_dynamic_partitions("customer", ["a"])
            processes = RunProcesses(MODULE)
            figures = {}
            for name, context in (("anew", processes.context()), ("forked", _ready(processes))):
                samples = [_measured(context) for _ in range(ROUNDS)]
                figures[name] = [statistics.median(sample) for sample in zip(*samples, strict=True)]
            created = {size: _creating(instance, size) for size in ("0", "500")}
    print(  # noqa: T201
        f"startup: {figures['anew'][0]:.2f} s of CPU and {figures['anew'][1]:.0f} MiB of its own anew, "
        f"{figures['forked'][0]:.2f} s and {figures['forked'][1]:.0f} MiB forked; creating the run "
        f"{1000 * created['0']:.0f} ms of CPU event by event, {1000 * created['500']:.0f} ms at once; "
        f"load {os.getloadavg()[0]:.1f}"
    )


def _ready(processes: Any) -> BaseContext:
    assert processes.await_ready()  # noqa: S101
    context: BaseContext = processes.context()
    return context


def _measured(context: BaseContext) -> tuple[float, float]:
    answers = context.Queue()
    process = context.Process(target=until_first_step, args=(answers,))  # type: ignore[attr-defined]
    process.start()
    measured: tuple[float, float] = answers.get(timeout=300)
    process.join()
    return measured


def until_first_step(answers: Any) -> None:
    """Do in this process what a run does before its first step, and answer with seconds and MiB."""
    import dagster._grpc.server  # noqa: F401
    from dagster import AssetKey, DagsterInstance
    from dagster._core.code_pointer import ModuleCodePointer
    from dagster._core.definitions.reconstruct import ReconstructableRepository
    from dagster._core.execution.api import create_execution_plan

    with DagsterInstance.get() as instance:
        instance.get_runs(limit=1)
        repository = ReconstructableRepository(ModuleCodePointer(MODULE, "defs", "."))
        job = repository.get_reconstructable_job("__ASSET_JOB")
        create_execution_plan(job.get_subset(asset_selection={AssetKey(["clean", "bills"])}))
    rollup = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    private = sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))
    answers.put((time.process_time(), private / 1024))


def _creating(instance: Any, events_together: str) -> float:
    import dagster as dg

    from capflow_assets.definitions import STAGES, defs

    os.environ["DAGSTER_EVENT_BATCH_SIZE"] = events_together
    job = defs.resolve_implicit_global_asset_job_def()
    keys = {dg.AssetKey(key.split("/")) for key in STAGES.tables}
    seconds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        instance.create_run_for_job(job, asset_selection=keys, tags={"dagster/partition": "a"})
        seconds.append(time.process_time() - began)
    return statistics.median(seconds)


if __name__ == "__main__":
    run()
