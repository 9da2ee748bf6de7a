"""What counts as a visit, for all blocks of user features alike. No table of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from datetime import date, datetime

    from pyspark.sql import DataFrame


def local_day_of(as_of: datetime, zone: str) -> date:
    """The calendar day of a moment in the customer's zone.

    >>> from datetime import UTC, datetime
    >>> local_day_of(datetime(2024, 6, 30, 22, 30, tzinfo=UTC), "Europe/Madrid").isoformat()
    '2024-07-01'
    """
    return as_of.astimezone(ZoneInfo(zone)).date()


def user_days(bills: DataFrame, as_of: datetime) -> DataFrame:
    """The days on which known users had bills, up to the moment.

    One row per user and local day: ``net`` (all amounts), ``spend`` (amounts above 0), ``bills``, and ``visited_on``,
    which is the day, and null where all of its bills were returns. A bill of 0, paid by a coupon or given, is a visit.
    Several bills on one day are one visit. Sums are decimals, so that no engine rounds them otherwise.
    """
    from pyspark.sql import functions as F

    known = bills.filter((F.col("billed_at") <= F.lit(as_of)) & F.col("user_id").isNotNull())
    amount = F.col("amount").cast("decimal(18,4)")
    paid = F.when(amount > 0, amount).otherwise(F.lit(0).cast("decimal(18,4)"))
    days = known.groupBy("user_id", "billed_on").agg(
        F.sum(amount).cast("decimal(18,4)").alias("net"),
        F.sum(paid).cast("decimal(18,4)").alias("spend"),
        F.count(F.lit(1)).alias("bills"),
        F.max(amount).alias("largest"),
    )
    return days.withColumn("visited_on", F.when(F.col("largest") >= 0, F.col("billed_on"))).drop("largest")
