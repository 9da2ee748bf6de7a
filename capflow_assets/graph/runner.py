"""Walk the selected tables of one customer in order: load inputs, compute, validate, write, report.

Knows sessions and the lake, not Dagster. Yields one ``TableResult`` a table as soon as it is done. A table that fails
takes down only those made of it; the last good version of every table stays where it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import ModuleType
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Finding
from capflow_assets.customers import Customer
from capflow_assets.errors import CapflowError, TableError
from capflow_assets.graph.lake import Lake
from capflow_assets.graph.landing import land
from capflow_assets.graph.moments import as_of_moment, parse_moment
from capflow_assets.graph.stages import CheckSpec, Input, Stages, Status, TableSpec

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# The newest bill is the newest that is known of a customer.
BILLS = "clean/bills"


@dataclass(frozen=True, slots=True)
class TableResult:
    """What became of one table of one customer. ``counts`` are rows by reason (removed, flagged, rejected)."""

    key: str
    status: Status
    reason: str = ""
    rows: int = 0
    seconds: float = 0.0
    compute_seconds: float = 0.0
    version: int | None = None
    as_of: datetime | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    findings: tuple[tuple[str, Finding], ...] = ()
    plot: bytes | None = None
    error: Exception | None = None


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
    _failed: dict[str, str] = field(default_factory=dict)
    _moment: datetime | None = None

    def run(self) -> Iterator[TableResult]:
        """One result for each selected table, in the order the data flows."""
        absent = self.stages.absent(self.customer.tables)
        for key in self.stages.order:
            if key not in self.selected:
                continue
            began = time.perf_counter()
            result = self._one(self.stages.tables[key], absent)
            if result.status in ("failed", "blocked"):
                self._failed[key] = result.reason
            yield replace(result, seconds=time.perf_counter() - began)

    def _one(self, spec: TableSpec, absent: Mapping[str, str]) -> TableResult:
        if spec.key in absent:
            return TableResult(spec.key, "absent", absent[spec.key])
        broken = [source.table for source in spec.inputs if source.table in self._failed]
        if broken:
            return TableResult(spec.key, "blocked", f"{', '.join(broken)} failed; the last good version stays")
        try:
            return self._raw(spec, absent) if spec.function is None else self._derived(spec, absent)
        except CapflowError as error:
            return TableResult(spec.key, "failed", str(error), error=error)
        except Exception as error:  # one table's fault, of whatever kind, must not stop the others
            return TableResult(spec.key, "failed", f"{type(error).__name__}: {first_line(error)}", error=error)

    def _raw(self, spec: TableSpec, absent: Mapping[str, str]) -> TableResult:
        landing = land(self.lake, self.sources, self.customer, spec)
        done = self._finish(spec, landing.frame, dict(landing.counts), absent)
        return replace(done, findings=(*((spec.key, finding) for finding in landing.findings), *done.findings))

    def _derived(self, spec: TableSpec, absent: Mapping[str, str]) -> TableResult:
        moment = self.moment() if spec.cut else None
        frame = call(spec, self._inputs(spec.inputs, absent, moment), self._values(moment))
        if "removed_because" not in frame.columns:
            return self._finish(spec, frame, {}, absent, moment)
        # Cleaning sorts and ranks all rows; that is done once, and the rest reads the outcome.
        with self.lake.staged(frame, self.customer.name, spec.key) as staged:
            kept, counts = self._set_aside(spec, staged)
            return self._finish(spec, kept, counts, absent, moment)

    def _set_aside(self, spec: TableSpec, frame: DataFrame) -> tuple[DataFrame, dict[str, int]]:
        """Keep the rows that cleaning removes in a table of their own, and count them by reason."""
        groups = frame.groupBy("removed_because").count().collect()
        counts = {f"removed: {row[0]}": int(row[1]) for row in groups if row[0] is not None}
        aside = f"{spec.key}_removed"
        if counts or self.lake.exists(self.customer.name, aside):
            self.lake.write(frame.filter("removed_because is not null"), self.customer.name, aside)
        return frame.filter("removed_because is null").drop("removed_because"), counts

    def _finish(
        self,
        spec: TableSpec,
        frame: DataFrame,
        counts: dict[str, int],
        absent: Mapping[str, str],
        moment: datetime | None = None,
    ) -> TableResult:
        from capflow_assets.checks import evaluate

        name = self.customer.name
        # What came twice is landed as it came; cleaning removes and counts it.
        table = replace(spec.table, key=()) if spec.stage == "raw" else spec.table
        schema = summary(spec.key, evaluate(frame, table))
        if not schema.passed:
            return TableResult(spec.key, "failed", schema.message, findings=((spec.key, schema),))
        began = time.perf_counter()
        version = self.lake.write(frame, name, spec.key)
        computed = time.perf_counter() - began
        written = self.lake.table(name, spec.key)
        return TableResult(
            key=spec.key,
            status="done",
            rows=self.lake.rows(name, spec.key),
            compute_seconds=computed,
            version=version,
            as_of=moment,
            columns=dict(written.dtypes),
            counts=counts | flag_counts(written),
            findings=((spec.key, schema), *self._checks(spec, absent)),
            plot=self._plot(spec, written),
        )

    def _checks(self, spec: TableSpec, absent: Mapping[str, str]) -> Iterator[tuple[str, Finding]]:
        """The checks whose inputs are all there now that this table is, each with the table that it is about."""
        for check in self.stages.checks:
            there = [source for source in check.inputs if source.table not in absent]
            if len(there) < sum(not source.optional for source in check.inputs) or not there:
                continue
            if spec.key == max((source.table for source in there), key=self.stages.order.index):
                moment = self.moment() if "as_of" in check.injected else None
                yield check.table, call(check, self._inputs(check.inputs, absent, moment), self._values(moment))

    def _plot(self, spec: TableSpec, written: DataFrame) -> bytes | None:
        if spec.plot is None or self.draw is None:
            return None
        return self.draw(spec.plot(written))

    def _inputs(
        self, inputs: tuple[Input, ...], absent: Mapping[str, str], moment: datetime | None
    ) -> dict[str, DataFrame | None]:
        frames: dict[str, DataFrame | None] = {}
        for source in inputs:
            spec = self.stages.tables[source.table]
            if source.table in absent:
                frames[source.parameter] = None
            elif moment is not None and spec.cut and source.table not in self.selected:
                # What lies in the lake is as of the moment of another run.
                frames[source.parameter] = call(spec, self._inputs(spec.inputs, absent, moment), self._values(moment))
            else:
                frame = self.lake.table(self.customer.name, source.table)
                frames[source.parameter] = frame if moment is None else cut(frame, spec, moment)
        return frames

    def _values(self, moment: datetime | None) -> dict[str, Any]:
        return {"as_of": moment, "zone": self.customer.time_zone, "currency": self.customer.currency}

    def moment(self) -> datetime:
        """The as-of moment of this run: the one asked for, else that of the newest bill."""
        if self._moment is None:
            asked = parse_moment(self.as_of, self.customer.time_zone) if self.as_of else None
            there = self.lake.exists(self.customer.name, BILLS)
            # A moment asked for holds without bills too; the tables made of them are absent then.
            self._moment = asked if asked and not there else as_of_moment(self._bills(), asked)
        return self._moment

    def _bills(self) -> DataFrame:
        return self.lake.table(self.customer.name, BILLS)


def call(spec: TableSpec | CheckSpec, frames: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    """A table's or check's function on its inputs and those injected values that it asks for."""
    function = spec.function
    if function is None:
        raise CapflowError(f"{spec.name} has no function")
    return function(**frames, **{name: values[name] for name in spec.injected})


def cut(frame: DataFrame, spec: TableSpec, moment: datetime) -> DataFrame:
    """Only what was true at the moment: rows later than it do not exist; rows without a time always did."""
    from pyspark.sql import functions as F

    if spec.table.time is None:
        return frame
    time_column = F.col(spec.table.time)
    return frame.filter(time_column.isNull() | (time_column <= F.lit(moment)))


def summary(key: str, findings: list[Finding]) -> Finding:
    """All findings about a table's schema as one; where it did not pass, its message says what to do."""
    failed = [finding for finding in findings if not finding.passed]
    if not failed:
        return Finding("schema", True, f"all {len(findings)} rules hold", "block", {"rules": len(findings)})
    error = TableError(
        f"{key} breaks its schema and was not written; the last good version stays",
        came="; ".join(finding.message for finding in failed[:5]),
        where="; ".join(str(dict(finding.sample[0])) for finding in failed[:2] if finding.sample),
        do="mend the source or its mapping in the customer's TOML, then run it again",
    )
    return Finding(
        check="schema",
        passed=False,
        message=str(error),
        severity="block",
        found={"rules": len(findings), "broken": len(failed)},
        sample=tuple(row for finding in failed for row in finding.sample)[:10],
    )


def flag_counts(frame: DataFrame) -> dict[str, int]:
    """Rows by flag, for tables that carry a ``flags`` column."""
    if "flags" not in frame.columns:
        return {}
    from pyspark.sql import functions as F

    flags = frame.filter("flags <> ''").select(F.explode(F.split("flags", ",")).alias("flag"))
    return {f"flagged: {row[0]}": int(row[1]) for row in flags.groupBy("flag").count().orderBy("flag").collect()}


def first_line(error: Exception) -> str:
    """An engine's message without its stack."""
    text = str(error).strip()
    with suppress(IndexError):
        return text.splitlines()[0][:500]
    return type(error).__name__
