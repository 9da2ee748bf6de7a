"""On which channel users open messages: by own opens shrunk to everybody's, or by the channel opened most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Examples, Horizon

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from capflow_assets.learning.channel_shares import Later, Sent

MESSAGES, PER, OPENED, SENT = "raw/messages", "channel", "opened", "sent"


class ChannelAffinity:
    """How fast messages fade and how much other channels and users count, as served best in the past."""

    def __init__(self, params: Horizon) -> None:
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

    def __init__(self, params: Horizon) -> None:
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
