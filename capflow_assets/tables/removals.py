"""Rows that cleaning removed or flagged: by reason, how many are too many, and the note that people are told from.

The rows themselves lie in ``clean/{table}_removed``. The note, ``{lake}/{customer}/removals.json``, is of each table's
last cleaning, whether the table was written then or not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from capflow_assets.blueprint.specs import TableSpec
from capflow_assets.contract import Finding, Severity, Table
from capflow_assets.customers.customer import MOST_REMOVED_PCT, Customer
from capflow_assets.errors import TableError
from capflow_assets.stores.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

NOTE = "removals.json"
CHECK = "removed"
PREFIX = "removed: "
# What rows of different bills under one number are removed for.
RESTARTED = frozenset({"conflicting_duplicate", "later_than_its_bill"})
OF_BILLS = frozenset({"clean/bills", "clean/line_items"})


@dataclass(frozen=True, slots=True)
class Removal:
    """What cleaning removed of the ``rows`` that a table's source landed: rows by reason.

    ``counted`` are those that count against ``limit_pct``, the share of the rows that may be removed.
    """

    table: str
    rows: int
    reasons: Mapping[str, int]
    counted: int
    limit_pct: float

    @property
    def removed(self) -> int:
        """The rows that were removed, for whatever reason."""
        return sum(self.reasons.values())

    @property
    def share_pct(self) -> float:
        """The rows that count against the limit, in a hundred of all."""
        return 100 * self.counted / max(self.rows, 1)

    @property
    def is_beyond(self) -> bool:
        """Whether so many were removed that the table must not be written."""
        return self.share_pct > self.limit_pct

    @property
    def counts(self) -> dict[str, int]:
        """Rows by reason, as a table's counts tell them."""
        return {PREFIX + reason: rows for reason, rows in self.reasons.items()}

    @property
    def words(self) -> str:
        """How many rows were removed, and what for.

        >>> Removal("clean/bills", 2880, {"conflicting_duplicate": 2872}, 2872, 5).words
        '2,872 of 2,880 rows were removed in cleaning: conflicting_duplicate 2,872'
        """
        reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in self.reasons.items())
        why = f": {reasons}" if reasons else ""
        harmless = " (copies and what a later export replaced: nothing is lost)" if reasons and not self.counted else ""
        return f"{self.removed:,} of {self.rows:,} rows were removed in cleaning{why}{harmless}"

    @property
    def verdict(self) -> str:
        """The words, and what became of the table where the limit was passed."""
        beyond = f", more than {self.limit_pct:g} %: the table was not written, the last good version stays"
        return self.words + (beyond if self.is_beyond else "")


def set_aside(lake: Lake, customer: Customer, spec: TableSpec, frame: DataFrame) -> Removal:
    """Keep the rows that cleaning removes in a table of their own, and note how many: all rows in, one look at them."""
    removal, aside = removal_of(lake, customer, spec, frame), f"{spec.key}_removed"
    if removal.removed or lake.exists(customer.name, aside):
        lake.write(frame.filter(f"{spec.table.removal_reason} is not null"), customer.name, aside)
    keep(lake, customer.name, removal)
    return removal


def removal_of(lake: Lake, customer: Customer, spec: TableSpec, frame: DataFrame) -> Removal:
    """What cleaning removes of a table, from all of its rows, each with the reason for removing it, if any.

    The rows are those of the raw table of the same name; where the customer sends none, all that were looked at.
    """
    groups = frame.groupBy(str(spec.table.removal_reason)).count().collect()
    counts = {row[0]: int(row[1]) for row in groups}
    in_order = sorted(filter(None, counts), key=lambda reason: (-counts[reason], reason))
    reasons = {reason: counts[reason] for reason in in_order}
    declared = customer.tables.get(spec.name)
    rows = lake.rows(customer.name, f"raw/{spec.name}") if declared else sum(counts.values())
    counted = sum(number for reason, number in reasons.items() if reason not in spec.table.harmless_removals)
    limit_pct = declared.max_removed_pct if declared else MOST_REMOVED_PCT
    return Removal(spec.key, rows, reasons, counted, limit_pct)


def finding(removal: Removal) -> Finding:
    """The removed rows as a check's finding: it passes where none of them counts, and blocks beyond the limit."""
    figures = {"rows": removal.rows, "removed": removal.removed, "counted": removal.counted, **removal.counts}
    severity: Severity = "block" if removal.is_beyond else "warn"
    return Finding(CHECK, not removal.counted, removal.verdict, severity, figures)


def refusal(removal: Removal, customer: Customer, also: str = "") -> TableError:
    """Why a table of which too many rows were removed is not written, and what to do; ``also`` is what checks found."""
    name = removal.table.partition("/")[2]
    key = 'bill_key = ["store", "day", "bill"]'
    declared = customer.tables.get(name)
    has_key = declared is not None and bool(declared.bill_key)
    restarted = not also and not has_key and removal.table in OF_BILLS and RESTARTED & removal.reasons.keys()
    hint = (
        f"where bill numbers restart by store, till or day, write {key} under [tables.{name}]; else "
        if restarted
        else ""
    )
    look = f"look at them (capflow show {removal.table}_removed --customer {customer.name})"
    received = ", ".join(f"{reason} {rows:,}" for reason, rows in removal.reasons.items())
    share = f"{removal.counted:,} of {removal.rows:,} rows of {removal.table} were removed in cleaning"
    return TableError(
        f"{share} ({removal.share_pct:.1f} %); the last good version stays",
        expected=f"at most {removal.limit_pct:g} % (max_removed_pct)",
        came="; ".join(filter(None, (received, also))),
        do=f"{hint}{look}, and mend the export or its mapping, or raise max_removed_pct under [tables.{name}]",
    )


def keep(lake: Lake, customer: str, removal: Removal) -> None:
    """Note what the last cleaning of a table removed."""
    notes = removals(lake, customer) | {removal.table: removal}
    content = {table: asdict(note) for table, note in sorted(notes.items())}
    lake.save_bytes(customer, NOTE, json.dumps(content, indent=1).encode())


def removals(lake: Lake, customer: str) -> dict[str, Removal]:
    """What the last cleaning of each table of a customer removed, by table; none of a run by an earlier release."""
    content = lake.read_bytes(customer, NOTE)
    try:
        return {table: Removal(**note) for table, note in json.loads(content or b"{}").items()}
    except (ValueError, TypeError, AttributeError):  # broken off, or of another release
        return {}


def removed_in_words(lake: Lake, customer: str) -> list[str]:
    """What cleaning removed of each table of a customer that lost any row, in words."""
    return [f"{table}: {removal.verdict}" for table, removal in removals(lake, customer).items() if removal.removed]


def flag_counts(frame: DataFrame, table: Table) -> dict[str, int]:
    """Rows by flag, of a table that declares a column of them."""
    if table.flags is None:
        return {}
    from pyspark.sql import functions as F

    flags = frame.filter(F.col(table.flags) != "").select(F.explode(F.split(table.flags, ",")).alias("flag"))
    return {f"flagged: {row[0]}": int(row[1]) for row in flags.groupBy("flag").count().orderBy("flag").collect()}
