"""Demand weeks: what each store sold of each category in each week, and at what price; what demand is forecast from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from capflow_assets.contract import Column, Table
from capflow_assets.expressions.category_sales import category_sales
from capflow_assets.expressions.grouping import totals_at_each
from capflow_assets.expressions.known_at import Moments, known
from capflow_assets.expressions.sums import exact, ratio, total, zero

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

FORMULAS = {
    "pieces": "sum(quantity, 1 where none is given)",
    "price_avg": "sum(amount) / sum(quantity) of rows with a quantity",
}
TABLE = Table(
    grain="store, category and week with a sale",
    columns=(
        Column("store_id", "string", "The store.", required=True),
        Column("category", "string", "The category of the items.", required=True),
        Column("week", "int", "Weeks back from the moment's day: 0 is the last seven days.", True, 0, unit="weeks"),
        Column("as_of", "timestamp", "The moment up to which rows of bills were read.", required=True),
        Column("pieces", "double", "Sold in that week, returns apart.", required=True, at_least=0, unit="pieces"),
        Column("price_avg", "double", "Paid for a piece.", at_least=0, unit="currency"),
    ),
    key=("store_id", "category", "week", "as_of"),
    formulas=FORMULAS,
)

WEEK_DAYS = 7
# Three years: what a season of a year can be learned from, and a bound on the rows.
HISTORY_WEEKS = 156
SUMMED = ("pieces", "priced", "paid")


class Params(BaseModel):
    """What a customer may set for the weeks: a bound on the rows, however many stores and categories there are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    series: int = Field(20_000, ge=1, le=200_000, description="The most sold pairs of a store and a category.")


def demand_weeks(
    line_items: DataFrame, items: DataFrame, *, as_of: Moments, zone: str, params: Params | None = None
) -> DataFrame:
    """What each store sold of each category, week by week, as of a moment.

    **Grain**: one row per store, category, moment and week with a sale, of the last 156 weeks. Weeks are seven local
    days, counted back from the moment's own, so that all of them are whole but for what is left of that day. Of more
    than ``Params.series`` pairs of a store and a category the most sold are kept, then the first by name.

    **Columns**: a row of a bill without a quantity is one piece, and says nothing of the price. Returns, what is no
    item, items without a category and bills that name no store are left out.

    **Missing**: ``price_avg`` where no row of the week has a quantity above 0.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    rows = known(category_sales(line_items, items), "billed_at", as_of)
    sums, combined = _sums(), [total(F.sum(name)).alias(name) for name in SUMMED]
    days = totals_at_each(rows, as_of, zone, ("store_id", "category", "billed_on"), sums, combined)
    week = F.floor(F.datediff("today", "billed_on") / WEEK_DAYS).cast("int")
    recent = days.withColumn("week", week).filter(F.col("week").between(0, HISTORY_WEEKS - 1))
    weeks = recent.groupBy("as_of", "store_id", "category", "week").agg(*combined)
    # Gathered by pair and dealt out again: a join with the most sold pairs would read the rows twice.
    cells = F.collect_list(F.struct("week", *SUMMED)).alias("cells")
    pairs = weeks.groupBy("as_of", "store_id", "category").agg(total(F.sum("pieces")).alias("size"), cells)
    largest = Window.partitionBy("as_of").orderBy(F.col("size").desc(), "store_id", "category")
    most = (params or Params.model_validate({})).series
    kept = pairs.withColumn("place", F.row_number().over(largest)).filter(F.col("place") <= most)
    dealt = kept.select("as_of", "store_id", "category", F.explode("cells").alias("cell")).select("*", "cell.*")
    columns = {"pieces": F.col("pieces").cast("double"), "price_avg": ratio(F.col("paid"), F.col("priced"))}
    return dealt.withColumns(columns).select(*TABLE.names)


def _sums() -> list[Expression]:
    """Pieces, and of the rows that give a quantity pieces and money."""
    from pyspark.sql import functions as F

    is_priced = F.col("quantity") > 0
    parts = (
        F.col("pieces"),
        F.when(is_priced, exact(F.col("quantity"))).otherwise(zero()),
        F.when(is_priced, exact(F.col("amount"))).otherwise(zero()),
    )
    return [total(F.sum(part)).alias(name) for name, part in zip(SUMMED, parts, strict=True)]


def plot(frame: DataFrame) -> Figure:
    """The pieces of the five most sold categories, week by week."""
    from matplotlib.figure import Figure
    from pyspark.sql import functions as F

    rows = frame.groupBy("category", "week").agg(F.sum("pieces").alias("pieces")).toPandas()
    largest = rows.groupby("category")["pieces"].sum().sort_values(ascending=False).index
    figure = Figure(figsize=(7, 3.5), dpi=80, layout="constrained")
    axes = figure.subplots()
    for category in largest[:5]:
        weeks = rows[rows["category"] == category].sort_values("week")
        axes.plot(-weeks["week"], weeks["pieces"], linewidth=1.0, label=str(category))
    axes.set_xlabel("weeks before the moment")
    axes.set_ylabel("pieces a week")
    axes.set_title(f"What all stores sold of {len(largest):,} categories", fontsize=10)
    if len(largest):
        axes.legend(fontsize=8)
    return figure
