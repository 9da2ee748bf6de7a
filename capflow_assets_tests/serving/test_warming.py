"""What was asked for before a restart is loaded before it is asked for again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.graph.engine import deployment
from capflow_assets.home.places import Home
from capflow_assets.learning.online.scorers import Scorer
from capflow_assets.serving.scorer_cache import Key, LoadedScorer, ScorerCache
from capflow_assets.serving.service import Service
from capflow_assets.serving.warming import FILE, hot_models, load_hot, remember

TOML = """
name = "{name}"
vertical = "grocery"
currency = "EUR"
time_zone = "UTC"
[tables.bills]
source = "csv"
location = "/nowhere/bills.csv"
columns = {{ bill_id = "id", billed_at = "at", amount = "amount", user_id = "user" }}
"""
STAGE, PROPENSITY = ("acme", "lifecycle_stage"), ("acme", "purchase_propensity")


def service_in(root: Path, bound: int = 1 << 20) -> tuple[Service, list[Key]]:
    """A service that keeps which versions it loads, each of 100 kB; those of ``boots`` are broken."""
    home = Home.of(root, {}).prepare()
    for name in ("acme", "boots"):
        (home.customers / f"{name}.toml").write_text(TOML.format(name=name))
    service, loads = Service(deployment(STAGES, SOURCES, home=home), bound), []
    service.watch.champions = {f"{name}.{model}": 2 for name in ("acme", "boots") for model in STAGES.models}

    def load(key: Key) -> LoadedScorer:
        if key[0] == "boots":
            raise OSError("a file is gone")
        loads.append(key)
        return LoadedScorer(key[2], "own", Scorer(("x",), "numpy", lambda rows: {"score": np.ones(len(rows))}, 100_000))

    service.cache = ScorerCache(load, bound)
    return service, loads


def test_a_server_that_starts_loads_what_the_last_one_was_asked_for(tmp_path: Path) -> None:
    first, _ = service_in(tmp_path)

    async def load_models() -> None:
        for customer, model in (STAGE, PROPENSITY, ("boots", "lifecycle_stage"), STAGE):
            await first.scorer(first.served(customer, model))

    asyncio.run(load_models())
    remember(first.deployment.home, first.cache.models())
    assert hot_models(first.deployment.home) == [STAGE, PROPENSITY], "the latest first; what is broken is not kept"
    second, loads = service_in(tmp_path)
    assert asyncio.run(load_hot(second)) == 2
    assert [key[:2] for key in loads] == [STAGE, PROPENSITY]


def test_it_loads_no_more_than_half_of_the_memory_holds_and_passes_by_what_is_gone(tmp_path: Path) -> None:
    first, _ = service_in(tmp_path)
    gone = [("nobody", "lifecycle_stage"), ("acme", "no_such_model"), ("boots", "lifecycle_stage")]
    remember(first.deployment.home, [("acme", "spend_forecast"), PROPENSITY, STAGE, *gone])
    second, loads = service_in(tmp_path, bound=300_000)
    assert asyncio.run(load_hot(second)) == 2
    assert [key[:2] for key in loads] == [STAGE, PROPENSITY]


@pytest.mark.parametrize("content", ["", "{}", "[1]", "no JSON", '[["acme"]]'])
def test_a_damaged_note_is_no_note(tmp_path: Path, content: str) -> None:
    home = Home.of(tmp_path, {}).prepare()
    (home.root / "serving").mkdir(exist_ok=True)
    (home.root / "serving" / FILE).write_text(content)
    assert hot_models(home) == []
