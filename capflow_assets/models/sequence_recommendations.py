"""What each user buys next, by the order of the visits so far: a ranked list of items (self-attention over baskets).

A net reads a user's last visits in their order, a visit as the set of what was bought, and ranks all items by what
followed on such visits (SASRec, see ``learning.nets.basket_attention``). It must beat item-kNN, which knows what goes
together and no order. Where the order says nothing it does not, and is not promoted: ``next_basket`` is of use there.
The net reads the visits up to the moment that it answers for; it keeps items, and no user.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import Field

from capflow_assets.contract import Candidate, Examples, Horizon, Needs, Reads, Subject
from capflow_assets.learning.objectives.ranked_list import TOP, ranked_list_model, users_with_a_bill
from capflow_assets.learning.outcomes import next_visit_items

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from capflow_assets.learning.baskets import Baskets
    from capflow_assets.learning.item_lists import Lists
    from capflow_assets.learning.nets.loop import Course, Plan
    from capflow_assets.learning.sequence_lists import SequenceNet, Shape

LINES = "clean/line_items"
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


class BasketSequences:
    """A net over ordered baskets."""

    def __init__(self, params: SequenceParams) -> None:
        self.params = params
        self.items: np.ndarray | None = None
        self.weights = b""
        self.course: dict[str, Any] = {}

    def fit(self, examples: Examples) -> BasketSequences:
        """Train on the visits up to the newest moment; what was bought after it says which epoch stays."""
        from capflow_assets.learning.baskets import baskets_of
        from capflow_assets.learning.part_choice import newest_outcomes
        from capflow_assets.learning.recipe_choice import past_of

        known = baskets_of(examples.table(LINES))
        bought = newest_outcomes(examples, "bought")
        past = None if bought is None or bought.empty else past_of(known, bought, self.params.seed)
        from capflow_assets.learning.sequence_lists import trained_sequences

        trained, course = trained_sequences(known, self._shape, self._plan(self.params.epochs), past)
        self._keep(trained.items, trained.weights, course)
        return self

    def refit(self, examples: Examples) -> BasketSequences:
        """Train for as many epochs as were best, on the visits of the newest moment."""
        from capflow_assets.learning.baskets import baskets_of
        from capflow_assets.learning.sequence_lists import trained_sequences

        again = BasketSequences(self.params)
        epochs = int(self.course.get("best_epoch", self.params.epochs))
        trained, course = trained_sequences(baskets_of(examples.table(LINES)), self._shape, self._plan(epochs))
        again._keep(trained.items, trained.weights, course)
        return again

    def predict(self, examples: Examples) -> pd.DataFrame:
        """A list of ``items`` for each user: ``item_id``, ``score`` (higher comes first), ``reasons``."""
        from capflow_assets.learning.sequence_lists import FOLLOWS, sequence_lists

        trained, shape, size = self.visit_net()
        return _answers(examples, lambda known, users: sequence_lists(trained, shape, known, users, size), FOLLOWS)

    def visit_net(self) -> tuple[SequenceNet, Shape, int]:
        """The trained net, how large it is, and how many items a list has: what answers online need of it."""
        from capflow_assets.learning.frames import fitted
        from capflow_assets.learning.sequence_lists import SequenceNet

        trained = SequenceNet(fitted(self.items, "sequence_recommendations"), self.weights)
        return trained, self._shape, self.params.items

    def parameters(self) -> dict[str, Any]:
        """How the training went: losses, recalls of the horizon after it, the epoch that stayed, why it ended."""
        return {
            **self.params.model_dump(),
            "learned_items": 0 if self.items is None else len(self.items),
            **self.course,
        }

    @property
    def _shape(self) -> Shape:
        from capflow_assets.learning.sequence_lists import Shape

        params = self.params
        return Shape(params.visits, params.size, params.blocks, heads=2, dropout=params.dropout)

    def _plan(self, epochs: int) -> Plan:
        from capflow_assets.learning.nets.loop import Plan

        return Plan(self.params.seed, epochs, self.params.seconds, batch=self.params.batch, rate=self.params.rate)

    def _keep(self, items: np.ndarray, weights: bytes, course: Course) -> None:
        self.items, self.weights = items, weights
        rounded = {"losses": [round(value, 5) for value in course.losses], "recalls": list(course.scores)}
        self.course = {**rounded, "best_epoch": course.best_epoch, "ended": course.ended, "device": course.device}


class NeighbourItems:
    """The baseline: the user's own items and those that are bought by the same users (item-kNN)."""

    def __init__(self, params: SequenceParams) -> None:
        self.params = params

    def fit(self, examples: Examples) -> NeighbourItems:
        """There is nothing to keep: who buys what is counted at the moment that is answered for."""
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """As the net's; the ``score`` is the sum of similarities to what the user bought."""
        from capflow_assets.learning.item_lists import ALIKE
        from capflow_assets.learning.sequence_lists import neighbour_lists

        return _answers(examples, lambda known, users: neighbour_lists(known, users, self.params.items), ALIKE)

    def parameters(self) -> dict[str, Any]:
        """How long its lists are."""
        return {"items": self.params.items}


def _answers(examples: Examples, lists_of: Callable[[Baskets, np.ndarray], Lists], words: str) -> pd.DataFrame:
    from capflow_assets.expressions.days import local_day_of
    from capflow_assets.learning.baskets import baskets_of
    from capflow_assets.learning.item_lists import ALIKE, list_rows

    known, index = baskets_of(examples.table(LINES)), examples.columns.index
    users = known.numbers(index.to_numpy())
    rows = list_rows(known, lists_of(known, users), users, index, local_day_of(examples.moments[-1], examples.zone))
    return rows.assign(reasons=rows["reasons"].replace(ALIKE, words))


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
