"""Which campaigns the bills are credited to, and how that is held against what control groups show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from capflow_assets.contract import Examples, Horizon

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

    from capflow_assets.learning.attribution_credit import Law
    from capflow_assets.learning.attribution_paths import Stretches, Touches

BILLS, MESSAGES, CAMPAIGNS = "clean/bills", "raw/messages", "raw/campaigns"
BILL_COLUMNS = ("user_id", "billed_on", "is_return")
MESSAGE_COLUMNS = ("campaign_id", "user_id", "channel", "sent_at", "is_control")
CREDITED = "bills_per_100_users"
LIFT, LIFT_ERROR, ADDRESSED = "lift_per_100_users", "lift_error", "addressed_users"
LEAST_CREDIT = 0.5


class AttributionParams(Horizon):
    """What a person may set for the attribution of bills to campaigns."""

    horizon_days: int = Field(28, ge=1, le=182, description="Local days that a message works, from its first on.")
    days: int = Field(728, ge=28, le=3650, description="Local days back in which campaigns began that are credited.")


class CampaignCredit:
    """What all attributions share: the messages and bills of a moment, shared among campaigns and channels.

    A kind says by which credit (``kind``). What is kept is how the ratios of messages are spread; credits are of the
    messages and bills that are known when it answers.
    """

    kind = ""

    def __init__(self, params: AttributionParams) -> None:
        self.params = params
        self.law: list[float] = []
        self.counts: dict[str, int] = {}

    def fit(self, examples: Examples) -> CampaignCredit:
        """Learn how far messages differ in what they bring.

        Raises:
            EvidenceError: there is no message, or no bill.
        """
        from capflow_assets.learning.attribution_credit import law_of

        touches, stretches = self._read(examples)
        law = law_of(stretches, len(touches.players))
        self.law = [law.mean, law.prior]
        self.counts = {"messages": len(touches.user), "stretches": len(stretches.bills)}
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """Of each campaign the bills credited to it, ``score``, and by which channel most of them came."""
        import numpy as np
        import pandas as pd

        from capflow_assets.learning.attribution_credit import Law
        from capflow_assets.learning.frames import fitted

        law = Law(*fitted(self.law or None, "campaign_attribution"))
        index = examples.columns.index
        if not len(index):
            return _frame(index, np.zeros((0, 1)), [""], np.zeros(0), np.zeros(0))
        touches, stretches = self._read(examples)
        credit, newest = self._credit(stretches, touches, law)
        channels = sorted({channel for _, channel in touches.players})
        by_channel, after = np.zeros((len(index), len(channels))), np.zeros(len(index))
        place = index.get_indexer(pd.Index([campaign for campaign, _ in touches.players]))
        for player, (_, channel) in enumerate(touches.players):
            if place[player] >= 0:
                by_channel[place[player], channels.index(channel)] += credit[player]
                after[place[player]] += newest[player]
        return _frame(index, by_channel, channels, after, _addressed(touches, index))

    def parameters(self) -> dict[str, Any]:
        """How the ratios of bills after messages to those without are spread, and how many were read."""
        return {**self.params.model_dump(), **self.counts, "law": self.law}

    def _read(self, examples: Examples) -> tuple[Touches, Stretches]:
        import numpy as np
        import pandas as pd

        from capflow_assets.learning.attribution_paths import stretches_of, touches_of
        from capflow_assets.learning.habits import today_of

        today, days = today_of(examples, -1), self.params.horizon_days
        rows, messages = examples.table(BILLS), examples.table(MESSAGES)
        rows = rows[rows["user_id"].notna() & ~rows["is_return"].astype(bool)]
        day = rows["billed_on"].to_numpy().astype("datetime64[D]").astype("int64")
        bills = pd.DataFrame({"user_id": rows["user_id"].to_numpy(dtype=object), "day": day})
        begins = examples.table(CAMPAIGNS).groupby("campaign_id")["starts_at"].min()
        first = today - np.timedelta64(self.params.days + days, "D")
        touches = touches_of(messages, begins, bills["user_id"], examples.zone, first)
        return touches, stretches_of(touches, bills, int(today.astype("int64")), days, self.params.seed)

    def _credit(self, stretches: Stretches, touches: Touches, law: Law) -> tuple[np.ndarray, np.ndarray]:
        """The bills credited to each player, and all after its messages."""
        from capflow_assets.learning import attribution_credit as credits

        last = credits.last_touch_credit(stretches, len(touches.players), law)
        if self.kind == "shapley":
            return credits.shapley_credit(stretches, len(touches.players), law), last
        if self.kind == "markov":
            return credits.markov_credit(stretches, len(touches.players), law), last
        return last, last


class MarkovRemoval(CampaignCredit):
    """By removal of each message from the chain of those that work."""

    kind = "markov"


class ShapleyCredit(CampaignCredit):
    """By Shapley values of the messages that work at once."""

    kind = "shapley"


class LastTouch(CampaignCredit):
    """The baseline: every bill while a message works is credited to the newest one."""

    kind = "last touch"


def lift_gap(outcomes: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """How far the credit of each campaign is from the measured lift, in bills per 100 users; weight: the addressed."""
    gap = (answers[CREDITED] - outcomes[LIFT]).abs()
    return gap.to_frame("value").assign(weight=outcomes[ADDRESSED])


def surplus(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """The bills credited beyond those measured, per 100 users addressed, over all campaigns."""
    import numpy as np

    return float(np.average(answers[CREDITED] - outcomes[LIFT], weights=outcomes[ADDRESSED]))


def attribution_plot(outcomes: pd.DataFrame, answers: pd.DataFrame) -> Figure:
    """The credit of each campaign by its measured lift, with the lift's 95 % interval."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4), dpi=80, layout="constrained")
    axes = figure.subplots()
    lift, credited = outcomes[LIFT], answers[CREDITED]
    axes.errorbar(lift, credited, xerr=1.96 * outcomes[LIFT_ERROR], fmt="o", elinewidth=1)
    ends = min(lift.min(), credited.min(), 0.0), max(lift.max(), credited.max(), 0.0)
    axes.plot(ends, ends, color="grey", linewidth=1)
    axes.set_xlabel("measured by control groups, bills per 100 users")
    axes.set_ylabel("credited, bills per 100 users")
    axes.set_title("What campaigns brought")
    return figure


