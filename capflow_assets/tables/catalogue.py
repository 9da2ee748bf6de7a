"""The feature catalogue of a customer: how each feature is made, of what, how it is spread, and who learns from it.

What a feature is comes from its declaration; how it is spread comes from the values in the table. Columns that differ
by customer (the recursive features) are described by the table NAME_columns beside NAME.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from capflow_assets.blueprint.specs import AS_OF, TableSpec
from capflow_assets.blueprint.stages import Stages
from capflow_assets.contract import Column, Table
from capflow_assets.errors import CapflowError, NotFoundError
from capflow_assets.stores.lake import Lake

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa

KEY = "features/catalogue"
# Of so many values at most the distributions are taken at a time: 400 MB of numbers.
VALUES_AT_ONCE = 50_000_000
NUMBERS = ("int", "bigint", "double", "boolean")
PERCENTILES = {"p05": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95}
TEXTS = ("string", "date")
FIGURES = ("mean", "std", "min", *PERCENTILES, "max", "zero_pct", "top_value", "top_pct")
NOTHING: dict[str, Any] = dict.fromkeys(FIGURES)
SHOWN = ("block", "feature", "description", "unit", "window", "fill_pct", "p05", "median", "p95", "models")

CATALOGUE = Table(
    grain="feature",
    columns=(
        Column("block", "string", "The feature table.", required=True),
        Column("feature", "string", "Its column.", required=True),
        Column("type", "string", "Its Spark SQL type.", required=True),
        Column("description", "string", "What it says.", required=True),
        Column("formula", "string", "How it is made, where the description does not say."),
        Column("unit", "string", "What it is counted in."),
        Column("window", "string", "The stretch of time before the as-of moment that it looks at.", required=True),
        Column("grain", "string", "What a row of its table is.", required=True),
        Column("source_tables", "string", "The tables that it is made of, separated by commas.", required=True),
        Column("models", "string", "The models that learn from it, separated by commas; empty if none.", required=True),
        Column("owner", "string", "Who answers for it.", required=True),
        Column("version", "int", "Grows where the feature comes to mean something else.", required=True),
        Column("rows", "bigint", "Rows of its table.", required=True, at_least=0),
        Column("fill_pct", "double", "Share of the rows with a value.", at_least=0, at_most=100, unit="%"),
        Column("mean", "double", "Mean; of a boolean, the share that is true."),
        Column("std", "double", "Standard deviation.", at_least=0),
        Column("min", "double", "Least value."),
        *(Column(name, "double", f"Percentile {int(100 * share)}.") for name, share in PERCENTILES.items()),
        Column("max", "double", "Greatest value."),
        Column("zero_pct", "double", "Share of the values that are 0 or false.", at_least=0, at_most=100, unit="%"),
        Column("top_value", "string", "The most frequent text or day."),
        Column(
            "top_pct", "double", "Share of the values that are the most frequent.", at_least=0, at_most=100, unit="%"
        ),
        Column("table_version", "int", "The version of the table that was looked at.", required=True),
        Column("as_of", "timestamp", "The moment that the table is of."),
    ),
    key=("block", "feature"),
)


@dataclass(frozen=True, slots=True)
class Feature:
    """What is declared of one column of a feature table."""

    name: str
    type: str
    description: str
    formula: str
    unit: str | None
    window: str
    sources: str
    personal: bool = False


def described(
    lake: Lake, stages: Stages, customer: str, spec: TableSpec, types: Mapping[str, str], rows: int, version: int
) -> list[dict[str, Any]]:
    """The catalogue's rows about a feature table that was just written: its columns' types, its rows, its version."""
    features = list(_features(lake, stages, customer, spec, types))
    spread = _spread(lake, customer, spec, features, rows)
    used = users_of(stages, spec.name)
    shared = {
        "block": spec.name,
        "grain": spec.table.grain,
        "owner": spec.table.owner,
        "version": spec.table.version,
        "table_version": version,
        "as_of": _moment(lake, customer, spec) if AS_OF in types else None,
    }
    return [
        {
            **shared,
            "feature": feature.name,
            "type": feature.type,
            "description": feature.description,
            "formula": feature.formula or None,
            "unit": feature.unit,
            "window": feature.window,
            "source_tables": feature.sources,
            "models": ",".join(used.get(feature.name, ())),
            **spread[feature.name],
        }
        for feature in features
    ]


def _moment(lake: Lake, customer: str, spec: TableSpec) -> datetime | None:
    import pyarrow.compute as pc

    newest: datetime | None = pc.max(lake.arrow(customer, spec.key, columns=[AS_OF])[AS_OF]).as_py()
    return newest


def keep(lake: Lake, customer: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put rows in the place of all that the catalogue says of their blocks."""
    import pyarrow as pa

    blocks = sorted({row["block"] for row in rows})
    if not blocks:
        return
    kinds = {"string": pa.string(), "int": pa.int32(), "bigint": pa.int64(), "double": pa.float64()}
    kinds["timestamp"] = pa.timestamp("us", tz="UTC")
    schema = pa.schema([pa.field(column.name, kinds[column.type]) for column in CATALOGUE.columns])
    frame = lake.spark().createDataFrame(pa.Table.from_pylist(list(rows), schema))
    is_there = lake.exists(customer, KEY) and not lake.damage(customer, KEY)
    is_same = is_there and tuple(lake.table(customer, KEY).columns) == CATALOGUE.names
    if is_same:
        lake.replace(frame, customer, KEY, " OR ".join(f"block = '{block}'" for block in blocks))
    else:
        lake.write(frame, customer, KEY)


