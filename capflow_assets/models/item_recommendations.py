"""Which items to recommend to each user: those that are new to the user, and apart from them those to buy again.

New items come from three parts: items similar to the user's own by their buyers (item-kNN), items that the user's
factors point to (alternating least squares), and items that are popular lately; of these, the ones are fused by rank
that would have served best at a past moment (``learning.recommendations``). It is judged by new items alone: what a
user buys again and again is easily listed, and ``next_basket`` does. Known items are ranked by how often and how lately
they were bought.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from capflow_assets.contract import Candidate, Column, Horizon, Needs, Reads, Rule, Subject
from capflow_assets.learning.metrics import mean_by_subject
from capflow_assets.learning.objectives.ranked_list import TOP, ranked_list_model, users_with_a_bill
from capflow_assets.learning.ranking import ndcg_by_subject, recall_by_subject, recall_plot
from capflow_assets.learning.recommendation_estimators import (
    KNOWN,
    NEW,
    USER_ITEM,
    Fused,
    PopularItems,
    PopularLately,
    SharedFactors,
    SimilarItems,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from pyspark.sql import DataFrame


COLUMNS = ("user_id", "item_id", "purchases", "decayed_purchases", "last_bought_days")


class ItemRecommendationsParams(Horizon):
    """What a person may set for recommendations."""

    moments: int = Field(3, ge=1, le=24, description="How many past as-of moments make the examples.")
    items: int = Field(20, ge=TOP, le=100, description="How many new items a user's list has.")
    known_items: int = Field(10, ge=TOP, le=100, description="How many items to buy again it has at most.")
    threads: int = Field(2, ge=1, le=64, description="Threads; lists are the same with any number.")


def outcome(line_items: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """What each user buys in the horizon, and whether it was new to the user.

    One row per known user and item bought in ``(start, end]``: ``user_id``, ``item_id``, ``bought_new`` (1 where the
    user had never bought it before, else 0) and ``bought_again`` (the other way round). Returns and what is no item
    (postage, fees) do not count. Since it looks back before the horizon, it is asked for one horizon at a time.
    """
    import pyspark.sql.functions as F

    is_item = F.coalesce(~F.contains("flags", F.lit("not_an_item")), F.lit(True))
    rows = line_items.where((F.col("billed_at") <= F.lit(end)) & F.col("user_id").isNotNull() & ~F.col("is_return"))
    is_later = F.col("billed_at") > F.lit(start)
    within, before = (F.max(when.cast("double")) for when in (is_later, ~is_later))
    pairs = rows.where(is_item).groupBy("user_id", "item_id").agg(within.alias("within"), before.alias(KNOWN))
    return pairs.where("within > 0").select("user_id", "item_id", (1 - F.col(KNOWN)).alias(NEW), KNOWN)


def _of_new(
    by_subject: Callable[..., pd.DataFrame], observed: str, outcomes: pd.DataFrame, answers: pd.DataFrame
) -> pd.DataFrame:
    """New items by new ones listed, those bought again by the known ones listed."""
    is_listed = answers["is_new"].to_numpy(dtype=bool) == (observed == NEW)
    return by_subject(outcomes, answers[is_listed], TOP, observed=observed)


def _metric(name: str, by_subject: Callable[..., pd.DataFrame], observed: str, words: str):  # type: ignore[no-untyped-def]
    return mean_by_subject(name, partial(_of_new, by_subject, observed), True, words)


def new_items_plot(outcomes: pd.DataFrame, answers: pd.DataFrame) -> Figure:
    """What share of the new items of the horizon stood among the new ones listed, by how many are shown."""
    new = answers[answers["is_new"].to_numpy(dtype=bool)]
    return recall_plot(outcomes, new, observed=NEW, words="the new items bought")


KNOWN_RECALL = _metric("recall_10_known", recall_by_subject, KNOWN, "Share of what is bought again among ten known.")


MODEL = ranked_list_model(
    question="Which items to recommend to each user, new ones and known ones?",
    needs=Needs(tables=("clean/bills", "clean/line_items"), history_days=90, users=100, positives=50),
    subject=Subject("user", ("user_id",), known=users_with_a_bill),
    reads=(Reads(USER_ITEM, COLUMNS, "frame"),),
    outcome=outcome,
    observed=NEW,
    also_observed=(KNOWN,),
    columns=(Column("is_new", "boolean", "Whether the user never bought the item.", required=True),),
    params=ItemRecommendationsParams,
    candidates=(
        Candidate("fused by rank", Fused),
        Candidate("item-kNN", SimilarItems),
        Candidate("ALS", SharedFactors),
        Candidate("popular lately", PopularLately),
        Candidate("popular items", PopularItems, is_baseline=True),
    ),
    metric=_metric("recall_10_new", recall_by_subject, NEW, "Share of the new items bought among ten new ones listed."),
    second_metric=_metric(
        "ndcg_10_new", ndcg_by_subject, NEW, "How high the new items bought stand among ten new ones listed."
    ),
    rules=(Rule("recall_10_known", KNOWN_RECALL.compute, "its recall@10 of known items", otherwise="tell"),),
    plot=new_items_plot,
)
