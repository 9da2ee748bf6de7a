"""Sequences: each user's newest baskets in order, for the deep models."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from capflow_assets.contract import Column, Table
from capflow_assets.expressions.grouping import sums_at_each, sums_known, totals_at_each
from capflow_assets.expressions.known_at import Moments, at_each, known
from capflow_assets.expressions.sums import exact, total

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

FORMULAS = {
    "days_ago": "day of the moment - day of the visit",
    "gap_days": "day of the visit - day of the one before",
    "basket_amount": "sum(amount of the day)",
    "store_id": "min(store of the day's bills)",
    "items": "distinct items of the day by sum(amount), the largest first",
    "item_amounts": "sum(amount) of each of items",
}
TABLE = Table(
    grain="user and visit, of the newest visits",
    columns=(
        Column("user_id", "string", "The user.", required=True, personal=True),
        Column("as_of", "timestamp", "The moment up to which bills were read.", required=True),
        Column("position", "int", "1: the newest visit, 2: the one before, and so on.", required=True, at_least=1),
        Column("days_ago", "int", "Days since the visit.", required=True, at_least=0, unit="days", ages=True),
        Column("gap_days", "int", "Days since the visit before; null at the first.", at_least=1, unit="days"),
        Column("basket_amount", "double", "Paid that day, less returns.", required=True, unit="currency"),
        Column("store_id", "string", "The store; the first by name where there were several; null: nobody knows."),
        Column("items", "array<string>", "The distinct items bought, the dearest first; null without line items."),
        Column("item_amounts", "array<double>", "What was paid for each of them, in the same order.", unit="currency"),
    ),
    key=("user_id", "as_of", "position"),
    formulas=FORMULAS,
)


class Params(BaseModel):
    """What a customer may set for sequences."""

    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True)

    visits: int = Field(50, ge=1, le=1000, description="The newest visits of each user that are kept.")
    items_per_visit: int = Field(50, ge=1, le=1000, description="The dearest items of each visit that are kept.")


def sequence(
    bills: DataFrame,
    line_items: DataFrame | None = None,
    *,
    as_of: Moments,
    zone: str,
    params: Params | None = None,
) -> DataFrame:
    """The newest visits of each known user as of a moment, in order, each with what was bought.

    **Grain**: one row per user, visit and moment, of the newest ``Params.visits`` (50) visits. A **visit** is a local
    day with a bill that is no return, as in ``rfm``; a user who only brought back has no row.

    **Columns**: ``position`` 1 is the newest; ``gap_days`` lead from the visit before, be it kept or not.
    ``basket_amount`` is net of the day's returns. ``items`` are the distinct items of the day's rows that are no
    returns, in the order of what was paid for them, then of their ids, at most ``Params.items_per_visit`` (50);
    ``item_amounts`` stand beside them.

    **Missing**: ``items`` is null where no row of the day is known: of customers that send no line items, always.
    """
    from pyspark.sql import functions as F

    chosen = params or Params.model_validate({})
    visits = _newest(bills, as_of, zone, chosen)
    if line_items is None:
        frame = visits.withColumn("items", F.lit(None).cast("array<string>"))
        return frame.withColumn("item_amounts", F.lit(None).cast("array<double>")).select(*TABLE.names)
    baskets = _baskets(line_items, visits, as_of, zone, chosen)
    return visits.join(baskets, ["user_id", "as_of", "position"], "left").select(*TABLE.names)


def _newest(bills: DataFrame, as_of: Moments, zone: str, params: Params) -> DataFrame:
    """The visits that are kept, with all that bills say of them, and ``visited_on``."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    amount = exact(F.col("amount"))
    rows = known(bills, "billed_at", as_of).filter(F.col("user_id").isNotNull())
    keys = ("user_id", "billed_on")
    sums = (F.sum(amount).alias("net"), F.max(amount).alias("largest"), F.min("store_id").alias("store_id"))
    combined = (F.sum("net").alias("net"), F.max("largest").alias("largest"), F.min("store_id").alias("store_id"))
    days = totals_at_each(rows, as_of, zone, keys, sums, combined)
    visits = Window.partitionBy("as_of", "user_id").orderBy(F.col("billed_on").desc())
    gap = F.datediff("billed_on", F.lead("billed_on").over(visits)).cast("int")
    placed = (
        days.filter("largest >= 0")
        .withColumn("gap_days", gap)
        .withColumn("position", F.row_number().over(visits).cast("int"))
    )
    return placed.filter(F.col("position") <= params.visits).select(
        *("user_id", "as_of", "position", "gap_days", "store_id"),
        F.datediff("today", "billed_on").cast("int").alias("days_ago"),
        F.col("net").cast("double").alias("basket_amount"),
        F.col("billed_on").alias("visited_on"),
    )


def _baskets(line_items: DataFrame, visits: DataFrame, as_of: Moments, zone: str, params: Params) -> DataFrame:
    """The items of the visits that are kept, one row per visit."""
    from pyspark.sql import functions as F

    rows = known(line_items, "billed_at", as_of).filter(F.col("user_id").isNotNull() & ~F.col("is_return"))
    paid = F.sum(exact(F.col("amount"))).alias("paid")
    days = visits.select("user_id", "as_of", "position", F.col("visited_on").alias("billed_on"))
    # Sail holds the first of two tables in memory, and the visits are by far the fewer.
    if isinstance(as_of, datetime):
        bought = days.drop("as_of").join(rows, ["user_id", "billed_on"])
        bought = bought.groupBy("user_id", "position", "item_id").agg(paid)
    else:
        parts = at_each(sums_known(rows, as_of, ("user_id", "billed_on", "item_id"), (paid,)), as_of, zone)
        combined = (F.sum("paid").alias("paid"),)
        bought = days.join(parts, ["user_id", "as_of", "billed_on"])
        bought = sums_at_each(bought, as_of, zone, ("user_id", "position", "item_id"), combined)
    # The order is that of the struct: the dearest first, equal ones by id.
    priced = F.struct(total(-F.col("paid")).alias("less"), "item_id")
    in_order = F.sort_array(F.collect_list(priced)).alias("all")
    collected = sums_at_each(bought, as_of, zone, ("user_id", "position"), (in_order,))
    first = collected.withColumn("all", F.slice("all", 1, params.items_per_visit))
    return first.select(
        *("user_id", "as_of", "position"),
        F.transform("all", lambda one: one["item_id"]).alias("items"),
        F.transform("all", lambda one: (-one["less"]).cast("double")).alias("item_amounts"),
    )
