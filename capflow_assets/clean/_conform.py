"""How every clean table treats ids, numbers, days, incomplete rows and doubles. No table of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

from capflow_assets.expressions import ids
from capflow_assets.expressions.placeholders import is_placeholder

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# One amount or quantity is smaller: a price in any currency is, a barcode of 13 digits is not. In ten-thousandths it is
# exact as a double, and as a long integer 9,000 of them can be summed; as decimals, all of them can.
LARGEST = 1e11
# A bill that is summed up of its lines is smaller. decimal(18,4) ends here, and Sail refuses to cast anything beyond.
LARGEST_TOTAL = 1e14


def identifier(name: str) -> Column:
    """An id without blanks around it; an empty one is null."""
    return ids.identifier(name).alias(name)


def number(name: str) -> Column:
    """A finite number that is no larger than numbers may be (``implausible``); null where it is none."""
    from pyspark.sql import functions as F

    return F.when(F.abs(F.col(name)) < LARGEST, F.col(name)).alias(name)


def implausible(names: Sequence[str], largest: float = LARGEST) -> Column:
    """The reason of the first of the columns that is a number too large to be one; null where none is."""
    from pyspark.sql import functions as F

    def is_too_large(name: str) -> Column:
        size = F.abs(F.col(name))
        return (size >= largest) & (size < F.lit(float("inf")))

    return F.coalesce(*(F.when(is_too_large(name), F.lit(f"implausible_{name}")) for name in names))


def placeholder_time(name: str) -> Column:
    """The reason of a time that stands for none, such as 1970-01-01; null of any other."""
    from pyspark.sql import functions as F

    return F.when(is_placeholder(F.col(name)), F.lit("placeholder_time"))


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
