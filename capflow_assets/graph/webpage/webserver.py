"""Dagster's webserver behind the guard, with all of its options.

``capflow webserver`` takes what ``dagster-webserver`` takes; the image starts it by that name, since Dagster's chart
writes its command itself.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from capflow_assets.graph.webpage.guard import App, Guard
from capflow_assets.graph.webpage.served import Served, is_loopback
from capflow_assets.processes.run_processes import answers

LOGGER = logging.getLogger("dagster-webserver")
# Open pages hold websockets, which would keep the server for as long as they are open.
GRACE_SECONDS = 3
START_SECONDS = 600


def serve(arguments: Sequence[str], allowed: Sequence[str], beside: Callable[[App], App]) -> None:
    """Dagster's command line for its webserver, which then serves behind the guard, until interrupted.

    ``beside`` puts further pages beside Dagster's application; they stand behind the guard as well.
    """
    from dagster_webserver import cli

    def host_guarded(
        workspace_process_context: Any,
        host: str | None,
        port: int | None,
        path_prefix: str,
        log_level: str,
        live_data_poll_rate: int | None = None,
    ) -> None:
        import uvicorn

        address, number = host or cli.DEFAULT_WEBSERVER_HOST, port or cli.DEFAULT_WEBSERVER_PORT
        served = Served.at(address, number, allowed)
        if not is_loopback(address):
            LOGGER.warning("Listening at %s: the page has no log-in; whoever reaches it may do everything", address)
        app = cli.create_app_from_workspace_process_context(
            workspace_process_context, path_prefix, live_data_poll_rate, lifespan=cli._lifespan
        )
        LOGGER.info("Serving on http://%s:%s%s for %s", address, number, path_prefix, ", ".join(sorted(served.hosts)))
        uvicorn.run(
            Guard(beside(app), served),
            host=address,
            port=number,
            log_level=log_level,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )

    # The one place where Dagster's command makes a server of its application.
    assert hasattr(cli, "host_dagster_ui_with_workspace_process_context")  # noqa: S101
    cli.host_dagster_ui_with_workspace_process_context = host_guarded
    for option, value in pairwise(arguments):
        if option in ("-w", "--workspace"):
            await_code(Path(value))
    cli.cli.main(list(arguments), prog_name="capflow webserver", auto_envvar_prefix="DAGSTER_WEBSERVER")


def await_code(workspace: Path, seconds: float = START_SECONDS) -> None:
    """Wait until the code servers of a workspace that listen on sockets of this machine answer."""
    import yaml

    if not workspace.exists():
        return  # Dagster says so
    until = time.monotonic() + seconds
    for entry in yaml.safe_load(workspace.read_text(encoding="utf-8"))["load_from"]:
        path = entry.get("grpc_server", {}).get("socket")
        while path and not answers(path):
            if time.monotonic() > until:
                sys.exit(f"the code server at {path} did not answer within {seconds:.0f} s")
            time.sleep(0.1)