def catalogue_of(lake: Lake, customer: str, asked: str) -> tuple[pa.Table, pa.Table]:
    """The catalogue of all features (``features``) or of one table (``features/rfm``): in full, and for a screen.

    Raises:
        NotFoundError: nothing is known of such features; it says how to make them.
        CapflowError: what was asked for are no features.
    """
    import pyarrow.compute as pc

    stage, _, block = asked.partition("/")
    if stage != "features":
        raise CapflowError("Only features have a catalogue", expected="features, or features/NAME", came=asked)
    do = f"make them: capflow run {customer} --select '+features/*'"
    if not lake.exists(customer, KEY):
        raise NotFoundError.among(f"table of {customer}", KEY, lake.tables(customer), do=do)
    rows = lake.arrow(customer, KEY)
    blocks = rows["block"].unique().to_pylist()
    if block and block not in blocks:
        raise NotFoundError.among("feature table", block, blocks, do=do)
    rows = rows.filter(pc.equal(rows["block"], block)) if block else rows.sort_by("block")
    return rows, rows.select(list(SHOWN))


def users_of(stages: Stages, block: str) -> dict[str, tuple[str, ...]]:
    """The models that learn from each column of a block."""
    used: dict[str, list[str]] = {}
    for name, model in stages.models.items():
        for reads in model.model.reads:
            for column in reads.columns if reads.table == f"features/{block}" else ():
                used.setdefault(column, []).append(name)
    return {column: tuple(names) for column, names in used.items()}


def _features(
    lake: Lake, stages: Stages, customer: str, spec: TableSpec, types: Mapping[str, str]
) -> Iterator[Feature]:
    sources = ",".join(sorted({source.table for source in spec.inputs}))
    declared = {column.name: column for column in spec.table.columns}
    for name, column in declared.items():
        if name not in spec.table.key and name in types:
            window, personal = column.window or "all", column.personal
            yield Feature(name, types[name], column.description, column.formula, column.unit, window, sources, personal)
    rows_beside = _rows_beside(lake, stages, customer, spec)
    for name in types:
        if name not in declared:
            row = rows_beside.get(name, {})
            formula, unit, window = (row.get(key) or "" for key in ("formula", "unit", "window"))
            made_of = row.get("source_tables") or sources
            yield Feature(name, types[name], formula or name, formula, unit or None, window or "all", made_of)


def _rows_beside(lake: Lake, stages: Stages, customer: str, spec: TableSpec) -> dict[str, Mapping[str, Any]]:
    beside = f"{spec.key}_columns"
    if beside not in stages.tables or not lake.exists(customer, beside):
        return {}
    return {row["column"]: row for row in lake.arrow(customer, beside).to_pylist()}


def _spread(lake: Lake, customer: str, spec: TableSpec, features: Sequence[Feature], rows: int) -> dict[str, Any]:
    """The distribution of every feature, some columns at a time, so that memory stays bounded by the rows alone."""
    at_once = max(1, VALUES_AT_ONCE // max(rows, 1))
    spread: dict[str, Any] = {}
    for first in range(0, len(features), at_once):
        some = features[first : first + at_once]
        table = lake.arrow(customer, spec.key, columns=[feature.name for feature in some])
        spread |= {feature.name: {"rows": rows, **_figures(table[feature.name], feature)} for feature in some}
    return spread


def _figures(column: pa.ChunkedArray, feature: Feature) -> dict[str, Any]:
    import pyarrow.compute as pc

    values = column.drop_null()
    if feature.type.startswith("array"):
        values = values.filter(pc.greater(pc.list_value_length(values), 0))
    filled = {"fill_pct": 100 * len(values) / len(column) if len(column) else None}
    if feature.type in TEXTS and not feature.personal:
        return NOTHING | filled | _most_frequent(values)
    return NOTHING | filled | (_of_numbers(values) if feature.type in NUMBERS else {})


def _of_numbers(values: pa.ChunkedArray) -> dict[str, float]:
    import numpy as np

    # Whole numbers beyond 2^53 are rounded, which no figure of a distribution shows.
    numbers = values.cast("float64", safe=False).to_numpy()
    # In order, since sums of doubles depend on it, and the order of a table's rows says nothing.
    numbers = np.sort(numbers[~np.isnan(numbers)])
    if not numbers.size:
        return {}
    percentiles = np.percentile(numbers, [100 * share for share in PERCENTILES.values()])
    return {
        "mean": float(numbers.mean()),
        "std": float(numbers.std(ddof=1)) if numbers.size > 1 else 0.0,
        "min": float(numbers.min()),
        "max": float(numbers.max()),
        "zero_pct": 100 * float((numbers == 0).mean()),
        **dict(zip(PERCENTILES, map(float, percentiles), strict=True)),
    }


def _most_frequent(values: pa.ChunkedArray) -> dict[str, Any]:
    counts = {str(entry["values"]): entry["counts"] for entry in values.value_counts().to_pylist()}
    if not counts:
        return {}
    most = min(counts, key=lambda value: (-counts[value], value))
    return {"top_value": most, "top_pct": 100 * counts[most] / len(values)}
