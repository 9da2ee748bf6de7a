"""Line items, conformed: what was bought, row by row."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from capflow_assets.clean.bills import heads
from capflow_assets.contract import Column, Table
from capflow_assets.expressions.bills import LONGEST_BILL_MICROS
from capflow_assets.expressions.days import local_day
from capflow_assets.expressions.exports import REPLACED, latest_of_bill, with_export
from capflow_assets.expressions.ids import identifiers
from capflow_assets.expressions.numbers import implausible, number
from capflow_assets.expressions.optional_columns import optional
from capflow_assets.expressions.removals import incomplete, placeholder_time

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

TABLE = Table(
    grain="row of a bill",
    columns=(
        Column("bill_id", "string", "The bill that the row stands on.", required=True),
        Column("line_no", "int", "Its place on the bill, from 1: by its own number, else by item.", True, 1),
        Column("item_id", "string", "The item that was bought.", required=True),
        Column("item_name", "string", "What the row calls the item; null where the customer does not say."),
        Column("user_id", "string", "The user who paid; null on an anonymous bill.", personal=True),
        Column("store_id", "string", "The store, or the web shop, where it was paid."),
        Column("billed_at", "timestamp", "When it was paid.", required=True),
        Column("billed_on", "date", "The day when it was paid, in the customer's time zone.", required=True),
        Column("quantity", "double", "How many pieces (or litres, or kilos); negative for a return.", unit="pieces"),
        Column("amount", "double", "What was paid for the row; negative for a return.", True, unit="currency"),
        Column("discount", "double", "What was taken off the row.", unit="currency"),
        Column("is_return", "boolean", "Whether it was brought back: quantity or amount below 0.", required=True),
        Column("flags", "string", "What is odd about the row, separated by commas; empty if nothing.", required=True),
    ),
    key=("bill_id", "line_no"),
    time="billed_at",
    # Copies go where rows have a number of their own, or where the customer asks for it.
    harmless_removals=("duplicate", *REPLACED),
    removal_reason="removed_because",
    flags="flags",
)

NUMBERS = ("amount", "quantity", "discount")
REASONS = {"bill_id": "no_bill_id", "item_id": "no_item_id", "billed_at": "no_time", "amount": "no_amount"}


def line_items(
    raw_line_items: DataFrame,
    raw_bills: DataFrame | None = None,
    raw_items: DataFrame | None = None,
    *,
    zone: str,
    equal_lines: str = "keep",
    ordered_exports: Collection[str] = (),
) -> DataFrame:
    """The rows of the bills, each with the user, store and time of its bill.

    **Grain**: one row per row of a bill as the customer sent them: equal ones are as many purchases. User, store and
    time come from the row, else from its bill. **Amounts** are in the customer's currency, after discounts. Returns
    stay, marked ``is_return``.

    **Flags** (the row stays): ``anonymous``, no user on the row nor on its bill; ``zero_quantity``, ``zero_amount``;
    ``negative_quantity``; ``cancellation``, goods and money both go back (a return or a credit note; a negative
    quantity without money is a write-off of stock); ``negative_price``, one of the two goes back and the other does
    not; ``unknown_bill`` where the customer sends bills and this one is not among them; ``unknown_item`` where there
    is a list of items and the item is not in it; ``not_an_item`` where that list says so (``is_item``); ``repeated``,
    equal to a row of the bill that stays before it; ``several_exports``, its bill has rows of several exports that
    have no line in common.

    **Set aside** (``removed_because``): ``no_bill_id``, ``no_item_id``, ``no_time`` (neither the row nor its bill has
    one), ``no_amount``; ``implausible_amount`` (and ``_quantity``, ``_discount``) of 10^11 and more, as a barcode is;
    ``placeholder_time``, a day that stands for none, such as 1970-01-01; ``later_than_its_bill``: more than a day after
    the first row of its bill, so another bill that took the same number, which must not change the one that was known;
    ``duplicate`` is a copy of another row in every column, where rows have a number of their own (the raw
    ``line_no``), or where equal ones are to go (``equal_lines`` is ``drop``); ``conflicting_duplicate`` has the number
    of another row and other values, of which the earliest stays. Of several exports that have the bill the latest
    holds for all of it (see ``expressions.exports``): ``repeated_export`` where that has the same row, else
    ``earlier_export``, or ``earlier_by_file_name`` where nothing but the files' names says which is later.
    """
    from pyspark.sql import functions as F

    ids = identifiers("bill_id", "item_id", "user_id", "store_id")
    numbers = (number(name) for name in NUMBERS)
    item_name = optional(raw_line_items, "item_name", "string")
    odd = implausible(NUMBERS).alias("removed_because")
    line_no = optional(raw_line_items, "line_no", "bigint")
    frame = raw_line_items.select(*ids, "billed_at", item_name, *numbers, odd, line_no, *with_export(raw_line_items))
    frame = _known_items(_with_bill(frame, raw_bills, is_order_known="bills" in ordered_exports), raw_items)
    unfit = F.coalesce("removed_because", incomplete(REASONS), placeholder_time("billed_at"))
    frame = latest_of_bill(frame.withColumn("removed_because", unfit), is_order_known="line_items" in ordered_exports)
    frame = _numbered(_own_time(frame), is_equal_kept=equal_lines == "keep")
    frame = (
        frame.withColumn("billed_on", local_day("billed_at", zone))
        .withColumn("is_return", (F.coalesce("quantity", F.lit(0.0)) < 0) | (F.coalesce("amount", F.lit(0.0)) < 0))
        .withColumn("flags", _flags())
    )
    return frame.select(*TABLE.names, "removed_because")


def _with_bill(lines: DataFrame, raw_bills: DataFrame | None, *, is_order_known: bool) -> DataFrame:
    from pyspark.sql import functions as F

    if raw_bills is None:
        return lines.withColumn("_bill_known", F.lit(True))
    known = heads(raw_bills, is_order_known=is_order_known).filter("removed_because is null")
    joined = lines.alias("line").join(known.alias("bill"), F.col("line.bill_id") == F.col("bill.bill_id"), "left")
    held = ("bill_id", "item_id", "item_name", *NUMBERS, "line_no", "removed_because", *with_export(lines))
    own = (f"line.{name}" for name in held)
    filled = (F.coalesce(f"line.{name}", f"bill.{name}").alias(name) for name in ("user_id", "store_id", "billed_at"))
    return joined.select(*own, *filled, F.col("bill.bill_id").isNotNull().alias("_bill_known"))


def _known_items(lines: DataFrame, raw_items: DataFrame | None) -> DataFrame:
    from pyspark.sql import functions as F

    if raw_items is None:
        return lines.withColumn("_item_known", F.lit(True)).withColumn("_no_item", F.lit(False))
    is_item = optional(raw_items, "is_item", "boolean")
    listed = (
        raw_items.select(*identifiers("item_id"), is_item)
        .groupBy("item_id")
        .agg(F.lit(True).alias("_listed"), F.max((~F.col("is_item")).cast("int")).alias("_refused"))
    )
    joined = lines.join(listed, "item_id", "left")
    known = joined.withColumn("_item_known", F.coalesce("_listed", F.lit(False)))
    return known.withColumn("_no_item", F.coalesce(F.col("_refused") == 1, F.lit(False))).drop("_listed", "_refused")


def _own_time(lines: DataFrame) -> DataFrame:
    """Name the rows that come too long after the first of their bill to belong to it."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    moment = F.unix_micros("billed_at")
    first = F.min(moment).over(Window.partitionBy("bill_id", "removed_because"))
    late = F.when(moment - first > LONGEST_BILL_MICROS, "later_than_its_bill")
    return lines.withColumn("removed_because", F.coalesce("removed_because", late))


