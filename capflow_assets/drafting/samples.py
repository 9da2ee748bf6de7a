"""A sample of a table as its store gives it: its columns, some of its rows, and how it is to be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from capflow_assets.drafting.profiles import Column


@dataclass(frozen=True, slots=True)
class Link:
    """A foreign key: a column and the column of another table that it names."""

    column: str
    table: str
    to: str


@dataclass
class Sample:
    """Some rows of one table: a file, several of one kind, a sheet, an array of records, a table of a database.

    ``rows`` are in order of the store, ``None`` for what is blank. ``is_whole`` says that these are all there are.
    ``files`` are the locations of all that it stands for, each with its member of a zip; ``parts`` are the names of
    those whose rows are here, each with how many, in order.
    ``former`` are the names that a column has in older files, by the one that it has in newer ones.
    ``options`` are those of the source; ``reasons`` say, by option, why. ``notes`` are what else was seen, and
    ``questions`` what only a person can answer.
    """

    name: str
    source: str
    location: str
    names: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    options: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    rows_total: int = 0
    is_whole: bool = False
    links: tuple[Link, ...] = ()
    key: tuple[str, ...] = ()
    array: str = ""
    files: tuple[tuple[str, str], ...] = ()
    parts: tuple[tuple[str, int], ...] = ()
    former: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)

    @cached_property
    def columns(self) -> Mapping[str, Column]:
        """The columns by name."""
        cells = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.names)
        return {name: Column(name, tuple(values)) for name, values in zip(self.names, cells, strict=True)}

    def pairs(self, *names: str) -> Iterator[tuple[Any, ...]]:
        """The values of some columns, row by row."""
        return zip(*(self.columns[name].values for name in names), strict=True)

    def determines(self, key: str, *others: str, at_most: float = 0.0) -> bool:
        """Whether rows of one ``key`` have one value in each of the others, but for a share of the keys.

        It is none where every key stands once: that says nothing.
        """
        if not self.columns[key].repeats:
            return False
        return all(self.share_of_several(key, other) <= at_most for other in others)

    def share_of_several(self, key: str, other: str) -> float:
        """The share of the keys that have several values in another column; blanks go with any."""
        values: dict[Any, set[Any]] = {}
        for one, value in self.pairs(key, other):
            if one is not None:
                values.setdefault(one, set()).update(() if value is None else (value,))
        return sum(len(several) > 1 for several in values.values()) / max(len(values), 1)
