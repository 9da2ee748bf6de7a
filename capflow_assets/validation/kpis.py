"""Key figures by month and store, each against its own history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.contract import Column, Table
from capflow_assets.expressions.days import local_day_of
from capflow_assets.expressions.figures import Figure
from capflow_assets.expressions.months import every_month, last_whole_month, month_name, month_number, month_of
from capflow_assets.expressions.sums import exact
from capflow_assets.validation._history import against_history
from capflow_assets.validation._pictures import month_series

if TYPE_CHECKING:
    from datetime import date, datetime

    from matplotlib.figure import Figure as Picture
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

TABLE = Table(
    grain="local month, store (null: all together) and measure",
    columns=(
        Column("month", "string", "The local month: 2024-06.", required=True, matches=r"\d{4}-\d{2}"),
        Column("store_id", "string", "The store; null for all of them, bills without a store among them."),
        Column("measure", "string", "Which figure, by the names of validation/report.", required=True),
        Column("value", "double", "The figure; null where there is nothing to compute it from."),
        Column("unit", "string", "What the value counts.", required=True),
        Column("is_whole", "boolean", "Whether the month was seen from end to end.", required=True),
        Column("months_before", "int", "Whole months with a value among the 12 before.", True, at_least=0, at_most=12),
        Column("usual", "double", "Median of those months; null where they are fewer than 3."),
        Column("change_pct", "double", "How far the value is above the usual one.", unit="%"),
        Column("robust_z", "double", "The same in robust standard deviations; null below 6 months before."),
        Column("year_change_pct", "double", "How far it is above the same month a year before.", unit="%"),
        Column("as_of", "timestamp", "The moment up to which bills were read.", required=True),
    ),
    key=("month", "store_id", "measure"),
)

SUMS = ("bills", "returns", "anonymous", "counted_bills", "line_items", "visits", "users", "amount", "known_amount")
DISCOUNTS = ("discount", "discounted_amount")


def kpis(bills: DataFrame, as_of: datetime, zone: str, currency: str) -> DataFrame:
    """The key figures of each month, for all stores together and for each, with the change against the own history.

    **Grain**: one row per local month, store (null: all together) and measure. Months run without holes from the first
    bill, of the store or of the customer, to the as-of moment: a month without bills has 0 of everything that is
    counted, so that a store that closed is seen. Bills without a store count only among all.

    **Measures**: ``amount_total`` (net of returns), ``bills``, ``bill_amount_avg``, ``users`` (active: known users with
    a bill), ``visits`` (days on which a known user paid something; two stores on one day are one visit to all),
    ``spend_avg`` (net of known users, a visit), ``line_items_avg`` (a bill), ``anonymous_share_pct`` and
    ``returns_share_pct`` (of bills), ``discount_share_pct`` (of the price before discounts).

    **Against history**: ``usual`` is the median of the whole months among the 12 before, ``change_pct`` and
    ``robust_z`` how far the value is from it; beyond 3.5 either way is out of the ordinary. A month is whole from the
    first day of the first bill on and up to the local day of the as-of moment; one that is not has no change.

    **Missing**: a value is null where there is nothing to divide by, or where the customer does not say (discounts,
    line items). Changes are null where there is too little history, or the usual value is 0.
    """
    from pyspark.sql import functions as F

    today = local_day_of(as_of, zone)
    known = bills.filter(F.col("billed_at") <= F.lit(as_of))
    months = _every_month(_by_month(_by_user_and_day(known)), today)
    long = against_history(_figures(months, currency), ("store_id", "measure"), "month_number")
    named = long.withColumn("month", month_name(F.col("month_number"))).withColumn("as_of", F.lit(as_of))
    return named.select(*TABLE.names)


def _by_user_and_day(bills: DataFrame) -> DataFrame:
    """Sums of what each user (null: nobody known) did on a day in a store, and again in all stores (null)."""
    from pyspark.sql import functions as F

    everywhere = F.lit(None).cast("string")
    both = F.array(everywhere, F.col("store_id"))
    scopes = F.when(F.col("store_id").isNull(), F.array(everywhere)).otherwise(both)
    amount, discount = (exact(F.col(name)) for name in ("amount", "discount"))
    by_scope = bills.select(
        F.explode(scopes).alias("store_id"),
        "user_id",
        "billed_on",
        "line_items",
        "is_return",
        amount.alias("amount"),
        discount.alias("discount"),
    )
    return by_scope.groupBy("store_id", "user_id", "billed_on").agg(
        F.count(F.lit(1)).alias("bills"),
        F.count(F.when(F.col("is_return"), 1)).alias("returns"),
        F.count("line_items").alias("counted_bills"),
        F.sum("line_items").alias("line_items"),
        F.max("amount").alias("largest"),
        F.sum("amount").alias("amount"),
        F.sum("discount").alias("discount"),
        F.sum(F.when(F.col("discount").isNotNull(), F.col("amount"))).alias("discounted_amount"),
    )


def _by_month(days: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    is_known = F.col("user_id").isNotNull()
    plain = ("bills", "returns", "counted_bills", "line_items", "amount", "discount", "discounted_amount")
    return days.groupBy("store_id", month_number("billed_on").alias("month_number")).agg(
        *(F.sum(name).alias(name) for name in plain),
        F.sum(F.when(~is_known, F.col("bills"))).alias("anonymous"),
        F.sum(F.when(is_known, F.col("amount"))).alias("known_amount"),
        F.count(F.when(is_known & (F.col("largest") > 0), 1)).alias("visits"),
        F.count_distinct("user_id").alias("users"),
        F.min("billed_on").alias("first_day"),
    )


def _every_month(months: DataFrame, today: date) -> DataFrame:
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    last = F.lit(month_of(today))
    filled = every_month(months, "store_id", "month_number", (*SUMS, *DISCOUNTS, "first_day"), last)
    first_day = F.min("first_day").over(Window.partitionBy("store_id"))
    started = filled.withColumn("first_day", first_day)
    is_begun = (F.col("month_number") > month_number("first_day")) | (F.dayofmonth("first_day") == 1)
    is_over = F.col("month_number") <= last_whole_month(today)
    counts = (F.coalesce(F.col(name).cast("double"), F.lit(0.0)).alias(name) for name in SUMS)
    discounts = (F.col(name).cast("double").alias(name) for name in DISCOUNTS)
    return started.select("store_id", "month_number", (is_begun & is_over).alias("is_whole"), *counts, *discounts)


def _figures(months: DataFrame, currency: str) -> DataFrame:
    from pyspark.sql import functions as F

    keys = ("store_id", "month_number", "is_whole")
    rows = (
        F.struct(F.lit(name).alias("measure"), value.cast("double").alias("value"), F.lit(unit).alias("unit"))
        for name, value, unit in measures(currency)
    )
    return months.select(*keys, F.explode(F.array(*rows)).alias("row")).select(*keys, "row.*")


def measures(currency: str) -> list[Figure]:
    """Each measure over the sums of a month."""
    from pyspark.sql import functions as F

    def per(part: str, whole: Expression) -> Expression:
        return F.col(part) / F.nullif(whole, F.lit(0.0))

    bills, visits = F.col("bills"), F.col("visits")
    price = F.col("discounted_amount") + F.col("discount")
    return [
        Figure("amount_total", F.col("amount"), currency),
        Figure("bills", bills, "bills"),
        Figure("bill_amount_avg", per("amount", bills), currency),
        Figure("users", F.col("users"), "users"),
        Figure("visits", visits, "visits"),
        Figure("spend_avg", per("known_amount", visits), currency),
        Figure("line_items_avg", per("line_items", F.col("counted_bills")), "line items"),
        Figure("anonymous_share_pct", per("anonymous", bills) * 100, "%"),
        Figure("returns_share_pct", per("returns", bills) * 100, "%"),
        Figure("discount_share_pct", per("discount", price) * 100, "%"),
    ]


def plot(frame: DataFrame) -> Picture:
    """Every measure of all stores by month, with what was usual then."""
    columns = ("month", "measure", "value", "unit", "is_whole", "usual", "change_pct")
    rows = frame.filter("store_id is null").select(*columns).toPandas()
    return month_series(rows.sort_values("month"), [name for name, _, _ in measures("")])
