"""The checks of a run's tables: those that block, of rows that are about to become a table, and those that warn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from capflow_assets.blueprint.calls import call
from capflow_assets.blueprint.checking import choice, landing_findings, schema_finding
from capflow_assets.blueprint.specs import CheckSpec, TableSpec
from capflow_assets.contract import Finding
from capflow_assets.customers.checks_settings import Chosen, resting, severe
from capflow_assets.tables.inputs import NONE_YET, Inputs

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# What a check found, with the table that it is about.
TableFinding = tuple[str, Finding]


@dataclass(frozen=True, slots=True)
class TableChecks:
    """The checks of one run over one customer's tables."""

    inputs: Inputs

    def schema(self, spec: TableSpec, frame: DataFrame, *, may_repeat_keys: bool = False) -> TableFinding:
        """Whether rows keep the table's schema. Keys may repeat in what landed: cleaning removes and counts that."""
        table = replace(spec.table, key=()) if may_repeat_keys else spec.table
        return spec.key, schema_finding(self.inputs.stages, self.inputs.customer, spec.key, frame, table)

    def of_rows(self, spec: TableSpec, findings: Iterable[Finding]) -> tuple[TableFinding, ...]:
        """What landing or cleaning found in a table's rows, by the customer's settings."""
        judged = landing_findings(self.inputs.stages, self.inputs.customer, spec.key, tuple(findings))
        return tuple((spec.key, finding) for finding in judged)

    def gates(self, spec: TableSpec, frame: DataFrame) -> tuple[TableFinding, ...]:
        """The checks that block for this customer, asked of the rows that are about to become the table."""
        candidate = {spec.key: frame}
        due = self._due(spec)
        return tuple((check.table, self._finding(check, chosen, candidate)) for check, chosen in due if chosen.blocks)

    def warnings(self, spec: TableSpec) -> tuple[TableFinding, ...]:
        """The checks that only warn, or rest, asked of the table as it was written."""
        due = self._due(spec)
        return tuple((check.table, self._finding(check, chosen)) for check, chosen in due if not chosen.blocks)

    def _finding(self, check: CheckSpec, chosen: Chosen, candidate: Mapping[str, DataFrame] = NONE_YET) -> Finding:
        if chosen.is_off:
            return resting(check.name)
        inputs = self.inputs
        moment = inputs.moment_of(candidate) if "as_of" in check.injected else None
        frames = inputs.frames(check.inputs, moment, candidate)
        return severe(call(check, frames, inputs.values(moment), chosen.thresholds), chosen)

    def _due(self, spec: TableSpec) -> Iterator[tuple[CheckSpec, Chosen]]:
        """The checks whose inputs are all there now that this table is, with what holds for this customer."""
        stages, customer = self.inputs.stages, self.inputs.customer
        for check in stages.checks:
            there = [source for source in check.inputs if source.table not in self.inputs.absent]
            if len(there) < sum(not source.optional for source in check.inputs) or not there:
                continue
            if spec.key == max((source.table for source in there), key=stages.order.index):
                yield check, choice(stages, customer, check.name, check.table)


def blocking(findings: Iterable[TableFinding]) -> list[Finding]:
    """The findings for which a table must not be written."""
    return [finding for _, finding in findings if not finding.passed and finding.severity == "block"]
