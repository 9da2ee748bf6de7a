"""How users come and what they buy, as histograms: recency, latency, repeat visits, bill amounts, line items."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from capflow_assets.contract import Column, Table
from capflow_assets.expressions.bins import (
    AMOUNTS,
    GAP_DAYS,
    LINE_ITEMS,
    RECENCY_DAYS,
    VISITS,
    amount_bin_names,
    bin_names,
)
from capflow_assets.expressions.days import local_day_of
from capflow_assets.expressions.visits import paid_visits
from capflow_assets.validation._pictures import BLUE, plain

if TYPE_CHECKING:
    from datetime import date, datetime

    import pandas as pd
    from matplotlib.figure import Figure
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

TABLE = Table(
    grain="distribution and bin",
    columns=(
        Column("distribution", "string", "recency, latency, repeat, bill_amount or line_items.", required=True),
        Column("bin", "string", "The bin in words: 7-13, 364+.", required=True),
        Column("position", "int", "The bin's place in the distribution, from 1.", required=True, at_least=1),
        Column("at_least", "double", "The least value in the bin; null where it has no beginning."),
        Column("below", "double", "All values in the bin are below this; null where it has no end."),
        Column("bin_unit", "string", "What the edges count: days, visits, the currency, line items.", required=True),
        Column("count", "bigint", "How many fall in the bin.", required=True, at_least=0),
        Column("unit", "string", "What is counted: users, gaps or bills.", required=True),
        Column("share_pct", "double", "Of all that is counted.", at_least=0, at_most=100, unit="%"),
        Column("up_to_share_pct", "double", "Share in this bin and those before.", at_least=0, at_most=100, unit="%"),
        Column("as_of", "timestamp", "The moment up to which bills were read.", required=True),
    ),
    key=("distribution", "position"),
)


class Histogram(NamedTuple):
    """One distribution: its bins, and what is counted in them. ``has_rest`` puts a bin before the first edge."""

    name: str
    edges: tuple[int, ...]
    bin_unit: str
    unit: str
    bins: list[str]
    has_rest: bool = False


def histograms_of(currency: str) -> tuple[Histogram, ...]:
    """The distributions, in the order in which they are read."""
    return (
        Histogram("recency", RECENCY_DAYS, "days", "users", bin_names(RECENCY_DAYS)),
        Histogram("latency", GAP_DAYS, "days", "gaps", bin_names(GAP_DAYS)),
        Histogram("repeat", VISITS, "visits", "users", bin_names(VISITS)),
        Histogram("bill_amount", AMOUNTS, currency, "bills", amount_bin_names(AMOUNTS), has_rest=True),
        Histogram("line_items", LINE_ITEMS, "line items", "bills", bin_names(LINE_ITEMS)),
    )


def distributions(bills: DataFrame, as_of: datetime, zone: str, currency: str) -> DataFrame:
    """Five histograms of a customer's users and bills as of a moment.

    **Grain**: one row per distribution and bin, empty bins included.

    - ``recency``: users by days since the last visit; ``repeat``: users by number of visits; ``latency``: gaps between
      two visits of a user by their days. A visit is a local day on which a known user paid something. The bins are
      those of ``validation/report``.
    - ``bill_amount``: bills by amount, in steps of 1, 2 and 5; returns are in the first bin, ``under 0``.
    - ``line_items``: bills by number of line items.

    **Columns**: ``count`` in ``unit``, ``share_pct`` of all and ``up_to_share_pct``, this bin and those before; the
    bin's edges as ``at_least`` (inclusive) and ``below``.

    **Missing**: shares are null where nothing is counted; a bill whose line items nobody sent is in no bin.
    """
    from pyspark.sql import functions as F

    known = bills.filter(F.col("billed_at") <= F.lit(as_of))
    all_histograms = histograms_of(currency)
    of_bills = _reached_by_bills(known, [histogram for histogram in all_histograms if histogram.unit == "bills"])
    of_users = _reached_by_users(paid_visits(known), local_day_of(as_of, zone))
    rows = [row for histogram in all_histograms for row in _rows(histogram)]
    long = of_bills.crossJoin(of_users).select(F.explode(F.array(*rows)).alias("row")).select("row.*")
    return long.withColumn("as_of", F.lit(as_of)).select(*TABLE.names)


def _reached(name: str, column: Expression, edges: tuple[int, ...]) -> list[Expression]:
    """For each edge, how many values have reached it."""
    from pyspark.sql import functions as F

    return [F.count(F.when(column >= edge, 1)).alias(f"{name}_{n}") for n, edge in enumerate(edges)]


def _reached_by_bills(bills: DataFrame, histograms: list[Histogram]) -> DataFrame:
    from pyspark.sql import functions as F

    columns = {"bill_amount": F.col("amount"), "line_items": F.col("line_items")}
    reached = [count for one in histograms for count in _reached(one.name, columns[one.name], one.edges)]
    return bills.agg(*reached, *(F.count(columns[one.name]).alias(f"{one.name}_all") for one in histograms))


def _reached_by_users(visited: DataFrame, today: date) -> DataFrame:
    """Users and gaps at once: the gaps are counted user by user on the way."""
    from pyspark.sql import functions as F

    per_user = visited.groupBy("user_id").agg(
        F.count(F.lit(1)).alias("visits"),
        F.datediff(F.lit(today), F.max("billed_on")).alias("recency_days"),
        *_reached("latency", F.col("gap_days"), GAP_DAYS),
    )
    gaps = [f"latency_{n}" for n in range(len(GAP_DAYS))]
    return per_user.agg(
        *_reached("recency", F.col("recency_days"), RECENCY_DAYS),
        *_reached("repeat", F.col("visits"), VISITS),
        *(F.coalesce(F.sum(name), F.lit(0)).alias(name) for name in gaps),
    )


def _rows(histogram: Histogram) -> list[Expression]:
    """Each bin of a histogram as a struct, in the order of the table's columns."""
    from pyspark.sql import functions as F

    name = histogram.name
    steps = [(edge, F.col(f"{name}_{n}")) for n, edge in enumerate(histogram.edges)]
    ladder = [*([(None, F.col(f"{name}_all"))] if histogram.has_rest else []), *steps, (None, F.lit(0))]
    whole = ladder[0][1]
    rows = []
    for position, (label, step) in enumerate(zip(histogram.bins, pairwise(ladder), strict=True), start=1):
        (low, reached_low), (high, reached_high) = step
        values = {
            "distribution": F.lit(name),
            "bin": F.lit(label),
            "position": F.lit(position),
            "at_least": F.lit(low).cast("double"),
            "below": F.lit(high).cast("double"),
            "bin_unit": F.lit(histogram.bin_unit),
            "count": (reached_low - reached_high).cast("bigint"),
            "unit": F.lit(histogram.unit),
            "share_pct": (reached_low - reached_high) / F.nullif(whole, F.lit(0)) * 100,
            "up_to_share_pct": (whole - reached_high) / F.nullif(whole, F.lit(0)) * 100,
        }
        rows.append(F.struct(*(value.alias(column) for column, value in values.items())))
    return rows


