"""Walk the selected tables of one customer in order: load inputs, compute, validate, write, report.

Knows sessions and the lake, not Dagster. Yields one ``TableResult`` a table as soon as it is done. A table that fails
takes down only those made of it; the last good version of every table stays where it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from capflow_assets.blueprint.calls import call
from capflow_assets.blueprint.checking import refusal
from capflow_assets.blueprint.specs import TableSpec
from capflow_assets.blueprint.stages import Stages
from capflow_assets.contract import Finding, Source
from capflow_assets.customers.customer import Customer
from capflow_assets.errors import CapflowError
from capflow_assets.paths.fence import Fence, current, within
from capflow_assets.processes.lifeline import LINE
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.written_files import WrittenFiles, written
from capflow_assets.tables import catalogue, removals, unforeseen
from capflow_assets.tables.advancing import Advancing, carried_on
from capflow_assets.tables.inputs import Inputs
from capflow_assets.tables.judgements import Judgement
from capflow_assets.tables.landing import land
from capflow_assets.tables.pictures import Pictures
from capflow_assets.tables.table_checks import TableChecks, TableFinding, blocking
from capflow_assets.tables.table_result import TableResult

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass
class TableRunner:
    """The tables of one customer, of which ``selected`` are computed anew and the others read from the lake."""

    lake: Lake
    stages: Stages
    sources: Mapping[str, Source]
    customer: Customer
    selected: frozenset[str]
    as_of: str | None = None
    draw: Callable[[Any], bytes] | None = None
    full: bool = False
    key: Callable[[], bytes] = bytes
    fence: Callable[[], Fence | None] = current
    _failed: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._inputs = Inputs(self.lake, self.stages, self.customer, self.selected, self.as_of)
        self._checks = TableChecks(self._inputs)
        self._pictures = Pictures(self.lake, self.customer.name, self.draw)
        self._advancing = Advancing(self.lake, self.stages, self.customer)
        self._catalogued: list[dict[str, Any]] = []

    def run(self) -> Iterator[TableResult]:
        """One result for each selected table, in the order the data flows."""
        for key in filter(self.selected.__contains__, self.stages.order):
            LINE.begins(key)
            began = time.perf_counter()
            result = self._result(self.stages.tables[key])
            if result.status in ("failed", "blocked"):
                self._failed[key] = result.reason
            yield replace(result, seconds=time.perf_counter() - began)
        catalogue.keep(self.lake, self.customer.name, self._catalogued)

    def _result(self, spec: TableSpec) -> TableResult:
        if spec.key in self._inputs.absent:
            return TableResult(spec.key, "absent", self._inputs.absent[spec.key])
        broken = [table for table in sorted(spec.waits_for) if table in self._failed]
        if broken:
            reason = f"{', '.join(broken)} failed; the last good version stays"
            return TableResult(spec.key, "blocked", reason, blocked_by=tuple(broken))
        try:
            return self._raw(spec) if spec.function is None else self._derived(spec)
        except CapflowError as error:
            return TableResult(spec.key, "failed", str(error), error=error)
        except Exception as error:  # one table's fault, of whatever kind, must not stop the others
            reason = unforeseen.words_for(error, self.lake, self.sources, self.customer, spec)
            return TableResult(spec.key, "failed", reason, error=error)

    def _raw(self, spec: TableSpec) -> TableResult:
        def judge(frame: DataFrame | None, findings: tuple[Finding, ...]) -> Judgement:
            return self._judged(spec, frame, self._checks.of_rows(spec, findings))

        with within(self.fence()):
            landing = land(self.lake, self.sources, self.customer, spec, judge, full=self.full, key=self.key)
        if landing.version is None:
            return TableResult(spec.key, "failed", landing.judgement.refusal, findings=landing.judgement.findings)
        frame, rows = self._stored(spec)
        done = self._done(spec, landing.version, frame, rows, dict(landing.counts))
        return replace(done, findings=(*landing.judgement.findings, *done.findings), how=landing.how)

    def _judged(self, spec: TableSpec, frame: DataFrame | None, findings: tuple[TableFinding, ...]) -> Judgement:
        """What is found in the good rows of a source (None where none came), and why they must not become the table."""
        gates: tuple[TableFinding, ...] = ()
        if frame is not None:
            schema = self._checks.schema(spec, frame, may_repeat_keys=True)
            if blocked := blocking([schema]):
                return Judgement((schema,), blocked[0].message)
            findings = (schema, *findings)
            gates = self._checks.gates(spec, frame)
        blocked = blocking((*findings, *gates))
        return Judgement((*findings, *gates), refusal(spec.key, blocked) if blocked else "")

    def _derived(self, spec: TableSpec) -> TableResult:
        moment = self._inputs.moment() if spec.cut else None
        since = self._advancing.since(spec, moment) if moment and not self.full else None
        if moment is not None and since == moment:
            return self._unchanged(spec, moment)
        values = self._inputs.values(moment)
        if since is not None:
            frame = carried_on(spec, self.lake, self.customer.name, self.stages.tables, since, values)
        else:
            frame = call(spec, self._inputs.frames(spec.inputs, moment), values)
        began = time.perf_counter()
        with written(self.lake, frame, self.customer.name, spec.key) as files:
            seconds = time.perf_counter() - began
            if spec.table.removal_reason:
                result = self._cleaned(spec, files, spec.table.removal_reason)
            else:
                result = self._finish(spec, files, files.stored, moment)
        return replace(result, compute_seconds=result.compute_seconds + seconds)

    def _cleaned(self, spec: TableSpec, files: WrittenFiles, reason: str) -> TableResult:
        """Keep the rows that cleaning removes in a table of their own, and the others unless too many are removed."""
        removal = removals.set_aside(self.lake, self.customer, spec, files.stored)
        kept = files.stored.filter(f"{reason} is null").drop(reason)
        finding = removals.finding(removal)
        if removal.is_beyond:
            gates = self._checks.gates(spec, kept)
            also = "; ".join(gate.message for _, gate in gates if not gate.passed)
            error = removals.refusal(removal, self.customer, also)
            return TableResult(spec.key, "failed", str(error), findings=((spec.key, finding), *gates), error=error)
        findings = self._checks.of_rows(spec, (finding,))
        if blocked := blocking(findings):
            return TableResult(spec.key, "failed", refusal(spec.key, blocked), findings=findings)
        if removal.removed:
            with written(self.lake, kept, self.customer.name, spec.key) as fewer:
                result = self._finish(spec, fewer, fewer.stored, None, removal.counts)
        else:
            result = self._finish(spec, files, kept, None, removal.counts)
        return replace(result, findings=(*result.findings, *findings))

    def _finish(
        self,
        spec: TableSpec,
        files: WrittenFiles,
        frame: DataFrame,
        moment: datetime | None,
        counts: Mapping[str, int] | None = None,
    ) -> TableResult:
        """Let the files become the table, unless a check blocks the rows in them, which are those of ``frame``."""
        schema = self._checks.schema(spec, frame)
        if blocked := blocking([schema]):
            return TableResult(spec.key, "failed", blocked[0].message, findings=(schema,))
        gates = self._checks.gates(spec, frame)
        if shut := [finding for _, finding in gates if not finding.passed]:
            return TableResult(spec.key, "failed", refusal(spec.key, shut), findings=(schema, *gates))
        began = time.perf_counter()
        version = files.commit(dict(frame.dtypes), "overwrite")
        seconds = time.perf_counter() - began
        if moment is not None:
            self._advancing.remember(spec, moment)
        done = self._done(spec, version, frame, files.rows, counts or {}, moment)
        if spec.is_catalogued:
            features = catalogue.described(
                self.lake, self.stages, self.customer.name, spec, done.columns, done.rows, version
            )
            self._catalogued += features
            done = replace(done, features=tuple(features))
        return replace(done, compute_seconds=seconds, findings=(schema, *gates, *done.findings))

    def _unchanged(self, spec: TableSpec, moment: datetime) -> TableResult:
        """The table that lies in the lake already: of this moment, and made of the very same rows."""
        version = self.lake.version(self.customer.name, spec.key)
        assert version is not None  # noqa: S101  (its identity was just compared)
        frame, rows = self._stored(spec)
        schema = self._checks.schema(spec, frame)
        done = self._done(spec, version, frame, rows, {}, moment)
        return replace(done, findings=(schema, *done.findings), how="nothing has changed")

    def _stored(self, spec: TableSpec) -> tuple[DataFrame, int]:
        """The rows of a table as they lie in the lake, and how many there are."""
        return self.lake.table(self.customer.name, spec.key), self.lake.rows(self.customer.name, spec.key)

    def _done(
        self,
        spec: TableSpec,
        version: int,
        frame: DataFrame,
        rows: int,
        counts: Mapping[str, int],
        moment: datetime | None = None,
    ) -> TableResult:
        """What there is to say of a table whose ``version`` has the rows of ``frame``."""
        return TableResult(
            key=spec.key,
            status="done",
            rows=rows,
            version=version,
            as_of=moment,
            columns=dict(frame.dtypes),
            counts={**counts, **removals.flag_counts(frame, spec.table)},
            findings=self._checks.warnings(spec),
            plot=self._pictures.of(spec, frame, rows),
        )
