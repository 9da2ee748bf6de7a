"""Items: price, popularity, trend, loyalty, and what is bought together with each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from capflow_assets.contract import Column, Table
from capflow_assets.expressions.grouping import sums_at_each, totals_at_each
from capflow_assets.expressions.known_at import KNOWN_FROM, Moments, at_each, known
from capflow_assets.expressions.sums import exact, total, zero

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

FORMULAS = {
    "days_since_first_sold": "day of the moment - first day of selling",
    "days_since_last_sold": "day of the moment - last day of selling",
    "buyers": "count(distinct known users who bought it)",
    "buyers_28d": "buyers whose last purchase of it is of 28 days",
    "buyers_91d": "buyers whose last purchase of it is of 91 days",
    "repeat_buyers_share": "buyers on two days or more / buyers",
    "lines_sold": "count(lines that are no returns)",
    "lines_sold_28d": "lines_sold of 28 days",
    "lines_sold_91d": "lines_sold of 91 days",
    "sold_rank_share": "(items sold less + items sold as often / 2) / items, by lines_sold_91d",
    "trend_28d": "(lines_sold_28d - those of the 28 days before) / their sum",
    "pieces_sold": "sum(quantity)",
    "pieces_sold_91d": "sum(quantity) of 91 days",
    "revenue": "sum(amount)",
    "revenue_28d": "sum(amount) of 28 days",
    "revenue_91d": "sum(amount) of 91 days",
    "returned_lines_share": "returned lines / all lines",
    "price_avg": "sum(amount) / sum(quantity) of lines sold",
    "price_last": "price_avg of the last day of selling",
    "price_avg_91d": "price_avg of 91 days",
    "price_change_91d_pct": "100 (price_avg_91d - that of the 91 days before) / the latter",
    "price_to_list_ratio": "price_last / list price",
    "discount_given_share": "sum(discount) / sum(amount + discount)",
    "co_purchased": "items by bills with both / sqrt(bills with one * bills with the other), the first ones",
}
TABLE = Table(
    grain="item that was ever bought or brought back",
    columns=(
        Column("item_id", "string", "The item.", required=True),
        Column("as_of", "timestamp", "The moment up to which line items were read.", required=True),
        Column("days_since_first_sold", "int", "Days since it was first sold.", at_least=0, unit="days", ages=True),
        Column("days_since_last_sold", "int", "Days since it was last sold.", at_least=0, unit="days"),
        Column("buyers", "int", "Known users who bought it.", required=True, at_least=0),
        Column("buyers_28d", "int", "Known users who bought it lately.", True, at_least=0, window="28 days"),
        Column("buyers_91d", "int", "Known users who bought it lately.", True, at_least=0, window="91 days"),
        Column("repeat_buyers_share", "double", "Buyers who bought it on two days or more.", at_least=0, at_most=1),
        Column("lines_sold", "int", "Rows of bills that sold it, returns left aside.", required=True, at_least=0),
        Column("lines_sold_28d", "int", "The same, lately.", required=True, at_least=0, window="28 days"),
        Column("lines_sold_91d", "int", "The same, lately.", required=True, at_least=0, window="91 days"),
        Column("sold_rank_share", "double", "1: the most sold; equal items share.", True, at_least=0, at_most=1),
        Column("trend_28d", "double", "(now - before) / (now + before).", at_least=-1, at_most=1, window="56 days"),
        Column("pieces_sold", "double", "Pieces sold less pieces brought back.", unit="pieces"),
        Column("pieces_sold_91d", "double", "The same, lately.", unit="pieces", window="91 days"),
        Column("revenue", "double", "Paid for it, less returns.", required=True, unit="currency"),
        Column("revenue_28d", "double", "The same, lately.", required=True, unit="currency", window="28 days"),
        Column("revenue_91d", "double", "The same, lately.", required=True, unit="currency", window="91 days"),
        Column("returned_lines_share", "double", "Returns among its rows of bills.", True, at_least=0, at_most=1),
        Column("price_avg", "double", "Average paid a piece.", at_least=0, unit="currency"),
        Column("price_last", "double", "Average paid a piece on the last day of selling.", at_least=0, unit="currency"),
        Column(
            "price_avg_91d", "double", "Average paid a piece lately.", at_least=0, unit="currency", window="91 days"
        ),
        Column("price_change_91d_pct", "double", "price_avg_91d against the 91 days before.", unit="%"),
        Column("price_to_list_ratio", "double", "price_last / the price in the list of items.", at_least=0),
        Column("discount_given_share", "double", "discount / (amount + discount); null where none is told."),
        Column("co_purchased", "array<string>", "Items most bought with it, the closest first.", window="91 days"),
    ),
    key=("item_id", "as_of"),
    formulas=FORMULAS,
)

SUMMED = ("sold", "back", "pieces", "net", "priced", "paid", "given", "gross")


class Params(BaseModel):
    """What a customer may set for items: the bounds that keep the pairs few, however many rows there are."""

    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True)

    co_items: int = Field(1000, ge=2, le=10_000, description="The most sold items among which pairs are counted.")
    co_items_per_bill: int = Field(30, ge=2, le=200, description="Of a bill, so many of the most sold of them.")
    co_purchased: int = Field(5, ge=1, le=50, description="How many items to name for each.")


def item_features(
    line_items: DataFrame,
    items: DataFrame | None = None,
    *,
    as_of: Moments,
    zone: str,
    params: Params | None = None,
) -> DataFrame:
    """How each item sells as of a moment: for how much, to how many, with what.

    **Grain**: one row per item with at least one row of a bill up to the moment, anonymous bills included, and moment;
    what the list of items says is no item is left out, and an item that nobody bought has no row.

    **Columns**: *popularity* counts rows of bills, known users and pieces; ``sold_rank_share`` with n items, of which
    b sold less than this one in 91 days and e as much (this one included), is (b + e/2) / n. *Price* is money over
    pieces of the rows that sold pieces. ``trend_28d`` compares rows of the last 28 days with those of the 28 before.
    ``discount_given_share`` is of the rows that are no returns.

    ``co_purchased``: with n_ab bills of the last 91 days with both, the items b with the highest n_ab / sqrt(n_a n_b),
    the geometric middle of lift and support: lift alone is led by chance pairs, counts alone by what everybody buys.
    Only pairs among the ``Params.co_items`` most sold items of these days are counted, of each bill at most
    ``Params.co_items_per_bill`` of them, the most sold first; other items have none.

    **Missing**: a ratio is null where its divisor is 0.

    Reference: P.-N. Tan, V. Kumar, J. Srivastava, "Selecting the Right Interestingness Measure for Association
    Patterns", KDD (2002), measure IS.
    """
    from pyspark.sql import functions as F

    goods = F.coalesce(~F.contains("flags", F.lit("not_an_item")), F.lit(True))
    rows = known(line_items.filter(goods), "billed_at", as_of)
    sums = _sums(rows, as_of, zone)
    co_purchased = _co_purchased(rows, as_of, zone, params or Params.model_validate({}))
    frame = sums.join(_buyers(rows, as_of, zone), ["as_of", "item_id"], "left")
    frame = frame.join(co_purchased, ["as_of", "item_id"], "left")
    price = F.lit(None).cast("double")
    if items is not None:
        frame = frame.join(items.select("item_id", F.col("price").alias("list_price")), "item_id", "left")
        price = F.col("list_price")
    return _ratios(frame.withColumn("list_price", price)).select(*TABLE.names)


def _sums(rows: DataFrame, as_of: Moments, zone: str) -> DataFrame:
    """Counts and sums of each item and moment, of its days."""
    from pyspark.sql import functions as F

    age = F.datediff("today", "billed_on")
    sold_on = F.when(F.col("sold") > 0, F.col("billed_on"))
    priced_on = F.when(F.col("priced") > 0, F.col("billed_on"))

    def sum_within(name: str, first: int, end: int) -> Expression:
        return F.sum(F.when((age >= first) & (age < end), F.col(name)).otherwise(zero()))

    def sold_within(first: int, end: int) -> Expression:
        return F.sum(F.when((age >= first) & (age < end), F.col("sold")).otherwise(F.lit(0).cast("bigint")))

    sums = (
        F.min(sold_on).alias("first_on"),
        F.max(sold_on).alias("last_on"),
        *(F.sum(name).alias(f"{name}_all") for name in SUMMED),
        *(sold_within(0, days).alias(f"sold_{days}") for days in (28, 91)),
        sold_within(28, 56).alias("sold_before"),
        sum_within("pieces", 0, 91).alias("pieces_91"),
        *(sum_within("net", 0, days).alias(f"net_{days}") for days in (28, 91)),
        *(sum_within(name, 0, 91).alias(f"{name}_91") for name in ("priced", "paid")),
        *(sum_within(name, 91, 182).alias(f"{name}_before") for name in ("priced", "paid")),
        *(F.max_by(name, priced_on).alias(f"{name}_last") for name in ("priced", "paid")),
    )
    return sums_at_each(_item_days(rows, as_of, zone), as_of, zone, ("item_id",), sums)


def _item_days(rows: DataFrame, as_of: Moments, zone: str) -> DataFrame:
    """One row per item, day and moment: rows sold and brought back, pieces and money."""
    from pyspark.sql import functions as F

    quantity, amount, discount = (exact(F.col(name)) for name in ("quantity", "amount", "discount"))
    sold = ~F.col("is_return")
    priced = sold & (F.col("quantity") > 0)
    has_discount = sold & F.col("discount").isNotNull()
    parts = {
        "sold": F.count(F.when(sold, 1)),
        "back": F.count(F.when(F.col("is_return"), 1)),
        "pieces": F.sum(quantity),
        "net": F.sum(amount),
        "priced": F.sum(F.when(priced, quantity)),
        "paid": F.sum(F.when(priced, amount)),
        "given": F.sum(F.when(has_discount, discount)),
        "gross": F.sum(F.when(has_discount, amount + discount)),
    }
    keys = ("item_id", "billed_on")
    sums = (_narrow(parts[name], name) for name in SUMMED)
    combined = (_narrow(F.sum(name), name) for name in SUMMED)
    return totals_at_each(rows, as_of, zone, keys, sums, combined)


def _narrow(sum_: Expression, name: str) -> Expression:
    return (sum_.cast("bigint") if name in ("sold", "back") else total(sum_)).alias(name)


def _buyers(rows: DataFrame, as_of: Moments, zone: str) -> DataFrame:
    """How many known users bought each item, lately and again; a user's first and last day are enough for that."""
    from pyspark.sql import functions as F

    bought = rows.filter(F.col("user_id").isNotNull() & ~F.col("is_return"))
    keys = ("item_id", "user_id")
    ends = (F.min("billed_on").alias("first"), F.max("billed_on").alias("last"))
    combined = (F.min("first").alias("first"), F.max("last").alias("last"))
    pairs = totals_at_each(bought, as_of, zone, keys, ends, combined)
    age = F.datediff("today", "last")
    counts = (
        F.count(F.lit(1)).alias("buyers"),
        *(F.count(F.when(age < days, 1)).alias(f"buyers_{days}d") for days in (28, 91)),
        F.count(F.when(F.col("first") < F.col("last"), 1)).alias("repeat_buyers"),
    )
    return sums_at_each(pairs, as_of, zone, ("item_id",), counts).drop("today")


