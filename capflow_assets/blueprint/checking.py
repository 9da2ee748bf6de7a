"""Which checks can be set in a TOML, and what holds for one of them: the settings, applied to the graph's checks.

The checks of validation say by their signatures which thresholds they have; those that the graph itself asks are named
here, each with the function whose keyword parameters are its thresholds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from capflow_assets.blueprint import schema_checks
from capflow_assets.blueprint.stages import Stages
from capflow_assets.contract import Column, Finding, Table
from capflow_assets.customers.checks_settings import Chosen, DeclaredCheck, HasChecks, choose, severe, thresholds_of
from capflow_assets.errors import TableError
from capflow_assets.landing import exports
from capflow_assets.learning import leakage
from capflow_assets.monitoring import skew

# What a column is, without what must be true of it.
IDENTITY = ("name", "type", "description", "unit", "personal", "ages")


def declared_checks(stages: Stages) -> dict[str, DeclaredCheck]:
    """Every check that a customer or a vertical can set, by its name."""
    tables = tuple(stages.tables)
    raw = tuple(key for key, spec in stages.tables.items() if spec.stage == "raw")
    cleaned = tuple(key for key, spec in stages.tables.items() if spec.stage == "clean")
    models, predictions, health = (
        tuple(f"{part}/{name}" for name in stages.models) for part in ("models", "predictions", "health")
    )
    own = (
        DeclaredCheck("schema", tables, thresholds_of(schema_checks.evaluate)),
        DeclaredCheck("landed", raw, thresholds_of(landed)),
        DeclaredCheck("personal_data", raw, {}),
        DeclaredCheck(exports.CHECK, tuple(key for key in raw if key.partition("/")[2] in exports.TABLES), {}),
        DeclaredCheck("removed", cleaned, thresholds_of(removed)),
        DeclaredCheck("leakage", models, thresholds_of(leakage.judge)),
        DeclaredCheck("skew", predictions, thresholds_of(skew.judge)),
        DeclaredCheck("drift", health, {}),
        *(DeclaredCheck(check.name, (check.table,), check.thresholds, check.severity) for check in stages.checks),
    )
    return {check.name: check for check in own}


def choice(stages: Stages, customer: HasChecks, name: str, asset: str) -> Chosen:
    """What holds for a check of an asset of a customer."""
    return choose(customer, declared_checks(stages)[name], asset)


def landed(finding: Finding, *, at_most_share_pct: float = 0.0) -> Finding:
    """The finding of a landing, passed where no more than this share of the rows was rejected, or sums others up."""
    rows, rejected, totals = (int(finding.found.get(name) or 0) for name in ("came", "rejected", "totals"))
    return replace(finding, passed=100 * (rejected + totals) <= at_most_share_pct * rows)


def removed(finding: Finding, *, at_most_share_pct: float = 0.0) -> Finding:
    """The finding of a cleaning, passed where no more than this share of the rows was removed for what counts."""
    rows, counted = (int(finding.found.get(name) or 0) for name in ("rows", "counted"))
    return replace(finding, passed=100 * counted <= at_most_share_pct * rows)


MEASURED = {"landed": landed, "removed": removed}


def landing_findings(
    stages: Stages, customer: HasChecks, table: str, findings: Iterable[Finding]
) -> tuple[Finding, ...]:
    """The findings of landing or cleaning under the customer's settings; a check that is off passes."""
    declared = declared_checks(stages)

    def judged(finding: Finding) -> Finding:
        if finding.check not in declared:
            return finding
        chosen = choose(customer, declared[finding.check], table)
        if chosen.is_off:
            return replace(finding, passed=True)
        measure = MEASURED.get(finding.check)
        return severe(measure(finding, **chosen.thresholds) if measure else finding, chosen)

    return tuple(judged(finding) for finding in findings)


def schema_finding(stages: Stages, customer: HasChecks, key: str, frame: object, table: Table) -> Finding:
    """The findings about a table's schema as one, by the customer's settings.

    A column that is missing or of another type blocks whatever is set: the table would be another one.
    """
    chosen = choice(stages, customer, "schema", key)
    if chosen.is_off:
        bare = tuple(Column(**{name: getattr(column, name) for name in IDENTITY}) for column in table.columns)
        table = replace(table, columns=bare, key=())
    findings = schema_checks.evaluate(frame, table, **chosen.thresholds)  # type: ignore[arg-type]
    by_choice = [finding if finding.check == "columns" else severe(finding, chosen) for finding in findings]
    return _with_note(summary(key, by_choice), chosen)


def summary(key: str, findings: list[Finding]) -> Finding:
    """All findings about a table's schema as one; where it blocks, its message says what to do."""
    failed = [finding for finding in findings if not finding.passed]
    if not failed:
        return Finding("schema", True, f"all {len(findings)} rules hold", "block", {"rules": len(findings)})
    blocks = any(finding.severity == "block" for finding in failed)
    failed.sort(key=lambda finding: finding.severity != "block")
    error = TableError(
        f"{key} breaks its schema and was not written; the last good version stays"
        if blocks
        else f"{key} breaks its schema, and was written all the same: these rules only warn",
        came="; ".join(finding.message for finding in failed[:5]),
        where="; ".join(str(dict(finding.sample[0])) for finding in failed[:2] if finding.sample),
        do="mend the source or its mapping in the customer's TOML, then run it again",
    )
    return Finding(
        check="schema",
        passed=False,
        message=str(error),
        severity="block" if blocks else "warn",
        found={"rules": len(findings), "broken": len(failed)},
        sample=tuple(row for finding in failed for row in finding.sample)[:10],
    )


def _with_note(finding: Finding, chosen: Chosen) -> Finding:
    if not chosen.is_off:
        return finding
    note = ' (columns and types alone: [checks.schema] says severity = "off")'
    return replace(finding, message=finding.message + note, found={**finding.found, "off": True})


def refusal(key: str, shut: Sequence[Finding]) -> str:
    """Why a table was not written, in the words of the checks that block it."""
    error = TableError(
        f"{key} was not written: {', '.join(finding.check for finding in shut)} blocks; the last good version stays",
        came="; ".join(finding.message for finding in shut),
        do='mend the data, or set severity = "warn" for the check in the customer\'s TOML, then run it again',
    )
    return str(error)
