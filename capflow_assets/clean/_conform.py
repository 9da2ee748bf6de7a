"""How every clean table treats ids, numbers, days, incomplete rows and doubles. No table of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# decimal(18,4) ends here. Sail refuses to cast anything beyond it (not a number, infinity), so it counts as missing.
LARGEST = 1e14


def identifier(name: str) -> Column:
    """An id without blanks around it; an empty one is null."""
    from pyspark.sql import functions as F

    trimmed = F.trim(F.col(name))
    return F.when(trimmed != "", trimmed).alias(name)


def number(name: str) -> Column:
    """A finite number; null where it is none."""
    from pyspark.sql import functions as F

    return F.when(F.abs(F.col(name)) < LARGEST, F.col(name)).alias(name)


def optional(frame: DataFrame, name: str, kind: str) -> Column:
    """A column that a customer may leave out, as a ``kind``; null where it is left out or cannot be read as one."""
    from pyspark.sql import functions as F

    return (F.col(name).try_cast(kind) if name in frame.columns else F.lit(None).cast(kind)).alias(name)


def exact_sum(name: str) -> Column:
    """A sum to the fourth decimal that does not depend on the order of the rows, as a double."""
    from pyspark.sql import functions as F

    return F.sum(F.col(name).cast("decimal(18,4)")).cast("double").alias(name)


def local_day(name: str, zone: str) -> Column:
    """The calendar day of a timestamp in the customer's zone."""
    from pyspark.sql import functions as F

    return F.to_date(F.from_utc_timestamp(F.col(name), zone))


def incomplete(reasons: Mapping[str, str]) -> Column:
    """The reason of the first column that is null, in the given order; null where all are there.

    Args:
        reasons: column name to reason, such as ``{"billed_at": "no_time"}``.
    """
    from pyspark.sql import functions as F

    return F.coalesce(*(F.when(F.col(name).isNull(), F.lit(reason)) for name, reason in reasons.items()))


def name_doubles(
    frame: DataFrame, key: Sequence[str], prefer: Sequence[Column] = (), then: Sequence[Column] = ()
) -> DataFrame:
    """Fill ``removed_because`` (there already, null so far) for every row but one of a key.

    The row that stays is the first by ``prefer``, then the one with the most columns filled, then the first by ``then``
    and by all columns in turn, so that the order of arrival never matters. A copy of an earlier row in that order is a
    ``duplicate``; a row of the same key with other values is a ``conflicting_duplicate``. Rows that have a reason
    already take no part.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    names = [name for name in frame.columns if name != "removed_because"]
    filled = reduce(add, (F.col(name).isNotNull().cast("int") for name in names))
    in_turn = (F.col(name).asc_nulls_last() for name in names)
    window = Window.partitionBy(*key, "removed_because").orderBy(*prefer, filled.desc(), *then, *in_turn)
    # All columns are in the order, so rows share a rank only where they are copies.
    ranked = frame.withColumn("_row", F.row_number().over(window)).withColumn("_rank", F.rank().over(window))
    double = F.when(F.col("_row") > F.col("_rank"), "duplicate").when(F.col("_row") > 1, "conflicting_duplicate")
    return ranked.withColumn("removed_because", F.coalesce("removed_because", double)).drop("_row", "_rank")
