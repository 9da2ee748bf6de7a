"""Recency, frequency and money: how lately, how often and how much each user buys."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from capflow_assets.contract import Column, Table
from capflow_assets.expressions.days import QUARTER_DAYS, within
from capflow_assets.expressions.grouping import sums_at_each
from capflow_assets.expressions.known_at import Moments
from capflow_assets.expressions.sums import change_pct, zero
from capflow_assets.expressions.visits import user_days

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

FORMULAS = {
    "recency_days": "day of the moment - last visit",
    "tenure_days": "day of the moment - first bill",
    "visits": "days with a bill that is no return",
    "bills": "count(bills)",
    "visits_28d": "visits of 28 days",
    "visits_91d": "visits of 91 days",
    "visits_364d": "visits of 364 days",
    "visits_prior_91d": "visits of days 91 to 181 ago",
    "spend_total": "sum(amount)",
    "spend_avg": "spend_total / visits",
    "spend_91d": "sum(amount) of 91 days",
    "spend_364d": "sum(amount) of 364 days",
    "spend_prior_91d": "sum(amount) of days 91 to 181 ago",
    "repeat_visit_spend_avg": "sum(paid on visits after the first) / (visits - 1)",
    "returns_total": "-sum(amount of returns)",
    "recency_quintile": "floor(5 (worse + equal / 2) / users) + 1 by last visit",
    "frequency_quintile": "floor(5 (worse + equal / 2) / users) + 1 by visits",
    "monetary_quintile": "floor(5 (worse + equal / 2) / users) + 1 by spend_total",
}
TABLE = Table(
    grain="user with at least one bill",
    columns=(
        Column("user_id", "string", "The user.", required=True, personal=True),
        Column("as_of", "timestamp", "The moment up to which bills were read.", required=True),
        Column("recency_days", "int", "Days since the last visit; null without a visit.", at_least=0, unit="days"),
        Column("tenure_days", "int", "Days since the first bill.", required=True, at_least=0, unit="days", ages=True),
        Column("visits", "int", "Days with a bill that is no return.", required=True, at_least=0),
        Column("bills", "int", "Bills, returns among them.", required=True, at_least=1),
        Column(
            "visits_28d", "int", "Visits in the last 28 days.", required=True, at_least=0, at_most=28, window="28 days"
        ),
        Column(
            "visits_91d", "int", "Visits in the last 91 days.", required=True, at_least=0, at_most=91, window="91 days"
        ),
        Column(
            "visits_364d",
            "int",
            "Visits in the last 364 days.",
            required=True,
            at_least=0,
            at_most=364,
            window="364 days",
        ),
        Column(
            "visits_prior_91d",
            "int",
            "Visits in the 91 days before the last 91.",
            required=True,
            at_least=0,
            at_most=91,
            window="182 to 91 days",
        ),
        Column(
            "visits_trend_pct",
            "double",
            "How many more visits in the last 91 days than in the 91 before; null without one before.",
            at_least=-100,
            unit="%",
            formula="100 (visits_91d - visits_prior_91d) / visits_prior_91d",
            window="182 days",
        ),
        Column("spend_total", "double", "All that was paid, less returns.", required=True, unit="currency"),
        Column("spend_avg", "double", "spend_total per visit; null without a visit.", unit="currency"),
        Column(
            "spend_91d",
            "double",
            "Paid in the last 91 days, less returns.",
            required=True,
            unit="currency",
            window="91 days",
        ),
        Column(
            "spend_364d",
            "double",
            "Paid in the last 364 days, less returns.",
            required=True,
            unit="currency",
            window="364 days",
        ),
        Column(
            "spend_prior_91d",
            "double",
            "Paid in the 91 days before the last 91, less returns.",
            required=True,
            unit="currency",
            window="182 to 91 days",
        ),
        Column(
            "spend_trend_pct",
            "double",
            "How much more was paid in the last 91 days than in the 91 before; null where that is not above 0.",
            unit="%",
            formula="100 (spend_91d - spend_prior_91d) / spend_prior_91d",
            window="182 days",
        ),
        Column("repeat_visit_spend_avg", "double", "Paid a visit after the first; null before.", at_least=0),
        Column("returns_total", "double", "All that was brought back.", True, at_least=0, unit="currency"),
        Column("recency_quintile", "int", "5: the fifth who came most lately.", True, at_least=1, at_most=5),
        Column("frequency_quintile", "int", "5: the fifth with the most visits.", True, at_least=1, at_most=5),
        Column("monetary_quintile", "int", "5: the fifth who paid most.", required=True, at_least=1, at_most=5),
    ),
    key=("user_id", "as_of"),
    formulas=FORMULAS,
)

FIFTHS = range(1, 6)
TRENDS = ("visits", "spend")


def rfm(bills: DataFrame, as_of: Moments, zone: str) -> DataFrame:
    """Recency, frequency and money of each known user as of a moment.

    **Grain**: one row per user with at least one bill up to the moment, and moment; anonymous bills are left out. A
    **visit** is a local day with a bill that is no return: several bills of a day are one visit, one of 0 (a full
    coupon) is one too.

    **Columns**: ``recency_days`` and ``tenure_days`` count local days to the day of the moment, from the last visit and
    from the first bill; ``visits_28d`` and the like look at so many days, the moment's own included. Money is in the
    customer's currency: ``spend_*`` are net of returns, ``repeat_visit_spend_avg`` is what was paid a visit after the
    first, returns left aside (the input of the Gamma-Gamma model of spend), ``returns_total`` what came back, above 0,
    so that ``spend_total + returns_total`` is all that was paid. **Trends** hold the last 91 days (r) against the 91
    before (p), ``100 (r - p) / p``: -50 for half as much.

    **Quintiles** are by rank, 5 is best, and equal users get equal quintiles: with n users, of whom b are worse and e
    equal (the user included), the quintile is ``floor(5 (b + e/2) / n) + 1``. Where most users are equal, as
    one-time buyers are, they all get the quintile of their middle, and some quintiles are empty.

    **Missing**: a user who only ever brought back has no recency and no average, and is last in the recency quintiles.
    There is no trend where the 91 days before have no visit, or no more paid than brought back.

    Reference: J. R. Bult, T. Wansbeek, "Optimal Selection for Direct Mail", Marketing Science 14 (1995).
    """
    from pyspark.sql import functions as F

    lately, visits, spend = (F.col(name) for name in ("last_visited_on", "visits", "spend_total"))
    standings = {
        "recency": _standing(lately.asc_nulls_first(), lately.desc_nulls_last()),
        "frequency": _standing(visits.asc(), visits.desc()),
        "monetary": _standing(spend.asc(), spend.desc()),
    }
    sums = _sums(user_days(bills, as_of, zone), as_of, zone).withColumns(standings)
    money = ("spend_total", "spend_91d", "spend_364d", "spend_prior_91d", "returns_total")
    columns = {
        # Sail's datediff is a bigint, Spark's an int.
        "recency_days": F.datediff("today", "last_visited_on").cast("int"),
        "tenure_days": F.datediff("today", "first_billed_on").cast("int"),
        **{f"{name}_trend_pct": change_pct(F.col(f"{name}_91d"), F.col(f"{name}_prior_91d")) for name in TRENDS},
        **{name: F.col(name).cast("double") for name in money},
        "spend_avg": F.when(visits > 0, spend.cast("double") / visits),
        "repeat_visit_spend_avg": F.when(visits > 1, F.col("repeat_spend") / (visits - 1)),
        **{f"{name}_quintile": _quintile(name) for name in standings},
    }
    return sums.select(*(columns[name].alias(name) if name in columns else name for name in TABLE.names))


def _sums(days: DataFrame, as_of: Moments, zone: str) -> DataFrame:
    from pyspark.sql import functions as F

    visited, net, spend = F.col("visited_on"), F.col("net"), F.col("spend")

    def before(day: str) -> Expression:
        return within(day, 2 * QUARTER_DAYS) & ~within(day, QUARTER_DAYS)

    sums = (
        F.max(visited).alias("last_visited_on"),
        F.min("billed_on").alias("first_billed_on"),
        F.count(visited).cast("int").alias("visits"),
        F.sum("bills").cast("int").alias("bills"),
        *(F.count(F.when(within("visited_on", n), 1)).cast("int").alias(f"visits_{n}d") for n in (28, 91, 364)),
        F.count(F.when(before("visited_on"), 1)).cast("int").alias("visits_prior_91d"),
        F.sum(net).alias("spend_total"),
        (F.sum(spend) - F.sum(net)).alias("returns_total"),
        *(F.sum(F.when(within("billed_on", n), net).otherwise(zero())).alias(f"spend_{n}d") for n in (91, 364)),
        F.sum(F.when(before("billed_on"), net).otherwise(zero())).alias("spend_prior_91d"),
        # A struct's least value would be simpler, but the engines disagree on where null goes in one.
        (F.sum(spend) - F.min_by(spend, visited)).cast("double").alias("repeat_spend"),
    )
    return sums_at_each(days, as_of, zone, ("user_id",), sums)


def _standing(worst_first: Expression, best_first: Expression) -> Expression:
    """Twice the share of a moment's users up to the middle of those who are equal: (2 b + e) / n, in (0, 2)."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    # Ranking all users of a moment is one task's work. Counting them besides, for the ranks, takes an engine longer
    # than to sort them a second time.
    everybody = Window.partitionBy("as_of")
    not_better = F.cume_dist().over(everybody.orderBy(worst_first))
    not_worse = F.cume_dist().over(everybody.orderBy(best_first))
    return not_better + 1 - not_worse


