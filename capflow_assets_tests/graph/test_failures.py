"""What failed reaches the reader of a step as it was known where it failed, whatever its words look like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import dagster as dg
import pytest

from capflow_assets.graph.cohort import run_cohort
from capflow_assets.graph.failures import AssetFailure, failures_of_step
from capflow_assets.graph.launch import Finished
from capflow_assets.graph.outcomes import Outcome
from capflow_assets.graph.partitions import CUSTOMERS

BILLS, RFM = dg.AssetKey(["clean", "bills"]), dg.AssetKey(["features", "rfm"])
# Words that a reader of the text would take for another customer's failure, and for a consequence.
ODD = "raw/items failed\nbob: features/rfm: is not what it seems"


def step_failure_of(outcomes: Sequence[Outcome]) -> dg.DagsterEvent:
    """The event of a step of ann whose work gave these outcomes."""

    @dg.multi_asset(
        name="tables",
        specs=[dg.AssetSpec(key, skippable=True, partitions_def=CUSTOMERS) for key in (BILLS, RFM)],
        partitions_def=CUSTOMERS,
        can_subset=True,
    )
    def tables(context):  # type: ignore[no-untyped-def]
        def work(name: str) -> Iterator[Outcome]:
            yield from outcomes

        yield from run_cohort(context, context.partition_keys, work)

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(str(CUSTOMERS.name), ["ann"])
        result = dg.materialize([tables], partition_key="ann", instance=instance, raise_on_error=False)
    return next(event for event in result.all_events if event.is_step_failure)


def test_a_failure_and_its_consequence_arrive_whole():
    blocked = Outcome(RFM, failure="clean/bills failed; the last good version stays", consequence_of=("clean/bills",))
    event = step_failure_of([Outcome(BILLS, failure=ODD), blocked])
    failures = failures_of_step(event, "ann", ["clean/bills", "features/rfm"])
    assert failures == {
        "clean/bills": AssetFailure("ann", "clean/bills", ODD),
        "features/rfm": AssetFailure("ann", "features/rfm", blocked.failure, ("clean/bills",)),
    }
    assert Finished("ann", failures=failures).root_causes == {"clean/bills": ODD}


def test_what_stopped_the_whole_customer_is_reported_of_each_asset():
    event = step_failure_of([Outcome(dg.AssetKey("customer"), failure="the TOML is wrong")])
    failures = failures_of_step(event, "ann", ["clean/bills"])
    assert "the TOML is wrong" in failures["clean/bills"].reason
    assert not failures["clean/bills"].consequence_of


@pytest.mark.parametrize("customer", ["bob", "an"])
def test_a_customer_gets_no_failure_of_another(customer):
    event = step_failure_of([Outcome(BILLS, failure="it is broken")])
    failures = failures_of_step(event, customer, ["clean/bills"])
    assert failures["clean/bills"].customer == customer
    assert "1 of 1 customers failed: ann" in failures["clean/bills"].reason
