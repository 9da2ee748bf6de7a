"""Tiers by the spend of a year: where each begins, who stands where, and who reached the next one.

A tier is what a user's bills of the last 364 local days add up to, returns taken off; it is counted anew each day, so
old bills drop out. Where a customer names no tiers, they begin at quantiles of that spend over the users who spent.
Pure: PySpark DataFrame API only.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from capflow_assets.contract.params import Horizon

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

YEAR_DAYS = 364


def _growing(values: tuple[float, ...]) -> tuple[float, ...]:
    if any(one >= other for one, other in zip((0.0, *values), values, strict=False)):
        raise ValueError("numbers above 0, each larger than the one before")
    return values


def _shares(values: tuple[float, ...]) -> tuple[float, ...]:
    if not values or max(values) >= 1:
        raise ValueError("shares above 0 and below 1, each larger than the one before")
    return _growing(values)


class SpendTiers(Horizon):
    """Where tiers begin."""

    thresholds: Annotated[tuple[float, ...], AfterValidator(_growing)] = Field(
        (), description="Spend of a year from which each tier begins; by default at quantiles."
    )
    quantiles: Annotated[tuple[float, ...], AfterValidator(_shares)] = Field(
        (0.5, 0.8, 0.95), description="Shares of the users who spent that stay below each tier, without thresholds."
    )


def standings(bills: DataFrame, as_of: datetime, zone: str, tiers: SpendTiers) -> DataFrame:
    """What each known user spent in the year up to the moment, and where the next tier begins.

    One row per user with a bill: ``user_id``, ``year_spend``, ``next_at``; null in the top tier, and for all where
    nobody spent.
    """
    import pyspark.sql.functions as F

    from capflow_assets.expressions.days import within
    from capflow_assets.expressions.visits import user_days

    in_year = F.when(within("billed_on", YEAR_DAYS), F.col("net")).otherwise(0)
    spent = user_days(bills, as_of, zone).groupBy("user_id").agg(F.sum(in_year).cast("double").alias("year_spend"))
    if tiers.thresholds:
        begins = [F.lit(float(value)) for value in tiers.thresholds]
    else:
        quantiles = [F.expr(f"percentile(year_spend, {share!r})") for share in tiers.quantiles]
        names = [f"_tier_{place}" for place in range(len(quantiles))]
        row = spent.filter("year_spend > 0").agg(*(of.alias(name) for of, name in zip(quantiles, names, strict=True)))
        spent, begins = spent.crossJoin(row), [F.col(name) for name in names]
    above = [F.when(begin > F.col("year_spend"), begin) for begin in begins]
    # Not array_min, which the embedded engine cannot do of no rows.
    next_at = F.least(*above, F.lit(None).cast("double"))
    return spent.select("user_id", "year_spend", next_at.alias("next_at"))


def upgrades(bills: DataFrame, start: datetime, end: datetime, zone: str, tiers: SpendTiers) -> DataFrame:
    """Who reaches in ``(start, end]`` the tier that was next at ``start``: ``user_id``, one row per user.

    The year's spend is looked at on each local day with a bill, at the day's end.
    """
    import pyspark.sql.functions as F
    from pyspark.sql import Window

    from capflow_assets.expressions.days import local_day_of
    from capflow_assets.expressions.visits import user_days

    day = F.datediff("billed_on", F.lit("1970-01-01").cast("date"))
    days = user_days(bills, end, zone).select("user_id", "billed_on", day.alias("_day"), "net")
    year = Window.partitionBy("user_id").orderBy("_day").rangeBetween(1 - YEAR_DAYS, Window.currentRow)
    days = days.withColumn("_spent", F.sum("net").over(year).cast("double"))
    inside = days.filter(F.col("billed_on") >= F.lit(local_day_of(start, zone)))
    most = inside.groupBy("user_id").agg(F.max("_spent").alias("_most"))
    waiting = standings(bills, start, zone, tiers).filter("next_at is not null")
    return most.join(waiting, "user_id").filter("_most >= next_at").select("user_id")
