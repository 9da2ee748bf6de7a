"""Which stores each user visits next: a ranked list, with the chance that the next visit goes there.

A user's own visits, newer ones counting more, are shrunk to where those go who visit the same stores, and to where
everybody goes (``learning.store_shares``). How fast visits fade and how much the others count is chosen by what came
after past moments; the model keeps that choice and no user. A user without a visit gets the customer's busiest stores.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import Field

from capflow_assets.contract import (
    Answer,
    Candidate,
    Column,
    Examples,
    Horizon,
    Model,
    Needs,
    Outcome,
    Reads,
    Rule,
    Subject,
)
from capflow_assets.learning.metrics import mean_by_subject

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure
    from pyspark.sql import DataFrame

    from capflow_assets.learning.habits import Habits

BILLS, PER, VISITS = "clean/bills", "store_id", "visits"
READ = ("user_id", PER, "billed_on", "is_return")


class StoreAffinityParams(Horizon):
    """What a person may set for the stores."""

    stores: int = Field(5, ge=1, le=50, description="How many stores a user's list has.")


class StoreAffinity:
    """How fast visits fade and how much other users' visits count, as served best in the past."""

    def __init__(self, params: StoreAffinityParams) -> None:
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

    def __init__(self, params: StoreAffinityParams) -> None:
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


def outcome(bills: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """Which stores each user visits in the horizon.

    One row per known user and store with a visit in ``(start, end]``: ``user_id``, ``store_id``, ``visits`` (local days
    with a bill there, returns apart).
    """
    import pyspark.sql.functions as F

    from capflow_assets.learning.outcomes import example_key, visits_within

    rows = visits_within(bills, start, end).filter(F.col(PER).isNotNull())
    return rows.groupBy(*example_key(bills), PER).agg(F.count_distinct("billed_on").alias(VISITS))


def known(bills: DataFrame, as_of: datetime, zone: str) -> DataFrame:
    """Every user with a bill: ``user_id``."""
    from capflow_assets.expressions.visits import known_users

    return known_users(bills, as_of, zone).select("user_id")


def by_user(outcomes: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Of each user the mean of 1 / place over the horizon's visits."""
    from capflow_assets.learning.list_scores import reciprocal_place

    return reciprocal_place(outcomes, answers, PER, VISITS)


def gain_over_most_visited(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """The mean reciprocal place, less that of the same stores in the order of the user's own visits."""
    own = answers["own_visits"] + 1 / (2 + answers.groupby(level=0).cumcount().to_numpy())
    return float((by_user(outcomes, answers) - by_user(outcomes, answers.assign(score=own)))["value"].mean())


def plot(outcomes: pd.DataFrame, answers: pd.DataFrame) -> Figure:
    """What share of the horizon's visits went to the stores listed, by how much of the list is shown."""
    from capflow_assets.learning.list_scores import top_plot

    return top_plot(outcomes, answers, PER, VISITS, 5, ("stores", "the visits"))


MODEL = Model(
    question="Which stores will each user visit next?",
    family="affinity",
    needs=Needs(tables=("clean/bills",), history_days=90, users=100, positives=50, evidence={"stores": 2}),
    subject=Subject("user", ("user_id",), known=known),
    reads=(Reads(BILLS, READ, "frame"),),
    outcome=Outcome(outcome, (VISITS,), per=(PER,), absent="unknown"),
    answer=Answer(
        per=(PER,), columns=(Column("own_visits", "bigint", "The user's visits to it so far.", True, at_least=0),)
    ),
    objective="list",
    params=StoreAffinityParams,
    candidates=(
        Candidate("own visits and those of users alike", StoreAffinity),
        Candidate("the last store", LastStore, is_baseline=True),
    ),
    metric=mean_by_subject("visit_rank", by_user, True, "Mean of 1 / place on the list over the horizon's visits."),
    rules=(
        Rule("most_visited", gain_over_most_visited, "its gain over the most visited store first", otherwise="tell"),
    ),
    plot=plot,
)
