"""Where each user stands against the own rhythm of visits: new, active or lapsed.

A silence of thirty days is nothing for one who comes every three weeks, and the end for one who came daily. So a user
has lapsed who stayed away for more than three of the own usual gaps; of one who came only once no gap is known, and
such a user is new for a quarter of a year and lapsed from then on.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from capflow_assets.expressions.days import QUARTER_DAYS, local_day_of
from capflow_assets.expressions.visits import user_days

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

# Of visits at random one gap in twenty is longer than three usual ones: exp(-3) = 0.05.
LAPSED_AFTER_GAPS = 3
NEW, ACTIVE, LAPSED = "new", "active", "lapsed"


def standings(bills: DataFrame, as_of: datetime, zone: str) -> DataFrame:
    """One row per user with a visit up to the moment.

    ``user_id``; ``silent_days``, local days since the last visit; ``gap_days``, the usual gap, the mean of the days
    between visits, null after one visit; ``standing``: ``"new"`` (one visit in the last 91 days), ``"active"`` (silent
    for three usual gaps at most) or ``"lapsed"``. Visits are those of ``expressions.visits``.
    """
    from pyspark.sql import functions as F

    days = user_days(bills, as_of, zone).filter("visited_on is not null").groupBy("user_id")
    spans = days.agg(
        F.count(F.lit(1)).alias("visits"), F.min("visited_on").alias("first_on"), F.max("visited_on").alias("last_on")
    )
    gap = F.datediff("last_on", "first_on") / F.expr("nullif(visits - 1, 0)")
    known = spans.select(
        "user_id", F.datediff(F.lit(local_day_of(as_of, zone)), "last_on").alias("silent_days"), gap.alias("gap_days")
    )
    is_new = F.col("gap_days").isNull() & (F.col("silent_days") < QUARTER_DAYS)
    is_active = ~_is_lapsed(F.col("silent_days"))
    return known.withColumn("standing", F.when(is_new, NEW).when(is_active, ACTIVE).otherwise(LAPSED))


def of_standing(bills: DataFrame, as_of: datetime, zone: str, standing: str) -> DataFrame:
    """The users of one standing, with ``silent_days`` and ``gap_days``."""
    from pyspark.sql import functions as F

    return standings(bills, as_of, zone).filter(F.col("standing") == standing).drop("standing")


def lapses_by(start: datetime, end: datetime, zone: str) -> Expression:
    """Whether a user of ``standings`` at ``start`` who stays away until ``end`` has lapsed by then."""
    from pyspark.sql import functions as F

    ahead = (local_day_of(end, zone) - local_day_of(start, zone)).days
    return _is_lapsed(F.col("silent_days") + ahead)


def _is_lapsed(silent_days: Expression) -> Expression:
    from pyspark.sql import functions as F

    return F.coalesce(silent_days > LAPSED_AFTER_GAPS * F.col("gap_days"), F.lit(True))
