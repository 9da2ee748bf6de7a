"""Which items are like each item: by weighted parts of likeness, or by popularity in the category."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from capflow_assets.contract import Examples
from capflow_assets.learning.item_likeness import BOUGHT, LIKE, PARTS, POPULAR

if TYPE_CHECKING:
    import pandas as pd

OTHER, CAME, BILLS = "like_item_id", "together_bills", "item_bills"


class LikenessParams(Protocol):
    """How long lists are, and how many items may have one."""

    seed: int
    items: int
    most_items: int

    def model_dump(self) -> dict[str, Any]:
        """All of them."""


class Fused:
    """Some parts, weighed as would have served best at the newest past moment."""

    parts: ClassVar[tuple[str, ...]] = PARTS

    def __init__(self, params: LikenessParams) -> None:
        self.params = params
        self.weights: dict[str, float] = dict.fromkeys(self.parts, 1.0)
        self.weights_unsold = self.weights
        self.past_recall: float | None = None

    def fit(self, examples: Examples) -> Fused:
        """Choose the weights by what was bought together after the newest moment.

        Those of items that nobody bought yet are chosen as though nothing were known of who buys what.
        """
        from capflow_assets.learning.item_rows import parts_of
        from capflow_assets.learning.likeness_weights import best_weights
        from capflow_assets.learning.part_choice import newest_outcomes

        parts, seed = parts_of(examples.tables, self.params.most_items), self.params.seed
        together = newest_outcomes(examples, CAME)
        self.weights, self.past_recall = best_weights(parts, together, OTHER, self.parts, seed)
        self.weights_unsold, unsold = self.weights, tuple(part for part in self.parts if part not in BOUGHT)
        if unsold and unsold != self.parts:
            self.weights_unsold, _ = best_weights(parts, together, OTHER, unsold, seed)
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """Of each item a list: ``like_item_id``, ``score``, the cosine by part, ``item_bills``, ``reasons``."""
        return self._answers(examples, with_reasons=True)

    def figures(self, examples: Examples) -> pd.DataFrame:
        """As ``predict``, without ``reasons``."""
        return self._answers(examples, with_reasons=False)

    def parameters(self) -> dict[str, Any]:
        """The weights, and the recall that they had at the newest past moment."""
        chosen = {"weights": self.weights, "weights_unsold": self.weights_unsold}
        return {**self.params.model_dump(), **chosen, "past_recall": self.past_recall}

    def _answers(self, examples: Examples, *, with_reasons: bool) -> pd.DataFrame:
        from capflow_assets.learning.item_rows import like_rows

        sizes, weights = (self.params.items, self.params.most_items), (self.weights, self.weights_unsold)
        return like_rows(examples, weights, *sizes, with_reasons=with_reasons)


class BoughtTogether(Fused):
    """By bills and users alone."""

    parts: ClassVar[tuple[str, ...]] = BOUGHT


class Alike(Fused):
    """By texts and pictures alone."""

    parts: ClassVar[tuple[str, ...]] = LIKE


class PopularOfCategory(Fused):
    """The baseline: the items of the same category on most bills, then the others on most bills."""

    parts: ClassVar[tuple[str, ...]] = (POPULAR,)

    def fit(self, examples: Examples) -> PopularOfCategory:
        """Nothing to learn."""
        return self

    def _answers(self, examples: Examples, *, with_reasons: bool) -> pd.DataFrame:
        from capflow_assets.learning.item_rows import popular_rows

        return popular_rows(examples, self.params.items, self.params.most_items, with_reasons=with_reasons)
