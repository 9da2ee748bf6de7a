"""Land one raw table: open the customer's source, conform it, set bad rows aside, stop where there are too many."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Finding
from capflow_assets.customers import Customer
from capflow_assets.errors import SourceError, TableError
from capflow_assets.graph.lake import Lake
from capflow_assets.graph.stages import TableSpec

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SHOWN_ROWS = 10


@dataclass(frozen=True, slots=True)
class Landing:
    """The good rows of a source, and how many came and were set aside."""

    frame: DataFrame
    counts: Mapping[str, int]
    findings: tuple[Finding, ...] = ()


def land(lake: Lake, sources: Mapping[str, ModuleType], customer: Customer, spec: TableSpec) -> Landing:
    """The good rows of a raw table. Bad ones go to ``raw/{table}_rejected`` with their reason and source position.

    Raises:
        SourceError: the source cannot be opened, or holds no row.
        MappingError: a mapped column does not fit the source.
        TableError: more rows were rejected than the customer's ``max_rejected_pct`` allows.
    """
    from capflow_assets.landing import conform, split

    declared = customer.tables[spec.name]
    source = sources[declared.source]
    options: Any = source.Options(**declared.options)
    location = customer.location(spec.name)
    conformed = conform(
        source.read(lake.spark(), location, options),
        spec.table,
        declared.columns,
        zone=customer.time_zone,
        timestamp_format=getattr(options, "timestamp_format", None),
        date_format=getattr(options, "date_format", None),
        decimal_comma=getattr(options, "decimal_comma", False),
        name=f"[tables.{spec.name}] of {customer.name}, {location}",
    )
    came, bad = conformed.selectExpr("count(*)", "count(rejected_because)").collect()[0]
    if came == 0:
        raise SourceError(
            f"The source of {spec.name} holds no row; the last good version stays",
            expected="at least one row",
            where=location,
            do="check that the export ran, or remove the table from the customer's TOML",
        )
    accepted, rejected = split(conformed)
    _set_aside(lake, customer, spec, rejected, bad)
    share = 100 * bad / came
    shown = "; ".join(_examples(source, location, options, rejected)) if bad else ""
    if share > declared.max_rejected_pct:
        raise TableError(
            f"{bad:,} of {came:,} rows of {spec.name} were rejected ({share:.1f} %); the last good version stays",
            expected=f"at most {declared.max_rejected_pct:g} % (max_rejected_pct)",
            came=shown,
            where=location,
            do=f"mend the rows (they are kept in {spec.key}_rejected), the mapping, or max_rejected_pct",
        )
    counts = {"came": int(came)} | ({"rejected": int(bad)} if bad else {})
    return Landing(accepted, counts, (_finding(spec, int(came), int(bad), shown),))


def _finding(spec: TableSpec, came: int, bad: int, shown: str) -> Finding:
    kept = f"; they are kept in {spec.key}_rejected: {shown}" if bad else ""
    return Finding(
        check="landed",
        passed=bad == 0,
        message=f"{bad:,} of {came:,} rows were rejected{kept}",
        found={"came": came, "rejected": bad},
    )


def _set_aside(lake: Lake, customer: Customer, spec: TableSpec, rejected: DataFrame, bad: int) -> None:
    aside = f"{spec.key}_rejected"
    if bad or lake.exists(customer.name, aside):
        lake.write(rejected, customer.name, aside)


def _examples(source: ModuleType, location: str, options: Any, rejected: DataFrame) -> list[str]:
    """Up to three rejected rows in words, with their row number where the source can tell it."""
    rows = rejected.select("rejected_because", "source_row").limit(3).collect()
    numbers = source.find_rows(location, options, [json.loads(row[1]) for row in rows])
    return [
        (f"row {number}: " if number is not None else "") + reason
        for number, (reason, _) in zip(numbers, rows, strict=True)
    ]
