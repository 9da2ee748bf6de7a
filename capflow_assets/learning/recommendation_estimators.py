"""Which items to recommend: parts fused by rank, each part alone, or what is popular."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from capflow_assets.contract import Examples
from capflow_assets.learning.objectives.ranked_list import TOP

if TYPE_CHECKING:
    import pandas as pd

    from capflow_assets.learning.item_space import ItemSpace

USER_ITEM = "features/user_item"
NEW, KNOWN = "bought_new", "bought_again"


class RecommendationParams(Protocol):
    """How many new and known items lists have."""

    seed: int
    items: int
    known_items: int
    threads: int

    def model_dump(self) -> dict[str, Any]:
        """All of them."""


class Fused:
    """Some of the parts, fused by rank; which, is chosen at the newest past moment."""

    parts: ClassVar[tuple[str, ...]] = ("similar", "factors", "recent")

    def __init__(self, params: RecommendationParams) -> None:
        self.params = params
        self.chosen: list[str] = list(self.parts)
        self.recalls: dict[str, float] = {}
        self.items: Any = None
        self.similar: dict[str, Any] = {}
        self.factors: Any = None

    def fit(self, examples: Examples) -> Fused:
        """Learn how items go together, and choose the parts by what was bought after the newest moment."""
        from capflow_assets.learning.part_choice import best_parts, newest_outcomes

        self.chosen = list(self.parts)
        self._learn(examples)
        table, bought = examples.table(USER_ITEM), newest_outcomes(examples, NEW)
        self.chosen, self.recalls = best_parts(table, self._space(), bought, self.parts, TOP, self.params.seed)
        return self

    def refit(self, examples: Examples) -> Fused:
        """The same parts, with what is known of items by now."""
        again = type(self)(self.params)
        again.chosen, again.recalls = self.chosen, self.recalls
        again._learn(examples)
        return again

    def predict(self, examples: Examples) -> pd.DataFrame:
        """A list for each user: ``item_id``, ``is_new``, ``score`` (1 is first in all parts), ``reasons``."""
        return self._answers(examples, with_reasons=True)

    def figures(self, examples: Examples) -> pd.DataFrame:
        """As ``predict``, without ``reasons``."""
        return self._answers(examples, with_reasons=False)

    def parameters(self) -> dict[str, Any]:
        """The chosen parts, and the recall of all ways to fuse them at the newest past moment."""
        return {**self.params.model_dump(), "parts": self.chosen, "past_recalls": self.recalls}

    def _learn(self, examples: Examples) -> None:
        from capflow_assets.learning.item_space import item_space

        seed, threads = self.params.seed, self.params.threads
        has_factors, is_similar = "factors" in self.chosen, "similar" in self.chosen
        space = item_space(examples.table(USER_ITEM), seed, threads, is_similar=is_similar, has_factors=has_factors)
        self.items, self.similar, self.factors = space.arrays()

    def _space(self) -> ItemSpace:
        from capflow_assets.learning.frames import fitted
        from capflow_assets.learning.item_space import ItemSpace

        return ItemSpace.of(fitted(self.items, "item_recommendations"), self.similar, self.factors)

    def _answers(self, examples: Examples, *, with_reasons: bool) -> pd.DataFrame:
        from capflow_assets.learning.recommendation_rows import recommendation_rows

        params = self.params
        return recommendation_rows(
            examples.table(USER_ITEM),
            examples.columns.index,
            self._space(),
            self.chosen,
            (params.items, params.known_items),
            with_reasons=with_reasons,
        )


class SimilarItems(Fused):
    """Items similar to the user's own alone."""

    parts: ClassVar[tuple[str, ...]] = ("similar",)


class SharedFactors(Fused):
    """Items that the user's factors point to alone."""

    parts: ClassVar[tuple[str, ...]] = ("factors",)


class PopularLately(Fused):
    """Items that are popular lately alone."""

    parts: ClassVar[tuple[str, ...]] = ("recent",)


class PopularItems(Fused):
    """The baseline: the items that most users ever bought."""

    parts: ClassVar[tuple[str, ...]] = ("popular",)
