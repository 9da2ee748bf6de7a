"""Which kind of shopper each user is: segments by recency, frequency and money, in words that marketers use.

Rules, not learning: each user gets a fifth (1 to 5, 5 best) by days since the last visit, by visits and by spend;
the first and the mean of the other two name the segment. The edges of the fifths are fitted at a moment and kept, so
that a user who does not change does not move because others did.

    fm  5 | Can't lose them  Can't lose them  Loyal            Loyal                Champions
        4 | At risk          At risk          Loyal            Loyal                Champions
        3 | At risk          At risk          Needs attention  Potential loyalists  Potential loyalists
        2 | Hibernating      Hibernating      About to sleep   Potential loyalists  Potential loyalists
        1 | Lost             Hibernating      About to sleep   Promising            New
            recency 1        2                3                4                    5
"""

from __future__ import annotations

from pydantic import Field

from capflow_assets.contract import Candidate, Horizon, Needs, Reads
from capflow_assets.learning.objectives.segment import segment_model
from capflow_assets.learning.rfm_grid import COLUMNS, RfmSegments


class RfmSegmentsParams(Horizon):
    """What a person may set for the segments."""

    horizon_days: int = Field(90, ge=1, le=730, description="Days of future spend that the order is judged by.")


MODEL = segment_model(
    question="Which kind of shopper is each user, and who deserves attention first?",
    needs=Needs(tables=("clean/bills",), history_days=90, users=30, positives=10),
    reads=(Reads("features/rfm", COLUMNS),),
    params=RfmSegmentsParams,
    segments=Candidate("segments", RfmSegments),
    answers_from=Needs(tables=("clean/bills",), users=5),
)
