"""The lineage of columns: which columns of which tables each column of a table is made from.

``column_origins`` derives it from the code. That takes seconds, so it is done once for a version of the code, by ``make
graph``, and kept beside the code as text, one line per column: ``features/rfm.tenure_days <- clean/bills.billed_on``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib.resources import files

from capflow_assets.blueprint.specs import TableSpec
from capflow_assets.synthesis.features import feature_of, source_columns

NAME = "column_lineage.txt"
ARROW = " <- "
WITHOUT = " without "
# Stands for the columns of an open table that are not declared.
OTHERS = "*"
Source = tuple[str, str]
Lineage = Mapping[str, Mapping[str, tuple[Source, ...]]]


def as_text(lineage: Lineage) -> str:
    """One line per column."""
    lines = (
        f"{table}.{name}{ARROW}{' '.join(f'{source}.{column}' for source, column in sources)}".rstrip()
        for table, columns in sorted(lineage.items())
        for name, sources in columns.items()
    )
    return "\n".join(lines) + "\n"


def parsed(text: str) -> Lineage:
    """The lineage that a text says.

    >>> parsed("features/rfm.tenure_days <- clean/bills.billed_on\\n")
    {'features/rfm': {'tenure_days': (('clean/bills', 'billed_on'),)}}
    """
    lineage: dict[str, dict[str, tuple[Source, ...]]] = {}
    for line in text.splitlines():
        column, _, sources = line.partition(ARROW.rstrip())
        table, name = _pair(column.strip())
        lineage.setdefault(table, {})[name] = tuple(map(_pair, sources.split()))
    return lineage


def _pair(text: str) -> Source:
    table, _, column = text.partition(".")
    return table, column


def kept_text() -> str:
    """The lineage of this version of the code, as it is kept beside it; on a cluster the code may be packed."""
    return files("capflow_assets.tables").joinpath(NAME).read_text("utf-8")


@cache
def kept() -> Lineage:
    """The lineage of this version of the code."""
    return parsed(kept_text())


def sources_of(
    lineage: Lineage, spec: TableSpec, columns: Iterable[str], absent: Collection[str] = ()
) -> dict[str, tuple[Source, ...]]:
    """What the columns that a table has are made from, for a customer who cannot have the tables ``absent``.

    Columns that a customer adds are those of the same name of the table above; recursive features are made of the
    columns in their formulas.
    """
    lines = lineage.get(spec.key, {})
    return {name: sources for name in columns if (sources := _of_column(lines, name, absent))}


def _of_column(lines: Mapping[str, tuple[Source, ...]], name: str, absent: Collection[str]) -> tuple[Source, ...]:
    if name in lines:
        line = next((lines[text] for table in absent if (text := f"{name}{WITHOUT}{table}") in lines), lines[name])
    elif OTHERS in lines:
        line = tuple((table, name) for table, column in lines[OTHERS] if column == OTHERS)
    else:
        feature = feature_of(name)
        line = source_columns(feature) if feature else ()
    return tuple(source for source in line if source[0] not in absent)