def _co_purchased(rows: DataFrame, as_of: Moments, zone: str, params: Params) -> DataFrame:
    """For each of the most sold items and moment, the items that are closest to it."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    pairs = _pairs(rows, as_of, zone, params)
    # The pair of b with itself says how many bills have b at all.
    alone = F.max(F.when(F.col("a") == F.col("b"), F.col("bills"))).over(Window.partitionBy("as_of", "b"))
    others = pairs.withColumn("b_bills", alone).filter("a <> b")
    # For one a the order by n_ab^2 / n_b is that by n_ab / sqrt(n_a n_b), without a root.
    close = F.col("bills") * F.col("bills") / F.col("b_bills")
    closest = Window.partitionBy("as_of", "a").orderBy(close.desc(), "b_place")
    first = others.withColumn("nth", F.row_number().over(closest)).filter(F.col("nth") <= params.co_purchased)
    in_order = F.sort_array(F.collect_list(F.struct("nth", "b")))
    lists = first.groupBy("as_of", F.col("a").alias("item_id")).agg(in_order.alias("all"))
    return lists.select("as_of", "item_id", F.transform("all", lambda one: one["b"]).alias("co_purchased"))


def _pairs(rows: DataFrame, as_of: Moments, zone: str, params: Params) -> DataFrame:
    """How many bills of the last 91 days have two of the most sold items; one beside itself: have that one."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    sold = rows.filter(~F.col("is_return")).select("bill_id", "item_id", "billed_on", KNOWN_FROM)
    recent = at_each(sold, as_of, zone).filter(F.datediff("today", "billed_on") < 91)
    counted = sums_at_each(recent, as_of, zone, ("item_id",), (F.count(F.lit(1)).alias("sold"),))
    popular = Window.partitionBy("as_of").orderBy(F.col("sold").desc(), "item_id")
    most = counted.withColumn("place", F.row_number().over(popular)).filter(F.col("place") <= params.co_items)
    baskets = recent.join(F.broadcast(most.drop("sold", "today")), ["as_of", "item_id"])
    items_of_bill = F.sort_array(F.collect_set(F.struct("place", "item_id"))).alias("all")
    bills = sums_at_each(baskets, as_of, zone, ("bill_id",), (items_of_bill,))
    bills = bills.select("as_of", "today", F.slice("all", 1, params.co_items_per_bill).alias("all"))
    one = bills.select("as_of", "today", "all", F.explode("all").alias("one"))
    two = one.select("as_of", "today", "one", F.explode("all").alias("two"))
    flat = two.select(
        "as_of",
        "today",
        F.col("one.item_id").alias("a"),
        F.col("two.item_id").alias("b"),
        F.col("two.place").alias("b_place"),
    )
    return sums_at_each(flat, as_of, zone, ("a", "b", "b_place"), (F.count(F.lit(1)).alias("bills"),))


