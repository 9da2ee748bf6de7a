"""On which channel each user is reached: a ranked list, with the chance that a message is opened.

Own opens, newer ones counting more, are shrunk to how open the user is on all channels, and that to everybody's
(``learning.channel_shares``). How fast messages fade and how much the others count is chosen by what came of messages
after past moments; the model keeps that choice and no user. Only channels are listed that somebody was sent to, and
what is not told to be opened, as of letters, seems never to be.
"""

from __future__ import annotations

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
from capflow_assets.learning.objectives.chance import MOST_CALIBRATION_ERROR

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure
    from pyspark.sql import DataFrame

    from capflow_assets.learning.channel_shares import Later, Sent

MESSAGES, PER, OPENED, SENT = "raw/messages", "channel", "opened", "sent"
READ = ("user_id", PER, "sent_at", "opened_at", "is_control")


class ChannelAffinityParams(Horizon):
    """What a person may set for the channels."""

    horizon_days: int = Field(91, ge=7, le=730, description="Local days after the as-of moment that are looked at.")


class ChannelAffinity:
    """How fast messages fade and how much other channels and users count, as served best in the past."""

    def __init__(self, params: ChannelAffinityParams) -> None:
        self.params = params
        self.recipe: dict[str, float] | None = None
        self.log_likelihood = 0.0

    def fit(self, examples: Examples) -> ChannelAffinity:
        """Choose the recipe under which what came of messages after past moments was likeliest.

        Raises ``EvidenceError`` where no message was sent after one on the same channel, or all are of one channel.
        """
        from capflow_assets.errors import EvidenceError
        from capflow_assets.learning.channel_shares import best_recipe

        pasts = [_later(examples, place) for place in range(len(examples.moments))]
        pasts = [past for past in pasts if len(past.user)]
        channels = max((len(past.before.channels) for past in pasts), default=0)
        if channels < 2:
            raise EvidenceError(
                "Channels cannot be compared",
                expected="messages on two channels or more, and some that were sent later",
                came=f"{channels} with messages sent later",
                do="map raw/messages.channel and opened_at to the columns that tell how each was sent and when opened",
            )
        recipe, self.log_likelihood = best_recipe(pasts)
        self.recipe = recipe.describe()
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """The list of each user: ``channel``, ``score`` (chance that a message is opened), counts, ``reasons``."""
        from capflow_assets.learning.channel_shares import ChannelRecipe, Openness
        from capflow_assets.learning.frames import fitted

        recipe = ChannelRecipe(**fitted(self.recipe, "channel_affinity"))
        messages = _messages(examples)
        users = messages.numbers(examples.columns.index)
        if not len(messages.users):
            return _lists(examples, messages, users[:, None][:, :0])
        return _lists(examples, messages, Openness.of(messages, recipe.half_life_days).chances(users, recipe))

    def parameters(self) -> dict[str, Any]:
        """The chosen recipe, and the mean logarithm of the chance that it gave to what came."""
        return {**self.params.model_dump(), "recipe": self.recipe, "log_likelihood": self.log_likelihood}


class MostOpened:
    """The baseline: the channel on which the user opened most messages, then the one that everybody opens most."""

    def __init__(self, params: ChannelAffinityParams) -> None:
        self.params = params

    def fit(self, examples: Examples) -> MostOpened:
        """Nothing to learn."""
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """As the model's; the ``score`` is the user's opened messages and half of everybody's opened share."""
        import numpy as np

        messages = _messages(examples)
        users = messages.numbers(examples.columns.index)
        sent, opened = messages.cells(0.0)
        everybody = opened.sum(axis=0) / np.maximum(sent.sum(axis=0), 1)
        own = opened[users] if len(opened) else np.zeros((len(users), 0))
        return _lists(examples, messages, np.where(users[:, None] >= 0, own, 0.0) + everybody / 2)

    def parameters(self) -> dict[str, Any]:
        """Nothing was learned."""
        return {}


def _messages(examples: Examples, place: int = -1) -> Sent:
    from capflow_assets.learning.channel_shares import sent_messages

    return sent_messages(examples.tables[MESSAGES][place], examples.moments[place])


def _later(examples: Examples, place: int) -> Later:
    """What came of messages after the moment of a number."""
    import pandas as pd

    from capflow_assets.learning.channel_shares import Later

    before, rows = _messages(examples, place), examples.outcomes
    if rows is None:
        rows = pd.DataFrame({PER: [], OPENED: [], SENT: []})
    if "moment" in rows.columns:
        rows = rows[(rows["moment"] == place).to_numpy()]
    channel = pd.Index(before.channels).get_indexer(pd.Index(rows[PER]))
    rows, channel = rows[channel >= 0], channel[channel >= 0]
    sent, opened = (rows[name].to_numpy(dtype=float) for name in (SENT, OPENED))
    return Later(before, before.numbers(rows.index), channel, sent, opened)


def _lists(examples: Examples, messages: Sent, scores: np.ndarray) -> pd.DataFrame:
    """All channels of each user, the highest score first."""
    import numpy as np
    import pandas as pd

    from capflow_assets.learning.channel_shares import reasons

    index = examples.columns.index
    order = np.argsort(-scores, axis=1, kind="stable")
    place, channel = np.repeat(np.arange(len(index)), scores.shape[1]), order.ravel()
    user, (sent, opened), newest = messages.numbers(index)[place], messages.cells(0.0), messages.newest_open()
    is_known, everybody = user >= 0, opened.sum(axis=0) / np.maximum(sent.sum(axis=0), 1)
    counts, opens, days = (
        np.where(is_known, of[user, channel] if len(of) else 0, otherwise)
        for of, otherwise in ((sent, 0), (opened, 0), (newest, np.inf))
    )
    columns = {
        PER: messages.channels[channel],
        "score": np.take_along_axis(scores, order, axis=1).ravel(),
        "own_messages": counts.astype("int64"),
        "own_opens": opens.astype("int64"),
        "reasons": reasons(counts, opens, days, everybody[channel]),
    }
    return pd.DataFrame(columns, index=index.take(place))


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
    from capflow_assets.learning.calibration import calibration_error_by_chance, expected_calibration_error

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
