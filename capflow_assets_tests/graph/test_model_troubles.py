"""What alerts are made of is what `capflow status` says of the same models."""

from __future__ import annotations

from pathlib import Path

import pytest

from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.graph import alarms
from capflow_assets.graph.engine import Engine, deployment
from capflow_assets.graph.launch import dagster_instance
from capflow_assets.graph.model_troubles import COLUMNS, trouble_rows
from capflow_assets.graph.status import OFF, status_rows
from capflow_assets.home.places import Home
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets_doubles.homes import TestHome, own_environment

BROKEN, LEFT_OUT = "rfm_segments", "churn"


def test_rows_are_those_of_status_also_of_what_is_broken_or_off(acme_copy: TestHome, monkeypatch: pytest.MonkeyPatch):
    version = acme_copy.status("acme")[BROKEN]["champion"]
    (Path(acme_copy.artifacts(BROKEN, version)) / "model" / "model.skops").write_bytes(b"no model")
    acme_copy.ok("onboard", str(write(simulate(tiny("beta", seed=3, users=20, days=70)), acme_copy.root.parent / "b")))
    toml = acme_copy.root / "customers" / "beta.toml"
    models = [name for name in STAGES.models if name != LEFT_OUT]
    toml.write_text(f"only_models = {models}\n{toml.read_text()}")
    place = deployment(STAGES, SOURCES, home=Home.of(acme_copy.root), engine=Engine())
    with own_environment(), dagster_instance(place.home) as instance:
        customers = place.customers()
        full = [{name: row[name] for name in COLUMNS} for row in status_rows(place, instance, customers)]
        rows = list(trouble_rows(place, instance, customers))
        together = list(alarms.alarms_of_models(place, instance, customers))
        monkeypatch.setattr(alarms, "CUSTOMERS_A_QUERY", 1)
        assert list(alarms.alarms_of_models(place, instance, customers)) == together
    assert rows == full
    states = {(row["customer"], row["model"]): row["status"] for row in rows}
    assert (states["acme", BROKEN], states["beta", LEFT_OUT]) == ("broken champion", OFF)
    assert [name for name, _ in together] == ["acme", "beta"]