def _ratios(frame: DataFrame) -> DataFrame:
    """The columns of the table from exact sums, so that every engine divides the same two numbers."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    everything = Window.partitionBy("as_of")
    ranked = everything.orderBy("sold_91")
    twice_middle = F.rank().over(ranked) - 1 + F.count(F.lit(1)).over(ranked)

    def number(name: str) -> Expression:
        return F.coalesce(F.col(name), F.lit(0)).cast("int")

    def money(name: str) -> Expression:
        return F.coalesce(F.col(name).cast("double"), F.lit(0.0))

    def quotient(part: Expression | str, whole: Expression | str) -> Expression:
        dividend, divisor = (F.col(value) if isinstance(value, str) else value for value in (part, whole))
        return dividend.cast("double") / F.nullif(divisor.cast("double"), F.lit(0.0))

    now, before = quotient("paid_91", "priced_91"), quotient("paid_before", "priced_before")
    columns = {
        "days_since_first_sold": F.datediff("today", "first_on").cast("int"),
        "days_since_last_sold": F.datediff("today", "last_on").cast("int"),
        **{name: number(name) for name in ("buyers", "buyers_28d", "buyers_91d")},
        "repeat_buyers_share": quotient("repeat_buyers", "buyers"),
        "lines_sold": number("sold_all"),
        **{f"lines_sold_{days}d": number(f"sold_{days}") for days in (28, 91)},
        "sold_rank_share": twice_middle / (2 * F.count(F.lit(1)).over(everything)),
        "trend_28d": quotient(F.col("sold_28") - F.col("sold_before"), F.col("sold_28") + F.col("sold_before")),
        "pieces_sold": F.col("pieces_all").cast("double"),
        "pieces_sold_91d": F.col("pieces_91").cast("double"),
        "revenue": money("net_all"),
        **{f"revenue_{days}d": money(f"net_{days}") for days in (28, 91)},
        "returned_lines_share": quotient("back_all", F.col("sold_all") + F.col("back_all")),
        "price_avg": quotient("paid_all", "priced_all"),
        "price_last": quotient("paid_last", "priced_last"),
        "price_avg_91d": now,
        "price_change_91d_pct": (now - before) / F.nullif(before, F.lit(0.0)) * 100,
        "price_to_list_ratio": quotient(quotient("paid_last", "priced_last"), "list_price"),
        "discount_given_share": F.when(F.col("gross_all") > 0, quotient("given_all", "gross_all")),
    }
    return frame.select("item_id", "as_of", "co_purchased", *(value.alias(name) for name, value in columns.items()))


def plot(frame: DataFrame) -> Figure:
    """What items cost and how many users buy them: how many items there are at each pair, by doublings."""
    from matplotlib.figure import Figure
    from pyspark.sql import functions as F

    step = [F.floor(F.log2(F.col(name))).cast("int").alias(name) for name in ("price_avg", "buyers")]
    sold = frame.filter("price_avg > 0 and buyers > 0").select(*step)
    counted = sold.groupBy("price_avg", "buyers").agg(F.count(F.lit(1)).alias("items")).toPandas()
    figure = Figure(figsize=(7, 3.5), dpi=80, layout="constrained")
    axes = figure.subplots()
    high = max(counted["items"], default=1)
    axes.scatter(
        2.0 ** (counted["price_avg"] + 0.5),
        2.0 ** (counted["buyers"] + 0.5),
        s=300 * counted["items"] / high,
        alpha=0.6,
    )
    if len(counted):  # nothing has no logarithm
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
    axes.set_xlabel("average paid a piece")
    axes.set_ylabel("users who bought it")
    axes.set_title(f"{int(counted['items'].sum()):,} items by price and popularity", fontsize=10)
    return figure
