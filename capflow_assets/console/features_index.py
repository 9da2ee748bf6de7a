"""Every feature by name: what it says, how it is made, of which columns, and which models read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from capflow_assets.blueprint.stages import Stages
from capflow_assets.tables.column_lineage import Source, kept, sources_of


@dataclass(frozen=True, slots=True)
class FeatureEntry:
    """One column of a feature block as it is declared; ``made_from`` are the columns above it, by table."""

    block: str
    name: str
    description: str
    formula: str
    unit: str
    window: str
    made_from: Mapping[str, tuple[str, ...]]
    models: tuple[str, ...]


def features_of(stages: Stages) -> list[FeatureEntry]:
    """The declared columns of all feature blocks but their keys, block by block."""
    readers: dict[tuple[str, str], list[str]] = {}
    for name, spec in stages.models.items():
        for reads in spec.model.reads:
            for column in reads.columns:
                readers.setdefault((reads.table, column), []).append(name)
    blocks = {
        key: spec for key, spec in stages.tables.items() if spec.stage == "features" and not spec.table.intermediate
    }
    lineage = {
        key: sources_of(kept(), spec, [column.name for column in spec.table.columns]) for key, spec in blocks.items()
    }
    return [
        FeatureEntry(
            key,
            column.name,
            column.description,
            column.formula,
            column.unit or "",
            column.window or "all of the past",
            _by_table(lineage[key].get(column.name, ())),
            tuple(readers.get((key, column.name), ())),
        )
        for key, spec in blocks.items()
        for column in spec.table.columns
        if column.name not in spec.table.key
    ]


def _by_table(sources: Iterable[Source]) -> dict[str, tuple[str, ...]]:
    columns: dict[str, tuple[str, ...]] = {}
    for table, column in sources:
        columns[table] = (*columns.get(table, ()), column)
    return columns


def matching(entries: list[FeatureEntry], words: str) -> list[FeatureEntry]:
    """The entries in which every one of the words stands: those called so first, then those whose name has one of them.

    >>> matching([FeatureEntry("features/rfm", "visits", "Days with a bill.", "", "", "", {}, ())], "days BILL")[0].name
    'visits'
    """
    wanted = words.lower().split()

    def text(entry: FeatureEntry) -> str:
        above = (f"{table}.{column}" for table, columns in entry.made_from.items() for column in columns)
        words = (entry.name, entry.block, entry.description, entry.formula, entry.unit, *above, *entry.models)
        return " ".join(words).lower()

    hits = [entry for entry in entries if all(word in text(entry) for word in wanted)]

    def distance(entry: FeatureEntry) -> tuple[bool, bool]:
        name = entry.name.lower()
        return name not in wanted, not any(word in name for word in wanted)

    return sorted(hits, key=distance) if wanted else hits
