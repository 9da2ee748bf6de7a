"""Dagster's code server as the page starts it: its runs are forked, can be ended, and have the newest code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
from dagster._core.test_utils import create_run_for_test
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget

from capflow_assets.graph.webpage.start import Address, environment, services

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nothing is forked there")
GRAPH = """
import os, time
from pathlib import Path
import dagster as dg

@dg.op(config_schema={"file": str, "stay": bool})
def note(context) -> None:
    file = Path(context.op_config["file"])
    file.with_suffix(".new").write_text(f"VERSION {os.getpid()} {os.getppid()}")
    file.with_suffix(".new").rename(file)
    while context.op_config["stay"]:
        time.sleep(0.1)

@dg.job(executor_def=dg.in_process_executor)
def noting():
    note()

defs = dg.Definitions(jobs=[noting])
"""


@dataclass
class CodeServer:
    """A running code server of a small graph, and the instance that launches runs there."""

    folder: Path
    instance: dg.DagsterInstance
    workspace: WorkspaceProcessContext

    def launch(self, *, stay: bool = False) -> tuple[str, list[str]]:
        """A run's id, and what its process wrote: version of the code, process, parent."""
        context = self.workspace.create_request_context()
        (repository,) = context.get_code_location("capflow").get_repositories().values()
        job = repository.get_full_job("noting")
        file = self.folder / f"{time.monotonic_ns()}"
        run = create_run_for_test(
            self.instance,
            "noting",
            run_config={"ops": {"note": {"config": {"file": str(file), "stay": stay}}}},
            remote_job_origin=job.get_remote_origin(),
            job_code_origin=job.get_python_origin(),
        )
        self.instance.launch_run(run.run_id, context)
        wait(file.exists)
        return run.run_id, file.read_text().split()

    def status(self, run_id: str) -> dg.DagsterRunStatus:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run.status


def wait(look: Callable[[], Any], seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CodeServer]:
    graph, home = tmp_path / "small_graph.py", tmp_path / "home"
    graph.write_text(GRAPH.replace("VERSION", "first"))
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: { enabled: false }\n")
    command = services(tmp_path, Address("127.0.0.1", 0))["code"]
    command[command.index("--module-name") + 1] = graph.stem
    # Dagster takes the first entry of the path for the program's folder, and imports nothing from there.
    paths = os.pathsep.join([str(home), str(tmp_path)])
    variables = environment({**os.environ, "DAGSTER_HOME": str(home), "PYTHONPATH": paths})
    with ExitStack() as stack:
        process = subprocess.Popen(command, env=variables, start_new_session=True)
        stack.callback(process.wait)
        stack.callback(os.killpg, process.pid, signal.SIGKILL)
        instance = stack.enter_context(dg.DagsterInstance.local_temp(str(home)))
        wait((tmp_path / "code.sock").exists)
        target = WorkspaceFileTarget([str(tmp_path / "workspace.yaml")])
        yield CodeServer(tmp_path, instance, stack.enter_context(WorkspaceProcessContext(instance, target)))


def test_runs_are_forked_can_be_ended_and_have_the_newest_code(server):
    _, (_, _, code_server) = server.launch()

    def is_forked() -> bool:
        return server.launch()[1][2] != code_server

    wait(is_forked)  # the first ones meanwhile start anew
    (run, (version, pid, fork_server)), (other, (_, _, same)) = (server.launch(stay=True) for _ in range(2))
    assert (version, psutil.Process(int(fork_server)).ppid()) == ("first", int(code_server))
    assert same == fork_server

    assert server.instance.run_launcher.terminate(run)
    wait(lambda: server.status(run) == dg.DagsterRunStatus.CANCELED)
    wait(lambda: not psutil.pid_exists(int(pid)))
    assert server.status(other) == dg.DagsterRunStatus.STARTED

    (server.folder / "small_graph.py").write_text(GRAPH.replace("VERSION", "second"))
    assert server.launch()[1][0] == "second"  # started anew, before anybody reloads the code
    server.workspace.create_request_context().reload_code_location("capflow")
    wait(is_forked)
    _, (version, _, parent) = server.launch()
    assert (version, parent) not in (("first", fork_server), ("second", fork_server))
    assert server.status(other) == dg.DagsterRunStatus.STARTED
