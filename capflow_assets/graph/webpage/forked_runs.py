"""Processes of runs, forked from one that has imported Dagster, the storages and the graph already.

A process that is started anew takes 2 s of the CPU until its first step, nearly all of which is imports that are the
same for each run. ``multiprocessing``'s fork server makes them once; it is a process of its own that never touches gRPC
and has one thread, so forking it is safe. It is started at the code server's first run, which like each run until it is
ready, and each one after a source file has changed, is started anew: a run has the code that is on the disk.

Elsewhere than on Linux nothing is forked: Apple's libraries do not survive it.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Mapping
from multiprocessing import get_context
from multiprocessing.context import BaseContext, ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

SPAWN_RUNS = "CAPFLOW_SPAWN_RUNS"
WARM_IMPORTS = "capflow_assets.graph.webpage.warm_imports"
# What a fork server is given to import everything on a machine that has other work.
LONGEST_START_SECONDS = 300
PR_SET_PDEATHSIG = 1


class ForkedProcess(ForkServerProcess):
    """A process as one that is started anew, but for its imports: today's environment, and its ``atexit`` at the end.

    It is interrupted when the fork server dies, for then nobody can tell how it ends.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._environment = dict(os.environ)

    def run(self) -> None:
        """Call the target."""
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)
        os.environ.clear()
        os.environ.update(self._environment)
        try:
            super().run()
        finally:
            atexit._run_exitfuncs()  # a fork server's children skip it


class ForkedContext(ForkServerContext):
    """The context whose processes are such."""

    Process = ForkedProcess


class RunProcesses:
    """The context in which the next run's process is to be started.

    Args:
        module: what a run imports besides ``warm_imports``: the module that holds the graph.
        is_forking: whether to fork at all.
    """

    def __init__(self, module: str, *, is_forking: bool = True) -> None:
        self._anew, self._forked = get_context("spawn"), ForkedContext()
        self._modules = [module, WARM_IMPORTS]
        self._sources = _sources()
        self._start = threading.Thread(target=self._prepare, name="fork-server", daemon=True) if is_forking else None
        self._lock, self._is_ready = threading.Lock(), False

    @classmethod
    def of_environment(cls, module: str | None, environment: Mapping[str, str] = os.environ) -> RunProcesses:
        """Forked ones where the system allows it, unless ``CAPFLOW_SPAWN_RUNS`` is set."""
        is_forking = bool(module) and sys.platform == "linux" and not environment.get(SPAWN_RUNS)
        return cls(module or "", is_forking=is_forking)

    def context(self) -> BaseContext:
        """The context for a run that starts now."""
        with self._lock:
            if self._start is not None and self._start.ident is None:
                self._start.start()
        return self._forked if self._is_ready and self._sources == _times(self._sources) else self._anew

    def await_ready(self) -> bool:
        """Wait until the fork server has started, or has failed to, and say whether runs are forked from now on."""
        self.context()
        if self._start is not None:
            self._start.join()
        return self._is_ready

    def _prepare(self) -> None:
        """Start the fork server, and see that it answers and has but one thread."""
        self._forked.set_forkserver_preload(self._modules)
        process = self._forked.Process(target=_exit_by_threads_of_parent, daemon=True)
        try:
            process.start()
            process.join(LONGEST_START_SECONDS)
        except (OSError, EOFError):  # it died of what it imported
            return
        self._is_ready = process.exitcode == 0


def _exit_by_threads_of_parent() -> None:
    """Exit with 0 if the process that this one was forked from has one thread."""
    sys.exit(len(list(Path(f"/proc/{os.getppid()}/task").iterdir())) - 1)


def _sources() -> dict[str, int]:
    """The files of all modules that are there, and when each was last written."""
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    return _times(dict.fromkeys(filter(None, files), 0))


def _times(files: Mapping[str, int]) -> dict[str, int]:
    return {file: _written_ns(file) for file in files}


def _written_ns(file: str) -> int:
    try:
        return Path(file).stat().st_mtime_ns
    except OSError:
        return 0