def _quintile(standing: str) -> Expression:
    from pyspark.sql import functions as F

    # A share that is a fifth may come out a rounding below it; one that is none is farther off with fewer than 10^8.
    return (F.floor(F.col(standing) * 2.5 + 1e-9) + 1).cast("int")


def plot(frame: DataFrame) -> Figure:
    """How many users there are in each pair of recency and frequency quintile."""
    from matplotlib.figure import Figure

    counted = frame.groupBy("recency_quintile", "frequency_quintile").count().collect()
    figure = Figure(figsize=(7, 3.5), dpi=80, layout="constrained")
    axes = figure.subplots()
    users = {(row.recency_quintile, row.frequency_quintile): row["count"] for row in counted}
    grid = [[users.get((recency, frequency), 0) for recency in FIFTHS] for frequency in FIFTHS]
    axes.imshow(grid, origin="lower", cmap="Blues", aspect="auto", extent=(0.5, 5.5, 0.5, 5.5))
    high = max(users.values(), default=0)
    for recency, frequency in product(FIFTHS, FIFTHS):
        number = users.get((recency, frequency), 0)
        shade = "white" if number > high / 2 else "black"
        axes.text(recency, frequency, f"{number:,}", ha="center", va="center", color=shade, fontsize=9)
    axes.set_xlabel("recency quintile (5: came most lately)")
    axes.set_ylabel("frequency quintile\n(5: most visits)")
    axes.set_title(f"{sum(users.values()):,} users by how lately and how often they come", fontsize=10)
    return figure
