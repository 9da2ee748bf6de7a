"""How a model's outcomes fell in the newest horizons that are over. No table of its own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Asked
from capflow_assets.learning.readiness import LEAST_HISTORY_DAYS
from capflow_assets.learning.splits import moments

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

DAY_SECONDS = 86_400
Figures = dict[str, float | None]
UNKNOWN: Figures = {"users": None, "positives": None, "negatives": None, "positives_before": None}


def balance(
    asked: Asked,
    bills: DataFrame,
    frames: Mapping[str, DataFrame | None],
    values: Mapping[str, object],
    first: datetime | None,
    until: datetime | None,
) -> Figures:
    """Users with and without the outcome at the newest moments whose horizons are over by ``until``.

    The moments are those that a training with the same parameters would learn from and be tested on.
    """
    from pyspark.sql import functions as F

    if first is None or until is None:
        return {"past_horizons": 0.0}
    before = min(asked.horizon_days, LEAST_HISTORY_DAYS)
    past = moments(until, asked.horizon_days, asked.moments, first=first, min_history_days=before)
    if not past:
        return {"past_horizons": 0.0}
    found: Figures = {"past_horizons": float(len(past))}
    tables = {parameter: frames.get(table) for parameter, table in asked.label_tables.items()}
    if any(table not in frames for table in asked.label_tables.values()):
        return found | UNKNOWN
    known = bills.filter("user_id is not null").groupBy("user_id").agg(F.min("billed_at").alias("first"))
    newest, *earlier = past[:-3:-1]
    outcomes = _outcome(asked, tables, values, newest).withColumnRenamed("came", "now")
    joined = known.join(outcomes, "user_id", "left")
    is_known = F.col("first") <= F.lit(newest)
    counts = [F.count(F.when(is_known, 1)), F.count(F.when(is_known & F.col("now"), 1))]
    for moment in earlier:
        joined = joined.join(_outcome(asked, tables, values, moment), "user_id", "left")
        counts.append(F.count(F.when((F.col("first") <= F.lit(moment)) & F.col("came"), 1)))
    users, positives, *positives_before = map(float, joined.agg(*counts).collect()[0])
    found |= {"users": users, "positives": positives, "negatives": users - positives}
    return found | {"positives_before": positives_before[0] if positives_before else None}


def _outcome(asked: Asked, tables: Mapping[str, Any], values: Mapping[str, object], start: datetime) -> DataFrame:
    """One row per user with the outcome in the horizon after ``start``: ``user_id``, ``came`` (true)."""
    from pyspark.sql import functions as F

    end = start + timedelta(days=asked.horizon_days)
    given = {**values, "start": start, "end": end, "as_of": end}
    made: DataFrame = asked.label(**tables, **{name: given[name] for name in asked.injected})
    with_outcome = made.filter(F.col(asked.outcome) > 0).select("user_id").distinct()
    return with_outcome.withColumn("came", F.lit(True))
