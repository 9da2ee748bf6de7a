"""When each user buys an item again: a ranked list of the user's own items, with the day on which each is due.

A hazard of each pair of user and item, drawn to the item's and its category's where the user has few gaps of the own
(``learning.repurchases``). Its laws are learned at past moments; the state of the pairs is read at the moment that is
answered for, so that the model keeps no user. An item is due after as many days as half of such pairs take that are
bought again at all. Not known to it: holidays, prices, how much was bought at once.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import Field

from capflow_assets.contract import Candidate, Column, Horizon, Needs, Reads, Subject
from capflow_assets.learning.objectives.ranked_list import TOP, ndcg_metric, ranked_list_model, recall_metric
from capflow_assets.learning.repurchase_estimators import ITEMS, LINES, ItemHazard, MeanGap

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


LINE_COLUMNS = ("user_id", "item_id", "billed_on", "is_return", "flags")
WORDS = "the items bought again"


class ReplenishmentParams(Horizon):
    """What a person may set for replenishment."""

    horizon_days: int = Field(28, ge=1, le=182, description="Local days after the as-of moment that are looked at.")
    moments: int = Field(3, ge=2, le=24, description="How many past as-of moments make the examples.")
    items: int = Field(20, ge=TOP, le=200, description="How many items a user's list has at most.")


def _bought(line_items: DataFrame) -> DataFrame:
    """The rows in which known users buy goods."""
    from pyspark.sql import functions as F

    is_item = F.coalesce(~F.contains("flags", F.lit("not_an_item")), F.lit(True))
    return line_items.filter(F.col("user_id").isNotNull() & ~F.col("is_return") & is_item)


def known(line_items: DataFrame, as_of: datetime) -> DataFrame:
    """Every user who bought an item up to the moment: ``user_id``."""
    from pyspark.sql import functions as F

    return _bought(line_items).filter(F.col("billed_at") <= F.lit(as_of)).select("user_id").distinct()


def outcome(line_items: DataFrame, start: datetime, end: datetime, zone: str) -> DataFrame:
    """Which of the items that a user had bought by ``start`` the user buys again in ``(start, end]``, and when.

    One row per user and item bought again: ``user_id``, ``item_id``, ``bought`` (1), ``days``, local days from the
    moment's own to the first purchase, 1 where it is on that day. Returns and what is no item do not count.
    """
    from pyspark.sql import functions as F

    from capflow_assets.expressions.days import local_day_of

    rows, is_past = _bought(line_items), F.col("billed_at") <= F.lit(start)
    later = F.when(~is_past & (F.col("billed_at") <= F.lit(end)), F.col("billed_on"))
    pairs = rows.groupBy("user_id", "item_id").agg(F.max(is_past).alias("was_bought"), F.min(later).alias("again_on"))
    days = F.greatest(F.datediff("again_on", F.lit(local_day_of(start, zone))), F.lit(1)).cast("double")
    again = pairs.filter(F.col("was_bought") & F.col("again_on").isNotNull())
    return again.select("user_id", "item_id", F.lit(1.0).alias("bought"), days.alias("days"))


MODEL = ranked_list_model(
    question="Which of their items do users need again, and when is each due?",
    needs=Needs(tables=("clean/bills", LINES, ITEMS), history_days=120, users=100, positives=50),
    subject=Subject("user", ("user_id",), known=known),
    reads=(Reads(LINES, LINE_COLUMNS, "frame"), Reads(ITEMS, ("item_id", "category"), "frame")),
    outcome=outcome,
    also_observed=("days",),
    words=WORDS,
    columns=(
        Column("chance", "double", "Chance that it is bought again in the horizon.", True, at_least=0, at_most=1),
        Column("due_in_days", "bigint", "Days until it is due; 0 where it is already.", True, 0, unit="days"),
        Column("due_on", "date", "The day so many days later.", required=True),
    ),
    params=ReplenishmentParams,
    candidates=(
        Candidate("hazard of user and item", ItemHazard),
        Candidate("the own mean gap", MeanGap, is_baseline=True),
    ),
    metric=ndcg_metric(words=WORDS),
    second_metric=recall_metric(words=WORDS),
)