def plot(frame: DataFrame) -> Figure:
    """The histograms beside each other, each with its finding as title."""
    return _histograms(frame.toPandas().sort_values(["distribution", "position"]))


def _histograms(rows: pd.DataFrame) -> Figure:
    """One picture a distribution, with its most telling share as title."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), dpi=72, layout="constrained")
    shown = [(name, titles) for name, titles in TITLES.items() if _is_counted(rows, name)]
    for place, (name, (title, axis)) in enumerate(shown):
        axes = figure.add_subplot(2, 3, place + 1)
        one = _trimmed(rows[rows["distribution"] == name])
        axes.bar(one["bin"], one["share_pct"], color=BLUE, width=0.85)
        axes.set_title(title(rows[rows["distribution"] == name]), fontsize=9, loc="left")
        axes.set_xlabel(axis.format(unit=one["bin_unit"].iloc[0]), fontsize=8)
        axes.set_ylabel(f"% of {one['count'].sum():,} {one['unit'].iloc[0]}", fontsize=8)
        plain(axes)
        axes.tick_params(axis="x", rotation=40)
    return figure


def _is_counted(rows: pd.DataFrame, name: str) -> bool:
    return bool(rows.loc[rows["distribution"] == name, "count"].sum())


def _trimmed(rows: pd.DataFrame) -> pd.DataFrame:
    """Without the empty bins at either end."""
    filled = rows["count"].to_numpy().nonzero()[0]
    return rows.iloc[filled[0] : filled[-1] + 1]


def _before(rows: pd.DataFrame, edge: float) -> float:
    """The share below an edge, in percent."""
    return float(rows.loc[rows["below"] == edge, "up_to_share_pct"].iloc[0])


def _median(rows: pd.DataFrame) -> str:
    return f"{_half(rows)} {rows['bin_unit'].iloc[0]}"


def _half(rows: pd.DataFrame) -> str:
    """The bin that holds the median."""
    return str(rows.loc[rows["up_to_share_pct"] >= 50, "bin"].iloc[0])


# The title, made of the rows of a distribution, and the words at its axis.
TITLES: dict[str, tuple[Any, str]] = {
    "recency": (lambda rows: f"{_before(rows, 28):.0f} % of users came in the last 28 days", "days since last visit"),
    "latency": (lambda rows: f"{_before(rows, 8):.0f} % of gaps are a week or less", "days between two visits"),
    "repeat": (lambda rows: f"{100 - _before(rows, 2):.0f} % of users came more than once", "visits of a user"),
    "bill_amount": (lambda rows: f"The median bill is {_median(rows)}", "amount of a bill ({unit})"),
    "line_items": (lambda rows: f"The median bill has {_median(rows)}", "line items of a bill"),
}
