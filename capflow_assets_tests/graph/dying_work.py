"""Work that kills its own process at one asset, or meets its like, for the tests of customers side by side."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from capflow_assets.deployment import Deployment
from capflow_assets.graph.launch import Finished, Progress
from capflow_assets.processes.lifeline import LINE

MOST_SECONDS = 60.0


def work(
    deployment: Deployment, customer: str, keys: list[str], dies: dict[str, str], meeting: str = ""
) -> Iterator[Progress | Finished]:
    """Each of the keys is done, but ``dies[customer]``, at which the process is killed.

    Where there is a folder ``meeting``, the first asset of each model waits there for that of another.
    """
    finished = Finished(customer)
    for key in keys:
        LINE.begins(key)
        if dies.get(customer) == key:
            os.kill(os.getpid(), signal.SIGKILL)
        met = _others(Path(meeting), key) if meeting and key.startswith("models/") else 0
        finished.done[key] = {"process": os.getpid(), "met": met}
        yield Progress(customer, key, finished.done[key])
    yield finished


def _others(folder: Path, key: str) -> int:
    """How many other assets were there, once one is."""
    (folder / key.replace("/", ".")).touch()
    until = time.monotonic() + MOST_SECONDS
    while (others := len(list(folder.iterdir())) - 1) < 1 and time.monotonic() < until:
        time.sleep(0.01)
    return others
