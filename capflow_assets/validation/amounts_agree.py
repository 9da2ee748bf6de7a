"""Bills held against their own line items."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.contract import Finding
from capflow_assets.expressions.sums import exact_sum

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SMALLEST = 0.01


def amounts_agree(
    bills: DataFrame, line_items: DataFrame, *, tolerance_pct: float = 1.0, at_most_share_pct: float = 1.0
) -> Finding:
    """Whether the amounts of bills are the sums of their line items, give or take 1 % (``tolerance_pct``; or 0.01).

    Bills without line items are left out. Passes where at most 1 % (``at_most_share_pct``) of the others disagree.
    Where a customer sends line items alone, bills are made of them, and agree.
    """
    from pyspark.sql import functions as F

    lines = line_items.groupBy("bill_id").agg(exact_sum(F.col("amount")).alias("lines_amount"))
    compared = bills.select("bill_id", "amount").join(lines, "bill_id")
    allowed = F.greatest(F.abs("amount") * (tolerance_pct / 100), F.lit(SMALLEST))
    # Half of the fourth decimal is what rounding alone can make of it.
    off = compared.withColumn("off", F.abs(F.col("amount") - F.col("lines_amount")) > allowed + 0.00005)
    count, disagreeing = off.agg(F.count(F.lit(1)), F.count(F.when(F.col("off"), 1))).collect()[0]
    share_pct = 100 * disagreeing / count if count else 0.0
    sample = off.filter("off").orderBy("bill_id").limit(10).collect() if disagreeing else []
    return Finding(
        check="amounts_agree",
        passed=share_pct <= at_most_share_pct,
        message=f"{disagreeing:,} of {count:,} bills ({share_pct:.2f} %) differ from the sum of their line items "
        f"by more than {tolerance_pct:g} %; at most {at_most_share_pct:g} % may",
        found={"bills": count, "disagreeing": disagreeing, "share_pct": share_pct},
        sample=tuple({name: row[name] for name in ("bill_id", "amount", "lines_amount")} for row in sample),
    )
