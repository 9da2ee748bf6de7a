"""On which channel each user is reached: a ranked list, with the chance that a message is opened.

Own opens, newer ones counting more, are shrunk to how open the user is on all channels, and that to everybody's
(``learning.channel_shares``). How fast messages fade and how much the others count is chosen by what came of messages
after past moments; the model keeps that choice and no user. Only channels are listed that somebody was sent to, and
what is not told to be opened, as of letters, seems never to be.
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
from capflow_assets.learning.objectives.chance import MOST_CALIBRATION_ERROR
from capflow_assets.learning.open_rate_estimators import MESSAGES, OPENED, PER, SENT, ChannelAffinity, MostOpened

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from pyspark.sql import DataFrame


READ = ("user_id", PER, "sent_at", "opened_at", "is_control")


class ChannelAffinityParams(Horizon):
    """What a person may set for the channels."""

    horizon_days: int = Field(91, ge=7, le=730, description="Local days after the as-of moment that are looked at.")


def known(messages: DataFrame, bills: DataFrame, as_of: datetime, zone: str) -> DataFrame:
    """Every user with a bill, or with a message up to the moment: ``user_id``."""
    import pyspark.sql.functions as F

    from capflow_assets.expressions.ids import identifiers
    from capflow_assets.expressions.visits import known_users

    addressed = messages.filter(F.col("sent_at") <= F.lit(as_of)).select(*identifiers("user_id"))
    users = known_users(bills, as_of, zone).select("user_id").unionByName(addressed)
    return users.filter(F.col("user_id").isNotNull()).distinct()


def outcome(messages: DataFrame, start: datetime, end: datetime, zone: str) -> DataFrame:
    """What came of the messages that were sent to each user in the horizon, by channel.

    One row per user and channel with a message in ``(start, end]``, the last three local days left out, which are
    there to open it in: ``user_id``, ``channel``, ``opened`` (messages opened by the end), ``sent``. Those who were
    held out were sent nothing.
    """
    import pyspark.sql.functions as F

    from capflow_assets.expressions.days import days_before
    from capflow_assets.expressions.messages import messages_of
    from capflow_assets.learning.channel_shares import SETTLED_DAYS

    until = days_before(end, SETTLED_DAYS, zone)
    rows = messages_of(messages, None).filter((F.col("sent_at") > F.lit(start)) & (F.col("sent_at") <= F.lit(until)))
    is_opened = F.coalesce(F.col("opened_at") <= F.lit(end), F.lit(False)).cast("int")
    sent = rows.filter(~F.col("is_control") & F.col(PER).isNotNull())
    return sent.groupBy("user_id", PER).agg(
        F.sum(is_opened).cast("int").alias(OPENED), F.count(F.lit(1)).cast("int").alias(SENT)
    )


def by_user(outcomes: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Of each user the mean of 1 / place of the channel over the horizon's messages that were opened."""
    from capflow_assets.learning.list_scores import reciprocal_place

    return reciprocal_place(outcomes, answers, PER, OPENED)


def calibration_error(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """Expected calibration error of the chances over the horizon's messages, beyond what chance alone would show."""
    from capflow_assets.learning.calibration_errors import calibration_error_by_chance, expected_calibration_error

    is_opened, chances = _message_by_message(outcomes, answers)
    return max(0.0, expected_calibration_error(is_opened, chances) - calibration_error_by_chance(is_opened, chances))


def _message_by_message(outcomes: pd.DataFrame, answers: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Of each of the horizon's messages whose channel is listed for its user, whether it was opened, and the chance."""
    import pandas as pd

    keys = [*map(str, answers.index.names), PER]
    rows = outcomes.reset_index().merge(answers.reset_index()[[*keys, "score"]], on=keys)
    opens, sent = (rows[name].to_numpy(dtype=int) for name in (OPENED, SENT))
    chances = rows["score"].to_numpy(dtype=float)
    opened, unopened = chances.repeat(opens), chances.repeat((sent - opens).clip(min=0))
    is_opened = pd.Series([1.0] * len(opened) + [0.0] * len(unopened))
    return is_opened, pd.Series([*opened, *unopened])


def plot(outcomes: pd.DataFrame, answers: pd.DataFrame) -> Figure:
    """The chance that was predicted against the share opened, in ten groups of messages."""
    from capflow_assets.learning.plots import calibration_plot

    is_opened, chances = _message_by_message(outcomes, answers)
    return calibration_plot(is_opened, chances, "opened", calibration_error(outcomes, answers))


MODEL = Model(
    question="On which channel does each user open messages?",
    family="affinity",
    needs=Needs(
        tables=("clean/bills", "raw/messages"), history_days=90, users=100, positives=30, evidence={"messages": 200}
    ),
    subject=Subject("user", ("user_id",), known=known),
    reads=(Reads(MESSAGES, READ, "frame"),),
    outcome=Outcome(outcome, (OPENED, SENT), per=(PER,), absent="unknown"),
    answer=Answer(
        per=(PER,),
        columns=(
            Column("own_messages", "bigint", "Messages sent to the user on it so far.", required=True, at_least=0),
            Column("own_opens", "bigint", "Those of them that the user opened.", required=True, at_least=0),
        ),
    ),
    objective="list",
    params=ChannelAffinityParams,
    candidates=(
        Candidate("own opens and everybody's", ChannelAffinity),
        Candidate("the channel opened most", MostOpened, is_baseline=True),
    ),
    metric=mean_by_subject(
        "open_rank", by_user, True, "Mean of 1 / place of the channel over the horizon's messages that were opened."
    ),
    rules=(Rule("calibrated", calibration_error, "its calibration error", at_most=MOST_CALIBRATION_ERROR),),
    plot=plot,
)
