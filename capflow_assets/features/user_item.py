"""Users and items: what each user bought of each item, how often and how lately; what recommenders learn from."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from capflow_assets.contract import Column, Table
from capflow_assets.expressions.grouping import sums_at_each, totals_at_each
from capflow_assets.expressions.known_at import KNOWN_FROM, Moments, at_each, known

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

FORMULAS = {
    "purchases": "count(distinct days with the item bought)",
    "pieces": "sum(quantity)",
    "spend_item": "sum(amount)",
    "first_bought_on": "min(day bought)",
    "last_bought_on": "max(day bought)",
    "last_bought_days": "day of the moment - last_bought_on",
    "decay_from_on": "first day of the period of the moment",
    "decay_now": "sum over its purchases(2^30 2^(days since the period began / half_life_days))",
    "decay_before": "decay_now of the period before",
}
TABLE = Table(
    grain="user and item that the user ever bought or brought back",
    columns=(
        Column("user_id", "string", "The user.", required=True, personal=True),
        Column("item_id", "string", "The item.", required=True),
        Column("as_of", "timestamp", "The moment up to which line items were read.", required=True),
        Column("purchases", "int", "Local days on which the user bought the item.", required=True, at_least=0),
        Column("pieces", "double", "Pieces bought less pieces brought back; null where no row says.", unit="pieces"),
        Column("spend_item", "double", "Paid for the item, less returns.", required=True, unit="currency"),
        Column("first_bought_on", "date", "The first day of buying; null where it was only brought back."),
        Column("last_bought_on", "date", "The last day of buying; null where it was only brought back."),
        Column("last_bought_days", "int", "Days since last_bought_on.", at_least=0, unit="days"),
        Column(
            "decayed_purchases",
            "double",
            "Purchases, each worth half as much after every half-life.",
            required=True,
            at_least=0,
            formula="sum(2^(-age_days / half_life_days))",
        ),
        Column("decay_from_on", "date", "First day of the period that decay_now counts in; to carry on from.", True),
        Column("decay_now", "bigint", "Purchases of that period in units of 2^-30 of its first day.", True, at_least=0),
        Column("decay_before", "bigint", "The same of the period before, of that one's first day.", True, at_least=0),
    ),
    key=("user_id", "item_id", "as_of"),
    formulas=FORMULAS,
)

# A weight of the first day of a period is 2^30, of its last nearly 2^50; with a purchase on each day of it the sum
# stays below 2^50 x 1.45 x 730 < 2^61, so that no long integer runs over.
WEIGHT_BITS = 30
PERIOD_HALF_LIVES = 20
EPOCH = date(1970, 1, 1)
NET = ("quantity", "amount")
UNITS = 10_000


class Params(BaseModel):
    """What a customer may set for the matrix."""

    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True)

    half_life_days: int = Field(90, ge=1, le=730, description="Days after which a purchase counts half.")


def user_item(line_items: DataFrame, as_of: Moments, zone: str, params: Params | None = None) -> DataFrame:
    """How often, how lately and how much each known user bought each item, as of a moment.

    **Grain**: one row per user, item and moment where the user bought the item or brought it back; rows of anonymous
    bills and of what is no item (postage, fees) are left out. A **purchase** is a local day on which the user bought
    the item, however many rows and bills it took; a return takes nothing from it, but from pieces and money.

    **Columns**: ``pieces`` and ``spend_item`` are net of returns. ``decayed_purchases`` = sum over purchases of
    2^(-age / h), with the age in days and the half-life h of ``Params.half_life_days``.

    **Exact decay.** Time is cut into periods of 20 half-lives, counted from 1970. A purchase on day d of a period
    weighs round(2^30 x 2^((d mod h) / h)) x 2^(d div h), a long integer from a table of h figures, so that sums are
    exact in any order and on every engine, and an earlier table can be carried on. Two periods are kept, this one and
    the one before; what lies further back, more than 20 half-lives, would count less than a millionth and counts 0.
    The sum, divided by the weight of today, is ``decayed_purchases``. Two long integers are exact where one double is
    not, and smaller than the text of a decimal.

    **Missing**: no dates and no recency where the item was only brought back. ``capflow_assets.learning.interactions``
    reads the table as a sparse matrix.

    Reference: G. Cormode, V. Shkapenyuk, D. Srivastava, B. Xu, "Forward Decay: A
    Practical Time Decay Model for Streaming Systems", ICDE (2009).
    """
    chosen = params or Params.model_validate({})
    days = _pair_days(line_items, as_of, zone)
    return _finished(_summed(_parts(days, chosen), as_of, zone), chosen)


def advanced(
    earlier: DataFrame, line_items: DataFrame, as_of: datetime, zone: str, params: Params | None = None
) -> DataFrame:
    """The table as of a later moment, of the one as of an earlier moment and the rows between; equal to the full one.

    Both must be made with the same half-life and zone. A day on which the earlier moment falls is in both, and is one
    purchase.
    """
    from pyspark.sql import functions as F

    chosen = params or Params.model_validate({})
    last = earlier.select("user_id", "item_id", F.col("last_bought_on").alias("counted_on"))
    days = _pair_days(line_items, as_of, zone).join(last, ["user_id", "item_id"], "left")
    is_counted = F.coalesce(F.col("counted_on") >= F.col("billed_on"), F.lit(False))
    days = days.withColumn("bought", F.when(is_counted, F.lit(0)).otherwise(F.col("bought"))).drop("counted_on")
    parts = _parts(days, chosen).unionByName(_carried(earlier, as_of, zone, chosen))
    return _finished(_summed(parts, as_of, zone), chosen)


def _pair_days(line_items: DataFrame, as_of: Moments, zone: str) -> DataFrame:
    """One row per user, item, day and moment: whether it was ``bought`` (0, 1), net pieces and money."""
    from pyspark.sql import functions as F

    goods = F.coalesce(~F.contains("flags", F.lit("not_an_item")), F.lit(True))
    rows = known(line_items, "billed_at", as_of).filter(F.col("user_id").isNotNull() & goods)
    keys = ("user_id", "item_id", "billed_on")
    bought = F.max(F.when(F.col("is_return"), F.lit(0)).otherwise(F.lit(1))).alias("bought")
    sums = (F.sum(_fixed(F.col(name))).alias(name) for name in NET)
    combined = (F.sum(name).alias(name) for name in NET)
    return totals_at_each(rows, as_of, zone, keys, (bought, *sums), (F.max("bought").alias("bought"), *combined))


def _fixed(value: Expression) -> Expression:
    """A number in ten-thousandths, as a long integer: sums are exact, at half the memory of a decimal."""
    from pyspark.sql import functions as F

    return F.floor(value * F.lit(float(UNITS)) + F.lit(0.5)).cast("bigint")


def _parts(days: DataFrame, params: Params) -> DataFrame:
    """What each day adds to its pair."""
    from pyspark.sql import functions as F

    weighed = _weighed(days, "billed_on", params)
    is_bought = F.col("bought") == 1
    ago = _period(F.col("today"), params) - F.col("period")
    day = F.when(is_bought, F.col("billed_on"))
    nothing = F.lit(0).cast("bigint")

    def weight(periods: int) -> Expression:
        counts = is_bought & (ago == periods * PERIOD_HALF_LIVES * params.half_life_days)
        return F.when(counts, F.col("weight")).otherwise(nothing)

    return weighed.select(
        *("as_of", "today", "user_id", "item_id"),
        F.col("bought").cast("bigint").alias("purchases"),
        *("quantity", "amount"),
        day.alias("first_on"),
        day.alias("last_on"),
        weight(0).alias("now"),
        weight(1).alias("before"),
    )


def _carried(earlier: DataFrame, as_of: datetime, zone: str, params: Params) -> DataFrame:
    """An earlier table's rows as parts of a later one."""
    from pyspark.sql import functions as F

    # Whichever moment the row was of, it now belongs to the later one.
    rows = at_each(earlier.drop("as_of").withColumn(KNOWN_FROM, F.lit(0)), as_of, zone)
    passed = _period(F.col("today"), params) - _day_number(F.col("decay_from_on"))
    length = PERIOD_HALF_LIVES * params.half_life_days
    nothing = F.lit(0).cast("bigint")
    before = F.when(passed == 0, F.col("decay_before")).when(passed == length, F.col("decay_now"))
    return rows.select(
        *("as_of", "today", "user_id", "item_id"),
        F.col("purchases").cast("bigint").alias("purchases"),
        _fixed(F.col("pieces")).alias("quantity"),
        _fixed(F.col("spend_item")).alias("amount"),
        F.col("first_bought_on").alias("first_on"),
        F.col("last_bought_on").alias("last_on"),
        F.when(passed == 0, F.col("decay_now")).otherwise(nothing).alias("now"),
        before.otherwise(nothing).alias("before"),
    )


