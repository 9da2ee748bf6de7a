"""Local months, for all reports alike.

A month is counted as one number, 12 a year, so that months can be subtracted and missing ones filled in.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

    from pyspark.sql import Column, DataFrame


def month_of(day: date) -> int:
    """The number of a day's month.

    >>> from datetime import date
    >>> month_of(date(2024, 3, 1)) - month_of(date(2023, 12, 31))
    3
    """
    return day.year * 12 + day.month - 1


def last_whole_month(today: date) -> int:
    """The newest month that is over, where a month is over on its last day.

    >>> from datetime import date
    >>> [last_whole_month(date(2024, 2, day)) - month_of(date(2024, 2, 1)) for day in (28, 29)]
    [-1, 0]
    """
    return month_of(today + timedelta(days=1)) - 1


def month_number(day: str) -> Column:
    """The number of the month of a date column."""
    from pyspark.sql import functions as F

    return (F.year(day) * 12 + F.month(day) - 1).cast("int")


def month_name(number: Column) -> Column:
    """A month's number as people write it: ``2024-06``."""
    from pyspark.sql import functions as F

    return F.format_string("%04d-%02d", F.floor(number / 12).cast("int"), (number % 12 + 1).cast("int"))


def every_month(cells: DataFrame, group: str, month: str, values: tuple[str, ...], until: Column) -> DataFrame:
    """The cells of each group, and empty ones (null values) for the months that it lacks, from its first to ``until``.

    The cells are gathered by group and dealt out again, which reads them once; a join with a calendar would twice.
    """
    from pyspark.sql import functions as F

    gathered = cells.groupBy(group).agg(
        F.min(month).alias("_first"),
        F.map_from_entries(F.collect_list(F.struct(month, F.struct(*values)))).alias("_cells"),
    )
    dealt = gathered.withColumn(month, F.explode(F.sequence("_first", until.cast("int"))))
    looked_up = dealt.withColumn("_cell", F.element_at("_cells", F.col(month)))
    return looked_up.select(group, month, *(F.col(f"_cell.{name}").alias(name) for name in values))
