"""What Dagster says is stale of a customer: after runs of one, of a cohort, of another machine, and a person's word."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleCauseCategory, StaleStatus
from dagster._core.events.log import EventLogEntry
from dagster._core.loader import LoadingContextForTest

from capflow_assets.graph.cohort import run_cohort
from capflow_assets.graph.decision_records import keep_event
from capflow_assets.graph.outcomes import Outcome
from capflow_assets.graph.partitions import CUSTOMERS
from capflow_assets.graph.provenance import decided, noted_here

CUSTOMERS_OF_TEST = ("ann", "bob")
# Each is made of the one before it.
CHAIN = (("raw", "bills"), ("clean", "bills"), ("features", "rfm"), ("predictions", "churn"))
TABLES, MODEL = CHAIN[:3], CHAIN[3:]
CODE, DATA = StaleCauseCategory.CODE, StaleCauseCategory.DATA


@dataclass
class Shop:
    """A graph of four assets in two steps, and what it tells: the versions of tables of each customer, and of code."""

    instance: dg.DagsterInstance
    versions: dict[tuple[str, str], int] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)

    def assets(self) -> list[dg.AssetsDefinition]:
        return [self._step("tables", TABLES), self._step("model", MODEL)]

    def _step(self, name: str, keys: tuple[tuple[str, str], ...]) -> dg.AssetsDefinition:
        @dg.multi_asset(
            name=name,
            specs=[self._spec(key) for key in keys],
            partitions_def=CUSTOMERS,
            can_subset=True,
            backfill_policy=dg.BackfillPolicy.single_run(),
        )
        def step(context):  # type: ignore[no-untyped-def]
            selected = {tuple(key.path) for key in context.selected_asset_keys}

            def work(customer: str) -> Iterator[Outcome]:
                for key in keys:
                    if key in selected:
                        version = self.versions.setdefault((customer, key[0]), 0)
                        yield Outcome(dg.AssetKey(key), {"version": version})

            yield from run_cohort(context, context.partition_keys, work)

        return step

    def _spec(self, key: tuple[str, str]) -> dg.AssetSpec:
        place = CHAIN.index(key)
        deps = [dg.AssetKey(CHAIN[place - 1])] if place else []
        code = self.code.setdefault(key[0], "code of today")
        return dg.AssetSpec(key, deps=deps, skippable=True, partitions_def=CUSTOMERS, code_version=code)

    def run(self, *customers: str, stages: tuple[str, ...] = ("raw", "clean", "features", "predictions")) -> None:
        """Tables, then models: a cohort's step has no outputs, so that no other follows it in one run."""
        for keys in (TABLES, MODEL):
            if selection := [dg.AssetKey(key) for key in keys if key[0] in stages]:
                self._run(customers, selection)

    def _run(self, customers: tuple[str, ...], selection: list[dg.AssetKey]) -> None:
        names: dict[str, Any] = {"partition_key": customers[0]}
        if len(customers) > 1:
            names = {
                "tags": {
                    "dagster/asset_partition_range_start": customers[0],
                    "dagster/asset_partition_range_end": customers[-1],
                }
            }
        dg.materialize(self.assets(), instance=self.instance, selection=selection, **names)

    def stale(self, customer: str) -> Mapping[str, set[StaleCauseCategory]]:
        """Why assets of a customer are stale, by stage, as Dagster's page tells; those that are fresh are left out."""
        graph = dg.Definitions(assets=self.assets()).resolve_asset_graph()
        resolver = CachingStaleStatusResolver(self.instance, graph, LoadingContextForTest(self.instance))
        assert StaleStatus.MISSING not in {resolver.get_status(dg.AssetKey(key), customer) for key in CHAIN}
        causes = {key[0]: resolver.get_stale_causes(dg.AssetKey(key), customer) for key in CHAIN}
        return {stage: {cause.category for cause in of_stage} for stage, of_stage in causes.items() if of_stage}


@pytest.fixture
def shop() -> Iterator[Shop]:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(str(CUSTOMERS.name), list(CUSTOMERS_OF_TEST))
        yield Shop(instance)