def _summed(parts: DataFrame, as_of: Moments, zone: str) -> DataFrame:
    from pyspark.sql import functions as F

    sums = (
        *(F.sum(name).alias(name) for name in ("purchases", *NET, "now", "before")),
        F.min("first_on").alias("first_bought_on"),
        F.max("last_on").alias("last_bought_on"),
    )
    return sums_at_each(parts, as_of, zone, ("user_id", "item_id"), sums)


def _finished(sums: DataFrame, params: Params) -> DataFrame:
    from pyspark.sql import functions as F

    total = F.col("now").cast("double") + F.col("before").cast("double") / F.lit(float(2**PERIOD_HALF_LIVES))
    units = F.lit(float(UNITS))
    return _weighed(sums, "today", params).select(
        *("user_id", "item_id", "as_of"),
        F.col("purchases").cast("int").alias("purchases"),
        (F.col("quantity").cast("double") / units).alias("pieces"),
        F.coalesce(F.col("amount").cast("double") / units, F.lit(0.0)).alias("spend_item"),
        *("first_bought_on", "last_bought_on"),
        # Sail's datediff is a bigint, Spark's an int.
        F.datediff("today", "last_bought_on").cast("int").alias("last_bought_days"),
        (total / F.col("weight").cast("double")).alias("decayed_purchases"),
        F.date_add(F.lit(EPOCH), F.col("period")).alias("decay_from_on"),
        F.col("now").alias("decay_now"),
        F.col("before").alias("decay_before"),
    )


