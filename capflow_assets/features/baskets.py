"""Baskets: how large and how broad the bills of each user are, and how spend spreads over them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from capflow_assets.contract import Column, Table
from capflow_assets.expressions.days import QUARTER_DAYS, within
from capflow_assets.expressions.grouping import parts_at_each, sums_at_each, sums_known
from capflow_assets.expressions.known_at import KNOWN_FROM, Moments, known
from capflow_assets.expressions.sums import change_pct, concentration, deviation, exact, ratio, where

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame


def _average(name: str, of: str, unit: str | None, formula: str) -> tuple[Column, Column]:
    lately = f"{of[:-1]} of the last {QUARTER_DAYS} days."
    return (
        Column(name, "double", of, at_least=0, unit=unit, formula=formula),
        Column(f"{name}_91d", "double", lately, at_least=0, unit=unit, formula=formula, window=f"{QUARTER_DAYS} days"),
    )


FORMULAS = {
    "purchase_bills": "count(bills that are no returns)",
    "purchase_bills_91d": "count(bills that are no returns) of 91 days",
    "purchase_amount_std": "deviation of amount over purchases",
    "purchase_amount_max": "max(amount)",
}
TABLE = Table(
    grain="user with at least one bill",
    columns=(
        Column("user_id", "string", "The user.", required=True, personal=True),
        Column("as_of", "timestamp", "The moment up to which bills were read.", required=True),
        Column("purchase_bills", "int", "Bills that are no return.", required=True, at_least=0),
        Column("purchase_bills_91d", "int", "Of them in the last 91 days.", True, at_least=0, window="91 days"),
        *_average("purchase_amount_avg", "Average paid a purchase.", "currency", "sum(amount) / purchase_bills"),
        Column("purchase_amount_std", "double", "Deviation of what was paid a purchase.", at_least=0, unit="currency"),
        Column("purchase_amount_max", "double", "Most that was paid on one bill.", at_least=0, unit="currency"),
        Column(
            "purchase_amount_change_pct",
            "double",
            "How much more was paid a purchase in the last 91 days than over all time.",
            at_least=-100,
            unit="%",
            formula="100 (purchase_amount_avg_91d - purchase_amount_avg) / purchase_amount_avg",
        ),
        *_average(
            "pieces_avg", "Average pieces of purchases with pieces.", "pieces", "sum(quantity) / purchases with pieces"
        ),
        *_average(
            "lines_avg",
            "Average line items of purchases with any.",
            None,
            "sum(line_items) / purchases with line items",
        ),
        *_average(
            "items_avg", "Average different items of bills with items.", None, "sum(different items) / bills with items"
        ),
        *_average("piece_price_avg", "Average paid a piece.", "currency", "sum(amount) / sum(quantity)"),
        Column(
            "top_purchase_share",
            "double",
            "Share of the largest bill in all that was paid.",
            above=0,
            at_most=1,
            formula="max(amount) / sum(amount)",
        ),
        Column(
            "purchase_concentration",
            "double",
            "Herfindahl index of spend over bills: 1 where one bill is all, 1 / purchase_bills where all are equal.",
            above=0,
            at_most=1,
            formula="sum(amount^2) / sum(amount)^2",
        ),
    ),
    key=("user_id", "as_of"),
    formulas=FORMULAS,
)

SUMS = ("purchase", "amount", "square", "priced", "pieces", "with_pieces", "lines", "with_lines")


def baskets(bills: DataFrame, line_items: DataFrame | None = None, *, as_of: Moments, zone: str) -> DataFrame:
    """Size, breadth and spend mix of the purchases of each known user as of a moment.

    **Grain**: one row per user with at least one bill up to the moment, and moment. A **purchase** is a bill that is no
    return; here, unlike in ``rfm``, two on one day are two. Bills that are returns count nowhere else.

    **Columns**: ``purchase_amount_*`` in the customer's currency (the deviation is the sample's); ``pieces_avg`` and
    ``piece_price_avg`` over purchases whose quantity is above 0 (litres and kilos are pieces here: a tank of fuel
    weighs); ``lines_avg`` over purchases with line items; ``items_avg`` counts the different items of a bill, rows
    brought back left aside. ``top_purchase_share`` and ``purchase_concentration`` tell one large shop from many small.
    ``*_91d`` look at the last 91 local days, the moment's own included.

    **Missing**: averages are null without a purchase in their window, those of pieces, lines and items where the
    customer does not send them; the deviation before the second purchase.

    Reference: A. O. Hirschman, "The Paternity of an Index", American Economic Review 54 (1964), for the concentration.
    """
    sums = _purchases(bills, as_of, zone)
    if line_items is None:
        from pyspark.sql import functions as F

        sums = sums.withColumns({name: F.lit(None).cast("double") for name in ("items_avg", "items_avg_91d")})
    else:
        sums = sums.join(_breadth(line_items, as_of, zone), ["as_of", "user_id"], "left")
    return _figures(sums).select(*TABLE.names)


def _purchases(bills: DataFrame, as_of: Moments, zone: str) -> DataFrame:
    """Sums over the purchases of each user and moment: of all time, and with ``_91d`` of the last 91 days."""
    from pyspark.sql import functions as F

    rows = known(bills, "billed_at", as_of).filter(F.col("user_id").isNotNull())
    amount, pieces = exact(F.col("amount")), exact(F.col("quantity"))
    is_purchase = amount >= 0
    has_pieces = is_purchase & (pieces > 0)
    has_lines = is_purchase & (F.col("line_items") > 0)
    parts = rows.select(
        "user_id",
        "billed_on",
        KNOWN_FROM,
        F.when(is_purchase, 1).alias("purchase"),
        F.when(is_purchase, amount).alias("amount"),
        F.when(is_purchase, amount * amount).alias("square"),
        F.when(has_pieces, amount).alias("priced"),
        F.when(has_pieces, pieces).alias("pieces"),
        F.when(has_pieces, 1).alias("with_pieces"),
        F.when(has_lines, F.col("line_items")).alias("lines"),
        F.when(has_lines, 1).alias("with_lines"),
        F.when(is_purchase, amount).alias("largest"),
    )
    days = parts_at_each(parts, as_of, zone, ("user_id", "billed_on"), SUMS, largest=("largest",))
    lately = within("billed_on", QUARTER_DAYS)
    sums = (
        *(F.coalesce(F.sum(name), F.lit(0)).alias(name) for name in SUMS),
        *(where(lately, F.col(name)).alias(f"{name}_91d") for name in SUMS if name != "square"),
        F.max("largest").alias("largest"),
    )
    return sums_at_each(days, as_of, zone, ("user_id",), sums).drop("today")


def _breadth(line_items: DataFrame, as_of: Moments, zone: str) -> DataFrame:
    """How many different items are on a bill on average, for each user and moment."""
    from pyspark.sql import functions as F

    bought = known(line_items, "billed_at", as_of).filter(F.col("user_id").isNotNull() & ~F.col("is_return"))
    # A bill has too few rows for two items to share a 64-bit hash, and the hash takes a fifth of the memory.
    rows = bought.select("user_id", "bill_id", F.xxhash64("item_id").alias("item"), "billed_on", KNOWN_FROM)
    items = rows.groupBy("user_id", "bill_id", "item").agg(
        F.min("billed_on").alias("billed_on"), F.min(KNOWN_FROM).alias(KNOWN_FROM)
    )
    sums = (F.min("billed_on").alias("billed_on"), F.count(F.lit(1)).alias("items"))
    bills = sums_known(items, as_of, ("user_id", "bill_id"), sums)
    opened = F.lit(1)
    if not isinstance(as_of, datetime):
        bills, opened = _of_whole_bills(bills)
    counted = bills.withColumn("opened", opened)
    days = parts_at_each(counted, as_of, zone, ("user_id", "billed_on"), ("items", "opened"))
    lately = within("billed_on", QUARTER_DAYS)
    averages = (
        ratio(F.sum("items"), F.sum("opened")).alias("items_avg"),
        ratio(where(lately, F.col("items")), where(lately, F.col("opened"))).alias("items_avg_91d"),
    )
    return sums_at_each(days, as_of, zone, ("user_id",), averages).drop("today")


def _of_whole_bills(parts: DataFrame) -> tuple[DataFrame, Expression]:
    """Where a moment falls between the rows of a bill: its day is that of its first row, and it is counted once."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    bill = Window.partitionBy("user_id", "bill_id").orderBy(KNOWN_FROM)
    day, place = F.min("billed_on").over(bill), F.row_number().over(bill)
    ordered = parts.withColumns({"first_on": day, "place": place}).drop("billed_on")
    return ordered.withColumnRenamed("first_on", "billed_on"), F.when(F.col("place") == 1, 1).otherwise(0)


