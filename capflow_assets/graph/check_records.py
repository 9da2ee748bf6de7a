"""What Dagster keeps of checks: a verdict of each customer, and one of the whole fleet where it says something else.

Checks are partitioned by customer, as their assets are. The graph shows the newest record of a check alone, whosever
it is; so a run that passes a check, which fails for another customer, writes a record without a partition last.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData as Target,
)
from dagster._core.events import DagsterEventType
from dagster._core.events.log import EventLogEntry
from dagster_shared.record import replace

from capflow_assets.contract import Finding
from capflow_assets.errors import listed, shortened
from capflow_assets.graph.partitions import CUSTOMERS

Checked = Mapping[dg.AssetCheckKey, Sequence[tuple[str, Finding]]]
# Customers of one record; the others are on the check's page.
MOST_SHOWN = 200
MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the newest evaluation of a check says of one customer."""

    passed: bool
    severity: dg.AssetCheckSeverity
    message: str
    is_absent: bool = False


def check_spec(name: str, asset: dg.AssetKey, description: str) -> dg.AssetCheckSpec:
    """A check of an asset, partitioned by customer."""
    with warnings.catch_warnings():
        # Dagster calls these partitions a preview; test_check_records.py holds what is relied on.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(name, asset=asset, description=description, partitions_def=CUSTOMERS)


def severity_of(finding: Finding) -> dg.AssetCheckSeverity:
    """Dagster's severity of a finding."""
    return dg.AssetCheckSeverity.ERROR if finding.severity == "block" else dg.AssetCheckSeverity.WARN


def metadata_of(finding: Finding) -> dict[str, Any]:
    """The figures of a finding and a sample of its rows, as Dagster shows them."""
    metadata: dict[str, Any] = {name: value for name, value in finding.found.items() if value is not None}
    if finding.sample:
        metadata["sample"] = dg.MetadataValue.json([dict(row) for row in finding.sample])
    return metadata


def evaluation(
    instance: dg.DagsterInstance, customer: str, key: dg.AssetKey, finding: Finding, of: Target | None = None
) -> dg.AssetCheckEvaluation:
    """A finding as Dagster keeps it of one customer of many, by default ``of`` its newest materialization."""
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=finding.check,
        passed=finding.passed,
        severity=severity_of(finding),
        description=finding.message,
        metadata=metadata_of(finding),
        target_materialization_data=of or target(instance, key, customer),
        blocking=False,
        partition=customer,
    )


def target(instance: dg.DagsterInstance, key: dg.AssetKey, customer: str) -> Target | None:
    """The newest materialization of an asset of a customer: a check that names an older one counts as outdated."""
    newest = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[customer])
    records = instance.fetch_materializations(newest, limit=1).records
    return (
        Target(storage_id=records[0].storage_id, run_id=records[0].run_id, timestamp=records[0].timestamp)
        if (records)
        else None
    )


def retargeted(instance: dg.DagsterInstance, entry: EventLogEntry) -> EventLogEntry:
    """An entry of a step that ran elsewhere: a check names the materialization as it is numbered here."""
    event = entry.dagster_event
    if event is None or event.event_type != DagsterEventType.ASSET_CHECK_EVALUATION:
        return entry
    checked = event.asset_check_evaluation_data
    if checked.partition is None:
        return entry
    here = target(instance, checked.asset_key, checked.partition)
    own = replace(checked, target_materialization_data=here)
    return entry._replace(dagster_event=event._replace(event_specific_data=own))


def fleet_records(instance: dg.DagsterInstance, checked: Checked) -> Iterator[dg.AssetCheckEvaluation]:
    """The records of all customers, for checks whose newest record would hide a customer that fails.

    ``checked`` is what a run found. A cohort's checks have such a record always, as a table of its customers.
    """
    elsewhere = verdicts(instance, checked)
    for key, findings in checked.items():
        own = {name: _own(finding) for name, finding in findings}
        every = {**elsewhere.get(key, {}), **own}
        if len(own) > 1 or _rank_of_fleet(every) != max(map(_rank, own.values())):
            yield _of_fleet(key, every)


