"""How each user shops: groups of alike behaviour, found and not set, with names by what stands out in them.

A mixture over how often and how regularly a user comes, when, for how much and at what prices. The groups' names come
from their centres, so a group that is there again at the next training is called the same; they are ordered by what
their users spent of late. Whoever came once has no rhythm, and stands in the middle there. Counts of few values are
left out: a mixture takes each value for a group of its own.
"""

from __future__ import annotations

from pydantic import Field

from capflow_assets.contract import Candidate, Horizon, Needs, Reads, Rule
from capflow_assets.learning.mixture_segments import BehaviourSegments
from capflow_assets.learning.objectives.segment import segment_model, variance_explained

READS = (
    Reads("features/rfm", ("recency_days", "spend_91d")),
    Reads("features/rhythm", ("gap_days_median", "gap_days_cv")),
    Reads("features/baskets", ("purchase_amount_avg", "piece_price_avg")),
    Reads("features/season", ("weekend_share", "morning_share", "evening_share")),
)


class BehaviourSegmentsParams(Horizon):
    """What a person may set for the groups."""

    horizon_days: int = Field(90, ge=1, le=730, description="Days of future spend that the order is judged by.")
    most_groups: int = Field(7, ge=2, le=20, description="The most groups that may be told apart.")


MODEL = segment_model(
    question="How does each user shop, and which kinds of shopper are there?",
    needs=Needs(tables=("clean/bills",), history_days=180, users=200, positives=30),
    reads=READS,
    params=BehaviourSegmentsParams,
    segments=Candidate("mixture", BehaviourSegments),
    rules=(
        Rule(
            "explained",
            variance_explained,
            "the share of the spend's differences that groups explain",
            at_least=0.02,
            otherwise="tell",
        ),
    ),
)
