"""Cohort retention: who comes back in the months after the first visit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.contract import Column, Table
from capflow_assets.expressions.days import local_day_of
from capflow_assets.expressions.months import every_month, last_whole_month, month_name, month_number, month_of
from capflow_assets.expressions.sums import exact

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pyspark.sql import DataFrame

TABLE = Table(
    grain="cohort (local month of the first visit) and month since",
    columns=(
        Column("cohort_month", "string", "Month of the first visit: 2024-06.", required=True, matches=r"\d{4}-\d{2}"),
        Column("age_months", "int", "Months since; 0 is the cohort's own month.", True, at_least=0, unit="months"),
        Column("month", "string", "The month looked at.", required=True, matches=r"\d{4}-\d{2}"),
        Column("is_whole", "boolean", "Whether that month is over as of the moment.", required=True),
        Column("users", "bigint", "Users of the cohort.", required=True, at_least=1, unit="users"),
        Column("active_users", "bigint", "Those of them with a visit in the month.", True, at_least=0, unit="users"),
        Column("retained_pct", "double", "Active users in the cohort's.", True, at_least=0, at_most=100, unit="%"),
        Column("amount", "double", "What the cohort paid in the month, net of returns.", True, unit="currency"),
        Column("spend_per_user", "double", "That amount over all users of the cohort.", True, unit="currency"),
        Column("as_of", "timestamp", "The moment up to which bills were read.", required=True),
    ),
    key=("cohort_month", "age_months"),
)

MOST_COHORTS = 24


def retention(bills: DataFrame, as_of: datetime, zone: str) -> DataFrame:
    """How many of the users who first came in a month come again in each month after it.

    **Grain**: one row per cohort and month since, up to the month of the as-of moment; months in which nobody of a
    cohort came are there with 0. A cohort is the known users whose first visit, a local day on which they paid
    something, lies in one local month. At age 0 everybody is active.

    **Columns**: ``retained_pct`` = 100 active users / users; ``amount``, net of returns, and ``spend_per_user``, the
    same over all users of the cohort, whether they came or not. ``is_whole`` is false for the running month, in which
    the others may still come.

    The first cohorts of a customer hold users who had come before the data began; they are older than they look.
    """
    from pyspark.sql import functions as F

    today = local_day_of(as_of, zone)
    known = bills.filter((F.col("billed_at") <= F.lit(as_of)) & F.col("user_id").isNotNull())
    cells = _cells(_user_months(known))
    filled = every_month(cells, "cohort", "month_number", ("active", "amount"), F.lit(month_of(today)))
    return _named(filled, as_of, last_whole_month(today)).select(*TABLE.names)


def _user_months(known: DataFrame) -> DataFrame:
    """One row per user and month with bills, with the user's cohort; null before the first visit of all."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    amount = exact(F.col("amount"))
    months = known.groupBy("user_id", month_number("billed_on").alias("month_number")).agg(
        F.sum(amount).alias("amount"), F.max(amount).alias("largest")
    )
    visited = F.when(F.col("largest") > 0, F.col("month_number"))
    return months.withColumn("cohort", F.min(visited).over(Window.partitionBy("user_id")))


def _cells(user_months: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    since = user_months.filter(F.col("month_number") >= F.col("cohort"))
    return since.groupBy("cohort", "month_number").agg(
        F.count(F.when(F.col("largest") > 0, 1)).alias("active"), F.sum("amount").alias("amount")
    )


def _named(filled: DataFrame, as_of: datetime, last_whole: int) -> DataFrame:
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    # At age 0 everybody is active.
    users = F.max(F.when(F.col("month_number") == F.col("cohort"), F.col("active"))).over(Window.partitionBy("cohort"))
    counted = filled.withColumn("users", users)
    active = F.coalesce("active", F.lit(0)).cast("bigint")
    amount = F.coalesce(F.col("amount").cast("double"), F.lit(0.0))
    return counted.select(
        month_name(F.col("cohort")).alias("cohort_month"),
        (F.col("month_number") - F.col("cohort")).cast("int").alias("age_months"),
        month_name(F.col("month_number")).alias("month"),
        (F.col("month_number") <= last_whole).alias("is_whole"),
        F.col("users").cast("bigint").alias("users"),
        active.alias("active_users"),
        (active / F.col("users") * 100).alias("retained_pct"),
        amount.alias("amount"),
        (amount / F.col("users")).alias("spend_per_user"),
        F.lit(as_of).alias("as_of"),
    )


def plot(frame: DataFrame) -> Figure:
    """The share of each cohort that came in each month since."""
    columns = ("cohort_month", "age_months", "is_whole", "users", "active_users", "retained_pct")
    return _triangle(frame.select(*columns).toPandas())


def _triangle(rows: pd.DataFrame) -> Figure:
    """Cohorts from top to bottom, months since from left to right, the share that came as colour and number."""
    from matplotlib.figure import Figure

    cohorts = sorted(rows["cohort_month"].unique())[-MOST_COHORTS:]
    cells = rows[rows["cohort_month"].isin(cohorts)]
    sizes = cells.groupby("cohort_month")["users"].max()
    shares = cells[cells["age_months"] > 0].pivot(index="cohort_month", columns="age_months", values="retained_pct")
    shares = shares.reindex(cohorts)
    figure = Figure(figsize=(9, 1.6 + 0.24 * max(4, len(cohorts))), dpi=72, layout="constrained")
    axes = figure.subplots()
    axes.set_title(_retained(rows), fontsize=10, loc="left")
    if shares.size:
        picture = axes.pcolormesh(shares.columns, range(len(cohorts)), shares.to_numpy(float), cmap="Blues", vmin=0)
        figure.colorbar(picture, ax=axes, label="% of the cohort with a visit")
        _numbers(axes, shares, float(shares.max().max()))
    first = rows["cohort_month"].min()
    words = [f"{'until ' if month == first else ''}{month} ({sizes[month]:,})" for month in cohorts]
    axes.set_yticks(range(len(cohorts)), words)
    axes.invert_yaxis()
    axes.set_xlabel("months since the first visit", fontsize=8)
    axes.set_ylabel("month of the first visit (users)", fontsize=8)
    axes.tick_params(labelsize=7)
    return figure


def _numbers(axes: Axes, shares: pd.DataFrame, most: float) -> None:
    for row, values in enumerate(shares.to_numpy(float)):
        for age, value in zip(map(int, shares.columns), values, strict=True):
            if value == value:
                colour = "white" if value > most * 0.6 else "black"
                axes.text(age, row, f"{value:.0f}", ha="center", va="center", fontsize=6.5, color=colour)


def _retained(rows: pd.DataFrame) -> str:
    """How many come again after 1, 3 and 12 months, over all cohorts that had the time, but for the first.

    The first holds the users who came before the data began, and would outweigh all others.
    """
    whole = rows[rows["is_whole"].astype(bool) & (rows["cohort_month"] > rows["cohort_month"].min())]
    shares = []
    for age, words in ((1, "in the month after"), (3, "3 months after"), (12, "12 months after")):
        cells = whole[whole["age_months"] == age]
        if len(cells):
            shares.append(f"{100 * cells['active_users'].sum() / cells['users'].sum():.0f} % come {words}")
    return "Of new users, " + ", ".join(shares) if shares else "Too few months to see who comes back"
