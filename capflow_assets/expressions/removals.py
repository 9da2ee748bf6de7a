"""Which rows cleaning sets aside, and why: the incomplete ones, those of days that are none, and doubles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

from capflow_assets.expressions.placeholders import is_placeholder

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def placeholder_time(name: str) -> Column:
    """The reason of a time that stands for none, such as 1970-01-01; null of any other."""
    from pyspark.sql import functions as F

    return F.when(is_placeholder(F.col(name)), F.lit("placeholder_time"))


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
