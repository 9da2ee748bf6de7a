"""What counts as a visit inside a horizon: the one definition that every label of buying is made of.

Pure: PySpark DataFrame API only; a row is one visit's bill, ``user_id`` is never null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

# On rows that are handed to a label for several horizons at once: the moment that the row's horizon begins at.
MOMENT = "as_of"


def example_key(rows: DataFrame) -> list[str]:
    """What a label groups by: the user, and the moment where the rows are of several horizons."""
    return ["user_id", MOMENT] if MOMENT in rows.columns else ["user_id"]


def visits_within(bills: DataFrame, start: datetime | Expression, end: datetime | Expression) -> DataFrame:
    """The bills of clean/bills by known users, returns apart, with ``start < billed_at <= end``.

    One row per bill; columns as they came. A bill of 0, paid by a coupon or given, is a visit. Where the bills are of
    several horizons, ``start`` and ``end`` are their columns.
    """
    import pyspark.sql.functions as F

    return bills.where(
        (F.col("billed_at") > F.lit(start))
        & (F.col("billed_at") <= F.lit(end))
        & F.col("user_id").isNotNull()
        & ~F.col("is_anonymous")
        & ~F.col("is_return")
    )