def _numbered(lines: DataFrame, *, is_equal_kept: bool) -> DataFrame:
    """Number the rows of a bill, and name or mark the copies, in one pass over the bill."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    number = F.col("line_no")
    # All columns are in the order, so rows share a rank only where they are copies.
    order = ("item_id", "billed_at", "amount", "quantity", "discount", "user_id", "store_id", "item_name")
    earliest = F.when(number.isNotNull(), F.col("billed_at"))
    in_turn = (value.asc_nulls_last() for value in (number, earliest, *map(F.col, order)))
    window = Window.partitionBy("bill_id", "removed_because").orderBy(*in_turn)
    place = F.row_number() if is_equal_kept else F.dense_rank()
    ranked = (
        lines.withColumn("_row", F.row_number().over(window))
        .withColumn("_rank", F.rank().over(window))
        .withColumn("_is_same_number", F.coalesce(F.lag("line_no").over(window) == number, F.lit(False)))
        .withColumn("line_no", place.over(window).cast("int"))
    )
    is_copy = F.col("_row") > F.col("_rank")
    is_left_out = F.col("_is_same_number") if is_equal_kept else F.lit(True)
    double = F.when(is_copy & is_left_out, "duplicate").when(F.col("_is_same_number"), "conflicting_duplicate")
    return ranked.withColumn("removed_because", F.coalesce("removed_because", double)).withColumn(
        "_is_repeated", is_copy & ~is_left_out
    )


def _flags() -> Expression:
    from pyspark.sql import functions as F

    quantity, amount = F.col("quantity"), F.col("amount")
    odd = {
        "anonymous": F.col("user_id").isNull(),
        "zero_quantity": quantity == 0,
        "zero_amount": amount == 0,
        "negative_quantity": quantity < 0,
        "cancellation": (quantity < 0) & (amount < 0),
        "negative_price": F.signum(quantity) * F.signum(amount) < 0,
        "unknown_bill": ~F.col("_bill_known"),
        "unknown_item": ~F.col("_item_known"),
        "not_an_item": F.col("_no_item"),
        "repeated": F.col("_is_repeated"),
        "several_exports": F.col("_is_of_several"),
    }
    return F.concat_ws(",", *(F.when(condition, F.lit(name)) for name, condition in odd.items()))
