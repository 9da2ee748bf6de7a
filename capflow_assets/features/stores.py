"""Stores: where each user buys, how faithfully, and how far apart those places are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.contract import Column, Table
from capflow_assets.expressions.days import QUARTER_DAYS, within
from capflow_assets.expressions.grouping import sums_at_each, totals_at_each
from capflow_assets.expressions.ids import identifiers
from capflow_assets.expressions.known_at import KNOWN_FROM, Moments, known
from capflow_assets.expressions.sums import ratio

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

FORMULAS = {
    "home_store_id": "the store with most visits",
    "stores_visited": "count(distinct stores)",
    "stores_visited_91d": "count(distinct stores) of 91 days",
    "store_visits": "sum over stores(days with a purchase)",
    "home_store_recency_days": "day of the moment - last visit to home_store_id",
    "other_stores_distance_avg_km": "mean over visits to other stores(haversine from home_store_id)",
    "other_stores_distance_max_km": "max over other stores(haversine from home_store_id)",
}
TABLE = Table(
    grain="user with at least one bill",
    columns=(
        Column("user_id", "string", "The user.", required=True, personal=True),
        Column("as_of", "timestamp", "The moment up to which bills were read.", required=True),
        Column("home_store_id", "string", "The store with most visits."),
        Column("stores_visited", "int", "Stores with a visit.", required=True, at_least=0),
        Column("stores_visited_91d", "int", "Of them in the last 91 days.", True, at_least=0, window="91 days"),
        Column("store_visits", "int", "Visits to a store: days with a purchase there.", required=True, at_least=0),
        Column(
            "home_store_share",
            "double",
            "Share of the visits that went to the home store.",
            above=0,
            at_most=1,
            formula="visits to the home store / store_visits",
        ),
        Column(
            "store_switch_rate",
            "double",
            "Share of visits after the first that went to another store than the one before.",
            at_least=0,
            at_most=1,
            formula="switches / (store_visits - 1)",
        ),
        Column("home_store_recency_days", "int", "Days since the home store was visited.", at_least=0, unit="days"),
        Column(
            "other_stores_distance_avg_km",
            "double",
            "Distance from the home store to the other visited ones, averaged over the visits to them.",
            at_least=0,
            unit="km",
        ),
        Column("other_stores_distance_max_km", "double", "Distance to the farthest of them.", at_least=0, unit="km"),
    ),
    key=("user_id", "as_of"),
    formulas=FORMULAS,
)

# The mean radius of the Earth (IUGG).
EARTH_KM = 6371.0088


def stores(bills: DataFrame, raw_stores: DataFrame | None = None, *, as_of: Moments, zone: str) -> DataFrame:
    """The home store of each known user as of a moment, the loyalty to it and the way to the others.

    **Grain**: one row per user with at least one bill up to the moment, and moment. A **visit** is a local day with a
    bill at a store that is no return; two stores on a day are two visits, in the order of their first bills. The **home
    store** has most visits; of several such the one visited last, then the first by its id.

    **Columns**: ``home_store_share`` is 1 for a user of one store; ``store_switch_rate`` is 1 for one who never goes to
    the same store twice running. Distances are great circles between the coordinates in the customer's list of stores,
    by the haversine formula, to the metre; coordinates have no history, so those of today hold for all moments.

    **Missing**: a user whose bills name no store has no home store, and counts of 0; the switching rate is null before
    the second visit, distances where the home store or all others have no coordinates.

    Reference: R. W. Sinnott, "Virtues of the Haversine", Sky and Telescope 68 (1984).
    """
    from pyspark.sql import functions as F

    visited = _visited(_visits(bills, as_of), as_of, zone)
    ranked = visited.withColumn("place", _place()).join(_coordinates(raw_stores, bills), "store_id", "left")
    is_store, home = F.col("store_id").isNotNull(), (F.col("place") == 1) & F.col("store_id").isNotNull()
    away = ranked.withColumn("away", F.when(is_store & ~home, _distance(ranked, home)))
    # A decimal of ten digits, so that no engine has to shorten the product.
    weight = F.when(F.col("away").isNotNull(), F.col("visits").cast("decimal(10,0)"))
    figures = (
        F.max(F.when(home, F.col("store_id"))).alias("home_store_id"),
        F.count("store_id").cast("int").alias("stores_visited"),
        F.count(F.when(is_store & within("last_on", QUARTER_DAYS), 1)).cast("int").alias("stores_visited_91d"),
        F.coalesce(F.sum(F.when(is_store, F.col("visits"))), F.lit(0)).cast("int").alias("store_visits"),
        F.max(F.when(home, F.col("visits"))).alias("home_visits"),
        F.sum(F.when(is_store, F.col("switches"))).alias("switches"),
        F.max(F.when(home, F.col("last_on"))).alias("home_last_on"),
        ratio(F.sum(F.col("away") * weight), F.sum(weight)).alias("other_stores_distance_avg_km"),
        F.max("away").cast("double").alias("other_stores_distance_max_km"),
    )
    sums = sums_at_each(away, as_of, zone, ("user_id",), figures)
    recency = F.datediff("today", "home_last_on").cast("int")
    share = ratio(F.col("home_visits"), F.col("store_visits"))
    rate = ratio(F.col("switches"), F.col("store_visits") - 1)
    columns = {"home_store_recency_days": recency, "home_store_share": share, "store_switch_rate": rate}
    return sums.withColumns(columns).select(*TABLE.names)


def _visits(bills: DataFrame, as_of: Moments) -> DataFrame:
    """One row per user, store and day: ``first_at``, and ``switched`` where the visit before was to another store.

    A visit is known from its first bill, and so is the one before it: no later moment changes either. The bills of a
    day that are no visit share a row without a store.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    rows = known(bills, "billed_at", as_of).filter(F.col("user_id").isNotNull())
    store = F.when(F.col("amount") >= 0, F.col("store_id")).alias("store_id")
    days = (
        rows.select("user_id", store, "billed_on", "billed_at", KNOWN_FROM)
        .groupBy("user_id", "store_id", "billed_on")
        .agg(F.min("billed_at").alias("first_at"), F.min(KNOWN_FROM).alias(KNOWN_FROM))
    )
    window = Window.partitionBy("user_id", F.col("store_id").isNull()).orderBy("first_at", "store_id")
    return days.withColumn("switched", (F.col("store_id") != F.lag("store_id").over(window)).cast("int"))


