"""Many customers in one run, and one customer's failure that stays its own.

With one customer in the run, results and checks are yielded as Dagster expects them. With several, a finished asset and
its checks are recorded at once for their partition; each check is told of once more, with the table of customers; at
the end the step fails if anything failed, naming the customers, which marks just those in a backfill.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import dagster as dg

from capflow_assets.contract import Finding
from capflow_assets.errors import CapflowError
from capflow_assets.foreign import words_of
from capflow_assets.graph.check_records import check_result, evaluation, fleet_records
from capflow_assets.graph.cohort_process import EMBEDDED, ProcessDied, Task, apart
from capflow_assets.graph.failures import AssetFailure, step_failure
from capflow_assets.graph.outcomes import Outcome, Work, trace
from capflow_assets.graph.provenance import Provenance, data_version

Events = Iterator[
    dg.MaterializeResult | dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckResult | dg.AssetCheckEvaluation
]
# Metadata of an observation: when an asset is worth to be made again.
AGAIN_AT = "again_at"


def run_cohort(context: dg.AssetExecutionContext, customers: Sequence[str], work: Work) -> Events:
    """Run ``work`` for each customer in turn and report what it yields.

    Raises:
        dagster.Failure: at the end, where any asset of any customer failed.
    """
    failures: list[AssetFailure] = []
    checked: dict[dg.AssetCheckKey, list[tuple[str, Finding]]] = defaultdict(list)
    alone = len(customers) == 1
    provenance = Provenance.of(context, customers)
    for customer in customers:
        for outcome in _guarded(customer, work):
            if outcome.failure:
                key = outcome.key.to_user_string()
                failures.append(AssetFailure(customer, key, outcome.failure, outcome.consequence_of))
                _log_failure(context, failures[-1], outcome)
            elif alone:
                version = dg.DataVersion(data_version(outcome, context.run.run_id))
                yield dg.MaterializeResult(asset_key=outcome.key, metadata=outcome.metadata, data_version=version)
            else:
                notes = provenance.notes(outcome, customer)
                yield dg.AssetMaterialization(outcome.key, partition=customer, metadata=outcome.metadata, tags=notes)
            if outcome.again_at:
                metadata = {AGAIN_AT: outcome.again_at.isoformat()}
                yield dg.AssetObservation(outcome.key, partition=customer, metadata=metadata)
            for asset, finding in outcome.findings:
                check = dg.AssetCheckKey(asset, finding.check)
                if check in context.selected_asset_check_keys:
                    checked[check].append((customer, finding))
                    if alone:
                        yield check_result(asset, finding)
                    else:
                        yield evaluation(context.instance, customer, asset, finding)
    yield from fleet_records(context.instance, checked)
    if failures:
        raise step_failure(customers, failures)


def placed(customers: Sequence[str], work: Work, task: Task | None) -> Work:
    """``work``, where it is to be done.

    Several customers on the embedded engine are computed in a process of their own where there is a ``task``, which is
    the same ``work`` as it travels: what kills that process costs one customer.
    """
    return work if len(customers) == 1 or task is None or task.engine != EMBEDDED else apart(task)


def _guarded(customer: str, work: Callable[[str], Iterable[Outcome]]) -> Iterator[Outcome]:
    """A customer whose work breaks outside any one asset (a TOML gone bad, say) is a failed customer, no more."""
    try:
        yield from work(customer)
    except ProcessDied as error:
        key = dg.AssetKey(error.death.key.split("/") if error.death.key else "customer")
        yield Outcome(key, failure=str(error))
    except CapflowError as error:
        yield Outcome(dg.AssetKey("customer"), failure=str(error), error=error)
    except Exception as error:  # whatever one customer breaks with must not stop the others
        yield Outcome(dg.AssetKey("customer"), failure=words_of(error), error=error)


def timed(outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    """The same outcomes, each with the seconds that it took among its metadata."""
    began = time.perf_counter()
    for outcome in outcomes:
        yield replace(outcome, metadata={**outcome.metadata, "seconds": round(time.perf_counter() - began, 3)})
        began = time.perf_counter()


def _log_failure(context: dg.AssetExecutionContext, failure: AssetFailure, outcome: Outcome) -> None:
    context.log.error(failure.words)
    if lines := outcome.trace or trace(outcome.error):
        context.log.error(lines)
