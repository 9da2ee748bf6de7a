"""A customer with one champion whose features and answers lie in the store, without a run: what a service looks up."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.graph.engine import deployment
from capflow_assets.home.places import Home
from capflow_assets.serving.service import Service
from capflow_assets.stores.answer_store import ANSWERS, FEATURES, AnswerStore

TOML = """
name = "acme"
vertical = "grocery"
currency = "EUR"
time_zone = "UTC"
[serving]
valid_hours = 24
[tables.bills]
source = "csv"
location = "/nowhere/bills.csv"
columns = { bill_id = "id", billed_at = "at", amount = "amount", user_id = "user" }
"""
MODEL = "purchase_propensity"
FIRST, SECOND, OTHER = STAGES.model(MODEL).model.columns[:3]


@pytest.fixture
def service(tmp_path: Path) -> Service:
    """A champion 2 that answers live; the night was answered by version 1."""
    home = Home.of(tmp_path, {}).prepare()
    (home.customers / "acme.toml").write_text(TOML)
    service = Service(deployment(STAGES, SOURCES, home=home))
    service.watch.champions = {f"acme.{MODEL}": 2}
    publish(service, [FIRST, SECOND], [1.0, 20.0])
    answered(service, rung="own", version=1)
    return service


def publish(service: Service, columns: list[str], values: list[float]) -> None:
    store = AnswerStore.of(service.deployment.home, "acme")
    facts = {"columns": columns, "as_of": datetime.now(UTC).isoformat()}
    with store.writing():
        store.replace(FEATURES, str(columns), [("u1", np.array(values).tobytes())], facts)


def answered(service: Service, rung: str, version: int) -> None:
    store = AnswerStore.of(service.deployment.home, "acme")
    facts = {
        "shape": "score",
        "per": [],
        "rung": rung,
        "model_version": version,
        "as_of": datetime.now(UTC).isoformat(),
    }
    with store.writing():
        store.replace(f"{ANSWERS}{MODEL}", f"{rung}@{version}", [("u1", b'{"score": 0.25}')], facts)
