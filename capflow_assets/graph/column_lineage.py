"""Column lineage as Dagster shows it: on materializations, the columns above that each column is made from."""

from collections.abc import Collection, Iterable, Mapping

import dagster as dg

from capflow_assets.blueprint.specs import AS_OF, ModelSpec, TableSpec
from capflow_assets.blueprint.stages import Stages
from capflow_assets.life.answers import PROVENANCE, RANK, RANKED, table_of
from capflow_assets.tables.column_lineage import Source, kept, sources_of

KEY = "dagster/column_lineage"
# Which version answered, and as of when, is made from no column.
UNMADE = frozenset(column.name for column in PROVENANCE)
OF_SCORE = frozenset(column.name for column in (*RANKED, RANK))
SCORE = "score"


def table_lineage(spec: TableSpec, columns: Iterable[str], absent: Collection[str]) -> dict[str, dg.TableColumnLineage]:
    """What the columns of a table are made from, as metadata; nothing for a table as it landed."""
    return _metadata(sources_of(kept(), spec, columns, absent))


def in_words(sources: Iterable[Source]) -> str:
    """What a column is made from, in words: the page of Dagster's open version draws no lineage of columns.

    >>> in_words([("clean/bills", "amount"), ("clean/bills", "billed_on"), ("clean/items", "category")])
    'made from clean/bills (amount, billed_on), clean/items (category)'
    """
    columns: dict[str, list[str]] = {}
    for table, column in sources:
        columns.setdefault(table, []).append(column)
    return "made from " + ", ".join(f"{table} ({', '.join(names)})" for table, names in columns.items())


def answers_lineage(
    stages: Stages, spec: ModelSpec, read: Collection[str], columns: Iterable[str], absent: Collection[str]
) -> dict[str, dg.TableColumnLineage]:
    """What the ``columns`` of a model's answers are made from, where the version that answered ``read`` some columns.

    Subjects are those of the tables that the model reads. Ranks, bands and the like are made from the score.
    """
    origins = list(_read(stages, spec, read, absent))
    predictions = f"predictions/{spec.name}"
    lineage: dict[str, tuple[Source, ...]] = {}
    for name in columns:
        if name in UNMADE:
            continue
        if name in OF_SCORE:
            lineage[name] = ((predictions, SCORE),)
        elif name in table_of(spec.model).key:
            lineage[name] = tuple(source for source in _keyed(stages, spec, absent) if source[1] == name) or tuple(
                origins
            )
        else:
            lineage[name] = tuple(origins)
    return _metadata(lineage)


def _read(stages: Stages, spec: ModelSpec, read: Collection[str], absent: Collection[str]) -> Iterable[Source]:
    for reads in spec.model.reads:
        if reads.table in absent:
            continue
        names = reads.columns or tuple(name for name in _columns(stages, reads.table) if name != AS_OF)
        yield from ((reads.table, name) for name in names if reads.form == "frame" or name in read)


def _keyed(stages: Stages, spec: ModelSpec, absent: Collection[str]) -> Iterable[Source]:
    tables = dict.fromkeys((*(spec.known.tables if spec.known else ()), *spec.model.tables))
    yield from ((table, name) for table in sorted(tables) if table not in absent for name in _columns(stages, table))


def _columns(stages: Stages, table: str) -> tuple[str, ...]:
    if table in stages.tables:
        return stages.tables[table].table.names
    return table_of(stages.model(table.split("/")[1]).model).names


def _metadata(lineage: Mapping[str, tuple[Source, ...]]) -> dict[str, dg.TableColumnLineage]:
    dependencies = {
        name: [dg.TableColumnDep(table.split("/"), column) for table, column in sorted(set(sources))]
        for name, sources in lineage.items()
        if sources
    }
    return {KEY: dg.TableColumnLineage(dependencies)} if dependencies else {}
