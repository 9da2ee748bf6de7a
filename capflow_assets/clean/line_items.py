"""Line items, conformed: what was bought, row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.clean._conform import identifier, incomplete, local_day, number, optional
from capflow_assets.clean.bills import heads
from capflow_assets.contract import Column, Table

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

TABLE = Table(
    grain="row of a bill",
    columns=(
        Column("bill_id", "string", "The bill that the row stands on.", required=True),
        Column("line_no", "int", "The number of the row on its bill, from 1; in the order of the items.", True, 1),
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
)

# Rows of one bill lie at most so far apart; a night shift that closes its bills the next morning fits in.
LONGEST_BILL_HOURS = 24
REASONS = {"bill_id": "no_bill_id", "item_id": "no_item_id", "billed_at": "no_time", "amount": "no_amount"}


def line_items(
    raw_line_items: DataFrame,
    raw_bills: DataFrame | None = None,
    raw_items: DataFrame | None = None,
    *,
    zone: str,
) -> DataFrame:
    """The rows of the bills, each with the user, store and time of its bill.

    **Grain**: one row per item and bill as the customer sent them. User, store and time come from the row, else from
    its bill. **Amounts** are in the customer's currency, after discounts. Returns stay, marked ``is_return``.

    **Flags** (the row stays): ``anonymous``, no user on the row nor on its bill; ``zero_quantity``, ``zero_amount``;
    ``negative_quantity``; ``cancellation``, goods and money both go back (a return or a credit note; a negative
    quantity without money is a write-off of stock); ``negative_price``, one of the two goes back and the other does
    not; ``unknown_bill`` where the customer sends bills and this one is not among them; ``unknown_item`` where a
    catalogue came and the item is not in it; ``not_an_item`` where the catalogue says so (``is_item``).

    **Set aside** (``removed_because``): ``no_bill_id``, ``no_item_id``, ``no_time`` (neither the row nor its bill has
    one), ``no_amount``; ``later_than_its_bill``: more than a day after the first row of its bill, so another bill that
    took the same number, which must not change the one that was known; ``duplicate`` is a copy of another row in every
    column, and shares its ``line_no``.
    """
    from pyspark.sql import functions as F

    ids = (identifier(name) for name in ("bill_id", "item_id", "user_id", "store_id"))
    numbers = (number(name) for name in ("quantity", "amount", "discount"))
    item_name = optional(raw_line_items, "item_name", "string")
    frame = raw_line_items.select(*ids, "billed_at", item_name, *numbers)
    frame = _known_items(_with_bill(frame, raw_bills), raw_items)
    frame = _numbered(_own_time(frame.withColumn("removed_because", incomplete(REASONS))))
    frame = (
        frame.withColumn("billed_on", local_day("billed_at", zone))
        .withColumn("is_return", (F.coalesce("quantity", F.lit(0.0)) < 0) | (F.coalesce("amount", F.lit(0.0)) < 0))
        .withColumn("flags", _flags())
    )
    return frame.select(*TABLE.names, "removed_because")


def _with_bill(lines: DataFrame, raw_bills: DataFrame | None) -> DataFrame:
    from pyspark.sql import functions as F

    if raw_bills is None:
        return lines.withColumn("_bill_known", F.lit(True))
    known = heads(raw_bills).filter("removed_because is null")
    both = lines.alias("line").join(known.alias("bill"), F.col("line.bill_id") == F.col("bill.bill_id"), "left")
    own = (f"line.{name}" for name in ("bill_id", "item_id", "item_name", "quantity", "amount", "discount"))
    filled = (F.coalesce(f"line.{name}", f"bill.{name}").alias(name) for name in ("user_id", "store_id", "billed_at"))
    return both.select(*own, *filled, F.col("bill.bill_id").isNotNull().alias("_bill_known"))


def _known_items(lines: DataFrame, raw_items: DataFrame | None) -> DataFrame:
    from pyspark.sql import functions as F

    if raw_items is None:
        return lines.withColumn("_item_known", F.lit(True)).withColumn("_no_item", F.lit(False))
    is_item = optional(raw_items, "is_item", "boolean")
    listed = (
        raw_items.select(identifier("item_id"), is_item)
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
    late = F.when(moment - first > LONGEST_BILL_HOURS * 3_600_000_000, "later_than_its_bill")
    return lines.withColumn("removed_because", F.coalesce("removed_because", late))


def _numbered(lines: DataFrame) -> DataFrame:
    """Number the rows of a bill and name the copies, in one pass over the bill."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    # All columns are in the order, so rows share a rank only where they are copies.
    order = ("item_id", "billed_at", "amount", "quantity", "discount", "user_id", "store_id", "item_name")
    window = Window.partitionBy("bill_id", "removed_because").orderBy(*(F.col(name).asc_nulls_last() for name in order))
    ranked = (
        lines.withColumn("_row", F.row_number().over(window))
        .withColumn("_rank", F.rank().over(window))
        .withColumn("line_no", F.dense_rank().over(window).cast("int"))
    )
    copy = F.when(F.col("_row") > F.col("_rank"), "duplicate")
    return ranked.withColumn("removed_because", F.coalesce("removed_because", copy))


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
    }
    return F.concat_ws(",", *(F.when(condition, F.lit(name)) for name, condition in odd.items()))
