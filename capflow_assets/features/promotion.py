"""Promotion: how much of what each user buys is discounted, which coupons are used, and who comes when addressed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.contract import Column, Table
from capflow_assets.expressions.days import QUARTER_DAYS, days_after_each, local_day, within
from capflow_assets.expressions.grouping import parts_at_each, sums_at_each, sums_known, totals_at_each
from capflow_assets.expressions.ids import identifiers
from capflow_assets.expressions.known_at import KNOWN_FROM, Moments, at_each, known
from capflow_assets.expressions.messages import messages_of
from capflow_assets.expressions.sums import exact, ratio, where, zero

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

RESPONSE_DAYS = 7


def _share(name: str, description: str, formula: str, window: str = "") -> Column:
    return Column(name, "double", description, at_least=0, at_most=1, formula=formula, window=window)


FORMULAS = {
    "discount_total": "sum(discount)",
    "coupons_used": "count(redemptions)",
    "coupons_used_91d": "count(redemptions) of 91 days",
    "coupon_recency_days": "day of the moment - last redemption",
    "messages_answerable": "count(messages sent 7 days ago or before)",
}
TABLE = Table(
    grain="user with at least one bill",
    columns=(
        Column("user_id", "string", "The user.", required=True, personal=True),
        Column("as_of", "timestamp", "The moment up to which everything was read.", required=True),
        Column("discount_total", "double", "All that was taken off purchases.", at_least=0, unit="currency"),
        _share(
            "discount_share", "Share of the full price that was taken off.", "sum(discount) / sum(amount + discount)"
        ),
        _share(
            "discount_share_91d",
            "Share of the full price that was taken off lately.",
            "sum(discount) / sum(amount + discount)",
            "91 days",
        ),
        _share("discounted_bill_share", "Share of purchases with a discount.", "those with one / purchases"),
        _share(
            "discounted_bill_share_91d",
            "Share of purchases with a discount, lately.",
            "those with one / purchases",
            "91 days",
        ),
        _share("discounted_line_share", "Share of line items bought with a discount.", "those with one / line items"),
        _share(
            "discounted_line_share_91d",
            "Share of line items bought with a discount, lately.",
            "those with one / line items",
            "91 days",
        ),
        Column("coupons_used", "int", "Times a coupon was used; null where none are sent.", at_least=0),
        Column("coupons_used_91d", "int", "Of them in the last 91 days.", at_least=0, window="91 days"),
        Column("coupon_recency_days", "int", "Days since a coupon was last used.", at_least=0, unit="days"),
        Column("messages_answerable", "int", "Messages sent at least a week ago.", at_least=0),
        _share(
            "visit_response_share",
            "Share of those messages after which the user bought within a week.",
            "messages with a purchase within 7 days / messages_answerable",
        ),
        _share(
            "coupon_response_share",
            "Share of those messages after which the user used a coupon within a week.",
            "messages with a coupon used within 7 days / messages_answerable",
        ),
    ),
    key=("user_id", "as_of"),
    formulas=FORMULAS,
)

SUMS = ("discount", "full", "priced", "discounted")


def promotion(
    bills: DataFrame,
    line_items: DataFrame | None = None,
    redemptions: DataFrame | None = None,
    messages: DataFrame | None = None,
    raw_campaigns: DataFrame | None = None,
    *,
    as_of: Moments,
    zone: str,
) -> DataFrame:
    """How each known user buys on discount, uses coupons and answers messages, as of a moment.

    **Grain**: one row per user with at least one bill up to the moment, and moment. A **purchase** is a bill (a row of
    one) that is no return. A discount below 0 counts as none.

    **Columns**: discounts are of purchases whose discount is known, in the customer's currency; a share is of the full
    price, amount and discount. ``*_91d`` look at the last 91 local days, the moment's own included. A message **calls
    for an answer** within 7 local days of its sending, up to the same time of the day (``expressions.days``); only
    those whose week is over at the moment are counted, so that what is still to come counts neither way. Controls got
    no message. Who answers need not be who was moved: many would have come anyway.

    **Missing**: shares are null without a purchase (line item, message) of the kind; all of coupons is null where the
    customer sends no redemptions, and all of messages where it sends none.
    """
    from pyspark.sql import functions as F

    frame = _discounts(bills, as_of, zone).select(
        "user_id",
        "as_of",
        F.when(F.col("priced") > 0, F.col("discount")).cast("double").alias("discount_total"),
        ratio(F.col("discount"), F.col("full")).alias("discount_share"),
        ratio(F.col("discount_91d"), F.col("full_91d")).alias("discount_share_91d"),
        *_shares_with("discounted_bill_share"),
    )
    if line_items is not None:
        of_lines = _discounts(line_items, as_of, zone).select(
            "user_id", "as_of", *_shares_with("discounted_line_share")
        )
        frame = frame.join(of_lines, ["user_id", "as_of"], "left")
    if redemptions is not None:
        frame = frame.join(_coupons(redemptions, as_of, zone), ["user_id", "as_of"], "left")
        frame = _zeros(frame, "coupons_used", "coupons_used_91d")
    if messages is not None:
        answers = _answers(messages_of(messages, raw_campaigns), bills, redemptions, as_of, zone)
        frame = _zeros(frame.join(answers, ["user_id", "as_of"], "left"), "messages_answerable")
    names = set(frame.columns)
    return frame.select(
        *(F.col(c.name) if c.name in names else F.lit(None).cast(c.type).alias(c.name) for c in TABLE.columns)
    )


def _zeros(frame: DataFrame, *names: str) -> DataFrame:
    from pyspark.sql import functions as F

    return frame.withColumns({name: F.coalesce(name, F.lit(0)) for name in names})


def _shares_with(name: str) -> list[Expression]:
    from pyspark.sql import functions as F

    pairs = ((F.col(f"discounted{tail}"), F.col(f"priced{tail}"), tail) for tail in ("", "_91d"))
    return [ratio(part, whole).alias(f"{name}{tail}") for part, whole, tail in pairs]


def _discounts(rows: DataFrame, as_of: Moments, zone: str) -> DataFrame:
    """Sums over bills, or over line items, of each user and moment; ``_91d`` of the last 91 days."""
    from pyspark.sql import functions as F

    of_users = known(rows, "billed_at", as_of).filter(F.col("user_id").isNotNull())
    amount, discount = exact(F.col("amount")), exact(F.col("discount"))
    taken_off = F.when(discount > 0, discount).otherwise(zero())
    has_discount = ~F.col("is_return") & discount.isNotNull()
    parts = of_users.select(
        "user_id",
        "billed_on",
        KNOWN_FROM,
        F.when(has_discount, taken_off).alias("discount"),
        F.when(has_discount, amount + taken_off).alias("full"),
        F.when(has_discount, 1).alias("priced"),
        F.when(has_discount & (discount > 0), 1).alias("discounted"),
    )
    days = parts_at_each(parts, as_of, zone, ("user_id", "billed_on"), SUMS)
    sums = (
        *(F.coalesce(F.sum(name), F.lit(0)).alias(name) for name in SUMS),
        *(where(within("billed_on", QUARTER_DAYS), F.col(name)).alias(f"{name}_91d") for name in SUMS),
    )
    return sums_at_each(days, as_of, zone, ("user_id",), sums).drop("today")


def _coupons(redemptions: DataFrame, as_of: Moments, zone: str) -> DataFrame:
    """How often and how lately each user used a coupon, for each moment."""
    from pyspark.sql import functions as F

    rows = _redeemed(redemptions).withColumn("used_on", local_day("at", zone))
    uses = sums_known(known(rows, "at", as_of), as_of, ("user_id", "used_on"), (F.count(F.lit(1)).alias("uses"),))
    sums = (
        F.sum("uses").cast("int").alias("coupons_used"),
        where(within("used_on", QUARTER_DAYS), F.col("uses")).cast("int").alias("coupons_used_91d"),
        F.max("used_on").alias("last_on"),
    )
    used = sums_at_each(at_each(uses, as_of, zone), as_of, zone, ("user_id",), sums)
    recency = F.datediff("today", "last_on").cast("int")
    return used.withColumn("coupon_recency_days", recency).drop("today", "last_on")


def _redeemed(redemptions: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    rows = redemptions.select(*identifiers("user_id"), F.col("redeemed_at").alias("at"))
    return rows.filter("user_id is not null and at is not null")


def _answers(sent: DataFrame, bills: DataFrame, redemptions: DataFrame | None, as_of: Moments, zone: str) -> DataFrame:
    """How many messages of each user are a week old at each moment, and how many of those were answered in it."""
    from pyspark.sql import functions as F

    settled = known(_next(sent, bills, redemptions, zone), "settled_at", as_of)
    counts = (
        F.count(F.lit(1)).alias("messages"),
        *(F.count(F.when(F.col(name) <= F.col("until"), 1)).alias(name) for name in ("bought", "redeemed")),
    )
    combined = (F.sum(name).alias(name) for name in ("messages", "bought", "redeemed"))
    totals = totals_at_each(settled, as_of, zone, ("user_id",), counts, combined).drop("today")
    messages = F.col("messages")
    redeemed = ratio(F.col("redeemed"), messages) if redemptions is not None else F.lit(None).cast("double")
    return totals.select(
        "user_id",
        "as_of",
        messages.cast("int").alias("messages_answerable"),
        ratio(F.col("bought"), messages).alias("visit_response_share"),
        redeemed.alias("coupon_response_share"),
    )


def _next(sent: DataFrame, bills: DataFrame, redemptions: DataFrame | None, zone: str) -> DataFrame:
    """Each message with the time of the next purchase and the next coupon of its user, in microseconds.

    Messages, purchases and coupons are put in one order of time and walked backwards, once, instead of being compared
    pair by pair. What happens at the very time of a message is no answer to it.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    def events(frame: DataFrame, kind: str) -> DataFrame:
        return frame.select("user_id", F.unix_micros("at").alias("micros"), F.lit(kind).alias("kind"))

    contacted = sent.filter(~F.col("is_control")).withColumnRenamed("sent_at", "at")
    bought = bills.filter((F.col("amount") >= 0) & F.col("user_id").isNotNull()).withColumnRenamed("billed_at", "at")
    line = events(contacted, "a message").unionByName(events(bought, "bought"))
    if redemptions is not None:
        line = line.unionByName(events(_redeemed(redemptions), "redeemed"))
    backwards = Window.partitionBy("user_id").orderBy(F.col("micros").desc(), F.col("kind").asc())
    until_here = backwards.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    nexts = {
        kind: F.min(F.when(F.col("kind") == kind, F.col("micros"))).over(until_here) for kind in ("bought", "redeemed")
    }
    messages = line.withColumns(nexts).filter(F.col("kind") == "a message")
    settled = messages.withColumn("settled_at", days_after_each(F.timestamp_micros("micros"), RESPONSE_DAYS, zone))
    return settled.withColumn("until", F.unix_micros("settled_at"))


def plot(frame: DataFrame) -> Figure:
    """How many users get what share of the full price taken off."""
    from matplotlib.figure import Figure
    from pyspark.sql import functions as F

    step = F.least(F.floor(F.col("discount_share") * 20), F.lit(19)).cast("int").alias("step")
    counted = frame.filter("discount_share is not null").groupBy(step).count().collect()
    users = {row.step: row["count"] for row in counted}
    figure = Figure(figsize=(7, 3.5), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.bar([n * 5 + 2.5 for n in range(20)], [users.get(n, 0) for n in range(20)], width=4.5, color="tab:blue")
    axes.set_xlabel("discount, in per cent of the full price")
    axes.set_ylabel("users")
    axes.set_title(f"{sum(users.values()):,} users by how much is taken off", fontsize=10)
    return figure
