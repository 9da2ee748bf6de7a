"""Walk the selected tables of one customer in order: load inputs, compute, validate, write, report.

Knows sessions and the lake, not Dagster. Yields one ``TableResult`` a table as soon as it is done. A table that fails
takes down only those made of it; the last good version of every table stays where it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import ModuleType
from typing import TYPE_CHECKING, Any

from capflow_assets.blueprint.calls import call, cut
from capflow_assets.blueprint.checking import choice, landing_findings, refusal, schema_finding
from capflow_assets.blueprint.specs import BILLS, CheckSpec, Input, TableSpec
from capflow_assets.blueprint.stages import Stages
from capflow_assets.contract import Finding
from capflow_assets.customers.checks_settings import Chosen, resting, severe
from capflow_assets.customers.customer import Customer
from capflow_assets.errors import CapflowError, SourceError, TableError
from capflow_assets.expressions.as_of import as_of_moment, parse_moment
from capflow_assets.foreign import first_words, lake_error, worker_words
from capflow_assets.paths.fence import Fence, current, within
from capflow_assets.processes.lifeline import LINE
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.table_damage import culprit
from capflow_assets.tables import catalogue, removals
from capflow_assets.tables.advancing import Advancing, carried_on
from capflow_assets.tables.exports import cleaning_values
from capflow_assets.tables.judgements import Judgement
from capflow_assets.tables.landing import land
from capflow_assets.tables.query_rows import unread_value
from capflow_assets.tables.table_result import TableResult

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


EXHAUSTED = "Resources exhausted"
MORE_MEMORY = "allow it more: SAIL_RUNTIME__MEMORY_POOL__GREEDY__MAX_SIZE, in bytes; or run the table on a cluster"


@dataclass
class TableRunner:
    """The tables of one customer, of which ``selected`` are computed anew and the others read from the lake."""

    lake: Lake
    stages: Stages
    sources: Mapping[str, ModuleType]
    customer: Customer
    selected: frozenset[str]
    as_of: str | None = None
    draw: Callable[[Any], bytes] | None = None
    full: bool = False
    key: Callable[[], bytes] = bytes
    fence: Callable[[], Fence | None] = current
    _failed: dict[str, str] = field(default_factory=dict)
    _moment: datetime | None = None

    def __post_init__(self) -> None:
        self._advancing = Advancing(self.lake, self.stages, self.customer)
        self._catalogued: list[dict[str, Any]] = []

    def run(self) -> Iterator[TableResult]:
        """One result for each selected table, in the order the data flows."""
        absent = self.stages.absent(self.customer.tables)
        for key in filter(self.selected.__contains__, self.stages.order):
            LINE.begins(key)
            began = time.perf_counter()
            result = self._one(self.stages.tables[key], absent)
            if result.status in ("failed", "blocked"):
                self._failed[key] = result.reason
            yield replace(result, seconds=time.perf_counter() - began)
        catalogue.keep(self.lake, self.customer.name, self._catalogued)

    def _one(self, spec: TableSpec, absent: Mapping[str, str]) -> TableResult:
        if spec.key in absent:
            return TableResult(spec.key, "absent", absent[spec.key])
        broken = [table for table in sorted(spec.waits_for) if table in self._failed]
        if broken:
            reason = f"{', '.join(broken)} failed; the last good version stays"
            return TableResult(spec.key, "blocked", reason, blocked_by=tuple(broken))
        try:
            return self._raw(spec, absent) if spec.function is None else self._derived(spec, absent)
        except CapflowError as error:
            return TableResult(spec.key, "failed", str(error), error=error)
        except Exception as error:  # one table's fault, of whatever kind, must not stop the others
            return TableResult(spec.key, "failed", self._unforeseen(spec, error), error=error)

    def _unforeseen(self, spec: TableSpec, error: Exception) -> str:
        """What to say of an error that is none of ours: a file that breaks off, an engine that gives up."""
        if said := worker_words(error):
            return said
        came = first_words(error)
        about_disk = lake_error(error, self.lake.names, is_source_read=spec.function is None)
        if about_disk is not None:
            return str(about_disk)
        name = self.customer.name
        tables = sorted({spec.key, *spec.waits_for, *(source.table for source in spec.inputs)})
        damaged = culprit(name, [(table, self.lake.path(name, table)) for table in tables], str(error))
        if damaged:
            return str(damaged)
        if EXHAUSTED in came:
            return str(TableError(f"{spec.key} needs more memory than the engine may take", came=came, do=MORE_MEMORY))
        if spec.function is not None:
            return came
        if unread := unread_value(self.lake.spark(), self.sources, self.customer, spec.name, came):
            return str(unread)
        what, where = f"The source of {spec.name} cannot be read", self.customer.location(spec.name)
        do = "export it again and whole, and see that its options say how it is written"
        return str(SourceError(what, came=came, where=where, do=do))

    def _raw(self, spec: TableSpec, absent: Mapping[str, str]) -> TableResult:
        def judge(frame: DataFrame | None, found: tuple[Finding, ...]) -> Judgement:
            told = tuple((spec.key, each) for each in landing_findings(self.stages, self.customer, spec.key, found))
            return self._judged(spec, frame, told, absent)

        with within(self.fence()):
            landing = land(self.lake, self.sources, self.customer, spec, judge, full=self.full, key=self.key)
        if landing.version is None:
            return TableResult(spec.key, "failed", landing.judgement.refusal, findings=landing.judgement.findings)
        done = self._done(spec, landing.version, dict(landing.counts), absent)
        return replace(done, findings=(*landing.judgement.findings, *done.findings), how=landing.how)

    def _judged(
        self, spec: TableSpec, frame: DataFrame | None, told: tuple[tuple[str, Finding], ...], absent: Mapping[str, str]
    ) -> Judgement:
        """What is found in the good rows of a source (None where none came), and why they must not become the table."""
        gates: tuple[tuple[str, Finding], ...] = ()
        if frame is not None:
            # What came twice is landed as it came; cleaning removes and counts it.
            schema = schema_finding(self.stages, self.customer, spec.key, frame, replace(spec.table, key=()))
            told = ((spec.key, schema), *told)
            if not schema.passed and schema.severity == "block":
                return Judgement(told[:1], schema.message)
            gates = self._gates(spec, frame, absent)
        shut = [finding for _, finding in (*told, *gates) if not finding.passed and finding.severity == "block"]
        return Judgement((*told, *gates), refusal(spec.key, shut) if shut else "")

    def _derived(self, spec: TableSpec, absent: Mapping[str, str]) -> TableResult:
        moment = self.moment() if spec.cut else None
        since = self._advancing.since(spec, moment) if moment and not self.full else None
        if since is not None and since == moment:
            return self._unchanged(spec, absent, moment)
        if since is not None:
            tables, values = self.stages.tables, self._values(moment)
            frame = carried_on(spec, self.lake, self.customer.name, tables, since, values)
        else:
            frame = call(spec, self._inputs(spec.inputs, absent, moment), self._values(moment))
        is_cleaned = "removed_because" in frame.columns
        if not (is_cleaned or spec.stage == "features"):
            return self._finish(spec, frame, {}, absent, moment)
        # Cleaning ranks all rows, and features sum them up; that is done once, and the rest reads the outcome.
        began = time.perf_counter()
        with self.lake.staged(frame, self.customer.name, spec.key) as staged:
            computing = time.perf_counter() - began
            if is_cleaned:
                result = self._cleaned(spec, staged, absent, moment)
            else:
                result = self._finish(spec, staged, {}, absent, moment, is_staged=True)
        return replace(result, compute_seconds=result.compute_seconds + computing)

    def _cleaned(
        self, spec: TableSpec, frame: DataFrame, absent: Mapping[str, str], moment: datetime | None
    ) -> TableResult:
        """Keep the rows that cleaning removes in a table of their own, and the others unless too many are removed."""
        removal = removals.set_aside(self.lake, self.customer, spec, frame)
        kept = frame.filter("removed_because is null").drop("removed_because")
        found = removals.finding(removal)
        if removal.is_beyond:
            gates = self._gates(spec, kept, absent, is_staged=True)
            also = "; ".join(each.message for _, each in gates if not each.passed)
            error = removals.refusal(removal, self.customer, also)
            return TableResult(spec.key, "failed", str(error), findings=((spec.key, found), *gates), error=error)
        told = tuple((spec.key, each) for each in landing_findings(self.stages, self.customer, spec.key, (found,)))
        shut = [each for _, each in told if not each.passed and each.severity == "block"]
        if shut:
            return TableResult(spec.key, "failed", refusal(spec.key, shut), findings=told)
        result = self._finish(spec, kept, removal.counts, absent, moment, is_staged=True)
        return replace(result, findings=(*result.findings, *told))

    def _finish(
        self,
        spec: TableSpec,
        frame: DataFrame,
        counts: dict[str, int],
        absent: Mapping[str, str],
        moment: datetime | None = None,
        is_staged: bool = False,
    ) -> TableResult:
        name = self.customer.name
        schema = schema_finding(self.stages, self.customer, spec.key, frame, spec.table)
        if not schema.passed and schema.severity == "block":
            return TableResult(spec.key, "failed", schema.message, findings=((spec.key, schema),))
        gates = self._gates(spec, frame, absent, is_staged)
        shut = [finding for _, finding in gates if not finding.passed]
        if shut:
            return TableResult(spec.key, "failed", refusal(spec.key, shut), findings=((spec.key, schema), *gates))
        began = time.perf_counter()
        version = self.lake.write(frame, name, spec.key)
        computed = time.perf_counter() - began
        if moment is not None:
            self._advancing.remember(spec, moment)
        told = catalogue.described(self.lake, self.stages, name, spec) if spec.is_catalogued else []
        self._catalogued += told
        done = replace(self._done(spec, version, counts, absent, moment), features=tuple(told))
        return replace(done, compute_seconds=computed, findings=((spec.key, schema), *gates, *done.findings))

    def _unchanged(self, spec: TableSpec, absent: Mapping[str, str], moment: datetime) -> TableResult:
        """The table that lies in the lake already: of this moment, and made of the very same rows."""
        version = self.lake.version(self.customer.name, spec.key)
        assert version is not None  # noqa: S101  (its identity was just compared)
        stored = self.lake.table(self.customer.name, spec.key)
        schema = schema_finding(self.stages, self.customer, spec.key, stored, spec.table)
        done = self._done(spec, version, {}, absent, moment)
        return replace(done, findings=((spec.key, schema), *done.findings), how="nothing has changed")

    def _done(
        self,
        spec: TableSpec,
        version: int,
        counts: dict[str, int],
        absent: Mapping[str, str],
        moment: datetime | None = None,
    ) -> TableResult:
        """What there is to say of a table whose ``version`` is written."""
        written = self.lake.table(self.customer.name, spec.key)
        return TableResult(
            key=spec.key,
            status="done",
            rows=self.lake.rows(self.customer.name, spec.key),
            version=version,
            as_of=moment,
            columns=dict(written.dtypes),
            counts=counts | removals.flag_counts(written),
            findings=tuple(self._checks(spec, absent)),
            plot=self._plot(spec, written),
        )

    def _checks(self, spec: TableSpec, absent: Mapping[str, str]) -> Iterator[tuple[str, Finding]]:
        """The checks that only warn, or rest, each with the table that it is about."""
        for check, chosen in self._due(spec, absent):
            if not chosen.blocks:
                yield check.table, self._asked(check, chosen, absent)

    def _gates(
        self, spec: TableSpec, frame: DataFrame, absent: Mapping[str, str], is_staged: bool = False
    ) -> tuple[tuple[str, Finding], ...]:
        """The checks that block for this customer, asked of the rows that are about to become the table."""
        gates = [(check, chosen) for check, chosen in self._due(spec, absent) if chosen.blocks]
        if not gates:
            return ()
        candidate = f"{spec.key}_candidate"
        with nullcontext(frame) if is_staged else self.lake.staged(frame, self.customer.name, candidate) as staged:
            return tuple(
                (check.table, self._asked(check, chosen, absent, {spec.key: staged})) for check, chosen in gates
            )

    def _asked(
        self,
        check: CheckSpec,
        chosen: Chosen,
        absent: Mapping[str, str],
        candidate: Mapping[str, DataFrame] | None = None,
    ) -> Finding:
        if chosen.is_off:
            return resting(check.name)
        moment = self._moment_of(candidate or {}) if "as_of" in check.injected else None
        frames = self._inputs(check.inputs, absent, moment, candidate or {})
        return severe(call(check, frames, self._values(moment), chosen.thresholds), chosen)

    def _due(self, spec: TableSpec, absent: Mapping[str, str]) -> Iterator[tuple[CheckSpec, Chosen]]:
        """The checks whose inputs are all there now that this table is, with what holds for this customer."""
        for check in self.stages.checks:
            there = [source for source in check.inputs if source.table not in absent]
            if len(there) < sum(not source.optional for source in check.inputs) or not there:
                continue
            if spec.key == max((source.table for source in there), key=self.stages.order.index):
                yield check, choice(self.stages, self.customer, check.name, check.table)

    def _plot(self, spec: TableSpec, written: DataFrame) -> bytes | None:
        if spec.plot is None or self.draw is None:
            return None
        return self.draw(spec.plot(written))

    def _inputs(
        self,
        inputs: tuple[Input, ...],
        absent: Mapping[str, str],
        moment: datetime | None,
        candidate: Mapping[str, DataFrame] | None = None,
    ) -> dict[str, DataFrame | None]:
        """The tables behind a function's parameters; those of ``candidate`` are not in the lake yet."""
        frames: dict[str, DataFrame | None] = {}
        for source in inputs:
            spec = self.stages.tables[source.table]
            if source.table in absent:
                frames[source.parameter] = None
            elif moment is not None and spec.cut and source.table not in self.selected:
                # What lies in the lake is as of the moment of another run.
                frames[source.parameter] = call(spec, self._inputs(spec.inputs, absent, moment), self._values(moment))
            else:
                given = candidate or {}
                stored = source.table not in given
                frame = self.lake.table(self.customer.name, source.table) if stored else given[source.table]
                frames[source.parameter] = frame if moment is None else cut(frame, spec, moment)
        return frames

    def _values(self, moment: datetime | None) -> dict[str, Any]:
        customer = self.customer
        values = {"as_of": moment, "zone": customer.time_zone, "currency": customer.currency}
        return values | cleaning_values(customer)

    def moment(self) -> datetime:
        """The as-of moment of this run: the one asked for, else that of the newest bill."""
        if self._moment is None:
            asked = parse_moment(self.as_of, self.customer.time_zone) if self.as_of else None
            there = self.lake.exists(self.customer.name, BILLS)
            # A moment asked for holds without bills too; the tables made of them are absent then.
            self._moment = asked if asked and not there else as_of_moment(self._bills(), asked)
        return self._moment

    def _moment_of(self, candidate: Mapping[str, DataFrame]) -> datetime:
        """The as-of moment, of bills that are not in the lake yet where they are among the candidates."""
        if BILLS not in candidate:
            return self.moment()
        return as_of_moment(candidate[BILLS], parse_moment(self.as_of, self.customer.time_zone) if self.as_of else None)

    def _bills(self) -> DataFrame:
        return self.lake.table(self.customer.name, BILLS)
