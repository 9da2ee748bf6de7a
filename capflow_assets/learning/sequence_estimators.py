"""What users buy next: by a net over their baskets in order, or by item-kNN, which knows no order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from capflow_assets.contract import Examples

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from capflow_assets.learning.baskets import Baskets
    from capflow_assets.learning.item_lists import Lists
    from capflow_assets.learning.nets.loop import Course, Plan
    from capflow_assets.learning.sequence_lists import SequenceNet, Shape

LINES = "clean/line_items"


class SequenceNetParams(Protocol):
    """How long lists are, how large the net is and how it is trained."""

    seed: int
    items: int
    visits: int
    size: int
    blocks: int
    dropout: float
    epochs: int
    seconds: float
    batch: int
    rate: float

    def model_dump(self) -> dict[str, Any]:
        """All of them."""


class BasketSequences:
    """A net over ordered baskets."""

    def __init__(self, params: SequenceNetParams) -> None:
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

    def __init__(self, params: SequenceNetParams) -> None:
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
