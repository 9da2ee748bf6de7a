"""Rows that came in several exports which overlap: those of the later one hold.

A raw table has the column ``source_export`` only where exports share a key: ``march.csv``, or when it was exported and
its name. Numbers in it count as numbers, so that ``export-9`` comes before ``export-10``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from capflow_assets.contract import EXPORT
from capflow_assets.expressions.bills import LONGEST_BILL_MICROS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.window import WindowSpec

DIGITS = 20
PLACE = "_place"
REPEATED, EARLIER, EARLIER_BY_NAME = "repeated_export", "earlier_export", "earlier_by_file_name"
# What a later export says again, or otherwise, is not lost.
REPLACED = (REPEATED, EARLIER, EARLIER_BY_NAME)


def later(name: str = EXPORT) -> Column:
    """What orders exports: the later one is greater."""
    from pyspark.sql import functions as F

    padded = F.regexp_replace(F.lower(F.coalesce(name, F.lit(""))), "([0-9]+)", "0" * DIGITS + "$1")
    # Names that differ in leading zeros or in case alone are two exports all the same.
    return F.concat(
        F.regexp_replace(padded, f"[0-9]*([0-9]{{{DIGITS}}})", "$1"), F.lit(" "), F.coalesce(name, F.lit(""))
    )


def with_export(raw: DataFrame) -> list[str]:
    """The name of the column of the export, where the rows came in exports that overlap."""
    return [EXPORT] if EXPORT in raw.columns else []


def latest_of_key(
    frame: DataFrame, key: Sequence[str], is_candidate: Column | None = None, reason: str = EARLIER
) -> DataFrame:
    """Fill ``removed_because`` of rows whose key came in a later export as well; without the column of the export.

    ``repeated_export`` where a later one has the very same row, else the ``reason``. Rows that have one already take no
    part, nor do those that are no candidate.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    if EXPORT not in frame.columns:
        return frame
    place = F.when(is_candidate, later()) if is_candidate is not None else later()
    placed = frame.withColumn(PLACE, place).withColumn(
        "_latest", F.max(PLACE).over(Window.partitionBy(*key, "removed_because"))
    )
    return _named(placed, F.col(PLACE) < F.col("_latest"), reason).drop(EXPORT, PLACE, "_latest")


def latest_heads(bills: DataFrame, *, is_order_known: bool) -> DataFrame:
    """Fill ``removed_because`` of bills that came in a later export as well.

    Where the names of the files decide which is later, only of bills that are surely the same: within a day of the
    earliest of the number, and not of two users or two stores. Others are left to the rule of repeated numbers.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    if is_order_known or EXPORT not in bills.columns:
        return latest_of_key(bills, ["bill_id"])
    number = Window.partitionBy("bill_id", "removed_because")
    moment = F.unix_micros("billed_at")
    is_near = moment - F.min(moment).over(number) <= LONGEST_BILL_MICROS
    near = bills.withColumn("_is_near", F.coalesce(is_near, F.lit(False)))
    is_one_bill = [_is_one(F.when(F.col("_is_near"), F.col(name)), number) for name in ("user_id", "store_id")]
    known = near.withColumn("_is_same", F.col("_is_near") & is_one_bill[0] & is_one_bill[1]).drop("_is_near")
    return latest_of_key(known, ["bill_id"], F.col("_is_same"), EARLIER_BY_NAME).drop("_is_same")


def _is_one(value: Column, rows: WindowSpec) -> Column:
    """Whether the rows of a window have one value, or none."""
    from pyspark.sql import functions as F

    return F.coalesce(F.min(value).over(rows) == F.max(value).over(rows), F.lit(True))


def latest_of_bill(lines: DataFrame, *, is_order_known: bool) -> DataFrame:
    """Fill ``removed_because`` of lines whose bill came in a later export as well, and say which bills are of several.

    Where it is known which export is later, that one holds for the whole bill: a line that it lacks was taken out.
    Where the names of the files decide, it does so only if it has a line of the earlier export again: of the same
    number, or of the same item, store and time, and of no other user. Else both are parts of one bill and stay:
    ``_is_of_several``.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    if EXPORT not in lines.columns:
        return lines.withColumn("_is_of_several", F.lit(False))
    placed = lines.withColumn(PLACE, later())
    bill = Window.partitionBy("bill_id", "removed_because")
    if is_order_known:
        frame = placed.withColumn("_latest", F.max(PLACE).over(bill))
        is_earlier, reason = F.col(PLACE) < F.col("_latest"), EARLIER
    else:
        is_unnumbered = F.col("line_no").isNull()
        same = [F.when(is_unnumbered, F.col(name)) for name in ("item_id", "billed_at")]
        same_line = Window.partitionBy("bill_id", "removed_because", "store_id", "line_no", *same)
        of_export = Window.partitionBy("bill_id", "removed_because", PLACE)
        newest = F.when(_is_one(F.col("user_id"), same_line), F.max(PLACE).over(same_line))
        frame = placed.withColumn("_latest", newest)
        frame = frame.withColumn("_is_earlier", F.max((F.col(PLACE) < F.col("_latest")).cast("int")).over(of_export))
        is_earlier, reason = F.col("_is_earlier") == 1, EARLIER_BY_NAME
    named = _named(frame, is_earlier, reason)
    is_of_several = F.col("removed_because").isNull() & (F.min(PLACE).over(bill) != F.max(PLACE).over(bill))
    return named.withColumn("_is_of_several", is_of_several).drop(EXPORT, PLACE, "_latest", "_is_earlier")


def _named(frame: DataFrame, is_earlier: Column, reason: str) -> DataFrame:
    """The reason of rows of earlier exports: as often as a later one has the very same row, it is a repeat."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    own = {PLACE, EXPORT, "_latest", "_is_earlier"}
    values = [name for name in frame.columns if name not in own]
    nth = F.row_number().over(Window.partitionBy(*values, PLACE).orderBy(PLACE))
    newest = F.max(PLACE).over(Window.partitionBy(*values, "_nth"))
    compared = frame.withColumn("_nth", nth).withColumn("_newest", newest)
    repeated = F.when(F.col("_newest") > F.col(PLACE), F.lit(REPEATED)).otherwise(F.lit(reason))
    because = F.coalesce("removed_because", F.when(F.coalesce(is_earlier, F.lit(False)), repeated))
    return compared.withColumn("removed_because", because).drop("_nth", "_newest")