def _visited(visits: DataFrame, as_of: Moments, zone: str) -> DataFrame:
    """One row per user, store and moment: visits, switches to it, its last day and the last time."""
    from pyspark.sql import functions as F

    sums = (
        F.count(F.lit(1)).alias("visits"),
        F.coalesce(F.sum("switched"), F.lit(0)).alias("switches"),
        F.max("billed_on").alias("last_on"),
        F.max("first_at").alias("last_at"),
    )
    added = (F.sum(name).alias(name) for name in ("visits", "switches"))
    combined = (*added, *(F.max(name).alias(name) for name in ("last_on", "last_at")))
    return totals_at_each(visits, as_of, zone, ("user_id", "store_id"), sums, combined)


def _place() -> Expression:
    """The rank of a store among those of its user: 1 is the home store."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    own = Window.partitionBy("as_of", "user_id", F.col("store_id").isNull())
    return F.row_number().over(own.orderBy(F.col("visits").desc(), F.col("last_at").desc(), F.col("store_id").asc()))


def _coordinates(raw_stores: DataFrame | None, bills: DataFrame) -> DataFrame:
    """Where each store stands, once: ``latitude`` and ``longitude`` in radians; no row for one without either."""
    from pyspark.sql import functions as F

    if raw_stores is None:
        nowhere = F.lit(None).cast("double")
        rows = bills.select("store_id", nowhere.alias("latitude"), nowhere.alias("longitude"))
        return rows.filter(F.lit(False))
    rows = raw_stores.select(*identifiers("store_id"), "latitude", "longitude")
    placed = rows.filter("store_id is not null and abs(latitude) <= 90 and abs(longitude) <= 180")
    # Of several rows the southernmost: whichever, as long as it is always the same one.
    place = F.min(F.struct("latitude", "longitude")).alias("place")
    return placed.groupBy("store_id").agg(place).select("store_id", *_radians())


def _radians() -> list[Expression]:
    from pyspark.sql import functions as F

    return [F.radians(F.col("place")[name]).alias(name) for name in ("latitude", "longitude")]


def _distance(ranked: DataFrame, home: Expression) -> Expression:
    """Kilometres from the user's home store, to the metre: the engines' sines may differ in the last bit."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    own = Window.partitionBy("as_of", "user_id")
    north, east = (F.max(F.when(home, F.col(name))).over(own) for name in ("latitude", "longitude"))
    across = F.sin((F.col("latitude") - north) / 2)
    along = F.sin((F.col("longitude") - east) / 2)
    half = across * across + F.cos(north) * F.cos("latitude") * along * along
    # Rounding must not lift it above 1; least() would make 1 of a missing place.
    sine = F.sqrt(F.when(half > 1, F.lit(1.0)).otherwise(half))
    return (2 * EARTH_KM * F.asin(sine)).cast("decimal(18,3)")


def plot(frame: DataFrame) -> Figure:
    """How faithful users are to their home store, in tenths of their visits."""
    from matplotlib.figure import Figure
    from pyspark.sql import functions as F

    tenth = F.least(F.floor(F.col("home_store_share") * 10), F.lit(9)).cast("int").alias("tenth")
    counted = frame.filter("home_store_share is not null").groupBy(tenth).count().collect()
    users = {row.tenth: row["count"] for row in counted}
    figure = Figure(figsize=(7, 3.5), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.bar([n * 10 + 5 for n in range(10)], [users.get(n, 0) for n in range(10)], width=9, color="tab:blue")
    axes.set_xlabel("visits that went to the home store (%)")
    axes.set_ylabel("users")
    axes.set_title(f"{sum(users.values()):,} users by their faithfulness to one store", fontsize=10)
    return figure
