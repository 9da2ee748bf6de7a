"""How much more of an item each user buys when its price falls, with an interval; and by category.

Prices of an item move over time. How its pieces follow, week effects out, is the elasticity of its category, shrunk to
that of all (``learning.category_elasticity``). Which of the prices a user bought at, against what is usual of the same
items, says how far the user is from that, shrunk to nobody (``learning.user_elasticity``). Both say what was, not what
a price would do that nobody has tried.

It is judged by what it means for the next weeks: who goes by the price pays less than others for the same items.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import Field

from capflow_assets.contract import (
    Answer,
    Candidate,
    Column,
    Horizon,
    Metric,
    Model,
    Needs,
    Outcome,
    Reads,
    Rule,
    Subject,
)
from capflow_assets.learning.elasticity_estimators import ITEMS, LINES, OneElasticity, PriceSensitivity
from capflow_assets.learning.objectives.ranked_list import users_with_a_bill

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame


LINE_COLUMNS = ("user_id", "item_id", "store_id", "billed_on", "quantity", "amount", "is_return", "flags")
# An item of fewer rows in the horizon has no price that is usual of it.
FEWEST_ROWS = 10


class PriceSensitivityParams(Horizon):
    """What a person may set for the sensitivity to prices."""

    horizon_days: int = Field(91, ge=7, le=730, description="Local days after the as-of moment that are looked at.")
    weeks: int = Field(104, ge=12, le=520, description="Weeks of line items that are learned from.")


def outcome(line_items: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """How much less than all others each user pays for the same items in the horizon.

    One row per known user with priced pieces in ``(start, end]``: ``user_id``, ``pieces``, and ``saving``: the mean
    over pieces of the logarithm of what is usual of the item in the horizon over what was paid, each at most 1, less
    that of all at the store. Returns and what is no item do not count, nor do items of fewer than 10 rows.
    """
    import pyspark.sql.functions as F
    from pyspark.sql import Window

    from capflow_assets.learning.price_choices import FURTHEST, MOST_PIECES

    is_within = (F.col("billed_at") > F.lit(start)) & (F.col("billed_at") <= F.lit(end))
    is_item = F.coalesce(~F.contains("flags", F.lit("not_an_item")), F.lit(True))
    units = F.coalesce("quantity", F.lit(1.0))
    rows = line_items.where(is_within & ~F.col("is_return") & is_item & (F.col("amount") > 0) & (units > 0))
    is_count = (units == F.floor(units)) & (units <= MOST_PIECES)
    pieces = F.when(is_count, units).otherwise(1.0)
    price = F.log(F.col("amount") / units)
    rows = rows.select("user_id", "store_id", "item_id", pieces.alias("pieces"), price.alias("price"))

    def mean(value: Expression, group: str) -> Expression:
        of_group = Window.partitionBy(group)
        return F.sum(F.col("pieces") * value).over(of_group) / F.sum("pieces").over(of_group)

    count = F.count(F.lit(1)).over(Window.partitionBy("item_id"))
    rows = rows.withColumns({"usual": mean(F.col("price"), "item_id"), "rows": count}).where(
        F.col("rows") >= FEWEST_ROWS
    )
    saved = F.least(F.greatest(F.col("usual") - F.col("price"), F.lit(-FURTHEST)), F.lit(FURTHEST))
    rows = rows.withColumn("saved", saved)
    rows = rows.withColumn("saved", F.col("saved") - mean(F.col("saved"), "store_id")).where("user_id is not null")
    saving = F.sum(F.col("pieces") * F.col("saved")) / F.sum("pieces")
    return rows.groupBy("user_id").agg(F.sum("pieces").alias("pieces"), saving.alias("saving"))


def saving_explained(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """See ``learning.price_answers``."""
    from capflow_assets.learning.price_answers import saving_explained

    return saving_explained(outcomes, answers)


def saving_counted(outcomes: pd.DataFrame, answers: pd.DataFrame) -> Any:
    """See ``learning.price_answers``."""
    from capflow_assets.learning.price_answers import saving_counted

    return saving_counted(outcomes, answers)


def saving_slope(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """See ``learning.price_answers``."""
    from capflow_assets.learning.price_answers import saving_slope

    return saving_slope(outcomes, answers)


def plot(outcomes: pd.DataFrame, answers: pd.DataFrame) -> Figure:
    """What tenths of the users saved against others, and the elasticity of users by their strongest category."""
    from capflow_assets.learning.price_plot import price_plot

    return price_plot(outcomes, answers)


ANSWER = (
    Column("elasticity", "double", "By how many % more the user buys of what costs 1 % more; mostly below 0.", True),
    Column("elasticity_low", "double", "The lower end of its 95 % interval.", True),
    Column("elasticity_high", "double", "The upper end of its 95 % interval.", True),
    Column("strongest_category", "string", "Of the user's categories the one that goes by the price most."),
    Column("expected_saving", "double", "Share by which the user will pay less than others for the same items.", True),
)
MODEL = Model(
    question="How much more does each user buy of an item when its price falls?",
    family="price",
    needs=Needs(tables=("clean/bills", LINES, ITEMS), history_days=182, users=100, positives=50),
    subject=Subject("user", ("user_id",), known=users_with_a_bill),
    reads=(Reads(LINES, LINE_COLUMNS, "frame"), Reads(ITEMS, ("item_id", "category"), "frame")),
    outcome=Outcome(outcome, ("pieces", "saving"), absent="unknown"),
    answer=Answer(columns=ANSWER),
    objective="effect",
    params=PriceSensitivityParams,
    candidates=(
        Candidate("elasticities by user and category", PriceSensitivity),
        Candidate("one elasticity for all", OneElasticity, is_baseline=True),
    ),
    metric=Metric(
        "saving_explained",
        saving_explained,
        True,
        "Share explained of what users saved against others who bought the same items, by pieces.",
        counted=saving_counted,
    ),
    rules=(Rule("saving_slope", saving_slope, "what was saved for each unit expected", otherwise="tell"),),
    plot=plot,
    fitted="now",
)
