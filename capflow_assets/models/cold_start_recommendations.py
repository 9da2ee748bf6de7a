"""Which of the items that nobody has bought yet each user is to like: a ranked list of new items (two towers).

A net reads items by what they are like (text, picture, category, brand, price, whatever else the list says) and users
by what the items that they bought are like (``learning.nets.two_towers``). It learns from items that sell and ranks
those that do not yet: listed, and on no bill, whoever bought. It is judged on what was bought of these in the newest
horizon, full lists by full lists, against popularity by category, which knows what the user buys and what sells, and
not what an item is like. The list of items has no time: at a past moment items are ranked too that were listed later.
The net keeps what items are like, and no user and no item.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from capflow_assets.contract import Candidate, Horizon, Needs, Reads, Subject
from capflow_assets.learning.metrics import mean_by_subject
from capflow_assets.learning.objectives.ranked_list import ranked_list_model, users_with_a_bill
from capflow_assets.learning.ranking import ndcg_by_subject, recall_by_subject, recall_plot
from capflow_assets.learning.two_tower_estimators import CAME, TOP, PopularByCategory, TwoTowerLists

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


WORDS = "the new items bought"
LINES, ITEMS, TEXTS, PICTURES = "clean/line_items", "clean/items", "features/text", "features/item_pictures"
LINE_COLUMNS = ("user_id", "item_id", "billed_on", "is_return", "flags")
VECTORS = ("item_id", "embedding", "encoder")


class ColdStartParams(Horizon):
    """What a person may set for the net."""

    moments: int = Field(2, ge=2, le=24, description="How many past as-of moments make the examples.")
    items: int = Field(20, ge=TOP, le=200, description="How many new items a user's list has.")
    size: int = Field(64, ge=4, le=512, description="How many numbers a vector has.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Share of the numbers that a training step leaves out.")
    epochs: int = Field(12, ge=1, le=1000, description="How often the training sees purchases at most.")
    seconds: float = Field(
        300, gt=0, le=86_400, description="Seconds that the training may take; the best so far counts."
    )
    batch: int = Field(256, ge=8, le=8192, description="Purchases a step of the training, on a CPU.")
    rate: float = Field(0.005, gt=0, le=1, description="Step of the training at its begin.")


def outcome(line_items: DataFrame, items: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """What each user buys in the horizon of the items that nobody had bought before it.

    One row per known user and item bought in ``(start, end]``: ``user_id``, ``item_id``, ``bought_new`` (1). The item
    is listed and is goods (no postage, no fee), and stands on no bill up to ``start``, of whomever. Returns do not
    count. Since it looks back before the horizon, it is asked for one horizon at a time.
    """
    from pyspark.sql import functions as F

    goods = items.where(F.coalesce(~F.contains("flags", F.lit("not_an_item")), F.lit(True))).select("item_id")
    known = line_items.where(F.col("billed_at") <= F.lit(end))
    sold = known.groupBy("item_id").agg(F.min("billed_at").alias("first_sold_at"))
    new = sold.where(F.col("first_sold_at") > F.lit(start)).join(goods, "item_id", "left_semi").select("item_id")
    rows = known.where((F.col("billed_at") > F.lit(start)) & F.col("user_id").isNotNull() & ~F.col("is_return"))
    pairs = rows.select("user_id", "item_id").distinct().join(new, "item_id", "left_semi")
    return pairs.select("user_id", "item_id", F.lit(1.0).alias(CAME))


RECALL = mean_by_subject(
    f"recall_{TOP}",
    partial(recall_by_subject, top=TOP, observed=CAME),
    True,
    f"Share of {WORDS} among the first {TOP} listed.",
)
NDCG = mean_by_subject(
    f"ndcg_{TOP}",
    partial(ndcg_by_subject, top=TOP, observed=CAME),
    True,
    f"How high {WORDS} stand among the first {TOP}.",
)

MODEL = ranked_list_model(
    question="Which of the items that nobody has bought yet is each user to like?",
    needs=Needs(
        tables=("clean/bills", LINES, ITEMS),
        history_days=90,
        users=100,
        positives=50,
        evidence={"new_items_91d": 10, "unsold_items": 1},
    ),
    subject=Subject("user", ("user_id",), known=users_with_a_bill),
    reads=(
        Reads(LINES, LINE_COLUMNS, "frame"),
        Reads(ITEMS, (), "frame"),
        Reads(TEXTS, VECTORS, "frame"),
        Reads(PICTURES, ("item_id", "embedding", "encoder", "set_aside"), "frame", optional=True),
    ),
    outcome=outcome,
    observed=CAME,
    params=ColdStartParams,
    candidates=(
        Candidate("two towers", TwoTowerLists),
        Candidate("popularity by category", PopularByCategory, is_baseline=True),
    ),
    metric=RECALL,
    second_metric=NDCG,
    plot=partial(recall_plot, observed=CAME, words=WORDS),
)
