"""Rhythm: how regularly each user comes, and whether the user is overdue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.contract import Column, Table
from capflow_assets.expressions.grouping import sums_at_each
from capflow_assets.expressions.known_at import Moments
from capflow_assets.expressions.visits import user_days

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pyspark.sql import DataFrame

FORMULAS = {
    "gap_days_avg": "mean(gap_days)",
    "gap_days_std": "sample deviation of gap_days",
    "gap_days_last": "last visit - the one before",
    "gap_days_recent_avg": "mean of the last 3 gap_days",
    "gap_change_pct": "100 (gap_days_recent_avg - gap_days_avg) / gap_days_avg",
    "overdue_ratio": "recency_days / gap_days_avg",
    "gap_days_median": "median(gap_days)",
}
TABLE = Table(
    grain="user with at least one bill",
    columns=(
        Column("user_id", "string", "The user.", required=True, personal=True),
        Column("as_of", "timestamp", "The moment up to which bills were read.", required=True),
        Column("gap_days_avg", "double", "Average days between visits.", at_least=1, unit="days"),
        Column("gap_days_std", "double", "Standard deviation of the days between visits.", at_least=0, unit="days"),
        Column("gap_days_last", "double", "Days between the last two visits.", at_least=1, unit="days"),
        Column("gap_days_recent_avg", "double", "Average of the last three gaps.", at_least=1, unit="days"),
        Column("gap_change_pct", "double", "How much longer the last three gaps are than all.", unit="%"),
        Column("overdue_ratio", "double", "Days since the last visit, in average gaps.", at_least=0),
        Column("gap_days_median", "double", "Median of the days between visits.", at_least=1, unit="days"),
        Column(
            "gap_days_cv",
            "double",
            "Coefficient of variation of the gaps: 0 for a clock, about 1 for visits at random.",
            at_least=0,
            formula="gap_days_std / gap_days_avg",
        ),
        Column(
            "regularity",
            "double",
            "How regular the visits are: 1 for a clock, towards 0 for visits in bursts.",
            above=0,
            at_most=1,
            formula="1 / (1 + gap_days_cv)",
        ),
        Column(
            "gap_days_log_avg",
            "double",
            "Average of the natural logarithm of the days between visits.",
            at_least=0,
            formula="mean of ln(gap_days)",
        ),
        Column(
            "next_visit_in_days",
            "double",
            "Days until the next visit is due; below 0 for a user who is late.",
            unit="days",
            formula="gap_days_avg - days since the last visit",
        ),
        Column(
            "next_visit_on",
            "date",
            "The day on which the next visit is due.",
            formula="last visit + gap_days_avg, rounded to a day",
        ),
    ),
    key=("user_id", "as_of"),
    formulas=FORMULAS,
)

RECENT_GAPS = 3


def rhythm(bills: DataFrame, as_of: Moments, zone: str) -> DataFrame:
    """The gaps between the visits of each known user as of a moment.

    **Grain**: one row per user with at least one bill up to the moment, as in ``rfm``, and with the same visits: local
    days on which the user paid something. A **gap** is the number of days from one visit to the next.

    **Columns**: ``gap_days_avg`` g, the sample deviation ``gap_days_std``, ``gap_days_last``; ``gap_days_recent_avg`` r
    over the last three gaps (fewer where there are fewer); ``gap_change_pct`` = 100 (r - g) / g, above 0 for a user who
    slows down; ``overdue_ratio`` = days since the last visit / g, above 1 for a user who is late; ``gap_days_log_avg``,
    the nearer to ln g the more regular the visits are. The next visit is **due** g days after the last one,
    ``next_visit_on``, which lies in the past for a user who is late.

    **Missing**: all null before the second visit, the deviation and what is made of it before the third.
    """
    from pyspark.sql import functions as F

    # A user's visits in one array take a fraction of what a window over all of them takes. Null is left out of it.
    visits = F.array_sort(F.collect_list("visited_on")).alias("visits")
    days = sums_at_each(user_days(bills, as_of, zone), as_of, zone, ("user_id",), (visits,))
    return _figures(_sums(_gaps(days)))


def _gaps(days: DataFrame) -> DataFrame:
    """Of users' visits in order: the days from one to the next."""
    from pyspark.sql import functions as F

    count = F.greatest(F.size("visits") - 1, F.lit(0))
    # Not by the place of the one before: an engine hands the whole array to each of its elements then.
    pairs = F.arrays_zip(
        F.slice("visits", 1, count).alias("from_on"),
        F.slice("visits", 2, count).alias("to_on"),
    )
    gaps = F.transform(pairs, lambda pair: F.datediff(pair["to_on"], pair["from_on"]).cast("bigint"))
    return days.withColumns({"count": count, "gaps": gaps})


