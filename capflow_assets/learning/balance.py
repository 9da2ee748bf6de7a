"""How a model's outcomes fell in the newest horizons that are over."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from inspect import signature
from typing import TYPE_CHECKING

from capflow_assets.contract import Requirements, Window
from capflow_assets.learning.outcomes import outcome_of, past_windows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Balance = dict[str, float | None]
UNKNOWN: Balance = {"users": None, "positives": None, "negatives": None, "positives_before": None}


def balance(
    requirements: Requirements,
    bills: DataFrame,
    frames: Mapping[str, DataFrame | None],
    values: Mapping[str, object],
    first: datetime | None,
    until: datetime | None,
) -> Balance:
    """Users with and without the outcome at the newest moments whose horizons are over by ``until``.

    The moments are those that a training with the same parameters would learn from and be tested on. Of a model whose
    subjects are not users the past horizons alone are counted; they are all that is known where the customer lacks a
    table that outcomes are of.
    """
    from pyspark.sql import functions as F

    if first is None or until is None:
        return {"past_horizons": 0.0}
    past = past_windows(until, requirements.horizon_days, requirements.moments, first, str(values["zone"]))
    if not past:
        return {"past_horizons": 0.0}
    horizons: Balance = {"past_horizons": float(len(past))}
    if not requirements.is_of_users:
        return horizons
    tables = {parameter: frames.get(table) for parameter, table in requirements.outcome_tables.items()}
    if any(table not in frames for table in requirements.outcome_tables.values()) or _required(requirements, tables):
        return horizons | UNKNOWN
    known = bills.filter("user_id is not null").groupBy("user_id").agg(F.min("billed_at").alias("first"))
    newest, *earlier = past[:-3:-1]
    positive = _positive_users(requirements, tables, values, newest).withColumnRenamed("is_positive", "is_positive_now")
    joined = known.join(positive, "user_id", "left")
    is_known = F.col("first") <= F.lit(newest.start)
    counts = [F.count(F.when(is_known, 1)), F.count(F.when(is_known & F.col("is_positive_now"), 1))]
    for window in earlier:
        joined = joined.join(_positive_users(requirements, tables, values, window), "user_id", "left")
        counts.append(F.count(F.when((F.col("first") <= F.lit(window.start)) & F.col("is_positive"), 1)))
    users, positives, *positives_before = map(float, joined.agg(*counts).collect()[0])
    return horizons | {
        "users": users,
        "positives": positives,
        "negatives": users - positives,
        "positives_before": positives_before[0] if positives_before else None,
    }


def _required(requirements: Requirements, tables: Mapping[str, DataFrame | None]) -> list[str]:
    """The tables that the customer does not have and without which there is no outcome, by parameter."""
    parameters = signature(requirements.outcome).parameters
    return [name for name, table in tables.items() if table is None and parameters[name].default is not None]


def _positive_users(
    requirements: Requirements, tables: Mapping[str, DataFrame | None], values: Mapping[str, object], window: Window
) -> DataFrame:
    """One row per user with the outcome in the window: ``user_id``, ``is_positive`` (true)."""
    from pyspark.sql import functions as F

    outcome = outcome_of(requirements.outcome, tables, requirements.injected, values, window)
    users = outcome.filter(F.col(requirements.column) > 0).select("user_id").distinct()
    return users.withColumn("is_positive", F.lit(True))
