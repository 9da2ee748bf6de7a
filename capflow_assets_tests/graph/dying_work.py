"""Work that kills its own process at one asset, for the tests of customers side by side."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

from capflow_assets.deployment import Deployment
from capflow_assets.graph.launch import Finished, Progress
from capflow_assets.processes.lifeline import LINE


def work(deployment: Deployment, customer: str, keys: list[str], dies: dict[str, str]) -> Iterator[Progress | Finished]:
    """Each of the keys is done, but ``dies[customer]``, at which the process is killed."""
    finished = Finished(customer)
    for key in keys:
        LINE.begins(key)
        if dies.get(customer) == key:
            os.kill(os.getpid(), signal.SIGKILL)
        finished.done[key] = {"process": os.getpid()}
        yield Progress(customer, key, finished.done[key])
    yield finished