def _figures(sums: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    frame = sums.withColumns({f"purchase_bills{tail}": F.col(f"purchase{tail}").cast("int") for tail in ("", "_91d")})
    for tail in ("", "_91d"):
        sum_of = {name: F.col(f"{name}{tail}") for name in SUMS if name != "square"}
        frame = frame.withColumns(
            {
                f"purchase_amount_avg{tail}": ratio(sum_of["amount"], sum_of["purchase"]),
                f"pieces_avg{tail}": ratio(sum_of["pieces"], sum_of["with_pieces"]),
                f"lines_avg{tail}": ratio(sum_of["lines"], sum_of["with_lines"]),
                f"piece_price_avg{tail}": ratio(sum_of["priced"], sum_of["pieces"]),
            }
        )
    count, total, largest = F.col("purchase"), F.col("amount"), F.col("largest")
    return frame.withColumns(
        {
            "purchase_amount_std": deviation(count, total, F.col("square"), largest),
            "purchase_amount_max": largest.cast("double"),
            "purchase_amount_change_pct": change_pct(F.col("purchase_amount_avg_91d"), F.col("purchase_amount_avg")),
            "top_purchase_share": ratio(largest, total),
            "purchase_concentration": concentration(F.col("square"), total),
        }
    )


def plot(frame: DataFrame) -> Figure:
    """How many users pay how much a purchase on average, in steps that double."""
    from matplotlib.figure import Figure
    from pyspark.sql import functions as F

    bounds = [2.0**power for power in range(13)]
    place = sum((F.col("purchase_amount_avg") >= bound).cast("int") for bound in bounds)
    counted = frame.filter("purchase_amount_avg is not null").groupBy(F.lit(place).alias("place")).count().toPandas()
    users = dict(zip(counted["place"], counted["count"], strict=True))
    figure = Figure(figsize=(7, 3.5), dpi=80, layout="constrained")
    axes = figure.subplots()
    labels = ["< 1", *(f"{bound:,.0f}" for bound in bounds)]
    axes.bar(labels, [users.get(step, 0) for step in range(len(labels))], color="tab:blue")
    axes.set_xlabel("average paid a purchase, from (currency)")
    axes.set_ylabel("users")
    axes.set_title(f"{sum(users.values()):,} users by the size of their purchases", fontsize=10)
    return figure
