"""Season: on which weekdays, at which hours and in which months each user buys."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import TYPE_CHECKING

from capflow_assets.contract import Column, Table
from capflow_assets.expressions.days import local_time
from capflow_assets.expressions.grouping import totals_at_each
from capflow_assets.expressions.known_at import KNOWN_FROM, Moments, known
from capflow_assets.expressions.sums import ratio, surprise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
# The hours with which a part of the day begins and, before the next one, ends; the night passes midnight.
PARTS = {"morning": (6, 11), "midday": (11, 14), "afternoon": (14, 18), "evening": (18, 22), "night": (22, 6)}


def _share(name: str, when: str) -> Column:
    formula = f"purchases {when} / purchases"
    return Column(f"{name}_share", "double", f"Share of purchases {when}.", at_least=0, at_most=1, formula=formula)


FORMULAS = {
    "favourite_weekday": "the weekday with most purchases, the earliest of equal ones",
    "favourite_hour": "the hour with most purchases, the earliest of equal ones",
    "favourite_month": "the month with most purchases, the earliest of equal ones",
}
TABLE = Table(
    grain="user with at least one bill",
    columns=(
        Column("user_id", "string", "The user.", required=True, personal=True),
        Column("as_of", "timestamp", "The moment up to which bills were read.", required=True),
        *(_share(name, f"on a {name.capitalize()}") for name in WEEKDAYS),
        _share("weekend", "on Saturday and Sunday"),
        *(_share(name, f"from {start} to {end} h, local time") for name, (start, end) in PARTS.items()),
        *(_share(name, f"in {name.capitalize()}") for name in MONTHS),
        Column("favourite_weekday", "int", "Weekday with most purchases; 1 is Monday.", at_least=1, at_most=7),
        Column("favourite_hour", "int", "Local hour with most purchases.", at_least=0, at_most=23, unit="h"),
        Column("favourite_month", "int", "Month with most purchases; 1 is January.", at_least=1, at_most=12),
        Column(
            "weekday_entropy",
            "double",
            "How evenly purchases spread over the week: 0 where all fall on one day, 1.946 where evenly on seven.",
            at_least=0,
            at_most=1.95,
            unit="nats",
            formula="-sum(share * ln(share)) over the weekdays",
        ),
        Column(
            "hour_entropy",
            "double",
            "How evenly purchases spread over the hours of the day; at most 3.178.",
            at_least=0,
            at_most=3.18,
            unit="nats",
            formula="-sum(share * ln(share)) over the hours",
        ),
    ),
    key=("user_id", "as_of"),
    formulas=FORMULAS,
)

BINS = (*(f"day_{n}" for n in range(1, 8)), *(f"hour_{n}" for n in range(24)), *(f"month_{n}" for n in range(1, 13)))


def season(bills: DataFrame, *, as_of: Moments, zone: str) -> DataFrame:
    """The weekday, hour and month profiles of each known user as of a moment.

    **Grain**: one row per user with at least one bill up to the moment, and moment. A **purchase** is a bill that is no
    return. Weekdays, hours and months are those of the customer's time zone, whatever the clock was changed to.

    **Columns**: shares of purchases, which add up to 1 over the weekdays, over the parts of the day and over the
    months; a part of the day begins with its first hour and ends before the next (the morning is 6:00 to 10:59).
    Favourites are those with most purchases, the first of equal ones. Entropies are in nats. A user who has been known
    for less than a year has bought in few months: read the months together with ``tenure_days``.

    **Missing**: all null for a user who only ever brought back.

    Reference: C. E. Shannon, "A Mathematical Theory of Communication", Bell System Technical Journal 27 (1948).
    """

    return _counts(bills, as_of, zone).select("user_id", "as_of", *_profile()).select(*TABLE.names)


def _counts(bills: DataFrame, as_of: Moments, zone: str) -> DataFrame:
    """How many purchases of each user fall in each bin, as each moment knows them."""
    from pyspark.sql import functions as F

    rows = known(bills, "billed_at", as_of).filter(F.col("user_id").isNotNull())
    is_purchase = F.col("amount") >= 0
    # Not weekday(): the embedded engine counts Sunday as -1.
    day = (F.dayofweek("billed_on") + F.lit(5)) % 7 + 1
    hour = F.hour(local_time("billed_at", zone))
    place = {"day": day, "hour": hour, "month": F.month("billed_on")}
    parts = rows.select(
        "user_id", KNOWN_FROM, *(F.when(is_purchase, value).alias(name) for name, value in place.items())
    )

    def count(label: str) -> Expression:
        name, number = label.split("_")
        return F.count(F.when(F.col(name) == int(number), 1)).alias(label)

    counts = (F.count("day").alias("purchases"), *map(count, BINS))
    combined = (F.sum(name).alias(name) for name in ("purchases", *BINS))
    return totals_at_each(parts, as_of, zone, ("user_id",), counts, combined)


def _profile() -> list[Expression]:
    from pyspark.sql import functions as F

    purchases = F.col("purchases")
    days, hours, months = ([name for name in BINS if name.startswith(kind)] for kind in ("day_", "hour_", "month_"))
    shares = {f"{name}_share": [day] for name, day in zip(WEEKDAYS, days, strict=True)}
    shares["weekend_share"] = days[5:]
    shares |= {f"{name}_share": _hours(*part) for name, part in PARTS.items()}
    shares |= {f"{name}_share": [month] for name, month in zip(MONTHS, months, strict=True)}
    return [
        *(ratio(reduce(add, map(F.col, bins)), purchases).alias(name) for name, bins in shares.items()),
        _most(days, first=1).alias("favourite_weekday"),
        _most(hours, first=0).alias("favourite_hour"),
        _most(months, first=1).alias("favourite_month"),
        *(_entropy(bins).alias(name) for name, bins in (("weekday_entropy", days), ("hour_entropy", hours))),
    ]


def _hours(start: int, end: int) -> list[str]:
    return [f"hour_{hour % 24}" for hour in range(start, end if end > start else end + 24)]


def _most(bins: Sequence[str], first: int) -> Expression:
    """The place of the fullest bin, counted from ``first``; null where all are empty."""
    from pyspark.sql import functions as F

    most = F.greatest(*bins)
    places = (F.when((F.col(name) == most) & (most > 0), n) for n, name in enumerate(bins, first))
    return F.coalesce(*places).cast("int")


def _entropy(bins: Sequence[str]) -> Expression:
    from pyspark.sql import functions as F

    return reduce(add, (surprise(F.col(name), F.col("purchases")) for name in bins)).cast("double")


def plot(frame: DataFrame) -> Figure:
    """How many users have which favourite weekday and hour."""
    from matplotlib.figure import Figure

    counted = frame.filter("favourite_weekday is not null").groupBy("favourite_weekday", "favourite_hour").count()
    users = {(row.favourite_weekday, row.favourite_hour): row["count"] for row in counted.collect()}
    figure = Figure(figsize=(7, 3.5), dpi=80, layout="constrained")
    axes = figure.subplots()
    grid = [[users.get((day, hour), 0) for hour in range(24)] for day in range(1, 8)]
    axes.imshow(grid, cmap="Blues", aspect="auto", extent=(-0.5, 23.5, 7.5, 0.5))
    axes.set_yticks(range(1, 8), [name.capitalize() for name in WEEKDAYS])
    axes.set_xlabel("favourite hour, local time")
    axes.set_title(f"{sum(users.values()):,} users by their favourite weekday and hour", fontsize=10)
    return figure
