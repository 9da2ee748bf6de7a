"""What a table, a column and a check's finding are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

Severity = Literal["warn", "block"]
Readiness = Literal["ready", "at risk", "not ready"]
Scalar = str | int | float | bool | None
# Of a raw table that came in several exports which overlap: the one that the row came with.
EXPORT = "source_export"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: what it holds and what must be true of it.

    ``type`` is a Spark SQL type name (``string bigint int double boolean date timestamp``). Bounds are inclusive
    (``at_least``, ``at_most``) or strict (``above``); a null passes every rule but ``required``. A column that ``ages``
    grows by one a day in every row, whatever anybody does. Rows that break a rule block the table, unless the column's
    ``severity`` is ``warn``: then they are told and the table is written all the same.

    A feature says by ``formula`` how it is made where its description does not, and by ``window`` which stretch of
    time before the as-of moment it looks at (``"91 days"``; all of it where nothing is said). Types may be arrays,
    ``array<string>``.
    """

    name: str
    type: str
    description: str
    required: bool = False
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    one_of: tuple[str, ...] = ()
    matches: str | None = None
    unit: str | None = None
    personal: bool = False
    ages: bool = False
    severity: Severity = "block"
    formula: str = ""
    window: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """The schema of one table.

    ``grain`` completes the sentence "one row per …". ``key`` is unique together. ``time`` names the column that says
    when a row became true: rows later than the as-of moment are cut away before any feature sees them. ``open``
    tables keep attribute columns that a customer adds to the declared ones.

    A feature table whose key has ``as_of`` may be asked for several moments at once. ``version`` grows where a column
    comes to mean something else, so that a model can tell. ``intermediate`` tables only serve to make others: no model
    reads them and no catalogue lists them. ``harmless_removals`` are reasons by which cleaning may remove any number of
    rows, since those that stay say the same; all others count against ``max_removed_pct``. The rows of a ``timeless``
    feature table are the same at all moments: what was computed as of one serves for all others.

    ``formulas`` say how columns are made whose declarations do not, by the columns' names.

    ``removal_reason`` names the column, besides the declared ones, by which the table's function says why a row is not
    to stay (null where it is). ``flags`` names the column that says what is odd about a row, separated by commas.
    """

    grain: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    time: str | None = None
    open: bool = False
    version: int = 1
    owner: str = "team:data"
    intermediate: bool = False
    timeless: bool = False
    harmless_removals: tuple[str, ...] = ()
    formulas: Mapping[str, str] = field(default_factory=dict)
    removal_reason: str | None = None
    flags: str | None = None

    def __post_init__(self) -> None:
        """Give each column its formula."""
        columns = tuple(
            replace(column, formula=self.formulas[column.name]) if column.name in self.formulas else column
            for column in self.columns
        )
        object.__setattr__(self, "columns", columns)

    @property
    def names(self) -> tuple[str, ...]:
        """The declared columns' names, in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """The declared column of that name."""
        return next(column for column in self.columns if column.name == name)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found in one table of one customer. ``found`` holds the figures; ``sample`` at most ten rows."""

    check: str
    passed: bool
    message: str
    severity: Severity = "warn"
    found: Mapping[str, Scalar] = field(default_factory=dict)
    sample: tuple[Mapping[str, Scalar], ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open stretch of time ``(start, end]`` in UTC."""

    start: datetime
    end: datetime