@pytest.mark.parametrize("runs", [(("ann",), ("bob",)), (CUSTOMERS_OF_TEST,), (CUSTOMERS_OF_TEST, ("ann",))])
def test_what_was_made_in_order_is_fresh_however_many_customers_a_run_has(
    shop: Shop, runs: tuple[tuple[str, ...], ...]
) -> None:
    for customers in runs:
        shop.run(*customers)
    assert not shop.stale("ann")
    assert not shop.stale("bob")


@pytest.mark.parametrize("customers", [("ann",), CUSTOMERS_OF_TEST])
@pytest.mark.parametrize("stage", ["features", "predictions"])
def test_new_code_makes_its_own_asset_stale_and_no_other(shop: Shop, stage: str, customers: tuple[str, ...]) -> None:
    shop.run(*customers)
    shop.code[stage] = "code of tomorrow"
    assert {name: shop.stale(name) for name in customers} == {name: {stage: {CODE}} for name in customers}
    shop.run(*customers, stages=(stage,))
    assert not shop.stale("ann").get(stage)


@pytest.mark.parametrize("customers", [("ann",), CUSTOMERS_OF_TEST])
def test_rows_that_landed_anew_make_what_is_made_of_them_stale_for_that_customer(
    shop: Shop, customers: tuple[str, ...]
) -> None:
    """Code and inputs of a raw table never change: its version says that the rows did."""
    shop.run(*CUSTOMERS_OF_TEST)
    shop.versions["ann", "raw"] += 1
    shop.run(*customers, stages=("raw",))
    assert shop.stale("ann") == {"clean": {DATA}}
    assert not shop.stale("bob")


def test_a_table_that_stayed_as_it_was_makes_nothing_stale(shop: Shop) -> None:
    shop.run(*CUSTOMERS_OF_TEST)
    shop.run(*CUSTOMERS_OF_TEST, stages=("raw",))
    assert not shop.stale("ann")


def test_a_persons_word_is_new_data_of_the_same_code(shop: Shop) -> None:
    shop.run(*CUSTOMERS_OF_TEST)
    decide(shop, "ann", 2)
    assert shop.stale("ann") == {"predictions": {DATA}}
    assert not shop.stale("bob")


def test_who_goes_back_before_anything_was_predicted_makes_nothing_stale(shop: Shop) -> None:
    shop.run(*CUSTOMERS_OF_TEST)
    decide(shop, "ann", 1)
    shop.run(*CUSTOMERS_OF_TEST, stages=("predictions",))
    decide(shop, "ann", 2)
    assert shop.stale("ann") == {"predictions": {DATA}}
    decide(shop, "ann", 1)
    assert not shop.stale("ann")


def decide(shop: Shop, customer: str, champion: int | None) -> None:
    """Record that a person made a version the champion of what stands for the model."""
    key = dg.AssetKey(CHAIN[2])
    run = shop.instance.add_run(dg.DagsterRun("capflow_promote", str(uuid.uuid4())))
    notes = decided(shop.instance, key, customer, champion)
    keep_event(shop.instance, run, dg.AssetMaterialization(key, partition=customer, tags=notes))


def test_nothing_is_noted_of_a_decision_about_what_was_never_made(shop: Shop) -> None:
    assert decided(shop.instance, dg.AssetKey(CHAIN[2]), "ann", 1) == {}


def test_what_another_machine_made_is_fresh_where_events_have_other_numbers(shop: Shop) -> None:
    """An orchestrator with a long history takes over what a cluster, whose own history is empty, has recorded."""
    for _ in range(3):
        shop.run(*CUSTOMERS_OF_TEST)
    for stage in ("raw", "clean", "features", "predictions"):
        for name in CUSTOMERS_OF_TEST:
            shop.versions[name, stage] = 7
    with dg.DagsterInstance.ephemeral() as elsewhere:
        elsewhere.add_dynamic_partitions(str(CUSTOMERS.name), list(CUSTOMERS_OF_TEST))
        Shop(elsewhere, shop.versions).run(*CUSTOMERS_OF_TEST)
        for entry in materializations(elsewhere):
            shop.instance.handle_new_event(noted_here(shop.instance, entry))
    assert not shop.stale("ann")
    assert not shop.stale("bob")


def materializations(instance: dg.DagsterInstance) -> list[EventLogEntry]:
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    runs = reversed(instance.get_runs())
    records = [record for run in runs for record in instance.get_records_for_run(run.run_id, of_type=kind).records]
    return [record.event_log_entry for record in records]
