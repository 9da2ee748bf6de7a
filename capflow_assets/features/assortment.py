"""Assortment: what each user buys, how widely, and how much of it is new."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from capflow_assets.contract import Column, Table
from capflow_assets.expressions.days import QUARTER_DAYS, within
from capflow_assets.expressions.grouping import totals_at_each
from capflow_assets.expressions.known_at import KNOWN_FROM, Moments, known
from capflow_assets.expressions.sums import concentration, exact, ratio, square_of_total, surprise, total, zero
from capflow_assets.expressions.visits import known_users

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame


def _top(name: str, which: str, group: str) -> tuple[Column, Column]:
    share = f"Share of {which} in what was paid for items with a {group}."
    return (
        Column(name, "string", f"The {which}, by what was paid for it."),
        Column(f"{name}_share", "double", share, at_least=0, at_most=1),
    )


FORMULAS = {
    "items_bought": "count(distinct items)",
    "items_bought_91d": "count(distinct items) of 91 days",
    "repeat_spend_share": "sum(amount of items bought on several days) / sum(amount)",
    "top_item_share": "max over items(sum(amount)) / sum(amount)",
    "categories_bought": "count(distinct categories)",
    "top_category": "the category with the largest sum(amount)",
    "top_category_share": "sum(amount of top_category) / sum(amount of items with a category)",
    "second_category": "the category with the second largest sum(amount)",
    "second_category_share": "sum(amount of second_category) / sum(amount of items with a category)",
    "departments_bought": "count(distinct departments)",
    "top_department": "the department with the largest sum(amount)",
    "top_department_share": "sum(amount of top_department) / sum(amount of items with a department)",
    "own_brand_share": "sum(amount of the own brand) / sum(amount of items of a known brand)",
}
TABLE = Table(
    grain="user with at least one bill",
    columns=(
        Column("user_id", "string", "The user.", required=True, personal=True),
        Column("as_of", "timestamp", "The moment up to which line items were read.", required=True),
        Column("items_bought", "int", "Different items bought.", required=True, at_least=0),
        Column("items_bought_91d", "int", "Different items bought lately.", True, at_least=0, window="91 days"),
        Column(
            "new_item_share_91d",
            "double",
            "Novelty: share of the items bought lately that the user had never bought before.",
            at_least=0,
            at_most=1,
            formula="items first bought in the last 91 days / items_bought_91d",
            window="91 days",
        ),
        Column(
            "repeat_item_share",
            "double",
            "Loyalty to items: share of the items that were bought on more than one day.",
            at_least=0,
            at_most=1,
            formula="items bought on several days / items_bought",
        ),
        Column("repeat_spend_share", "double", "Share of those items in all that was paid.", at_least=0, at_most=1),
        Column("top_item_share", "double", "Share of one item in all paid, the largest.", at_least=0, at_most=1),
        Column(
            "item_concentration",
            "double",
            "Herfindahl index of what was paid over items: 1 where one item is all.",
            above=0,
            at_most=1,
            formula="sum(amount of the item^2) / sum(amount)^2",
        ),
        Column("categories_bought", "int", "Different categories; null without a list of items.", at_least=0),
        *_top("top_category", "top category", "category"),
        *_top("second_category", "category after the top one", "category"),
        Column(
            "category_entropy",
            "double",
            "How evenly what was paid spreads over categories: 0 where one is all.",
            at_least=0,
            unit="nats",
            formula="-sum(share * ln(share)) over the categories",
        ),
        Column("departments_bought", "int", "Different departments; null without a list of items.", at_least=0),
        *_top("top_department", "top department", "department"),
        Column(
            "department_entropy",
            "double",
            "How evenly what was paid spreads over departments.",
            at_least=0,
            unit="nats",
            formula="-sum(share * ln(share)) over the departments",
        ),
        Column(
            "own_brand_share",
            "double",
            "Share of the customer's own brand in what was paid for items of a known one.",
            at_least=0,
            at_most=1,
        ),
    ),
    key=("user_id", "as_of"),
    formulas=FORMULAS,
)

COUNTS = ("items", "items_91d", "new_91d", "repeated")
MONEY = ("spend", "repeat_spend", "own_spend", "branded_spend", "square")
CELL = ("as_of", "user_id", "department", "category")


def assortment(
    line_items: DataFrame, bills: DataFrame, items: DataFrame | None = None, *, as_of: Moments, zone: str
) -> DataFrame:
    """What each known user buys as of a moment: variety, loyalty, novelty, and shares of categories.

    **Grain**: one row per user with at least one bill up to the moment, and moment. Rows that were brought back count
    for nothing, neither do those that are no items (postage, fees).

    **Columns**: a category is one inside its department: two of the same name in two departments are two. The **top**
    ones are those for which most was paid, of equal ones the first by name; shares are of what was paid for items whose
    category (department) is known. ``new_item_share_91d`` and the like look at the last 91 local days. The list
    of items has no history: today's categories hold for all moments.

    **Missing**: without items, counts are 0 and shares null. All about categories, departments and own brands is null
    without a list of items, and where that does not say; ``second_category`` where there is no second one.

    Reference: C. E. Shannon, "A Mathematical Theory of Communication", Bell System Technical Journal 27 (1948), for the
    entropies.
    """
    from pyspark.sql import functions as F

    cells = _cells(_user_items(line_items, as_of, zone), items, as_of)
    figures = _figures(_ranked(cells))
    users = known_users(bills, as_of, zone).select("user_id", "as_of")
    joined = users.join(figures, ["user_id", "as_of"], "left")
    filled = joined.withColumns({name: F.coalesce(name, F.lit(0)) for name in ("items_bought", "items_bought_91d")})
    groups = ("categories_bought", "departments_bought")
    none = F.lit(None).cast("int")
    counted = {name: none if items is None else F.coalesce(name, F.lit(0)) for name in groups}
    return filled.withColumns(counted).select(*TABLE.names)


def _user_items(line_items: DataFrame, as_of: Moments, zone: str) -> DataFrame:
    """One row per user, item and moment: what was paid, and the first and last day."""
    from pyspark.sql import functions as F

    goods = ~F.coalesce(F.col("flags").contains("not_an_item"), F.lit(False))
    bought = F.col("user_id").isNotNull() & ~F.col("is_return") & goods
    rows = known(line_items, "billed_at", as_of).filter(bought)
    parts = rows.select(
        "user_id",
        "item_id",
        exact(F.col("amount")).alias("spend"),
        F.col("billed_on").alias("first_on"),
        F.col("billed_on").alias("last_on"),
        KNOWN_FROM,
    )

    sums = (
        total(F.sum("spend")).alias("spend"),
        F.min("first_on").alias("first_on"),
        F.max("last_on").alias("last_on"),
    )
    return totals_at_each(parts, as_of, zone, ("user_id", "item_id"), sums, sums)


def _cells(user_items: DataFrame, items: DataFrame | None, as_of: Moments) -> DataFrame:
    """One row per user, category and moment. Without a list of items all are in one without a name."""
    from pyspark.sql import functions as F

    if items is None:
        unknown = {"department": "string", "category": "string", "own_brand": "boolean"}
        described = user_items.withColumns({name: F.lit(None).cast(kind) for name, kind in unknown.items()})
    else:
        attributes = items.select("item_id", "department", "category", "own_brand")
        described = user_items.join(F.broadcast(attributes), "item_id", "left")
    lately, spend = within("last_on", QUARTER_DAYS), F.col("spend")
    repeated = F.col("first_on") < F.col("last_on")
    # One moment is the same everywhere: as a key it would only cost time.
    is_one_moment = isinstance(as_of, datetime)
    cells = described.groupBy(*(CELL[1:] if is_one_moment else CELL)).agg(
        F.count(F.lit(1)).alias("items"),
        F.count(F.when(lately, 1)).alias("items_91d"),
        F.count(F.when(within("first_on", QUARTER_DAYS), 1)).alias("new_91d"),
        F.count(F.when(repeated, 1)).alias("repeated"),
        F.sum(spend).alias("spend"),
        F.sum(F.when(repeated, spend).otherwise(zero())).alias("repeat_spend"),
        F.sum(F.when(F.col("own_brand"), spend).otherwise(zero())).alias("own_spend"),
        F.sum(F.when(F.col("own_brand").isNotNull(), spend).otherwise(zero())).alias("branded_spend"),
        F.sum(square_of_total(spend)).alias("square"),
        F.max(spend).alias("top_item"),
    )
    return cells.withColumn("as_of", F.lit(as_of)) if is_one_moment else cells


def _ranked(cells: DataFrame) -> DataFrame:
    """The cells with the place of their category and department in the user's spend, and the terms of the entropies."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    user = Window.partitionBy("as_of", "user_id")
    department = Window.partitionBy("as_of", "user_id", "department")
    has_category, has_department = F.col("category").isNotNull(), F.col("department").isNotNull()
    spend = F.col("spend")
    totals = cells.withColumns(
        {
            "category_total": F.sum(F.when(has_category, spend)).over(user),
            "department_total": F.sum(F.when(has_department, spend)).over(user),
            "department_spend": F.sum(spend).over(department),
            "cell": F.row_number().over(department.orderBy(F.col("category").asc_nulls_last())),
        }
    )
    by_category = user.orderBy(
        has_category.desc(), spend.desc(), F.col("category").asc(), F.col("department").asc_nulls_last()
    )
    by_department = user.orderBy(has_department.desc(), F.col("department_spend").desc(), F.col("department").asc())
    # A department has several cells; its first one stands for it.
    is_first = has_department & (F.col("cell") == 1)
    return totals.withColumns(
        {
            "category_place": F.when(has_category, F.row_number().over(by_category)),
            "department_place": F.when(is_first, F.dense_rank().over(by_department)),
            "category_term": F.when(has_category, surprise(spend, F.col("category_total"))),
            "department_term": F.when(is_first, surprise(F.col("department_spend"), F.col("department_total"))),
        }
    )


