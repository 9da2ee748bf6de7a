"""What each user buys on the next visit: a ranked list of items, from own habits and those of users alike (TIFU-kNN).

A user's vector says how often the user buys each item, newer baskets counting more; an item's score is a share of the
user's own figure and the rest the mean of the nearest users' (H. Hu, X. He, J. Gao, Z.-L. Zhang, "Modeling Personalized
Item Frequency Information for Next-basket Recommendation", SIGIR 2020). How baskets fade, how many are near and how
much is the user's own is chosen at past moments. The model keeps that choice and no user: neighbours are those of the
moment it answers for. A user without a basket gets what is popular.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import Field

from capflow_assets.contract import Candidate, Examples, Horizon, Needs, Reads, Subject
from capflow_assets.learning.objectives.ranked_list import TOP, ranked_list_model, users_with_a_bill
from capflow_assets.learning.outcomes import next_visit_items

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from capflow_assets.learning.baskets import Baskets
    from capflow_assets.learning.item_lists import Lists

LINES = "clean/line_items"
LINE_COLUMNS = ("user_id", "item_id", "billed_on", "is_return", "flags")


class NextBasketParams(Horizon):
    """What a person may set for the next basket."""

    moments: int = Field(3, ge=1, le=24, description="How many past as-of moments make the examples.")
    items: int = Field(20, ge=TOP, le=200, description="How many items a user's list has.")
    threads: int = Field(2, ge=1, le=64, description="Threads; lists are the same with any number.")


class NextBasket:
    """The recipe of lists that served best in the past."""

    def __init__(self, params: NextBasketParams) -> None:
        self.params = params
        self.recipe: dict[str, Any] | None = None
        self.recalls: dict[str, float] = {}

    def fit(self, examples: Examples) -> NextBasket:
        """Choose the recipe by the recall of the first ten at the moments of the examples."""
        from capflow_assets.learning.recipe_choice import best_recipe, pasts_of

        recipe, self.recalls = best_recipe(pasts_of(examples, LINES, self.params.seed), TOP)
        self.recipe = recipe.describe()
        return self

    def refit(self, examples: Examples) -> NextBasket:
        """The same recipe: it holds for any moment, and newer baskets are read where lists are made."""
        again = NextBasket(self.params)
        again.recipe, again.recalls = self.recipe, self.recalls
        return again

    def predict(self, examples: Examples) -> pd.DataFrame:
        """A list of ``items`` for each user: ``item_id``, ``score`` (higher comes first), ``reasons``."""
        from capflow_assets.learning.frames import fitted
        from capflow_assets.learning.item_lists import Recipe, alike_lists

        recipe, params = Recipe(**fitted(self.recipe, "next_basket")), self.params
        return _answers(examples, lambda known, users: alike_lists(known, users, recipe, params.items, params.threads))

    def parameters(self) -> dict[str, Any]:
        """The chosen recipe, and the mean recall at past moments of those that it was chosen from."""
        return {**self.params.model_dump(), "recipe": self.recipe, "past_recalls": self.recalls}


class FrequentItems:
    """The baseline: what the user bought on most visits, filled up with what all users did."""

    def __init__(self, params: NextBasketParams) -> None:
        self.params = params

    def fit(self, examples: Examples) -> FrequentItems:
        """There is nothing to learn: what is frequent is counted at the moment that is answered for."""
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """As the model's; the ``score`` is the number of visits with the item, plus half the item's popularity."""
        from capflow_assets.learning.item_lists import frequent_lists

        return _answers(examples, lambda known, users: frequent_lists(known, users, self.params.items))

    def parameters(self) -> dict[str, Any]:
        """How long its lists are."""
        return {"items": self.params.items}


def _answers(examples: Examples, lists_of: Callable[[Baskets, np.ndarray], Lists]) -> pd.DataFrame:
    from capflow_assets.expressions.days import local_day_of
    from capflow_assets.learning.baskets import baskets_of
    from capflow_assets.learning.item_lists import list_rows

    baskets, index = baskets_of(examples.table(LINES)), examples.columns.index
    asked = baskets.numbers(index.to_numpy())
    today = local_day_of(examples.moments[-1], examples.zone)
    return list_rows(baskets, lists_of(baskets, asked), asked, index, today)


MODEL = ranked_list_model(
    question="Which items will each user buy on the next visit?",
    needs=Needs(tables=("clean/bills", LINES), history_days=90, users=100, positives=50),
    subject=Subject("user", ("user_id",), known=users_with_a_bill),
    reads=(Reads(LINES, LINE_COLUMNS, "frame"),),
    outcome=next_visit_items,
    words="the next visit's items",
    params=NextBasketParams,
    candidates=(
        Candidate("TIFU-kNN", NextBasket),
        Candidate("the most frequent items", FrequentItems, is_baseline=True),
    ),
)
