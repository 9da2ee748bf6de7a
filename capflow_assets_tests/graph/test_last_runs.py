"""The last day of each customer, from Dagster's runs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from capflow_assets.graph.gone_runs import COMMAND
from capflow_assets.graph.last_runs import DONE, FAILED, RUNNING, WAITING, last_nights
from capflow_assets.graph.night_runs import WHY
from capflow_assets.graph.partitions import CUSTOMERS
from capflow_assets.graph.records import PARTITION, RANGE

NAMES = ["ann", "bob", "cid", "dan", "eve"]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as own:
        own.add_dynamic_partitions(str(CUSTOMERS.name), NAMES)
        yield own


def add(instance: dg.DagsterInstance, status: str, tags: dict[str, str]) -> str:
    run = dg.DagsterRun("tables", str(uuid.uuid4()), status=dg.DagsterRunStatus[status], tags=tags)
    return instance.add_run(run).run_id


def test_a_customers_night_is_its_worst_run(instance: dg.DagsterInstance) -> None:
    add(instance, "SUCCESS", {PARTITION: "ann"})
    failed = add(instance, "FAILURE", {PARTITION: "ann"})
    add(instance, "SUCCESS", {PARTITION: "bob"})
    add(instance, "NOT_STARTED", {PARTITION: "cid", WHY: "two before it; 22:40 at the latest"})
    add(instance, "STARTED", {PARTITION: "dan"})
    nights = {night.customer: night for night in last_nights(instance, NAMES)}
    assert [nights[name].state for name in NAMES] == [FAILED, DONE, WAITING, RUNNING, "nothing ran"]
    assert nights["ann"].first_of_state is not None
    assert nights["ann"].first_of_state.run_id == failed
    assert nights["cid"].first_of_state is not None
    assert nights["cid"].first_of_state.words == "two before it; 22:40 at the latest"
    assert nights["eve"].first_of_state is None


def test_a_cohort_is_of_all_customers_between_its_ends(instance: dg.DagsterInstance) -> None:
    add(instance, "SUCCESS", {RANGE: "bob", "dagster/asset_partition_range_end": "dan"})
    assert [len(night.runs) for night in last_nights(instance, NAMES)] == [0, 1, 1, 1, 0]


def test_a_decision_is_no_night(instance: dg.DagsterInstance) -> None:
    add(instance, "SUCCESS", {PARTITION: "ann", COMMAND: "capflow promote"})
    add(instance, "SUCCESS", {PARTITION: "bob", COMMAND: "capflow run"})
    assert [night.state for night in last_nights(instance, ["ann", "bob"])] == ["nothing ran", DONE]


def test_runs_of_the_day_before_are_left_out(instance: dg.DagsterInstance) -> None:
    add(instance, "FAILURE", {PARTITION: "ann"})
    later = datetime.now(UTC) + timedelta(hours=25)
    assert last_nights(instance, ["ann"], now=later)[0].state == "nothing ran"


def test_a_customer_that_is_gone_has_no_night(instance: dg.DagsterInstance) -> None:
    add(instance, "SUCCESS", {PARTITION: "zoe"})
    assert [night.customer for night in last_nights(instance, ["ann"])] == ["ann"]
