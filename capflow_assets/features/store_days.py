"""Store days: the purchases and the amount of each store on each local day; what forecasts learn from."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from capflow_assets.contract import Column, Table
from capflow_assets.expressions.grouping import totals_at_each
from capflow_assets.expressions.known_at import Moments, known
from capflow_assets.expressions.sums import exact, total

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pyspark.sql import DataFrame

FORMULAS = {
    "bills": "count(bills that are no returns)",
    "amount": "sum(amount of those bills)",
}
TABLE = Table(
    grain="store and local day, from the store's first purchase to the last day with a purchase anywhere",
    columns=(
        Column("store_id", "string", "The store.", required=True),
        Column("day", "date", "The day in the customer's zone.", required=True),
        Column("as_of", "timestamp", "The moment up to which bills were read.", required=True),
        Column("bills", "int", "Bills of that day that are no returns.", required=True, at_least=0),
        Column("amount", "double", "Paid on them.", required=True, at_least=0, unit="currency"),
    ),
    key=("store_id", "day", "as_of"),
    formulas=FORMULAS,
)

# Three years in whole weeks: what a season of a year can be learned from, and a bound on the rows.
HISTORY_DAYS = 1092
EPOCH = date(1970, 1, 1)


def store_days(bills: DataFrame, *, as_of: Moments, zone: str) -> DataFrame:
    """What each store sold on each local day as of a moment, days without a purchase among them.

    **Grain**: one row per store, local day and moment, without gaps: from the store's first purchase, or 1,092 days
    back if that is later, to the last day on which any store had a purchase. So a store that closed has zeros from then
    on, and days that the feed has not brought yet are no zeros. A **purchase** is a bill that is no return, of a known
    user or not; bills that name no store are left out, and so are stores without a purchase in those 1,092 days.

    **Columns**: ``bills`` and ``amount`` are 0 on a day without a purchase. The last day may not be over: it has what
    was known at the moment.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    rows = known(bills, "billed_at", as_of).filter("store_id is not null and amount >= 0")
    sums = (F.count(F.lit(1)).alias("bills"), total(F.sum(exact(F.col("amount")))).alias("amount"))
    combined = (F.sum("bills").alias("bills"), total(F.sum("amount")).alias("amount"))
    cells = totals_at_each(rows, as_of, zone, ("store_id", "billed_on"), sums, combined)
    numbered = cells.withColumn("number", F.datediff("billed_on", F.lit(EPOCH)).cast("int"))
    # Gathered by store and dealt out again, which reads the cells once; a join with a calendar would twice.
    gathered = numbered.groupBy("as_of", "store_id").agg(
        F.min("number").alias("first"),
        F.max("number").alias("last"),
        F.map_from_entries(F.collect_list(F.struct("number", F.struct("bills", "amount")))).alias("cells"),
    )
    until = F.max("last").over(Window.partitionBy("as_of"))
    spans = gathered.withColumn("until", until).withColumn("since", F.col("until") - F.lit(HISTORY_DAYS - 1))
    open_ = spans.filter(F.col("last") >= F.col("since"))
    number = F.explode(F.sequence(F.greatest("first", "since").cast("int"), F.col("until").cast("int")))
    dealt = open_.withColumn("number", number).withColumn("cell", F.element_at("cells", F.col("number")))
    return dealt.select(
        "store_id",
        F.date_add(F.lit(EPOCH), F.col("number")).alias("day"),
        "as_of",
        F.coalesce(F.col("cell.bills"), F.lit(0)).cast("int").alias("bills"),
        F.coalesce(F.col("cell.amount").cast("double"), F.lit(0.0)).alias("amount"),
    )


def plot(frame: DataFrame) -> Figure:
    """The bills of all stores together, day by day."""
    from matplotlib.figure import Figure
    from pyspark.sql import functions as F

    days = frame.groupBy("day").agg(F.sum("bills").alias("bills")).orderBy("day").collect()
    stores = frame.select("store_id").distinct().count()
    figure = Figure(figsize=(7, 3.5), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.plot([row.day for row in days], [row.bills for row in days], linewidth=0.8, color="tab:blue")
    axes.set_ylabel("bills a day")
    axes.set_title(f"Bills of {stores:,} stores over {len(days):,} days", fontsize=10)
    figure.autofmt_xdate()
    return figure
