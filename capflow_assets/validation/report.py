"""The report: what a customer's data amounts to, and how its users come."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING

from capflow_assets.contract import Column, Table
from capflow_assets.expressions import bins
from capflow_assets.expressions.days import local_day_of
from capflow_assets.expressions.figures import Figure, lengthwise
from capflow_assets.expressions.sums import exact_sum
from capflow_assets.expressions.visits import paid_visits

if TYPE_CHECKING:
    from datetime import date, datetime

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Picture
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

TABLE = Table(
    grain="figure",
    columns=(
        Column("section", "string", "rows, flags, kpi, recency, latency, repeat or monthly.", required=True),
        Column("name", "string", "The figure, the flag, the bin or the month (2024-06).", required=True),
        Column("position", "int", "Its place in the section, from 1.", required=True, at_least=1),
        Column("value", "double", "The figure; null where there is nothing to compute it from."),
        Column("unit", "string", "What the value counts.", required=True),
    ),
    key=("section", "name", "unit"),
)


def report(
    bills: DataFrame,
    as_of: datetime,
    zone: str,
    currency: str,
    line_items: DataFrame | None = None,
    users: DataFrame | None = None,
    items: DataFrame | None = None,
) -> DataFrame:
    """The figures by which a person judges a customer's data, up to the as-of moment.

    **Grain**: one row per figure. Sections:

    - ``rows``: rows of each clean table that the customer has. ``flags``: rows that cleaning flagged as odd, by flag.
    - ``kpi``: ``amount_total`` (net of returns), ``bill_amount_avg``, ``visits``, ``spend_avg`` (net a visit, of known
      users), ``line_items_avg`` (per bill), ``users`` (on bills), ``users_28d`` and ``users_91d`` (with a visit in so
      many days), shares of the bills that are anonymous or returns, the share of discounts in the price before them,
      ``first_day`` and ``last_day`` of the bills (written as yyyymmdd), ``history_days`` from the first to the last.
    - ``recency``: users by days since the last visit. ``latency``: gaps between visits by their days. ``repeat``: users
      by number of visits. A visit is a local day on which a known user paid something.
    - ``monthly``: bills, users and net amount of each local month that has bills.

    **Missing**: a value is null where there is nothing to divide by, or where the customer does not say (discounts).
    """
    from pyspark.sql import functions as F

    bills = bills.filter(F.col("billed_at") <= F.lit(as_of))
    visits = paid_visits(bills)
    per_user = _per_user(visits, local_day_of(as_of, zone))
    tables = {"bills": bills, "line_items": line_items, "users": users, "items": items}
    parts = [
        _rows({name: frame for name, frame in tables.items() if frame is not None}),
        *(_flagged(name, frame) for name, frame in tables.items() if frame is not None and "flags" in frame.columns),
        lengthwise(_totals(bills).crossJoin(_user_totals(per_user)), "kpi", _kpis(currency)),
        _histogram(per_user, "recency", "recency_days", bins.RECENCY_DAYS, "users"),
        _histogram(visits, "latency", "gap_days", bins.GAP_DAYS, "gaps"),
        _histogram(per_user, "repeat", "visits", bins.VISITS, "users"),
        _monthly(bills, currency),
    ]
    return reduce(lambda above, below: above.unionByName(below), parts).select(*TABLE.names)


def _per_user(visits: DataFrame, today: date) -> DataFrame:
    from pyspark.sql import functions as F

    return visits.groupBy("user_id").agg(
        F.count(F.lit(1)).alias("visits"),
        F.datediff(F.lit(today), F.max("billed_on")).alias("recency_days"),
    )


def _rows(tables: dict[str, DataFrame]) -> DataFrame:
    from pyspark.sql import functions as F

    counted = [frame.agg(F.count(F.lit(1)).alias(name)) for name, frame in tables.items()]
    figures = [Figure(name, F.col(name), "rows") for name in tables]
    return lengthwise(reduce(lambda left, right: left.crossJoin(right), counted), "rows", figures)


def _flagged(table: str, frame: DataFrame) -> DataFrame:
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    flags = frame.filter("flags <> ''").select(F.explode(F.split("flags", ",")).alias("name"))
    counted = flags.groupBy("name").agg(F.count(F.lit(1)).cast("double").alias("value"))
    return counted.select(
        F.lit("flags").alias("section"),
        "name",
        F.row_number().over(Window.partitionBy(F.lit(1)).orderBy("name")).alias("position"),
        "value",
        F.lit(table.replace("_", " ")).alias("unit"),
    )


def _totals(bills: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    amount, discount = F.col("amount"), F.col("discount")
    return bills.agg(
        F.count(F.lit(1)).alias("bills"),
        F.count_distinct("user_id").alias("users"),
        F.count(F.when(F.col("is_anonymous"), 1)).alias("anonymous"),
        F.count(F.when(F.col("is_return"), 1)).alias("returns"),
        F.avg("line_items").alias("line_items_avg"),
        exact_sum(amount).alias("amount"),
        exact_sum(F.when(~F.col("is_anonymous"), amount)).alias("known_amount"),
        exact_sum(discount).alias("discount"),
        exact_sum(F.when(discount.isNotNull(), amount)).alias("discounted_amount"),
        F.min("billed_on").alias("first_day"),
        F.max("billed_on").alias("last_day"),
    )


def _user_totals(per_user: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    return per_user.agg(
        F.sum("visits").alias("visits"),
        *(F.count(F.when(F.col("recency_days") < days, 1)).alias(f"users_{days}d") for days in (28, 91)),
    )


def _kpis(currency: str) -> list[Figure]:
    from pyspark.sql import functions as F

    def share_pct(part: str, whole: Expression) -> Expression:
        return F.col(part) / F.nullif(whole, F.lit(0)) * 100

    def day(name: str) -> Expression:
        return F.year(name) * 10_000 + F.month(name) * 100 + F.dayofmonth(name)

    bills, visits = F.col("bills"), F.coalesce("visits", F.lit(0))
    price = F.col("discounted_amount") + F.col("discount")
    return [
        Figure("amount_total", F.coalesce("amount", F.lit(0.0)), currency),
        Figure("bill_amount_avg", F.col("amount") / F.nullif(bills, F.lit(0)), currency),
        Figure("visits", visits, "visits"),
        Figure("spend_avg", F.col("known_amount") / F.nullif(visits, F.lit(0)), currency),
        Figure("line_items_avg", F.col("line_items_avg"), "line items"),
        Figure("users", F.col("users"), "users"),
        Figure("users_28d", F.col("users_28d"), "users"),
        Figure("users_91d", F.col("users_91d"), "users"),
        Figure("anonymous_share_pct", share_pct("anonymous", bills), "%"),
        Figure("returns_share_pct", share_pct("returns", bills), "%"),
        Figure("discount_share_pct", share_pct("discount", price), "%"),
        Figure("first_day", day("first_day"), "yyyymmdd"),
        Figure("last_day", day("last_day"), "yyyymmdd"),
        Figure("history_days", F.coalesce(F.datediff("last_day", "first_day") + 1, F.lit(0)), "days"),
    ]


def _histogram(frame: DataFrame, section: str, column: str, edges: Sequence[int], unit: str) -> DataFrame:
    """How many rows fall in each bin, empty bins included; nulls fall in none."""
    from pyspark.sql import functions as F

    names = bins.bin_names(edges)
    reached = [F.count(F.when(F.col(column) >= edge, 1)).alias(f"reached_{n}") for n, edge in enumerate(edges)]
    wide = frame.agg(*reached).withColumn(f"reached_{len(edges)}", F.lit(0))
    figures = [Figure(name, F.col(f"reached_{n}") - F.col(f"reached_{n + 1}"), unit) for n, name in enumerate(names)]
    return lengthwise(wide, section, figures)


def _monthly(bills: DataFrame, currency: str) -> DataFrame:
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    months = bills.groupBy(F.date_format("billed_on", "yyyy-MM").alias("name")).agg(
        F.count(F.lit(1)).cast("double").alias("bills"),
        F.count_distinct("user_id").cast("double").alias("users"),
        exact_sum(F.col("amount")).alias(currency),
    )
    rows = (F.struct(F.col(unit).alias("value"), F.lit(unit).alias("unit")) for unit in ("bills", "users", currency))
    position = F.row_number().over(Window.partitionBy(F.lit(1)).orderBy("name"))
    # A step of its own: beside explode in one select, Sail 0.7.2 numbers the exploded rows.
    numbered = months.withColumn("section", F.lit("monthly")).withColumn("position", position)
    long = numbered.select("section", "name", "position", F.explode(F.array(*rows)).alias("row"))
    return long.select("section", "name", "position", "row.*")


def plot(frame: DataFrame) -> Picture:
    """Recency, latency and repeat visits of the users, and the amounts of the months."""
    from matplotlib.figure import Figure as Picture

    rows = frame.filter("section in ('recency', 'latency', 'repeat', 'monthly')").toPandas().sort_values("position")
    picture = Picture(figsize=(7, 4.5), dpi=72, layout="constrained")
    (recency, latency), (repeat, monthly) = picture.subplots(2, 2)
    _bars(recency, rows[rows["section"] == "recency"], "Users by days since the last visit", "days")
    _bars(latency, rows[rows["section"] == "latency"], "Gaps between visits by days", "days")
    _bars(repeat, rows[rows["section"] == "repeat"], "Users by number of visits", "visits")
    amounts = rows[(rows["section"] == "monthly") & ~rows["unit"].isin(["bills", "users"])]
    _months(monthly, amounts)
    return picture


def _bars(axes: Axes, rows: pd.DataFrame, title: str, bin_unit: str) -> None:
    axes.bar(rows["name"], rows["value"], color="tab:blue")
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(bin_unit, fontsize=7)
    axes.set_ylabel(rows["unit"].iloc[0], fontsize=7)
    axes.tick_params(labelsize=7)
    axes.tick_params(axis="x", rotation=30)


def _months(axes: Axes, amounts: pd.DataFrame) -> None:
    import pandas as pd

    unit = amounts["unit"].iloc[0] if len(amounts) else "amount"
    by_month = amounts.set_index("name")["value"]
    if len(by_month):
        # A month without bills is missing from the table, and must be seen as a hole here.
        all_months = pd.period_range(by_month.index.min(), by_month.index.max(), freq="M").astype(str)
        by_month = by_month.reindex(all_months, fill_value=0)
    axes.plot(range(len(by_month)), by_month, color="tab:blue", marker=".")
    ticks = range(0, len(by_month), max(1, len(by_month) // 6))
    axes.set_xticks(list(ticks), [by_month.index[tick] for tick in ticks])
    axes.set_ylim(bottom=min(0, by_month.min()) if len(by_month) else 0)
    axes.set_title(f"Net amount a month ({unit})", fontsize=9)
    axes.set_xlabel("month", fontsize=7)
    axes.set_ylabel(unit, fontsize=7)
    axes.tick_params(labelsize=7)