def _figures(ranked: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    def of_place(group: str, place: int, name: str) -> Expression:
        return F.max(F.when(F.col(f"{group}_place") == place, F.col(name)))

    groups = {"category": ("category", "spend"), "department": ("department", "department_spend")}
    tops = [("top_category", "category", 1), ("second_category", "category", 2), ("top_department", "department", 1)]
    sums = ranked.groupBy("as_of", "user_id").agg(
        *(F.sum(name).alias(name) for name in (*COUNTS, *MONEY)),
        F.max("top_item").alias("top_item"),
        *(of_place(group, place, groups[group][0]).alias(name) for name, group, place in tops),
        *(of_place(group, place, groups[group][1]).alias(f"{name}_spend") for name, group, place in tops),
        *(F.max(f"{group}_total").alias(f"{group}_total") for group in groups),
        F.count("category_place").cast("int").alias("categories_bought"),
        F.count("department_place").cast("int").alias("departments_bought"),
        *(F.sum(f"{group}_term").cast("double").alias(f"{group}_entropy") for group in groups),
    )
    spend = F.col("spend")
    shares = {f"{name}_share": ratio(F.col(f"{name}_spend"), F.col(f"{group}_total")) for name, group, _ in tops}
    return sums.withColumns(
        {
            **shares,
            "items_bought": F.col("items").cast("int"),
            "items_bought_91d": F.col("items_91d").cast("int"),
            "new_item_share_91d": ratio(F.col("new_91d"), F.col("items_91d")),
            "repeat_item_share": ratio(F.col("repeated"), F.col("items")),
            "repeat_spend_share": ratio(F.col("repeat_spend"), spend),
            "top_item_share": ratio(F.col("top_item"), spend),
            "item_concentration": concentration(F.col("square"), spend),
            "own_brand_share": ratio(F.col("own_spend"), F.col("branded_spend")),
        }
    )


def plot(frame: DataFrame) -> Figure:
    """The ten categories that are the top one of most users."""
    from matplotlib.figure import Figure
    from pyspark.sql import functions as F

    counted = frame.filter("top_category is not null").groupBy("top_category").count()
    top = counted.orderBy(F.col("count").desc(), "top_category").limit(10).collect()
    figure = Figure(figsize=(7, 3.5), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.barh([row.top_category[:30] for row in top][::-1], [row["count"] for row in top][::-1], color="tab:blue")
    axes.set_xlabel("users whose top category it is")
    axes.set_title(f"The {len(top)} most frequent top categories", fontsize=10)
    return figure
