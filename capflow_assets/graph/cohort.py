"""Many customers in one run, and one customer's failure that stays its own.

With one customer in the run, results are yielded as Dagster expects them. With several, a finished asset is recorded at
once for its partition; each check is told of once more, with the table of customers; at the end the step fails if
anything failed, naming the customers, which marks just those in a backfill. Checks are yielded as the events that
Dagster makes of a check's result, since it would read for each of them which materialization it is about.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import dagster as dg

from capflow_assets.contract import Finding
from capflow_assets.errors import CapflowError
from capflow_assets.foreign import words_of
from capflow_assets.graph.check_records import Target, evaluation, fleet_records, target
from capflow_assets.graph.cohort_process import EMBEDDED, ProcessDied, Task, apart
from capflow_assets.graph.failures import AssetFailure, step_failure
from capflow_assets.graph.gathering import together
from capflow_assets.graph.outcomes import Outcome, Work, trace
from capflow_assets.graph.provenance import Provenance, data_version

Events = Iterator[
    dg.MaterializeResult | dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation | dg.Output[None]
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
    provenance = None if len(customers) == 1 else Provenance.of(context, customers)
    selected_checks = context.selected_asset_check_keys
    for customer in customers:
        for outcome in _guarded(customer, work):
            if outcome.failure:
                key = outcome.key.to_user_string()
                failures.append(AssetFailure(customer, key, outcome.failure, outcome.consequence_of))
                _log_failure(context, failures[-1], outcome)
            findings = {dg.AssetCheckKey(asset, finding.check): finding for asset, finding in outcome.findings}
            selected = {key: finding for key, finding in findings.items() if key in selected_checks}
            for check, finding in selected.items():
                checked[check].append((customer, finding))
            with together(context.instance):
                yield from _events(context, customer, outcome, selected, provenance)
    yield from fleet_records(context.instance, checked)
    if failures:
        raise step_failure(customers, failures)


def _events(
    context: dg.AssetExecutionContext,
    customer: str,
    outcome: Outcome,
    findings: Mapping[dg.AssetCheckKey, Finding],
    provenance: Provenance | None,
) -> Events:
    """An outcome as Dagster keeps it, with the findings of selected checks; ``provenance`` is of several customers."""
    if not outcome.failure:
        yield _materialization(context, customer, outcome, provenance)
    if outcome.again_at:
        metadata = {AGAIN_AT: outcome.again_at.isoformat()}
        yield dg.AssetObservation(outcome.key, partition=customer, metadata=metadata)
    # Read once for all checks of an asset.
    targets: dict[dg.AssetKey, Target | None] = {}
    specs = {} if provenance else context.assets_def.check_specs_by_output_name
    outputs = {spec.key: name for name, spec in specs.items()}
    for check, finding in findings.items():
        asset = check.asset_key
        if asset not in targets:
            targets[asset] = target(context.instance, asset, customer)
        yield evaluation(context.instance, customer, asset, finding, targets[asset])
        if check in outputs:
            yield dg.Output(None, outputs[check])
    if provenance and not outcome.failure and (newest := targets.get(outcome.key)):
        provenance.remember(outcome, customer, newest)


def _materialization(
    context: dg.AssetExecutionContext, customer: str, outcome: Outcome, provenance: Provenance | None
) -> dg.MaterializeResult | dg.AssetMaterialization:
    if provenance is None:
        version = dg.DataVersion(data_version(outcome, context.run.run_id))
        return dg.MaterializeResult(asset_key=outcome.key, metadata=outcome.metadata, data_version=version)
    notes = provenance.notes(outcome, customer)
    return dg.AssetMaterialization(outcome.key, partition=customer, metadata=outcome.metadata, tags=notes)


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
