"""The parts of a draft: its tables, with what is said of each, why, and whether it is sure (``Guess``). Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MONGODB_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*\.\$[A-Za-z]+")


@dataclass(frozen=True, slots=True)
class Guess:
    """A value, why it is taken, and whether it is unsure: then a person is asked."""

    value: Any
    why: str = ""
    is_unsure: bool = False


@dataclass
class TableDraft:
    """One canonical table: where it comes from, how its files are written, what its columns are."""

    name: str
    source: str = ""
    location: str = ""
    options: dict[str, Guess] = field(default_factory=dict)
    columns: dict[str, Guess] = field(default_factory=dict)
    where: Guess | None = None
    query: Guess | None = None
    inputs: dict[str, TableDraft] = field(default_factory=dict)
    bill_key: Guess | None = None
    personal: Guess | None = None
    exports_by: Guess | None = None
    equal_lines: Guess | None = None
    notes: list[str] = field(default_factory=list)


@dataclass
class Draft:
    """A whole customer: ``head`` are name, vertical, currency and time zone; ``questions`` are for a person."""

    head: dict[str, Guess]
    tables: list[TableDraft]
    notes: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    not_a_user: Guess | None = None


def quoted(column: str) -> str:
    """A source's column as an expression names it.

    >>> quoted("Unit Price"), quoted("qty"), quoted("line_items.price"), quoted("_id.$oid")
    ('`Unit Price`', 'qty', 'line_items.price', '_id.`$oid`')
    """
    if MONGODB_PATH.fullmatch(column):
        return ".".join(f"`{part}`" if part.startswith("$") else part for part in column.split("."))
    if all(map(PLAIN.fullmatch, column.split("."))):
        return column
    return "`" + column.replace("`", "``") + "`"


def words_in(values: Sequence[str]) -> str:
    """Texts as a list of an expression."""
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)
