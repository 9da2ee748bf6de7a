"""Which items go with each item: what stands on the same bills more often than its popularity explains.

Rules are pairs with support, confidence and lift (``learning.association``), ranked by how much more likely the other
item is on a bill with this one than on any bill. They are judged on the bills of the horizon, which they were not made
from: a pair that was chance is not found there again.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import Field

from capflow_assets.contract import Candidate, Column, Examples, Horizon, Needs, Reads, Rule, Subject
from capflow_assets.learning.association import LEAST_BILLS, LINE_COLUMNS, MOST_ITEMS, added_by_length, added_by_subject
from capflow_assets.learning.metrics import mean_by_subject
from capflow_assets.learning.objectives.ranked_list import TOP, ranked_list_model

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

LINES, OTHER = "clean/line_items", "with_item_id"
FIGURES = ("support", "confidence", "lift", "share_of_bills")


class MarketBasketParams(Horizon):
    """What a person may set for rules between items."""

    moments: int = Field(2, ge=2, le=24, description="How many past as-of moments make the examples.")
    items: int = Field(10, ge=TOP, le=100, description="How many items are listed with an item at most.")


class AssociationRules:
    """The pairs that stand together on bills beyond chance."""

    def __init__(self, params: MarketBasketParams) -> None:
        self.params = params

    def fit(self, examples: Examples) -> AssociationRules:
        """Nothing is kept: pairs are counted on the bills up to the moment that is answered for."""
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """Of each item a list: ``with_item_id``, ``score``, ``support``, ``confidence``, ``lift``, ``reasons``."""
        from capflow_assets.learning.association import rule_rows
        from capflow_assets.learning.association_rows import answer_rows

        return answer_rows(
            examples.table(LINES), examples.columns.index, lambda pairs, asked: rule_rows(pairs, asked, self._size)
        )

    @property
    def _size(self) -> int:
        return self.params.items

    def parameters(self) -> dict[str, Any]:
        """How long its lists are."""
        return self.params.model_dump()


class PopularItems(AssociationRules):
    """The baseline: the items that stand on most bills, whatever the item."""

    def predict(self, examples: Examples) -> pd.DataFrame:
        """As the rules'."""
        from capflow_assets.learning.association_rows import answer_rows, popular_rows

        return answer_rows(
            examples.table(LINES), examples.columns.index, lambda pairs, asked: popular_rows(pairs, asked, self._size)
        )


def outcome(line_items: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """Which items stand on one bill in the horizon.

    One row per pair of items with a bill in ``(start, end]``: ``item_id``, ``with_item_id``, ``together_bills`` and
    ``item_bills``, on how many bills the first one stands. Returns and what is no item do not count.
    """
    import pyspark.sql.functions as F

    is_within = (F.col("billed_at") > F.lit(start)) & (F.col("billed_at") <= F.lit(end))
    stands = line_items.where(is_within & _is_bought()).select("bill_id", "item_id").distinct()
    counts = stands.groupBy("item_id").agg(F.count(F.lit(1)).cast("double").alias("item_bills"))
    others = stands.select("bill_id", F.col("item_id").alias(OTHER))
    pairs = stands.join(others, "bill_id").where(F.col("item_id") != F.col(OTHER)).groupBy("item_id", OTHER)
    together = pairs.agg(F.count(F.lit(1)).cast("double").alias("together_bills"))
    return together.join(counts, "item_id").select("item_id", OTHER, "together_bills", "item_bills")


def known(line_items: DataFrame) -> DataFrame:
    """The items of which rules can be told: those on enough bills, the ones on most of them."""
    import pyspark.sql.functions as F

    stands = line_items.where(_is_bought()).select("bill_id", "item_id").distinct()
    counts = stands.groupBy("item_id").agg(F.count(F.lit(1)).alias("bills")).where(F.col("bills") >= LEAST_BILLS)
    return counts.orderBy(F.desc("bills"), "item_id").limit(MOST_ITEMS).select("item_id")


def _is_bought() -> Expression:
    import pyspark.sql.functions as F

    return ~F.col("is_return") & F.coalesce(~F.contains("flags", F.lit("not_an_item")), F.lit(True))


def held_out_lift(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """How many times more often listed pairs stand together in the horizon than the items' popularity has it."""
    bills = outcomes.groupby(level=0)["item_bills"].first()
    expected = float((answers["share_of_bills"] * bills.reindex(answers.index).fillna(0.0)).sum())
    listed = outcomes.reset_index().merge(answers.reset_index()[["item_id", OTHER]], on=["item_id", OTHER])
    return float(listed["together_bills"].sum()) / expected if expected > 0 else 0.0


def added_plot(outcomes: pd.DataFrame, answers: pd.DataFrame) -> Figure:
    """How many listed items stand on an item's bills beyond chance, by how much of the list is shown."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.5), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.plot(range(1, TOP + 1), added_by_length(outcomes, answers, TOP), marker="o")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("items of the list that are shown")
    axes.set_ylabel("of them on a bill beyond chance")
    axes.set_title(f"Held-out lift {held_out_lift(outcomes, answers):.2f}")
    return figure


MODEL = ranked_list_model(
    question="Which items go with each item?",
    needs=Needs(tables=("clean/bills", LINES), history_days=90, users=100, evidence={"user_item_cells": 1000}),
    subject=Subject("item", ("item_id",), known=known),
    reads=(Reads(LINES, LINE_COLUMNS, "frame"),),
    outcome=outcome,
    listed=OTHER,
    observed="together_bills",
    also_observed=("item_bills",),
    words="the items on one bill",
    columns=tuple(Column(name, "double", f"The rule's {name.replace('_', ' ')}.", required=True) for name in FIGURES),
    params=MarketBasketParams,
    candidates=(
        Candidate("association rules", AssociationRules),
        Candidate("the most popular items", PopularItems, is_baseline=True),
    ),
    metric=mean_by_subject(
        f"added_{TOP}", added_by_subject, True, "How many of the ten listed stand on the item's bills beyond chance."
    ),
    rules=(Rule("held_out_lift", held_out_lift, "the lift of its pairs on later bills", otherwise="tell"),),
    plot=added_plot,
)