def verdicts(
    instance: dg.DagsterInstance, keys: Iterable[dg.AssetCheckKey]
) -> dict[dg.AssetCheckKey, dict[str, Verdict]]:
    """The newest verdict of each check on each present customer, where there is one."""
    connected = getattr(instance.event_log_storage, "index_connection", None)
    check_of = {(key.asset_key.to_string(), key.name): key for key in keys}
    if connected is None or not check_of:
        return {}
    known = set(instance.get_dynamic_partitions(str(CUSTOMERS.name)))
    newest: dict[dg.AssetCheckKey, dict[str, Verdict]] = {}
    with connected() as connection:
        rows = _newest(connection, {asset for asset, _ in check_of})
    for asset, name, customer, event in rows:
        if (asset, name) in check_of and customer in known:
            newest.setdefault(check_of[asset, name], {})[customer] = _verdict(event)
    return newest


def _newest(connection: Any, assets: set[str]) -> list[tuple[str, str, str, str | None]]:
    """Asset, check, customer and, where it fails, the event of every newest evaluation."""
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Table
    from sqlalchemy import case, func, select

    is_over = Table.c.execution_status.in_(("SUCCEEDED", "FAILED"))
    of_customers = select(func.max(Table.c.id)).where(
        Table.c.asset_key.in_(assets), Table.c.partition.is_not(None), is_over
    )
    ids = of_customers.group_by(Table.c.asset_key, Table.c.check_name, Table.c.partition)
    event = case((Table.c.execution_status == "FAILED", Table.c.evaluation_event), else_=None)
    rows = connection.execute(
        select(Table.c.asset_key, Table.c.check_name, Table.c.partition, event).where(Table.c.id.in_(ids))
    )
    return [tuple(row) for row in rows.fetchall()]


def _verdict(event: str | None) -> Verdict:
    if event is None:
        return Verdict(True, dg.AssetCheckSeverity.WARN, "")
    entry = dg.deserialize_value(event, EventLogEntry)
    data = entry.get_dagster_event().asset_check_evaluation_data
    return Verdict(data.passed, data.severity, data.description or "", "absent" in data.metadata)


def _own(finding: Finding) -> Verdict:
    return Verdict(finding.passed, severity_of(finding), finding.message, "absent" in finding.found)


def _rank(verdict: Verdict) -> int:
    """How bad a verdict is: 0 passed, 1 warns, 2 blocks."""
    if verdict.passed:
        return 0
    return 2 if verdict.severity == dg.AssetCheckSeverity.ERROR else 1


def _rank_of_fleet(verdict_of: Mapping[str, Verdict]) -> int:
    """How bad the worst verdict is; what some customers lack is no fault of those who have it."""
    ranks = [_rank(verdict) for verdict in verdict_of.values() if not verdict.is_absent]
    return max(ranks, default=1)


def _of_fleet(key: dg.AssetCheckKey, verdict_of: Mapping[str, Verdict]) -> dg.AssetCheckEvaluation:
    failed = sorted(name for name, verdict in verdict_of.items() if not verdict.passed and not verdict.is_absent)
    absent = sorted(name for name, verdict in verdict_of.items() if not verdict.passed and verdict.is_absent)
    worst = _rank_of_fleet(verdict_of)
    shown = sorted(verdict_of.items(), key=lambda item: (item[1].passed, item[0]))[:MOST_SHOWN]
    rows = [
        dg.TableRecord(
            {
                "customer": name,
                "passed": verdict.passed,
                "severity": "block" if verdict.severity == dg.AssetCheckSeverity.ERROR else "warn",
                "message": shortened(verdict.message, 500),
            }
        )
        for name, verdict in shown
    ]
    return dg.AssetCheckEvaluation(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=worst == 0,
        severity=dg.AssetCheckSeverity.ERROR if worst == 2 else dg.AssetCheckSeverity.WARN,
        description=f"{len(verdict_of) - len(failed) - len(absent)} of {len(verdict_of)} customers pass"
        + (f"; not {listed(failed, most=MOST_NAMED)}" if failed else "")
        + (f"; absent for {listed(absent, most=MOST_NAMED)}" if absent else ""),
        metadata={"customers": dg.MetadataValue.table(rows)},
        blocking=False,
    )
