"""One customer's verdict on a check never hides another's: in runs of one customer, in cohorts, and in the graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import DagsterEventType
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as Status

from capflow_assets.contract import Finding
from capflow_assets.definitions import defs
from capflow_assets.graph.check_records import check_spec, retargeted, verdicts
from capflow_assets.graph.cohort import run_cohort
from capflow_assets.graph.outcomes import Outcome
from capflow_assets.graph.partitions import CUSTOMERS

KEY = dg.AssetKey(["clean", "bills"])
CHECK = dg.AssetCheckKey(KEY, "schema")
PASSES = Finding("schema", True, "all rules hold", "block")
WARNS = Finding("schema", False, "2 rows are odd", "warn")
ABSENT = Finding("schema", False, "absent: there is none", "warn", found={"absent": True})
BLOCKS = Finding("schema", False, "a column is missing", "block")


def job_of(findings: Mapping[str, Finding]) -> dg.AssetsDefinition:
    """The table of every customer, with what its check finds."""

    @dg.multi_asset(
        name="tables",
        specs=[dg.AssetSpec(KEY, skippable=True, partitions_def=CUSTOMERS)],
        check_specs=[check_spec("schema", KEY, "It keeps its schema.")],
        partitions_def=CUSTOMERS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,
    )
    def tables(context):  # type: ignore[no-untyped-def]
        def work(name: str) -> Iterator[Outcome]:
            yield Outcome(KEY, {}, ((KEY, findings[name]),))

        yield from run_cohort(context, context.partition_keys, work)

    return tables


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        ephemeral.add_dynamic_partitions(str(CUSTOMERS.name), ["ann", "bob", "cid"])
        yield ephemeral


def run(instance: dg.DagsterInstance, customer: str, finding: Finding) -> None:
    dg.materialize([job_of({customer: finding})], partition_key=customer, instance=instance)


def cohort(instance: dg.DagsterInstance, findings: Mapping[str, Finding]) -> None:
    first, *_, last = findings
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    dg.materialize([job_of(findings)], tags=tags, instance=instance)


def of_customers(instance: dg.DagsterInstance) -> dict[str, tuple[bool, bool]]:
    """By customer: whether the check passes, and whether that is of the newest table, as Dagster's page counts it."""
    infos = instance.event_log_storage.get_asset_check_partition_info([CHECK])
    return {
        info.partition_key: (info.latest_execution_status == Status.SUCCEEDED, info.is_current)
        for info in infos
        if info.partition_key is not None
    }


def in_the_graph(instance: dg.DagsterInstance) -> dg.AssetCheckEvaluation:
    """What the asset's box in the graph shows."""
    record: Any = instance.event_log_storage.get_latest_asset_check_execution_by_key([CHECK])[CHECK]
    return record.event.dagster_event.asset_check_evaluation_data


def test_a_customer_that_passes_hides_none_that_fails(instance) -> None:
    run(instance, "ann", BLOCKS)
    run(instance, "bob", PASSES)
    assert of_customers(instance) == {"ann": (False, True), "bob": (True, True)}
    shown = in_the_graph(instance)
    assert (shown.passed, shown.severity, shown.partition) == (False, dg.AssetCheckSeverity.ERROR, None)
    assert shown.description == "1 of 2 customers pass; not ann"
    (first, *_) = shown.metadata["customers"].records
    assert first.data == {"customer": "ann", "passed": False, "severity": "block", "message": "a column is missing"}


def test_a_warning_does_not_hide_what_blocks_another(instance) -> None:
    run(instance, "ann", BLOCKS)
    run(instance, "bob", WARNS)
    assert in_the_graph(instance).severity == dg.AssetCheckSeverity.ERROR
    run(instance, "ann", WARNS)
    assert in_the_graph(instance).severity == dg.AssetCheckSeverity.WARN


def test_what_is_mended_is_shown_no_more(instance) -> None:
    run(instance, "ann", BLOCKS)
    run(instance, "bob", PASSES)
    run(instance, "ann", PASSES)
    assert in_the_graph(instance).passed
    assert of_customers(instance) == {"ann": (True, True), "bob": (True, True)}


def test_where_all_pass_nothing_is_recorded_besides(instance) -> None:
    run(instance, "ann", PASSES)
    run(instance, "bob", PASSES)
    history = instance.event_log_storage.get_asset_check_execution_history(CHECK, limit=10)
    assert [record.partition for record in history] == ["bob", "ann"]


def test_a_cohort_keeps_the_verdict_of_each_customer(instance) -> None:
    run(instance, "cid", WARNS)
    cohort(instance, {"ann": PASSES, "bob": BLOCKS})
    assert of_customers(instance) == {"ann": (True, True), "bob": (False, True), "cid": (False, True)}
    shown = in_the_graph(instance)
    assert (shown.description, shown.severity) == ("1 of 3 customers pass; not bob, cid", dg.AssetCheckSeverity.ERROR)


def test_what_one_customer_lacks_is_no_fault_of_those_who_have_it(instance) -> None:
    """On its own partition it warns; the asset is not shown as faulty for it, and not as whole where all lack it."""
    run(instance, "ann", ABSENT)
    assert not in_the_graph(instance).passed
    run(instance, "bob", PASSES)
    assert in_the_graph(instance).partition == "bob"
    run(instance, "ann", ABSENT)
    assert (in_the_graph(instance).passed, in_the_graph(instance).partition) == (True, None)
    assert in_the_graph(instance).description == "1 of 2 customers pass; absent for ann"
    assert of_customers(instance) == {"ann": (False, True), "bob": (True, True)}
    run(instance, "bob", WARNS)
    assert in_the_graph(instance).description == "2 rows are odd"


def test_a_customer_that_is_gone_fails_no_more(instance) -> None:
    run(instance, "ann", BLOCKS)
    instance.delete_dynamic_partition(str(CUSTOMERS.name), "ann")
    run(instance, "bob", PASSES)
    assert in_the_graph(instance).passed
    assert set(verdicts(instance, [CHECK])[CHECK]) == {"bob"}


def test_a_check_of_a_step_that_ran_elsewhere_is_of_the_table_here(instance) -> None:
    """Over there, materializations are numbered anew: the page would call the check outdated."""
    with dg.DagsterInstance.ephemeral() as elsewhere:
        elsewhere.add_dynamic_partitions(str(CUSTOMERS.name), ["ann"])
        run(elsewhere, "ann", PASSES)
        run(elsewhere, "ann", PASSES)
        newest = elsewhere.get_runs()[0].run_id
        entries = [record.event_log_entry for record in elsewhere.get_records_for_run(newest).records]
    for _ in range(3):
        run(instance, "ann", BLOCKS)
    for entry in entries:
        if entry.is_dagster_event and entry.get_dagster_event().event_type in (
            DagsterEventType.ASSET_MATERIALIZATION,
            DagsterEventType.ASSET_CHECK_EVALUATION,
        ):
            instance.handle_new_event(retargeted(instance, entry))
    assert of_customers(instance) == {"ann": (True, True)}


def test_every_check_of_a_table_or_model_is_partitioned_as_its_asset_is() -> None:
    graph = defs.resolve_asset_graph()
    kinds = {
        key: (graph.get(key).partitions_def, graph.get(key.asset_key).partitions_def) for key in graph.asset_check_keys
    }
    assert kinds
    assert all(check == asset for check, asset in kinds.values())
