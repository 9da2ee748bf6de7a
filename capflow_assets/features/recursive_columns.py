"""Which recursive features are kept, and why the others are not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from capflow_assets.contract import Column, Table
from capflow_assets.expressions.known_at import Moments, in_order
from capflow_assets.synthesis.features import Feature, feature_of, source_tables
from capflow_assets.synthesis.pruning import Limits, pruned

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

TABLE = Table(
    grain="recursive feature",
    columns=(
        Column("column", "string", "The feature's column in recursive_candidates.", required=True),
        Column("as_of", "timestamp", "The moment at which it was judged.", required=True),
        Column("formula", "string", "How it is made: mean(bills.max(line_items.amount)).", required=True),
        Column("depth", "int", "How many primitives are stacked in it.", required=True, at_least=1),
        Column("window", "string", "The stretch of time that it looks at; empty for all of it.", required=True),
        Column("unit", "string", "Its unit; null where it has none."),
        Column("source_tables", "string", "The tables that it is made of, separated by commas.", required=True),
        Column("is_kept", "boolean", "Whether it is among the features of recursive.", required=True),
        Column("reason", "string", "Why it is not; null where it is."),
        Column("fill_pct", "double", "The share of users for whom it is known.", True, 0, at_most=100, unit="%"),
        Column("std", "double", "Its standard deviation over the sampled users; null below two.", at_least=0),
        Column("users_sampled", "int", "Over how many users it was compared.", required=True, at_least=0),
    ),
    key=("column", "as_of"),
    intermediate=True,
)

_GRAIN_OF_SAMPLE = 1_000_000
_PLACE = "place"


class Params(BaseModel):
    """What a feature must hold to be kept."""

    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True)

    min_fill_pct: float = Field(5.0, ge=0, le=100, description="Least share of users for whom a feature is known.")
    max_correlation: float = Field(0.98, gt=0, le=1, description="Greatest correlation with a simpler feature.")
    users_sampled: int = Field(10_000, ge=100, le=100_000, description="Users among whom features are compared.")


def recursive_columns(recursive_candidates: DataFrame, *, as_of: Moments, params: Params | None = None) -> DataFrame:
    """Every recursive feature with its formula, and the verdict whether it says something new.

    **Grain**: one row per candidate and moment; each moment is judged by its own users.

    A feature is left out (``reason``) where it is **nearly empty** (known for fewer than ``min_fill_pct`` of users),
    **constant** (one value wherever it is known), a **duplicate** of a feature that is kept, or **over-correlated**
    with one: Pearson's r beyond ``max_correlation`` either way, over the users for whom both are known, at least 30.
    Only a feature that is known wherever this one is can stand for it. Of two, the simpler is kept: the less deep,
    then of the shorter formula, then the first by name, which is the longest window's.

    Fill and constancy are of all users; deviation, duplicates and correlations of about ``users_sampled`` of them,
    chosen by a hash of the user, so that the same users are compared every time. **Missing** values stay missing.
    Formula, depth, window, unit and source tables follow from the name alone.
    """
    chosen = params or Params.model_validate({})
    features = [feature for name in recursive_candidates.columns if (feature := feature_of(name))]
    features = sorted(features, key=lambda feature: feature.simplicity)
    moments = in_order(as_of)
    marked = recursive_candidates.withColumn(_PLACE, _place(moments)).filter(f"{_PLACE} is not null")
    totals = _totals(marked, features)
    sampled = _sampled(marked, features, {place: int(row["users"]) for place, row in totals.items()}, chosen)
    rows: list[tuple[Any, ...]] = []
    for place, moment in enumerate(moments):
        sample = sampled[sampled[_PLACE] == place]
        rows += _judged(features, moment, totals.get(place, {}), sample, chosen)
    schema = ", ".join(f"`{column.name}` {column.type}" for column in TABLE.columns)
    return recursive_candidates.sparkSession.createDataFrame(rows, schema)


def _place(moments: Sequence[datetime]) -> Expression:
    from pyspark.sql import functions as F

    place = F.lit(None).cast("int")
    for number, moment in enumerate(moments):
        place = F.when(F.col("as_of") == F.lit(moment), F.lit(number)).otherwise(place)
    return place


def _totals(marked: DataFrame, features: Sequence[Feature]) -> dict[int, dict[str, Any]]:
    """Of each moment the users, and how many know each feature, its least and its greatest value.

    Summed up by the workers, a row for each of their batches: an engine takes seconds to plan as many aggregates.
    """
    import numpy as np

    schema = f"{_PLACE} int, users bigint, known array<bigint>, least array<double>, greatest array<double>"
    parts = marked.select(_PLACE, *(feature.column for feature in features)).mapInArrow(_summed, schema).collect()
    by_place: dict[int, list[Any]] = {}
    for row in parts:
        by_place.setdefault(row[_PLACE], []).append(row)
    return {
        place: {
            "users": sum(row["users"] for row in rows),
            "known": np.sum([row["known"] for row in rows], axis=0),
            "least": np.min([row["least"] for row in rows], axis=0),
            "greatest": np.max([row["greatest"] for row in rows], axis=0),
        }
        for place, rows in by_place.items()
    }


def _summed(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The sums of each batch that ``_totals`` adds up; the least of nothing is infinite."""
    import numpy as np
    import pyarrow as pa

    for batch in batches:
        places, *columns = (column.cast("float64").to_numpy(zero_copy_only=False) for column in batch.columns)
        for place in np.unique(places):
            values = np.column_stack([column[places == place] for column in columns])
            is_known = ~np.isnan(values)
            part = {
                _PLACE: pa.array([place], pa.int32()),
                "users": pa.array([len(values)], pa.int64()),
                "known": pa.array([is_known.sum(axis=0)], pa.list_(pa.int64())),
                "least": pa.array([np.where(is_known, values, np.inf).min(axis=0)], pa.list_(pa.float64())),
                "greatest": pa.array([np.where(is_known, values, -np.inf).max(axis=0)], pa.list_(pa.float64())),
            }
            yield pa.record_batch(list(part.values()), names=list(part))


