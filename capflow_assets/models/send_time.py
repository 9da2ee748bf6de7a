"""When to reach each user: the best local hours of the week, a ranked list with the chance that a visit is in them.

Learned from when users buy: a hierarchical Dirichlet over the 168 hours of the week, each user's shrunk to everybody's
(``learning.week_hours``). The model keeps how it shrinks and no user. A user without a visit gets the busiest hours.
A customer whose bills have no time of the day is refused.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import Field

from capflow_assets.contract import Answer, Candidate, Column, Horizon, Model, Needs, Outcome, Reads, Subject
from capflow_assets.learning.metrics import mean_by_subject
from capflow_assets.learning.week_hour_estimators import BILLS, PER, VISITS, BusiestHours, SendTime

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from pyspark.sql import DataFrame


READ = ("user_id", "billed_at", "billed_on", "is_return")
JUDGED = 3


class SendTimeParams(Horizon):
    """What a person may set for the hours."""

    slots: int = Field(5, ge=JUDGED, le=48, description="How many hours of the week a user's list has.")


def outcome(bills: DataFrame, start: datetime, end: datetime, zone: str) -> DataFrame:
    """In which local hours of the week each user came in the horizon.

    One row per known user and hour with a bill in ``(start, end]``: ``user_id``, ``week_hour`` (``Fri 18:00``),
    ``visits`` (local days with a bill in it, returns apart).
    """
    import pyspark.sql.functions as F

    from capflow_assets.expressions.days import local_time
    from capflow_assets.learning.outcomes import visits_within
    from capflow_assets.learning.week_hours import DAYS

    local = local_time("billed_at", zone)
    # Not weekday(): the embedded engine counts Sunday as -1. Days of the week begin with Sunday, 1.
    day = F.element_at(F.array(*map(F.lit, (*DAYS[-1:], *DAYS[:-1]))), F.dayofweek(local))
    hour = F.lpad(F.hour(local).cast("string"), 2, "0")
    rows = visits_within(bills, start, end).withColumn(PER, F.concat(day, F.lit(" "), hour, F.lit(":00")))
    return rows.groupBy("user_id", PER).agg(F.count_distinct("billed_on").alias(VISITS))


def known(bills: DataFrame, as_of: datetime, zone: str) -> DataFrame:
    """Every user with a bill: ``user_id``."""
    from capflow_assets.expressions.visits import known_users

    return known_users(bills, as_of, zone).select("user_id")


def by_user(outcomes: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Of each user the share of the horizon's visits in the first three hours listed."""
    from capflow_assets.learning.list_scores import share_in_top

    return share_in_top(outcomes, answers, PER, VISITS, JUDGED)


def plot(outcomes: pd.DataFrame, answers: pd.DataFrame) -> Figure:
    """What share of the horizon's visits was in the hours listed, by how much of the list is shown."""
    from capflow_assets.learning.list_scores import top_plot

    return top_plot(outcomes, answers, PER, VISITS, 5, ("hours", "the visits"))


MODEL = Model(
    question="At which hours of the week is each user best reached?",
    family="timing",
    needs=Needs(tables=("clean/bills",), history_days=90, users=100, positives=50),
    subject=Subject("user", ("user_id",), known=known),
    reads=(Reads(BILLS, READ, "frame"),),
    outcome=Outcome(outcome, (VISITS,), per=(PER,), absent="unknown"),
    answer=Answer(
        per=(PER,),
        columns=(
            Column("weekday", "int", "The day, 1 is Monday.", required=True, at_least=1, at_most=7),
            Column("hour", "int", "The local hour with which it begins.", True, at_least=0, at_most=23, unit="h"),
        ),
    ),
    objective="list",
    params=SendTimeParams,
    candidates=(
        Candidate("own hours of the week", SendTime),
        Candidate("the busiest hours", BusiestHours, is_baseline=True),
    ),
    metric=mean_by_subject("hit_3", by_user, True, "Share of the horizon's visits in the first three hours listed."),
    plot=plot,
)
