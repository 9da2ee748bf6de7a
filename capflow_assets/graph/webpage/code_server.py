"""``python -m capflow_assets.graph.webpage.code_server`` is ``dagster``, whose code servers fork their runs.

Dagster starts each run's process anew, and has no setting for it. The process that it starts for a new state of the
code (``code-server start`` keeps one, and replaces it when code is reloaded) is this program too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from capflow_assets.graph.webpage.forked_runs import RunProcesses


def fork_runs() -> None:
    """See that code servers of this process, and those that it starts, fork their runs."""
    from dagster._grpc import server

    class ForkingServer(server.DagsterApiServer):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            origin = self._loadable_target_origin
            self._run_processes = RunProcesses.of_environment(origin.module_name if origin else None)

        def StartRun(self, *given: Any) -> Any:  # noqa: N802  (Dagster's name)
            self._mp_ctx = self._run_processes.context()  # type: ignore[assignment]
            return super().StartRun(*given)

    server.DagsterApiServer = ForkingServer  # type: ignore[misc]
    server.get_python_environment_entry_point = this_program


def this_program(executable_path: str) -> Sequence[str]:
    """The command of this program with some Python."""
    return [executable_path, "-P", "-m", "capflow_assets.graph.webpage.code_server"]


if __name__ == "__main__":
    from dagster._cli import main

    fork_runs()
    main()
