"""Which stores users visit next: by own visits shrunk to those of users alike, or by the last store."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from capflow_assets.contract import Examples

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from capflow_assets.learning.habits import Habits

BILLS, PER, VISITS = "clean/bills", "store_id", "visits"


class StoreShareParams(Protocol):
    """How many stores a list has."""

    stores: int

    def model_dump(self) -> dict[str, Any]:
        """All of them."""


class StoreAffinity:
    """How fast visits fade and how much other users' visits count, as served best in the past."""

    def __init__(self, params: StoreShareParams) -> None:
        self.params = params
        self.recipe: dict[str, float] | None = None
        self.log_likelihood = 0.0

    def fit(self, examples: Examples) -> StoreAffinity:
        """Choose the recipe under which the visits after past moments were likeliest.

        Raises ``EvidenceError`` where nobody who was known came again.
        """
        from capflow_assets.learning.habits import pasts_of
        from capflow_assets.learning.store_shares import best_recipe

        recipe, self.log_likelihood = best_recipe(pasts_of(examples, lambda n: _habits(examples, n), PER, VISITS))
        self.recipe = recipe.describe()
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """The list of each user: ``store_id``, ``score`` (chance of the next visit), ``own_visits``, ``reasons``."""
        from capflow_assets.learning.frames import fitted
        from capflow_assets.learning.store_shares import StoreRecipe, StoreShares

        recipe, habits = StoreRecipe(**fitted(self.recipe, "store_affinity")), _habits(examples)
        shares = StoreShares.of(habits, recipe.half_life_days, recipe.focus)
        return _lists(examples, habits, self.params.stores, lambda users: shares.chances(users, recipe))

    def parameters(self) -> dict[str, Any]:
        """The chosen recipe, and the mean logarithm of the chance that it gave to what came."""
        return {**self.params.model_dump(), "recipe": self.recipe, "log_likelihood": self.log_likelihood}


class LastStore:
    """The baseline: the store of the last visit, then the others by the user's visits, then by everybody's."""

    def __init__(self, params: StoreShareParams) -> None:
        self.params = params

    def fit(self, examples: Examples) -> LastStore:
        """Nothing to learn."""
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """As the model's; the ``score`` is the user's visits and half of everybody's share, 10^6 more for the last."""
        import numpy as np

        habits = _habits(examples)
        counts = habits.counts(0.0)
        everybody = np.asarray(counts.sum(axis=0)).ravel() / max(1, len(habits.user))
        order = np.lexsort((habits.thing, -habits.age_days, habits.user))
        last = order[np.flatnonzero(np.diff(habits.user[order], append=-1))]

        def scores(users: np.ndarray) -> np.ndarray:
            rows = np.tile(everybody / 2, (len(users), 1))
            known = np.flatnonzero(users >= 0)
            rows[known] += counts[users[known]].toarray()
            rows[known, habits.thing[last[users[known]]]] += 1e6
            return rows

        return _lists(examples, habits, self.params.stores, scores)

    def parameters(self) -> dict[str, Any]:
        """How long its lists are."""
        return {"stores": self.params.stores}


def _habits(examples: Examples, place: int = -1) -> Habits:
    """Each known user's stores by local day, returns apart, as of the moment of a number."""
    import numpy as np

    from capflow_assets.learning.habits import habits_of, today_of

    bills = examples.tables[BILLS][place]
    bills = bills[~bills["is_return"].to_numpy(dtype=bool)]
    days = np.asarray(bills["billed_on"]).astype("datetime64[D]")
    return habits_of(bills["user_id"], bills[PER], days, today_of(examples, place))


def _lists(
    examples: Examples, habits: Habits, size: int, scores_of: Callable[[np.ndarray], np.ndarray]
) -> pd.DataFrame:
    import pandas as pd

    from capflow_assets.learning.store_shares import reasons, store_lists

    index = examples.columns.index
    lists = store_lists(habits, habits.numbers(index), size, scores_of)
    columns = {
        PER: habits.things[lists.store] if len(habits.things) else lists.store.astype(object),
        "score": lists.score,
        "own_visits": lists.visits,
        "reasons": reasons(lists),
    }
    return pd.DataFrame(columns, index=index.take(lists.place))
