"""Bills, conformed: the table that most of the graph is made of."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from capflow_assets.clean._conform import (
    LARGEST_TOTAL,
    exact_sum,
    identifier,
    implausible,
    incomplete,
    local_day,
    name_doubles,
    number,
    placeholder_time,
)
from capflow_assets.clean._exports import REPLACED, latest_heads, with_export
from capflow_assets.contract import Column, Table
from capflow_assets.errors import TableError

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
    harmless_removals=REPLACED,
)


NUMBERS = ("amount", "discount", "quantity")


def bills(
    raw_bills: DataFrame | None = None,
    line_items: DataFrame | None = None,
    *,
    zone: str,
    ordered_exports: Collection[str] = (),
) -> DataFrame:
    """Bills from what the customer sends: bills, line items or both.

    **Grain**: one row per bill. With bills sent, those are the bills, and line items only count and fill in what the
    bills leave open (user, store, discount, quantity). With line items alone, the rows of a bill are summed: its user
    and store are the first by name that any row has, its time the earliest.

    **Amounts** are in the customer's currency, after discounts; returns inside a bill are netted. Sums are exact to
    the fourth decimal. **Missing**: ids are trimmed, blank ones are null; a bill without a user is anonymous and
    stays.

    **Set aside** (``removed_because``): ``no_bill_id``, ``no_time``, ``no_amount``; ``implausible_amount`` (and
    ``_discount``, ``_quantity``) of 10^11 and more, as a barcode is, of a bill that is summed up 10^14;
    ``placeholder_time``, a day that stands for none, such as 1970-01-01; ``duplicate`` is a copy of another bill;
    ``conflicting_duplicate`` has the number of another bill and other values, of which the earliest stays: what comes
    later must not change what was known before. Of several exports that have a bill the latest holds:
    ``repeated_export`` where that has the same row, else ``earlier_export``. Where the TOML does not say which export
    is later (``ordered_exports`` are the raw tables of which it does), the names of the files decide,
    ``earlier_by_file_name``, and a bill of another day, user or store is no later word on this one.

    Raises:
        TableError: neither bills nor line items were given.
    """
    from pyspark.sql import functions as F

    if raw_bills is not None:
        frame = _fill_in(as_sent(raw_bills, is_order_known="bills" in ordered_exports), line_items)
    elif line_items is not None:
        frame = _summed(line_items).withColumn("removed_because", F.lit(None).cast("string"))
    else:
        raise TableError("There is nothing to make bills from", expected="raw/bills or clean/line_items")
    too_large = implausible(NUMBERS, LARGEST_TOTAL)
    frame = (
        frame.withColumn("removed_because", F.coalesce("removed_because", too_large))
        .withColumn("billed_on", local_day("billed_at", zone))
        .withColumn("is_return", F.col("amount") < 0)
        .withColumn("is_anonymous", F.col("user_id").isNull())
    )
    return frame.select(*TABLE.names, "removed_because")


def as_sent(raw_bills: DataFrame, *, is_order_known: bool = False) -> DataFrame:
    """The bills that the customer sent, with ``removed_because`` named: of each number the earliest stays.

    Of several exports the latest holds.
    """
    from pyspark.sql import functions as F

    reasons = {"bill_id": "no_bill_id", "billed_at": "no_time", "amount": "no_amount"}
    ids = (identifier(name) for name in ("bill_id", "user_id", "store_id"))
    numbers = (number(name) for name in NUMBERS)
    odd = implausible(NUMBERS).alias("removed_because")
    frame = raw_bills.select(*ids, "billed_at", *numbers, odd, *with_export(raw_bills))
    unfit = F.coalesce("removed_because", incomplete(reasons), placeholder_time("billed_at"))
    frame = frame.withColumn("removed_because", unfit)
    return name_doubles(latest_heads(frame, is_order_known=is_order_known), ["bill_id"], [F.col("billed_at").asc()])


def _fill_in(sent: DataFrame, line_items: DataFrame | None) -> DataFrame:
    from pyspark.sql import functions as F

    if line_items is None:
        return sent.withColumn("line_items", F.lit(None).cast("int"))
    both = sent.alias("bill").join(
        _summed(line_items).alias("line"), F.col("bill.bill_id") == F.col("line.bill_id"), "left"
    )
    filled = (
        F.coalesce(f"bill.{name}", f"line.{name}").alias(name)
        for name in ("user_id", "store_id", "discount", "quantity")
    )
    # Time and amount are the bill's own, always: its lines' would hide that the two disagree.
    return both.select(
        "bill.bill_id",
        "bill.billed_at",
        "bill.amount",
        "bill.removed_because",
        *filled,
        F.coalesce("line.line_items", F.lit(0)).alias("line_items"),
    )


def _summed(line_items: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    return line_items.groupBy("bill_id").agg(
        *(F.min(name).alias(name) for name in ("user_id", "store_id", "billed_at")),
        *(exact_sum(name) for name in NUMBERS),
        F.count(F.lit(1)).cast("int").alias("line_items"),
    )