def _sums(gaps: DataFrame) -> DataFrame:
    """Whole sums of the gaps, so that every engine divides the same two numbers."""
    from pyspark.sql import functions as F

    count, zero = F.col("count"), F.lit(0).cast("bigint")
    last, recent = F.get("visits", count), F.least(count, F.lit(RECENT_GAPS))
    ordered = F.array_sort("gaps")
    middle = F.get(ordered, F.floor((count - 1) / 2).cast("int")) + F.get(ordered, F.floor(count / 2).cast("int"))
    return gaps.select(
        *("user_id", "as_of", "today"),
        last.alias("last_on"),
        count.cast("bigint").alias("gaps"),
        F.datediff(last, F.get("visits", F.lit(0))).cast("bigint").alias("total"),
        F.aggregate("gaps", zero, lambda total, gap: total + gap * gap).alias("squares"),
        # The engines' logarithms may differ in the last bit, so each ends at the ninth decimal.
        F.aggregate("gaps", zero, lambda total, gap: total + F.round(F.ln(gap) * 1e9).cast("bigint")).alias("logs"),
        F.get("gaps", count - 1).cast("double").alias("gap_days_last"),
        F.datediff(last, F.get("visits", count - recent)).alias("recent_total"),
        recent.alias("recent_gaps"),
        (middle / 2).alias("gap_days_median"),
    )


def _figures(sums: DataFrame) -> DataFrame:
    """The averages first, then what is computed from them: an engine plans a nested expression once for each use."""
    from pyspark.sql import functions as F

    gaps, total, nothing = F.col("gaps"), F.col("total"), F.lit(0)
    variance = (gaps * F.col("squares") - total * total) / F.nullif(gaps * (gaps - 1), nothing)
    averages = sums.select(
        *("user_id", "as_of", "last_on", "gap_days_last", "gap_days_median"),
        (total / F.nullif(gaps, nothing)).alias("gap_days_avg"),
        F.sqrt(variance).alias("gap_days_std"),
        (F.col("logs") / F.nullif(gaps, nothing) / 1e9).alias("gap_days_log_avg"),
        (F.col("recent_total") / F.nullif("recent_gaps", nothing)).alias("gap_days_recent_avg"),
        F.datediff("today", "last_on").cast("int").alias("recency"),
    )
    average, recent, recency = (F.col(name) for name in ("gap_days_avg", "gap_days_recent_avg", "recency"))
    cv = F.col("gap_days_std") / average
    columns = {
        "gap_change_pct": (recent - average) / average * 100,
        "overdue_ratio": recency / average,
        "gap_days_cv": cv,
        "regularity": 1 / (1 + cv),
        "next_visit_in_days": average - recency,
        "next_visit_on": F.date_add("last_on", F.floor(average + F.lit(0.5)).cast("int")),
    }
    return averages.select(*(columns[name].alias(name) if name in columns else name for name in TABLE.names))


def plot(frame: DataFrame) -> Figure:
    """How many users are how late, counted in their own average gaps."""
    from matplotlib.figure import Figure
    from pyspark.sql import functions as F

    quarter, last = 0.25, 16
    step = F.least(F.floor(F.col("overdue_ratio") / quarter), F.lit(last)).cast("int").alias("step")
    counted = frame.filter("overdue_ratio is not null").groupBy(step).count().toPandas()
    late = int(counted.loc[counted["step"] >= 1 / quarter, "count"].sum())
    figure = Figure(figsize=(7, 3.5), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.bar(counted["step"] * quarter, counted["count"], width=quarter * 0.9, align="edge", color="tab:blue")
    axes.axvline(1, color="tab:red", linewidth=1)
    axes.set_xlabel(f"days since the last visit / average gap (the last bar: {last * quarter:.0f} and above)")
    axes.set_ylabel("users")
    axes.set_title(f"{late:,} of {counted['count'].sum():,} users with a rhythm are overdue", fontsize=10)
    return figure
