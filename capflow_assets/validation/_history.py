"""A figure against its own past."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

MONTHS_BACK = 12
# A median of fewer is a matter of luck; so is, of fewer still, the deviation from it.
FEWEST_FOR_USUAL = 3
FEWEST_FOR_Z = 6
# Makes the median absolute deviation of normal values their standard deviation: 1 / 0.6745.
MAD_TO_STD = 1.4826


def against_history(figures: DataFrame, series: Sequence[str], month: str) -> DataFrame:
    """Add to the ``value`` of each month what the 12 months before it lead one to expect.

    ``figures`` has one row per ``series`` and ``month`` (a number, without holes) and says of each with ``is_whole``
    whether the month was seen from end to end: only such months are compared, with such. Added are

    - ``months_before``: how many of the 12 months before are whole and have a value;
    - ``usual``: their median, null below three of them;
    - ``change_pct`` = 100 (value - usual) / |usual|;
    - ``robust_z`` = (value - usual) / (1.4826 MAD), MAD being the median distance from the median of the same months:
      beyond 3.5 either way a value is called an outlier (Iglewicz and Hoaglin 1993, *How to Detect and Handle
      Outliers*). Null below six months, and where most of them are the same;
    - ``year_change_pct``: the same as ``change_pct``, against the same month of the year before, for seasons.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    months = Window.partitionBy(*series).orderBy(month)
    whole = F.when(F.col("is_whole"), F.col("value"))
    past = F.sort_array(F.array_compact(F.array(*(F.lag(whole, n).over(months) for n in range(1, MONTHS_BACK + 1)))))
    frame = figures.withColumn("_past", past).withColumn("_year_before", F.lag(whole, MONTHS_BACK).over(months))
    frame = frame.withColumn("months_before", F.size("_past")).withColumn("_middle", median("_past"))
    usual = F.when(F.col("months_before") >= FEWEST_FOR_USUAL, F.col("_middle"))
    frame = frame.withColumn("usual", usual)
    distances = F.sort_array(F.transform("_past", lambda value: F.abs(value - F.col("_middle"))))
    frame = frame.withColumn("_distances", distances)
    mad = F.when(F.col("months_before") >= FEWEST_FOR_Z, median("_distances"))
    z = (F.col("value") - F.col("usual")) / F.nullif(mad * MAD_TO_STD, F.lit(0.0))
    return frame.select(
        *figures.columns,
        "months_before",
        "usual",
        _change_pct("usual").alias("change_pct"),
        F.when(F.col("is_whole"), z).alias("robust_z"),
        _change_pct("_year_before").alias("year_change_pct"),
    )


def median(ordered: str) -> Column:
    """The median of an ordered array column, null of an empty one."""
    from pyspark.sql import functions as F

    count = F.size(ordered)
    low, high = ((F.floor((count - 1) / 2)).cast("int"), F.floor(count / 2).cast("int"))
    return (F.get(ordered, low) + F.get(ordered, high)) / 2


def _change_pct(before: str) -> Column:
    from pyspark.sql import functions as F

    change = (F.col("value") - F.col(before)) / F.nullif(F.abs(before), F.lit(0.0)) * 100
    return F.when(F.col("is_whole"), change)
