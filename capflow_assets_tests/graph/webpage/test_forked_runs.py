"""Processes of runs are forked from one that has imported everything, and are as alone as those that start anew."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import psutil
import pytest

from capflow_assets.graph.webpage.forked_runs import SPAWN_RUNS, RunProcesses
from capflow_assets_tests.graph.webpage.run_targets import report, sleep

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nothing is forked there")
SOURCE = "forked_runs_source"
# Whose threads, locks and pools do not survive a fork.
UNSAFE = ("numpy", "pyarrow", "polars", "torch", "openblas", "libgomp", "xgboost", "pysail")
BROKEN = ("raise ValueError", "from threading import *; Thread(target=Event().wait, daemon=True).start()")


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunProcesses]:
    """Those of a code server whose graph is one small module."""
    folder = tmp_path_factory.mktemp("code")
    (folder / f"{SOURCE}.py").write_text("VALUE = 1\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))  # the fork server's
        patch.syspath_prepend(str(folder))
        importlib.import_module(SOURCE)
        started = RunProcesses(SOURCE)
        assert started.context().get_start_method() == "spawn"  # until the fork server is ready
        assert started.await_ready()
        yield started


def started_in(context: BaseContext, target: Any, *given: Any) -> tuple[Any, Any]:
    """A process and its first answer."""
    answers = context.Queue()
    process = context.Process(target=target, args=(answers, *given), daemon=True)  # type: ignore[attr-defined]
    process.start()
    return process, answers.get(timeout=60)


def test_a_forked_process_has_the_environment_of_its_moment_and_ends_as_others_do(processes, tmp_path, monkeypatch):
    context = processes.context()
    assert context.get_start_method() == "forkserver"
    monkeypatch.setenv("GREETING", "of this run")
    monkeypatch.delenv("HOME")
    monkeypatch.chdir(tmp_path)
    process, (parent, folder, variables) = started_in(context, report, str(tmp_path / "farewell"))
    process.join(60)
    assert process.exitcode == 0
    assert (tmp_path / "farewell").exists()
    assert parent not in (os.getpid(), 1)
    assert folder == str(tmp_path)
    assert variables == {"GREETING": "of this run", "HOME": None}


def test_one_that_is_killed_takes_nobody_with_it(processes):
    (one, parent), (other, same) = (started_in(processes.context(), sleep) for _ in range(2))
    assert parent == same
    os.kill(one.pid, signal.SIGKILL)
    one.join(60)
    assert one.exitcode == -signal.SIGKILL
    third, again = started_in(processes.context(), sleep)
    assert again == parent
    assert other.is_alive()
    for process in (other, third):
        process.kill()
        process.join(60)


def test_those_of_a_fork_server_that_was_killed_end_and_the_next_have_another(processes):
    process, parent = started_in(processes.context(), sleep)
    pid = process.pid
    os.kill(parent, signal.SIGKILL)
    process.join(60)
    assert process.exitcode == 255  # nobody knows, but that it is over
    until = time.monotonic() + 60
    while psutil.pid_exists(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid)
    after, another = started_in(processes.context(), sleep)
    assert another not in (parent, os.getpid())
    after.kill()
    after.join(60)


def test_after_a_source_file_has_changed_runs_start_anew(processes):
    file = Path(sys.modules[SOURCE].__file__ or "")
    written = file.stat().st_mtime_ns
    os.utime(file, ns=(written, written + 1))
    assert processes.context().get_start_method() == "spawn"
    os.utime(file, ns=(written, written))
    assert processes.context().get_start_method() == "forkserver"


def test_the_fork_server_has_one_thread_and_no_library_that_starts_some(processes):
    process, parent = started_in(processes.context(), sleep)
    server = psutil.Process(parent)
    assert server.num_threads() == 1
    files = {Path(mapped.path).as_posix() for mapped in server.memory_maps()}
    assert any("psycopg2" in file for file in files)
    assert not [file for file in files if any(name in file for name in UNSAFE)]
    process.kill()
    process.join(60)


@pytest.mark.parametrize("breaks", BROKEN)
def test_without_a_sound_fork_server_runs_start_anew(tmp_path, breaks):
    (tmp_path / "broken_source.py").write_text(breaks)
    code = (
        "from capflow_assets.graph.webpage.forked_runs import RunProcesses\n"
        "runs = RunProcesses('broken_source')\n"
        "print(runs.await_ready(), runs.context().get_start_method())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert done.stdout.split() == ["False", "spawn"], done.stderr


def test_nothing_is_forked_where_it_is_switched_off_or_there_is_no_module():
    for runs in (RunProcesses.of_environment("json", {SPAWN_RUNS: "1"}), RunProcesses.of_environment(None, {})):
        assert not runs.await_ready()
        assert runs.context().get_start_method() == "spawn"