def _weighed(frame: DataFrame, day: str, params: Params) -> DataFrame:
    """With ``period``, the number of the first day of the day's period, and ``weight``, that of the day in it."""
    from pyspark.sql import functions as F

    half_life = params.half_life_days
    # A join with so few rows is ten times faster than a look-up in a literal array.
    weights = [(phase, round(2 ** (WEIGHT_BITS + phase / half_life))) for phase in range(half_life)]
    phases = frame.sparkSession.createDataFrame(weights, "phase int, phase_weight bigint")
    number = _day_number(F.col(day))
    doublings = F.floor(F.pmod(number, F.lit(PERIOD_HALF_LIVES * half_life)) / F.lit(half_life)).cast("int")
    marked = frame.withColumns(
        {
            "phase": F.pmod(number, F.lit(half_life)).cast("int"),
            "period": _period(F.col(day), params),
            "doubled": _power_of_two(doublings),
        }
    )
    joined = marked.join(F.broadcast(phases), "phase")
    return joined.withColumn("weight", F.col("phase_weight") * F.col("doubled")).drop(
        "phase", "phase_weight", "doubled"
    )


def _power_of_two(exponent: Expression) -> Expression:
    from pyspark.sql import functions as F

    return F.call_function("shiftleft", F.lit(1).cast("bigint"), exponent)


def _day_number(day: Expression) -> Expression:
    from pyspark.sql import functions as F

    return F.datediff(day, F.lit(EPOCH)).cast("int")


def _period(day: Expression, params: Params) -> Expression:
    """The number of the first day of the day's period, counted from 1970."""
    from pyspark.sql import functions as F

    number = _day_number(day)
    return (number - F.pmod(number, F.lit(PERIOD_HALF_LIVES * params.half_life_days))).cast("int")


def plot(frame: DataFrame) -> Figure:
    """How many users bought each item, from the most popular to the least, on logarithmic axes."""
    from matplotlib.figure import Figure
    from pyspark.sql import functions as F

    buyers = frame.filter("purchases > 0").groupBy("item_id").agg(F.count(F.lit(1)).alias("buyers"))
    counted = buyers.groupBy("buyers").agg(F.count(F.lit(1)).alias("items")).toPandas()
    counted = counted.sort_values("buyers", ascending=False)
    pairs, items = int((counted["buyers"] * counted["items"]).sum()), int(counted["items"].sum())
    figure = Figure(figsize=(7, 3.5), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.plot(counted["items"].cumsum(), counted["buyers"], color="tab:blue", drawstyle="steps-pre", marker=".")
    if items:
        axes.set_xscale("log")
        axes.set_yscale("log")
    axes.set_xlabel("items bought by at least so many users")
    axes.set_ylabel("users")
    axes.set_title(f"{pairs:,} pairs of user and item, {items:,} items", fontsize=10)
    return figure
