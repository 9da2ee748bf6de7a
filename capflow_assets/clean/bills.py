"""Bills, conformed: the table that most of the graph is made of."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from capflow_assets.contract import Column, Table
from capflow_assets.errors import TableError
from capflow_assets.expressions.days import local_day
from capflow_assets.expressions.exports import REPLACED, latest_heads, with_export
from capflow_assets.expressions.ids import identifiers
from capflow_assets.expressions.numbers import LARGEST_TOTAL, implausible, number
from capflow_assets.expressions.removals import incomplete, name_doubles, placeholder_time
from capflow_assets.expressions.sums import exact_sum

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TABLE = Table(
    grain="bill",
    columns=(
        Column("bill_id", "string", "The number of the bill.", required=True),
        Column("user_id", "string", "The user who paid; null on an anonymous bill.", personal=True),
        Column("store_id", "string", "The store, or the web shop, where it was paid."),
        Column("billed_at", "timestamp", "When it was paid.", required=True),
        Column("billed_on", "date", "The day when it was paid, in the customer's time zone.", required=True),
        Column("amount", "double", "What was paid, less what was returned on the bill.", True, unit="currency"),
        Column("discount", "double", "What was taken off; null where the customer does not say.", unit="currency"),
        Column("quantity", "double", "Pieces bought less pieces returned.", unit="pieces"),
        Column("line_items", "int", "How many line items it has; null where the customer sends none.", at_least=0),
        Column("is_return", "boolean", "Whether more was returned than bought: amount below 0.", required=True),
        Column("is_anonymous", "boolean", "Whether nobody knows who paid.", required=True),
    ),
    key=("bill_id",),
    time="billed_at",
    # A file of lines has the head of a bill on each of them.
    harmless_removals=("duplicate", *REPLACED),
    removal_reason="removed_because",
)

FIGURES = ("amount", "discount", "quantity")
UNFIT = {"bill_id": "no_bill_id", "billed_at": "no_time"}
# What line items fill in where a bill leaves it open. Its time is its own.
FILLED = ("user_id", "store_id", *FIGURES)


def bills(
    raw_bills: DataFrame | None = None,
    line_items: DataFrame | None = None,
    *,
    zone: str,
    ordered_exports: Collection[str] = (),
) -> DataFrame:
    """Bills from what the customer sends: bills, line items or both.

    **Grain**: one row per bill. With bills sent, those are the bills, and line items only count and fill in what the
    bills leave open (user, store, amount, discount, quantity). With line items alone, the rows of a bill are summed:
    its user and store are the first by name that any row has, its time the earliest.

    **Amounts** are in the customer's currency, after discounts; returns inside a bill are netted. Sums are exact to
    the fourth decimal. **Missing**: ids are trimmed, blank ones are null; a bill without a user is anonymous and
    stays.

    **Set aside** (``removed_because``): ``no_bill_id``, ``no_time``; ``no_amount``, neither the bill nor its line items
    have one; ``implausible_amount`` (and ``_discount``, ``_quantity``) of 10^11 and more, as a barcode is, of a bill
    that is summed up 10^14; ``placeholder_time``, a day that stands for none, such as 1970-01-01; ``duplicate`` is a
    copy of another bill; ``conflicting_duplicate`` has the number of another bill and other values, of which the
    earliest stays: what comes later must not change what was known before. Of several exports that have a bill the
    latest holds: ``repeated_export`` where that has the same row, else ``earlier_export``. Where the TOML does not say
    which export is later (``ordered_exports`` are the raw tables of which it does), the names of the files decide,
    ``earlier_by_file_name``, and a bill of another day, user or store does not replace this one.

    Raises:
        TableError: neither bills nor line items were given.
    """
    from pyspark.sql import functions as F

    if raw_bills is not None:
        frame = _sent(raw_bills, line_items, is_order_known="bills" in ordered_exports)
    elif line_items is not None:
        frame = _summed(line_items).withColumn("removed_because", F.lit(None).cast("string"))
    else:
        raise TableError("There is nothing to make bills from", expected="raw/bills or clean/line_items")
    too_large = implausible(FIGURES, LARGEST_TOTAL)
    frame = (
        frame.withColumn("removed_because", F.coalesce("removed_because", too_large))
        .withColumn("billed_on", local_day("billed_at", zone))
        .withColumn("is_return", F.col("amount") < 0)
        .withColumn("is_anonymous", F.col("user_id").isNull())
    )
    return frame.select(*TABLE.names, "removed_because")


def heads(raw_bills: DataFrame, *, is_order_known: bool = False) -> DataFrame:
    """The bills that line items may belong to, as the customer sent them, with ``removed_because`` named.

    Of each number the earliest stays, as among the bills, and of several exports the latest holds; an amount is not
    asked for, since the line items have it.
    """
    from pyspark.sql import functions as F

    frame = _conformed(raw_bills)
    unfit = F.coalesce("removed_because", incomplete(UNFIT), placeholder_time("billed_at"))
    return _of_one_number(frame.withColumn("removed_because", unfit), is_order_known=is_order_known)


def _conformed(raw_bills: DataFrame) -> DataFrame:
    ids = identifiers("bill_id", "user_id", "store_id")
    figures = (number(name) for name in FIGURES)
    odd = implausible(FIGURES).alias("removed_because")
    return raw_bills.select(*ids, "billed_at", *figures, odd, *with_export(raw_bills))


def _of_one_number(bills: DataFrame, *, is_order_known: bool) -> DataFrame:
    from pyspark.sql import functions as F

    return name_doubles(latest_heads(bills, is_order_known=is_order_known), ["bill_id"], [F.col("billed_at").asc()])


def _sent(raw_bills: DataFrame, line_items: DataFrame | None, *, is_order_known: bool) -> DataFrame:
    from pyspark.sql import functions as F

    frame, amount = _conformed(raw_bills), F.col("amount")
    if line_items is not None:
        lines = _summed(line_items)
        lines = lines.select("bill_id", *(F.col(name).alias(f"_{name}") for name in (*FILLED, "line_items")))
        frame = frame.join(lines, "bill_id", "left")
        amount = F.coalesce("amount", "_amount")
    no_amount = F.when(amount.isNull(), F.lit("no_amount"))
    unfit = F.coalesce("removed_because", incomplete(UNFIT), no_amount, placeholder_time("billed_at"))
    # What the lines say is the same for all bills of a number, and changes nothing between them.
    frame = _of_one_number(frame.withColumn("removed_because", unfit), is_order_known=is_order_known)
    if line_items is None:
        return frame.withColumn("line_items", F.lit(None).cast("int"))
    # What a bill says of itself holds, whatever its lines say: that would hide that the two disagree.
    filled = (F.coalesce(name, f"_{name}").alias(name) for name in FILLED)
    count = F.coalesce("_line_items", F.lit(0)).alias("line_items")
    return frame.select("bill_id", "billed_at", "removed_because", *filled, count)


def _summed(line_items: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    return line_items.groupBy("bill_id").agg(
        *(F.min(name).alias(name) for name in ("user_id", "store_id", "billed_at")),
        *(exact_sum(F.col(name)).alias(name) for name in FIGURES),
        F.count(F.lit(1)).cast("int").alias("line_items"),
    )
