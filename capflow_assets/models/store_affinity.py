"""Which stores each user visits next: a ranked list, with the chance that the next visit goes there.

A user's own visits, newer ones counting more, are shrunk to where those go who visit the same stores, and to where
everybody goes (``learning.store_shares``). How fast visits fade and how much the others count is chosen by what came
after past moments; the model keeps that choice and no user. A user without a visit gets the customer's busiest stores.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import Field

from capflow_assets.contract import (
    Answer,
    Candidate,
    Column,
    Horizon,
    Model,
    Needs,
    Outcome,
    Reads,
    Rule,
    Subject,
)
from capflow_assets.learning.metrics import mean_by_subject
from capflow_assets.learning.store_share_estimators import BILLS, PER, VISITS, LastStore, StoreAffinity

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from pyspark.sql import DataFrame


READ = ("user_id", PER, "billed_on", "is_return")


class StoreAffinityParams(Horizon):
    """What a person may set for the stores."""

    stores: int = Field(5, ge=1, le=50, description="How many stores a user's list has.")


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
