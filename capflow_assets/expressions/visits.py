"""What counts as a visit.

To features a local day with a bill that is no return is a visit, be it a bill of 0. To reports it is a local day on
which something was paid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.expressions.grouping import totals_at_each
from capflow_assets.expressions.known_at import KNOWN_FROM, Moments, at_each, known
from capflow_assets.expressions.sums import exact, total, zero

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def user_days(bills: DataFrame, as_of: Moments, zone: str) -> DataFrame:
    """The days on which known users had bills, as each moment knows them.

    One row per user, local day and moment: ``net`` (all amounts), ``spend`` (amounts above 0), ``bills``, and
    ``visited_on``, which is the day, and null where all of its bills were returns; ``as_of`` and its local day
    ``today``. A bill of 0, paid by a coupon or given, is a visit. Several bills on one day are one visit. Sums are
    decimals, so that no engine rounds them otherwise.
    """
    from pyspark.sql import functions as F

    rows = known(bills, "billed_at", as_of).filter(F.col("user_id").isNotNull())
    amount = exact(F.col("amount"))
    paid = F.when(amount > 0, amount).otherwise(zero())
    sums = (
        total(F.sum(amount)).alias("net"),
        total(F.sum(paid)).alias("spend"),
        F.count(F.lit(1)).alias("bills"),
        F.max(amount).alias("largest"),
    )
    combined = (
        *(total(F.sum(name)).alias(name) for name in ("net", "spend")),
        F.sum("bills").alias("bills"),
        F.max("largest").alias("largest"),
    )
    days = totals_at_each(rows, as_of, zone, ("user_id", "billed_on"), sums, combined)
    visited_on = F.when(F.col("largest") >= 0, F.col("billed_on")).alias("visited_on")
    return days.select("user_id", "as_of", "today", "billed_on", visited_on, "net", "spend", "bills")


def known_users(bills: DataFrame, as_of: Moments, zone: str) -> DataFrame:
    """Each user with a bill that a moment knows, and that moment: ``user_id``, ``as_of``, ``today``."""
    from pyspark.sql import functions as F

    users = known(bills, "billed_at", as_of).filter(F.col("user_id").isNotNull())
    return at_each(users.groupBy("user_id").agg(F.min(KNOWN_FROM).alias(KNOWN_FROM)), as_of, zone)


def paid_visits(bills: DataFrame) -> DataFrame:
    """One row per visit, a local day on which a known user paid something, and ``gap_days`` since the one before."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    days = bills.filter("user_id is not null and amount > 0").select("user_id", "billed_on").distinct()
    before = F.lag("billed_on").over(Window.partitionBy("user_id").orderBy("billed_on"))
    return days.withColumn("gap_days", F.datediff("billed_on", before))
