"""Warm before the first request: libraries are in, and the versions that were asked for lately are loaded again.

``{home}/serving/.hot.json`` names the customers' models that answered live, the latest last. It is written each minute
while a server runs, and read when one starts.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
from contextlib import suppress
from pathlib import Path

from capflow_assets.home.places import Home
from capflow_assets.serving.memory import give_memory_back
from capflow_assets.serving.service import Service
from capflow_assets.stores.answer_store import FOLDER

FILE = ".hot.json"
EVERY_SECONDS = 60.0
MOST_WARMED = 500
# What answers need, and nothing of what trains: pandas and XGBoost come in where a version is asked by its own code.
LIBRARIES = ("numpy", "onnxruntime", "orjson")
LOG = logging.getLogger("capflow.serving")


def import_libraries() -> None:
    """Import what the first load needs."""
    for name in LIBRARIES:
        importlib.import_module(name)
    give_memory_back()


def hot_models(home: Home) -> list[tuple[str, str]]:
    """The customers' models that were asked for before, the latest first; none where nothing is kept."""
    try:
        kept = json.loads((home.root / FOLDER / FILE).read_text())
        return [(str(customer), str(model)) for customer, model in reversed(kept)][:MOST_WARMED]
    except (OSError, ValueError, TypeError):
        return []


async def load_hot(service: Service) -> int:
    """Load what was asked for before, the latest first, until the bound of memory is half used; how many that were."""
    loaded = 0
    for customer, model in hot_models(service.deployment.home):
        if service.cache.resident_bytes > service.bound_bytes // 2:
            break
        # A customer or model that is gone, or broken in whatever way: the first request will say so.
        with suppress(Exception):
            loaded += await service.scorer(service.served(customer, model)) is not None
    return loaded


async def keep_hot(service: Service, every_seconds: float = EVERY_SECONDS) -> None:
    """Load what was asked for before, then write down what is asked for now, again and again."""
    if count := await load_hot(service):
        LOG.info({"what": "warm", "versions": count})
    while True:
        await asyncio.sleep(every_seconds)
        await asyncio.to_thread(remember, service.deployment.home, service.cache.models())


def remember(home: Home, models: list[tuple[str, str]]) -> None:
    """Write down the models that are loaded, the latest last; a disk that is full leaves what was written before."""
    if not models or models == hot_models(home)[::-1]:
        return
    target: Path = home.root / FOLDER / FILE
    unfinished = target.with_name(f"{FILE}.{os.getpid()}")
    with suppress(OSError):
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished.write_text(json.dumps(models))
        unfinished.replace(target)
