"""Many customers in one run, and one customer's failure that stays its own.

With one customer in the run, results and checks are yielded as Dagster expects them. With several, a finished asset is
logged at once for its partition and nothing is yielded for it; checks are reported once, with the table of customers;
at the end the step fails if anything failed, naming the customers, which marks just those in a backfill.
"""

import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import dagster as dg

from capflow_assets.contract import Finding
from capflow_assets.errors import CapflowError
from capflow_assets.foreign import words_of
from capflow_assets.graph.cohort_process import EMBEDDED, ProcessDied, Task, apart

Events = Iterator[dg.MaterializeResult | dg.AssetCheckResult]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one asset of one customer. ``failure`` is empty where it was materialized.

    ``trace`` is where an error that is none of ours came from.
    """

    key: dg.AssetKey
    metadata: dict[str, Any] = field(default_factory=dict)
    findings: tuple[tuple[dg.AssetKey, Finding], ...] = ()
    failure: str = ""
    error: Exception | None = None
    trace: str = ""

    def as_plain(self) -> "Outcome":
        """The same without the error itself, which may not travel between processes; its trace does."""
        return replace(self, error=None, trace=self.trace or trace(self.error))


Work = Callable[[str], Iterable[Outcome]]


def run_cohort(context: dg.AssetExecutionContext, customers: Sequence[str], work: Work) -> Events:
    """Run ``work`` for each customer in turn and report what it yields.

    Raises:
        dagster.Failure: at the end, where any asset of any customer failed.
    """
    failures: dict[str, list[Outcome]] = defaultdict(list)
    checked: dict[tuple[dg.AssetKey, str], list[tuple[str, Finding]]] = defaultdict(list)
    alone = len(customers) == 1
    for customer in customers:
        for outcome in _guarded(customer, work):
            if outcome.failure:
                failures[customer].append(outcome)
                _log_failure(context, customer, outcome)
            elif alone:
                yield dg.MaterializeResult(asset_key=outcome.key, metadata=outcome.metadata)
            else:
                context.log_event(dg.AssetMaterialization(outcome.key, partition=customer, metadata=outcome.metadata))
            for key, finding in outcome.findings:
                if dg.AssetCheckKey(key, finding.check) in context.selected_asset_check_keys:
                    checked[key, finding.check].append((customer, finding))
                    if alone:
                        yield check_result(key, finding)
    if not alone:
        yield from (_cohort_check(key, check, found) for (key, check), found in checked.items())
    if failures:
        raise _failure(customers, failures)


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


def _log_failure(context: dg.AssetExecutionContext, customer: str, outcome: Outcome) -> None:
    context.log.error(f"{customer}: {outcome.key.to_user_string()}: {outcome.failure}")
    if lines := outcome.trace or trace(outcome.error):
        context.log.error(lines)


def trace(error: Exception | None) -> str:
    """Where an error came from; nothing where its own words say all there is to say."""
    if error is None or isinstance(error, CapflowError):
        return ""
    return "".join(traceback.format_exception(error))


def check_result(key: dg.AssetKey, finding: Finding) -> dg.AssetCheckResult:
    """A finding as Dagster shows it."""
    metadata: dict[str, Any] = {name: value for name, value in finding.found.items() if value is not None}
    if finding.sample:
        metadata["sample"] = dg.MetadataValue.json([dict(row) for row in finding.sample])
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=finding.check,
        passed=finding.passed,
        severity=dg.AssetCheckSeverity.ERROR if finding.severity == "block" else dg.AssetCheckSeverity.WARN,
        description=finding.message,
        metadata=metadata,
    )


def _cohort_check(key: dg.AssetKey, check: str, found: list[tuple[str, Finding]]) -> dg.AssetCheckResult:
    failed = [customer for customer, finding in found if not finding.passed]
    blocking = any(not finding.passed and finding.severity == "block" for _, finding in found)
    rows = [
        dg.TableRecord(
            {
                "customer": customer,
                "passed": finding.passed,
                "severity": finding.severity,
                "message": finding.message,
            }
        )
        for customer, finding in found
    ]
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=check,
        passed=not failed,
        severity=dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN,
        description=f"{len(found) - len(failed)} of {len(found)} customers pass"
        + (f"; not {', '.join(failed)}" if failed else ""),
        metadata={"customers": dg.MetadataValue.table(rows)},
    )


def _failure(customers: Sequence[str], failures: dict[str, list[Outcome]]) -> dg.Failure:
    lines = [
        f"{customer}: {outcome.key.to_user_string()}: {outcome.failure}"
        for customer, outcomes in failures.items()
        for outcome in outcomes
    ]
    good = [customer for customer in customers if customer not in failures]
    return dg.Failure(
        description=f"{len(failures)} of {len(customers)} customers failed: {', '.join(failures)}\n" + "\n".join(lines),
        metadata={
            "failed": dg.MetadataValue.json({c: [o.key.to_user_string() for o in f] for c, f in failures.items()}),
            "completed": dg.MetadataValue.json(good),
        },
        allow_retries=False,
    )
