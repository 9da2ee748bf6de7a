"""Which users are like those of an audience: its own unlabelled members first, by positives and unlabelled alone.

The audience is named by an attribute of the users (``audience = "segment=vip"``); without one it is those who spent
most of late, which every customer with bills has. Of top spenders neither spend nor the sizes of baskets are read, so
that the answer says who shops like them rather than who spends like them. Half of the audience is hidden from the
training (``learning.lookalikes``); a model is judged by how far above the others it places the hidden half. What is
served has learned from all. A score of a member says how typical it is.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from capflow_assets.contract import Answer, Candidate, Column, Metric, Model, Needs, Outcome, Reads, Rule
from capflow_assets.learning.lookalikes import (
    IS_HIDDEN,
    IS_SEED,
    BaggedUnlabelled,
    ElkanNoto,
    LikeTheMean,
    LookalikeParams,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from pyspark.sql import DataFrame

USERS, SPEND, SPENT = "clean/users", "spend_364d", "spend"
RFM = {
    "recency_days": "last visit {:.0f} days ago",
    "tenure_days": "first visit {:.0f} days ago",
    "visits_91d": "{:.0f} visits in 91 days",
}
RHYTHM = {
    "gap_days_avg": "{:.1f} days between visits on average",
    "gap_days_cv": "gaps that vary by {:.1f} times their mean",
}
BASKETS = {"piece_price_avg": "{:,.2f} paid a piece", "items_avg": "{:.1f} different items a purchase"}
SEASON = {
    "weekend_share": "{:.0%} of visits at weekends",
    "morning_share": "{:.0%} of visits in the morning",
    "evening_share": "{:.0%} of visits in the evening",
}
BLOCKS = {
    "features/rfm": RFM,
    "features/rhythm": RHYTHM,
    "features/baskets": BASKETS,
    "features/season": SEASON,
}
WORDS = {name: word for block in BLOCKS.values() for name, word in block.items()}


class LookalikeAudienceParams(LookalikeParams):
    """What a person may set for look-alikes."""

    horizon_days: int = Field(90, ge=1, le=730, description="Local days over which the audience's later spend is told.")


def outcome(bills: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """What each user spent in ``(start, end]``, returns apart: ``user_id``, ``spend``."""
    import pyspark.sql.functions as F

    from capflow_assets.learning.outcomes import visits_within

    return visits_within(bills, start, end).groupBy("user_id").agg(F.sum("amount").alias(SPENT))


def found_again(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """The chance that a hidden member of the audience is placed above a user who is none.

    Raises:
        EvidenceError: nobody is hidden, or nobody is outside the audience.
    """
    from capflow_assets.learning.metrics import roc_auc

    is_judged = (answers[IS_HIDDEN] == 1) | (answers[IS_SEED] == 0)
    hidden = answers.loc[is_judged, [IS_HIDDEN]]
    return float(roc_auc(IS_HIDDEN).compute(hidden, answers.loc[is_judged, ["score"]]))


def later_spend(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """How much more the tenth of the others who are most alike spent afterwards than all others, as a ratio."""
    import numpy as np

    is_other = (answers[IS_SEED] == 0).to_numpy()
    spend, score = outcomes[SPENT].to_numpy()[is_other], answers["score"].to_numpy()[is_other]
    if not len(score) or spend.mean() <= 0:
        return 1.0
    first = np.argsort(-score, kind="stable")[: max(1, len(score) // 10)]
    return float(spend[first].mean() / spend.mean())


def _plot(outcomes: pd.DataFrame, answers: pd.DataFrame) -> Figure:
    """The share of the hidden audience among the most alike, by how many are taken."""
    import numpy as np
    from matplotlib.figure import Figure

    judged = answers[(answers[IS_HIDDEN] == 1) | (answers[IS_SEED] == 0)].sort_values("score", ascending=False)
    hidden = judged[IS_HIDDEN].to_numpy()
    share = np.arange(1, len(hidden) + 1) / max(len(hidden), 1)
    figure = Figure(figsize=(5, 3.8), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.plot(100 * share, 100 * np.cumsum(hidden) / max(hidden.sum(), 1))
    axes.plot([0, 100], [0, 100], color="black", linestyle=":", linewidth=1)
    axes.set_xlabel("users taken, the most alike first (%)")
    axes.set_ylabel("of the hidden audience, among them (%)")
    axes.set_title(f"{int(hidden.sum()):,} hidden members among {len(hidden):,} users", fontsize=10)
    return figure


def _made(way: type) -> partial:
    return partial(way, words=WORDS, spend=SPEND, traits=USERS)


MODEL = Model(
    question="Which users are like those of an audience?",
    family="audiences",
    needs=Needs(tables=("clean/bills", USERS), history_days=90, users=300),
    reads=(
        *(Reads(table, tuple(block)) for table, block in (("features/rfm", (*RFM, SPEND)), *list(BLOCKS.items())[1:])),
        Reads(USERS, form="frame"),
    ),
    outcome=Outcome(outcome, (SPENT,)),
    answer=Answer(
        columns=(
            Column(IS_SEED, "int", "1 for users of the audience itself."),
            Column(IS_HIDDEN, "int", "1 for those of them who were hidden from the training; none of what is served."),
        )
    ),
    params=LookalikeAudienceParams,
    candidates=(
        Candidate("boosted trees by c", _made(ElkanNoto)),
        Candidate("bagged regressions", _made(BaggedUnlabelled)),
        Candidate("likeness to the mean", _made(LikeTheMean), is_baseline=True),
    ),
    metric=Metric(
        "hidden_auc",
        found_again,
        True,
        "Chance that a member of the audience who was hidden from the training is placed above a user who is none.",
    ),
    rules=(Rule("later_spend", later_spend, "how much more the most alike spent afterwards", otherwise="tell"),),
    fitted="now",
    plot=_plot,
)
