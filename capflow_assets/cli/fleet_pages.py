"""The fleet's pages as commands serve them: beside online answers, and beside Dagster's own page."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from capflow_assets.console.app import Console
    from capflow_assets.console.late_pages import LatePages
    from capflow_assets.deployment import Deployment
    from capflow_assets.serving.tokens import Gate

DAGSTER = "CAPFLOW_DAGSTER_URL"


def console_of(deployment: Deployment, gate: Gate, *, is_guarded: bool = False) -> Console:
    """The pages of a deployment; they need Dagster, so they are made when somebody first looks."""
    from capflow_assets.console.app import Console
    from capflow_assets.console.fleet_view import Fleet
    from capflow_assets.graph.instance import open_instance

    dagster_url = "/" if is_guarded else os.environ.get(DAGSTER, "")
    return Console(Fleet(deployment, open_instance(deployment.home)), gate, dagster_url, is_guarded)


def guarded_pages() -> LatePages:
    """The pages of the home that the environment names, for whoever reaches Dagster's page."""
    from capflow_assets.console.late_pages import LatePages

    def make() -> Console:
        from capflow_assets.packages import deployment
        from capflow_assets.serving.tokens import Gate

        opened = deployment()
        return console_of(opened, Gate(opened.home), is_guarded=True)

    return LatePages(make)