def _addressed(touches: Touches, campaigns: pd.Index) -> np.ndarray:
    """How many users each campaign was sent to."""
    import numpy as np
    import pandas as pd

    names = np.array([campaign for campaign, _ in touches.players], dtype=object)[touches.player]
    pairs = pd.DataFrame({"campaign": names, "user": touches.user}).drop_duplicates()
    return pairs["campaign"].value_counts().reindex(campaigns).fillna(0).to_numpy(dtype=float)


def _frame(
    index: pd.Index, by_channel: np.ndarray, channels: list[str], after: np.ndarray, addressed: np.ndarray
) -> pd.DataFrame:
    """The answers; a channel that nobody named is null."""
    import numpy as np
    import pandas as pd

    credit = by_channel.sum(axis=1)
    main = np.array([name or None for name in channels], dtype=object)[by_channel.argmax(axis=1)]
    columns = {
        "score": credit,
        CREDITED: 100 * credit / np.maximum(addressed, 1),
        "bills_after": after,
        ADDRESSED: addressed.astype("int64"),
        "main_channel": np.where(credit >= LEAST_CREDIT, main, None),
        "reasons": [_reason(*row, channels) for row in zip(credit, after, addressed, by_channel, strict=True)],
    }
    return pd.DataFrame(columns, index=index)


def _reason(credit: float, after: float, addressed: float, by_channel: np.ndarray, channels: list[str]) -> str:
    """In words what a campaign is credited with, and by which channels.

    >>> import numpy as np
    >>> _reason(30.2, 120, 500, np.array([20.1, 10.1]), ["email", "push"])
    '30 of 120 bills after its messages to 500 users; email 20, push 10'
    """
    head = f"{credit:,.0f} of {after:,.0f} bills after its messages to {addressed:,.0f} users"
    named = sorted(zip(-by_channel, channels, strict=True))
    parts = [f"{name} {-value:,.0f}" for value, name in named if name and abs(value) >= LEAST_CREDIT]
    return f"{head}; {', '.join(parts)}" if parts else head
