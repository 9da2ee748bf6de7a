"""What counts as a visit inside a horizon: the one definition that every label of buying is made of.

Pure: PySpark DataFrame API only; a row is one visit's bill, ``user_id`` is never null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from pyspark.sql import DataFrame


def visits_within(bills: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """The bills of clean/bills by known users, returns apart, with ``start < billed_at <= end``.

    One row per bill; columns as they came. A bill of 0, paid by a coupon or given, is a visit.
    """
    import pyspark.sql.functions as F

    return bills.where(
        (F.col("billed_at") > F.lit(start))
        & (F.col("billed_at") <= F.lit(end))
        & F.col("user_id").isNotNull()
        & ~F.col("is_anonymous")
        & ~F.col("is_return")
    )
