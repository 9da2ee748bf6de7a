"""Which categories each user buys from on the next visit: a ranked list, from own visits and what all users buy now.

Own visits fade, are shrunk to what everybody buys, and are held against the time of the year in which they were made
(``learning.category_habits``). How fast they fade, how much everybody counts and how much the season does is chosen at
past moments. The model keeps that choice and no user. A category is that of clean/items; items without one count
nowhere. A user without a visit gets what is popular now.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field

from capflow_assets.contract import Candidate, Examples, Horizon, Needs, Reads, Rule, Subject
from capflow_assets.learning.metrics import mean_by_subject
from capflow_assets.learning.objectives.ranked_list import ranked_list_model, users_with_a_bill
from capflow_assets.learning.ranking import ndcg_by_subject, recall_by_subject

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

LINES, ITEMS = "clean/line_items", "clean/items"
LINE_COLUMNS = ("user_id", "item_id", "billed_on", "is_return", "flags")
JUDGED = 3


class CategoryAffinityParams(Horizon):
    """What a person may set for the affinity to categories."""

    moments: int = Field(3, ge=1, le=24, description="How many past as-of moments make the examples.")
    categories: int = Field(10, ge=JUDGED, le=100, description="How many categories a user's list has at most.")


class CategoryAffinity:
    """The recipe of lists that served best in the past."""

    def __init__(self, params: CategoryAffinityParams) -> None:
        self.params = params
        self.recipe: dict[str, float] | None = None
        self.past_ndcg: dict[str, float] = {}

    def fit(self, examples: Examples) -> CategoryAffinity:
        """Choose the recipe by the NDCG of the first three at the moments of the examples."""
        from capflow_assets.learning.category_lists import best_recipe

        recipe, self.past_ndcg = best_recipe(examples, "bought", JUDGED, self.params.seed)
        self.recipe = recipe.describe()
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """A list for each user: ``category``, ``score`` (about the chance that the next visit has it), ``reasons``."""
        from capflow_assets.learning.category_habits import CategoryRecipe, CategoryTastes
        from capflow_assets.learning.category_lists import category_rows, lifts, visits_at
        from capflow_assets.learning.frames import fitted

        recipe, visits = CategoryRecipe(**fitted(self.recipe, "category_affinity")), visits_at(examples, -1)
        tastes = CategoryTastes.of(visits, recipe.half_life_days, recipe.season)
        return category_rows(
            visits,
            lambda users: tastes.chances(users, recipe.everybody),
            examples.columns.index,
            self.params.categories,
            lifts(visits, recipe.season),
        )

    def parameters(self) -> dict[str, Any]:
        """The chosen recipe, and the best mean NDCG at past moments by how much the season counts."""
        return {**self.params.model_dump(), "recipe": self.recipe, "past_ndcg_by_season": self.past_ndcg}


class FrequentCategories:
    """The baseline: what the user bought on most visits, filled up with what all users did."""

    def __init__(self, params: CategoryAffinityParams) -> None:
        self.params = params

    def fit(self, examples: Examples) -> FrequentCategories:
        """There is nothing to learn: what is frequent is counted at the moment that is answered for."""
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """As the model's; the ``score`` is the number of visits with the category, plus half its popularity."""
        from capflow_assets.learning.category_lists import category_rows, frequent_chances, lifts, visits_at

        visits, size = visits_at(examples, -1), self.params.categories
        return category_rows(visits, frequent_chances(visits), examples.columns.index, size, lifts(visits, 0.0))

    def parameters(self) -> dict[str, Any]:
        """How long its lists are."""
        return {"categories": self.params.categories}


def outcome(line_items: DataFrame, items: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """Of which categories each user buys on the first local day in the horizon on which the user buys of any.

    One row per known user and category of that day in ``(start, end]``: ``user_id``, ``category``, ``bought`` (1).
    Returns, what is no item, and items without a category do not count.
    """
    import pyspark.sql.functions as F
    from pyspark.sql import Window

    is_within = (F.col("billed_at") > F.lit(start)) & (F.col("billed_at") <= F.lit(end))
    is_item = F.coalesce(~F.contains("flags", F.lit("not_an_item")), F.lit(True))
    rows = line_items.where(is_within & F.col("user_id").isNotNull() & ~F.col("is_return") & is_item)
    listed = items.where(F.col("category").isNotNull()).select("item_id", "category")
    days = rows.select("user_id", "item_id", "billed_on").join(listed, "item_id")
    first = days.groupBy("user_id", "category").agg(F.min("billed_on").alias("first_on"))
    first = first.withColumn("visit_on", F.min("first_on").over(Window.partitionBy("user_id")))
    return first.where("first_on = visit_on").select("user_id", "category", F.lit(1.0).alias("bought"))


USER_KNOWN = Subject("user", ("user_id",), known=users_with_a_bill)
NDCG_3 = partial(ndcg_by_subject, top=JUDGED, item="category")
RECALL_3 = partial(recall_by_subject, top=JUDGED, item="category")
RECALL = mean_by_subject("recall_3", RECALL_3, True, "Share of the next visit's categories among the first three.")

MODEL = ranked_list_model(
    question="Which categories will each user buy from next?",
    needs=Needs(
        tables=("clean/bills", LINES, ITEMS), history_days=90, users=100, positives=50, evidence={"categories": 4}
    ),
    subject=USER_KNOWN,
    reads=(Reads(LINES, LINE_COLUMNS, "frame"), Reads(ITEMS, ("item_id", "category"), "frame")),
    outcome=outcome,
    listed="category",
    words="the next visit's categories",
    params=CategoryAffinityParams,
    candidates=(
        Candidate("faded own visits in season", CategoryAffinity),
        Candidate("the most frequent categories", FrequentCategories, is_baseline=True),
    ),
    metric=mean_by_subject(
        "ndcg_3", NDCG_3, True, "How high the next visit's categories stand among the first three listed."
    ),
    rules=(Rule(RECALL.name, RECALL.compute, "its recall@3", otherwise="tell"),),
)