def _sampled(marked: DataFrame, features: Sequence[Feature], users: dict[int, int], params: Params) -> pd.DataFrame:
    """The sampled users' features, by moment and user."""
    from pyspark.sql import functions as F

    share = F.lit(0)
    for place, count in users.items():
        allowed = _GRAIN_OF_SAMPLE * params.users_sampled // max(count, params.users_sampled)
        share = F.when(F.col(_PLACE) == place, F.lit(allowed)).otherwise(share)
    sample = marked.filter(F.pmod(F.xxhash64("user_id"), F.lit(_GRAIN_OF_SAMPLE)) < share)
    rows = sample.select(_PLACE, "user_id", *(feature.column for feature in features)).toPandas()
    return rows.sort_values([_PLACE, "user_id"])


def _judged(
    features: Sequence[Feature], moment: datetime, totals: dict[str, Any], sample: pd.DataFrame, params: Params
) -> list[tuple[Any, ...]]:
    import numpy as np

    users = totals.get("users", 0)
    values = sample[[feature.column for feature in features]].to_numpy(dtype=float)
    fill = [100 * float(totals["known"][number]) / users if users else 0.0 for number in range(len(features))]
    constants = [_constant(totals, number) for number in range(len(features))]
    limits = Limits(params.min_fill_pct, params.max_correlation)
    names = [feature.column for feature in features]
    verdicts = pruned(names, values, fill, constants, limits)
    rows = []
    for number, (feature, verdict) in enumerate(zip(features, verdicts, strict=True)):
        known = values[:, number][~np.isnan(values[:, number])]
        std = float(known.std(ddof=1)) if len(known) > 1 else None
        figures = (verdict.is_kept, verdict.reason, fill[number], std, len(values))
        rows.append((feature.column, moment, *_described(feature), *figures))
    return rows


def _constant(totals: dict[str, Any], number: int) -> float | None:
    least, greatest = (float(totals[name][number]) if totals else None for name in ("least", "greatest"))
    return least if least == greatest else None


def _described(feature: Feature) -> tuple[str, int, str, str | None, str]:
    variable = feature.variable
    return variable.formula, variable.depth, feature.window, variable.unit, ",".join(source_tables(feature))
