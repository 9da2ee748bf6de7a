"""What each user buys next, by the order of the visits so far: a ranked list of items (self-attention over baskets).

A net reads a user's last visits in their order, a visit as the set of what was bought, and ranks all items by what
followed on such visits (SASRec, see ``learning.nets.basket_attention``). It must beat item-kNN, which knows what goes
together and no order. Where the order says nothing it does not, and is not promoted: ``next_basket`` is of use there.
The net reads the visits up to the moment that it answers for; it keeps items, and no user.
"""

from __future__ import annotations

from pydantic import Field

from capflow_assets.contract import Candidate, Horizon, Needs, Reads, Subject
from capflow_assets.learning.objectives.ranked_list import TOP, ranked_list_model, users_with_a_bill
from capflow_assets.learning.outcomes import next_visit_items
from capflow_assets.learning.sequence_estimators import LINES, BasketSequences, NeighbourItems

LINE_COLUMNS = ("user_id", "item_id", "billed_on", "is_return", "flags")


class SequenceParams(Horizon):
    """What a person may set for the net."""

    moments: int = Field(2, ge=2, le=24, description="How many past as-of moments make the examples.")
    items: int = Field(20, ge=TOP, le=200, description="How many items a user's list has.")
    visits: int = Field(20, ge=2, le=200, description="How many of a user's last visits the net reads.")
    size: int = Field(32, ge=4, le=512, multiple_of=4, description="How many numbers a vector has.")
    blocks: int = Field(1, ge=1, le=8, description="Blocks of attention.")
    dropout: float = Field(0.2, ge=0, lt=1, description="Share of the numbers that a training step leaves out.")
    epochs: int = Field(6, ge=1, le=1000, description="How often the training sees all visits at most.")
    seconds: float = Field(
        300, gt=0, le=86_400, description="Seconds that the training may take; the best so far counts."
    )
    batch: int = Field(64, ge=8, le=4096, description="Stretches of visits a step of the training, on a CPU.")
    rate: float = Field(0.01, gt=0, le=1, description="Step of the training at its begin.")


MODEL = ranked_list_model(
    question="What does each user buy next, by the order of the visits so far?",
    needs=Needs(tables=("clean/bills", LINES), history_days=90, users=200, positives=100),
    subject=Subject("user", ("user_id",), known=users_with_a_bill),
    reads=(Reads(LINES, LINE_COLUMNS, "frame"),),
    outcome=next_visit_items,
    words="the next visit's items",
    params=SequenceParams,
    candidates=(
        Candidate("attention over baskets", BasketSequences),
        Candidate("item-kNN", NeighbourItems, is_baseline=True),
    ),
)
