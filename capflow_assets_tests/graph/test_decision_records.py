"""What Dagster says after a person decided about champions of many customers: what is stale, and what a check tells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleCauseCategory
from dagster._core.loader import LoadingContextForTest

from capflow_assets.definitions import SOURCES, STAGES, defs
from capflow_assets.deployment import Deployment
from capflow_assets.graph.decision_records import keep_event, run_of
from capflow_assets.graph.decisions import rollback
from capflow_assets.graph.engine import Engine
from capflow_assets.graph.launch import dagster_instance
from capflow_assets.graph.many_decisions import carry_out
from capflow_assets.graph.model_assets import asset_specs
from capflow_assets.graph.newest import latest
from capflow_assets.graph.outcomes import Outcome
from capflow_assets.graph.partitions import CUSTOMERS
from capflow_assets.graph.provenance import Provenance, champion_version
from capflow_assets.home.places import Home
from capflow_assets.stores.registry_draft import Action
from capflow_assets_doubles.homes import own_environment

MODEL = "churn"
NAMES = ("ann", "bob", "eve")
MODELS, PREDICTIONS = dg.AssetKey(["models", MODEL]), dg.AssetKey(["predictions", MODEL])
TOML = """
name = "{name}"
vertical = "footwear"
currency = "EUR"
time_zone = "Europe/Madrid"
[tables.bills]
source = "csv"
location = "s3://shop/bills.csv"
columns = {{ bill_id = "id", billed_at = "at", amount = "amount", user_id = "user" }}
"""


@dataclass
class Brands:
    """Three customers whose second champion has scored."""

    place: Deployment
    instance: dg.DagsterInstance

    def predict(self) -> None:
        """Record a training and a scoring of everybody, as runs of several customers do."""
        specs = {spec.key: spec for spec in asset_specs(STAGES, STAGES.model(MODEL))}
        run = run_of(self.instance, "promote")
        for key in (MODELS, PREDICTIONS):
            provenance = Provenance(self.instance, run.run_id, specs, NAMES)
            for name in NAMES:
                champion = champion_version(self.place.registry.champion(name, MODEL))
                outcome = Outcome(key, data_version=champion if key == MODELS else "1")
                tags = provenance.notes(outcome, name)
                keep_event(self.instance, run, dg.AssetMaterialization(key, partition=name, tags=tags))

    def is_stale(self, name: str) -> bool:
        """Whether the predictions of a customer are of another champion, as Dagster's page tells."""
        graph = defs.resolve_asset_graph()
        resolver = CachingStaleStatusResolver(self.instance, graph, LoadingContextForTest(self.instance))
        causes = resolver.get_stale_causes(PREDICTIONS, name)
        return any(
            cause.category == StaleCauseCategory.DATA and cause.dependency and cause.dependency.asset_key == MODELS
            for cause in causes
        )


@pytest.fixture
def brands(tmp_path: Path) -> Iterator[Brands]:
    home = Home.of(tmp_path / "home", {})
    home.customers.mkdir(parents=True)
    report = {"as_of": "2024-01-01T00:00:00+00:00", "horizon_days": 28, "params": {}}
    with own_environment(), dagster_instance(home) as instance:
        place = Deployment(home, STAGES, SOURCES, Engine())
        instance.add_dynamic_partitions(str(CUSTOMERS.name), list(NAMES))
        for name in NAMES:
            (home.customers / f"{name}.toml").write_text(TOML.format(name=name))
            for _ in range(2):
                version = place.registry.register(name, MODEL, b"estimator", report, {})
                place.registry.promote(name, MODEL, version, "")
        example = Brands(place, instance)
        example.predict()
        yield example


def test_what_another_champion_predicted_is_stale_for_those_who_were_decided_about(brands: Brands) -> None:
    assert [brands.is_stale(name) for name in NAMES] == [False, False, False]
    changes = carry_out(brands.place, brands.instance, [("ann", MODEL), ("bob", MODEL)], "rollback", "a bad night")
    assert [(change.before, change.after) for change in changes] == [(2, 1), (2, 1)]
    assert [brands.is_stale(name) for name in NAMES] == [True, True, False]

    now = latest(brands.instance, f"models/{MODEL}", "bob")
    assert (now["status"], now["reason"], now["version"]) == ("rolled back by hand", "a bad night", 1)
    brands.predict()
    assert [brands.is_stale(name) for name in NAMES] == [False, False, False]
    for action in get_args(Action)[2:]:
        carry_out(brands.place, brands.instance, [("ann", MODEL)], action, "stocktaking")
    assert not brands.is_stale("ann"), "who is champion stays"
    rollback(brands.place, brands.instance, "ann", MODEL, "the first one was no better")
    assert brands.is_stale("ann")
    assert not brands.is_stale("bob")


def test_the_check_of_each_customer_is_of_its_newest_record(brands: Brands) -> None:
    carry_out(brands.place, brands.instance, [(name, MODEL) for name in NAMES], "rollback", "a bad night")
    storage, key = brands.instance.event_log_storage, dg.AssetCheckKey(MODELS, "promotion")
    numbers = storage.get_latest_storage_id_by_partition(MODELS, dg.DagsterEventType.ASSET_MATERIALIZATION, set(NAMES))
    records = {record.partition: record for record in storage.get_asset_check_execution_history(key, limit=10)}
    assert set(records) == {*NAMES, None}
    for name in NAMES:
        event = records[name].event
        assert event is not None
        evaluation = event.get_dagster_event().asset_check_evaluation_data
        assert (evaluation.passed, evaluation.description) == (True, "rolled back by hand: a bad night")
        assert evaluation.target_materialization_data is not None
        assert evaluation.target_materialization_data.storage_id == numbers[name]
