"""What tells whether a customer's tables have changed since they were published, without opening one of them."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from capflow_assets.deployment import Deployment
from capflow_assets.stores.answer_store import FOLDER
from capflow_assets.stores.places import is_remote

# Of the lake's stages those that are published.
STAGES = ("predictions", "features", "clean")
# Each version of a table is a file more in there.
LOG = "_delta_log"


def sign(deployment: Deployment, customer: str, kept: Any = ()) -> Any:
    """A value that differs once a table, the TOML or the store has changed; None where that costs a look.

    It does in a lake that is no folder of this machine. ``kept`` is what a store elsewhere holds; the files of the
    embedded one are looked at.
    """
    root, home = deployment.lake.root, deployment.home.root
    if is_remote(root):
        return None
    logs = {
        table.path: _changed(f"{table.path}/{LOG}")
        for stage in STAGES
        for table in _entries(f"{deployment.lake.prefix(customer)}/{stage}")
    }
    files = sorted(entry.name for entry in _entries(f"{home}/{FOLDER}/{customer}"))
    return _changed(f"{home}/customers/{customer}.toml"), logs, (files, kept)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    with suppress(OSError), os.scandir(folder) as entries:
        return list(entries)
    return []


def _changed(path: str) -> int | None:
    with suppress(OSError):
        return os.stat(path).st_mtime_ns  # noqa: PTH116  (thousands of them each minute)
    return None
