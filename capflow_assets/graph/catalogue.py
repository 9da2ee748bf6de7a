"""The feature catalogue of a customer: how each feature is made, of what, how it is spread, and who learns from it.

What a feature is comes from its declaration; how it is spread comes from one query over the table. Columns that differ
by customer (the recursive features) are described by the table NAME_columns beside NAME.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Column, Table
from capflow_assets.errors import CapflowError, NotFoundError
from capflow_assets.graph.lake import Lake
from capflow_assets.graph.stages import AS_OF, Stages, TableSpec

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

KEY = "features/catalogue"
# Percentiles look at about so many rows at most, chosen by a hash of the key; all else at all of them.
SAMPLED_ROWS = 100_000
NUMBERS = ("int", "bigint", "double")
PERCENTILES = {"p05": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95}
TEXTS = ("string", "date")
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


def described(lake: Lake, stages: Stages, customer: str, spec: TableSpec) -> list[dict[str, Any]]:
    """The catalogue's rows about a feature table that was just written."""
    frame = lake.table(customer, spec.key)
    features = list(_features(lake, stages, customer, spec, frame))
    spread = _spread(frame, spec, features, lake.rows(customer, spec.key))
    used = users_of(stages, spec.name)
    shared = {
        "block": spec.name,
        "grain": spec.table.grain,
        "owner": spec.table.owner,
        "version": spec.table.version,
        "table_version": lake.version(customer, spec.key),
        "as_of": spread.pop(AS_OF, None),
    }
    return [
        {
            **shared,
            "feature": each.name,
            "type": each.type,
            "description": each.description,
            "formula": each.formula or None,
            "unit": each.unit,
            "window": each.window,
            "source_tables": each.sources,
            "models": ",".join(used.get(each.name, ())),
            **spread[each.name],
        }
        for each in features
    ]


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
    is_same = lake.exists(customer, KEY) and tuple(lake.table(customer, KEY).columns) == CATALOGUE.names
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
        if block in model.model.features:
            for column in model.model.columns:
                used.setdefault(column, []).append(name)
    return {column: tuple(names) for column, names in used.items()}


def _features(lake: Lake, stages: Stages, customer: str, spec: TableSpec, frame: DataFrame) -> Iterator[Feature]:
    kinds = dict(frame.dtypes)
    sources = ",".join(sorted({source.table for source in spec.inputs}))
    declared = {column.name: column for column in spec.table.columns}
    for name, column in declared.items():
        if name not in spec.table.key and name in kinds:
            window, personal = column.window or "all", column.personal
            yield Feature(name, kinds[name], column.description, column.formula, column.unit, window, sources, personal)
    told = _told_beside(lake, stages, customer, spec)
    for name in frame.columns:
        if name not in declared:
            row = told.get(name, {})
            formula, unit, window = (row.get(key) or "" for key in ("formula", "unit", "window"))
            made_of = row.get("source_tables") or sources
            yield Feature(name, kinds[name], formula or name, formula, unit or None, window or "all", made_of)


def _told_beside(lake: Lake, stages: Stages, customer: str, spec: TableSpec) -> dict[str, Mapping[str, Any]]:
    beside = f"{spec.key}_columns"
    if beside not in stages.tables or not lake.exists(customer, beside):
        return {}
    return {row["column"]: row for row in lake.arrow(customer, beside).to_pylist()}


def _spread(frame: DataFrame, spec: TableSpec, features: Sequence[Feature], rows: int) -> dict[str, Any]:
    """The distribution of every feature: one query, and one more for each text."""
    from pyspark.sql import functions as F

    share = max(1, rows // SAMPLED_ROWS)
    keys = [F.col(name) for name in spec.table.key]
    is_sampled = F.pmod(F.xxhash64(*keys), F.lit(share)) == 0 if share > 1 else F.lit(True)
    asked: list[Expression] = []
    for place, feature in enumerate(features):
        asked += [each.alias(f"{place}_{name}") for name, each in _asked(feature, is_sampled).items()]
    has_moment = AS_OF in frame.columns
    asked += [F.unix_micros(F.max(AS_OF)).alias(AS_OF)] if has_moment else []
    found = frame.agg(*asked).collect()[0].asDict() if asked else {}
    spread: dict[str, Any] = {AS_OF: _moment(found.get(AS_OF))}
    for place, feature in enumerate(features):
        own = {name.partition("_")[2]: value for name, value in found.items() if name.startswith(f"{place}_")}
        spread[feature.name] = {"rows": rows, **_figures(own, rows), **_most_frequent(frame, feature)}
    return spread


def _asked(feature: Feature, is_sampled: Expression) -> dict[str, Expression]:
    from pyspark.sql import functions as F

    value = F.col(f"`{feature.name}`")
    if feature.type.startswith("array"):
        return {"filled": F.count(F.when(F.size(value) > 0, 1))}
    if feature.type == "boolean":
        value = value.cast("int")
    elif feature.type not in NUMBERS:
        return {"filled": F.count(value)}
    number = value.cast("double")
    sampled = F.percentile(F.when(is_sampled, number), list(PERCENTILES.values()))
    return {
        "filled": F.count(value),
        "mean": F.avg(number),
        "std": F.stddev(number),
        "min": F.min(number),
        "max": F.max(number),
        "zeros": F.count(F.when(value == 0, 1)),
        "percentiles": sampled,
    }


def _figures(found: Mapping[str, Any], rows: int) -> dict[str, Any]:
    filled = int(found.get("filled") or 0)
    figures = {name: found.get(name) for name in ("mean", "std", "min", "max")}
    percentiles = found.get("percentiles") or [None] * len(PERCENTILES)
    figures |= dict(zip(PERCENTILES, percentiles, strict=True))
    zero = 100 * found["zeros"] / filled if filled and "zeros" in found else None
    return {"fill_pct": 100 * filled / rows if rows else None, "zero_pct": zero, **figures}


def _most_frequent(frame: DataFrame, feature: Feature) -> dict[str, Any]:
    from pyspark.sql import functions as F

    if feature.type not in TEXTS or feature.personal:
        return {"top_value": None, "top_pct": None}
    value = F.col(f"`{feature.name}`").cast("string").alias("value")
    counted = frame.select(value).filter("value is not null").groupBy("value").agg(F.count(F.lit(1)).alias("n"))
    first = counted.orderBy(F.col("n").desc(), "value").limit(1).collect()
    if not first:
        return {"top_value": None, "top_pct": None}
    filled = frame.filter(F.col(f"`{feature.name}`").isNotNull()).count()
    return {"top_value": first[0]["value"], "top_pct": 100 * first[0]["n"] / filled}


def _moment(micros: int | None) -> Any:
    from datetime import UTC, datetime, timedelta

    return None if micros is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
