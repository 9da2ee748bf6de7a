"""The fleet as the pages show it: what they ask of whoever reads Dagster and MLflow, and how it is laid out. Pure.

Belongs here: rows in, what a page shows out. Does not belong here: reading them, which ``graph`` does, and markup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

Row = Mapping[str, Any]
SIGNS = {"ready": "✓", "at risk": "!", "not ready": "✗", "off": "·"}
UNKNOWN = "?"
ACTIONS = ("promote", "rollback", "freeze", "thaw")
WAITING_STATUS = ("asks", "broken champion")


@dataclass(frozen=True, slots=True)
class FleetState:
    """What was read at one moment: a row a customer and model (``graph.status``), and the last night by customer."""

    at: datetime
    rows: tuple[Row, ...] = ()
    nights: tuple[Row, ...] = ()


class Fleet(Protocol):
    """Reads the fleet, and carries out what a person decides."""

    def state(self) -> FleetState:
        """All customers and models, read now; seconds for thousands."""

    def features(self, customer: str) -> list[Row]:
        """A customer's feature catalogue; empty where there is none."""

    def decide(self, action: str, customer: str, model: str, reason: str) -> str:
        """Promote, roll back, freeze or thaw; what was done, in words.

        Raises:
            CapflowError: it cannot be done, and says why.
        """


@dataclass(frozen=True, slots=True)
class Matrix:
    """Customers × models by state: the models' names, and of each customer its cells in their order."""

    models: tuple[str, ...]
    lines: tuple[tuple[str, tuple[Row | None, ...]], ...]
    counts: Mapping[str, int] = field(default_factory=dict)


def matrix(rows: Sequence[Row]) -> Matrix:
    """The rows as a matrix, customers and models in the order of their names.

    >>> shown = matrix([{"customer": "a", "model": "churn", "readiness": "ready"}])
    >>> shown.models, shown.lines[0][0], shown.counts
    (('churn',), 'a', {'ready': 1})
    """
    models = tuple(sorted({row["model"] for row in rows}))
    place = {name: number for number, name in enumerate(models)}
    lines: dict[str, list[Row | None]] = {}
    counts: dict[str, int] = {}
    for row in rows:
        lines.setdefault(row["customer"], [None] * len(models))[place[row["model"]]] = row
        counts[row["readiness"]] = counts.get(row["readiness"], 0) + 1
    return Matrix(models, tuple((name, tuple(lines[name])) for name in sorted(lines)), counts)


def waiting(rows: Sequence[Row]) -> list[Row]:
    """What waits for a person: models that ask, challengers beside a champion, broken champions; the worst first."""
    open_ = [
        row
        for row in rows
        if row["readiness"] != "off" and (row["status"] in WAITING_STATUS or row["challenger"] is not None)
    ]
    return sorted(open_, key=lambda row: (row["status"] != "broken champion", row["customer"], row["model"]))


def fares(rows: Sequence[Row], model: str) -> list[Row]:
    """One model over all customers: those that fare worst against their baseline first, then those without figures."""
    own = [row for row in rows if row["model"] == model]
    return sorted(own, key=lambda row: (row["value"] is None, row["value"] or 0.0, row["customer"]))


def matching(rows: Sequence[Row], words: str) -> list[Row]:
    """Features that have all of the words in their name, block, description, formula, unit or models."""
    wanted = words.lower().split()
    parts = ("block", "feature", "description", "formula", "unit", "source_tables", "models")

    def text(row: Row) -> str:
        return " ".join(str(row.get(part) or "") for part in parts).lower()

    return [row for row in rows if all(word in text(row) for word in wanted)]
