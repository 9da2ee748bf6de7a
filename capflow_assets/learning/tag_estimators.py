"""Tags of items: by what they are said to be and by how they look, or the tag that most items have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

ITEMS, PICTURES = "clean/items", "features/item_pictures"


class TagParams(Protocol):
    """From which chance on a tag is given, and how texts are encoded."""

    confidence: float
    encoder: Literal["hashed", "universal"]

    def model_dump(self) -> dict[str, Any]:
        """All of them."""


class TextAndPicture:
    """Tags by what items are said to be and by how they look."""

    def __init__(self, params: TagParams) -> None:
        self.params = params

    def fit(self, examples: Examples) -> TextAndPicture:
        """Nothing is kept: what is known at the moment that is answered for is learned from.

        Raises ``EvidenceError`` where items have no tags, or neither texts nor pictures.
        """
        from capflow_assets.learning.item_attributes import attributes_of

        items = examples.table(ITEMS)
        if not attributes_of(items):
            raise EvidenceError(
                "Items have no attributes to learn from",
                expected="a column of two to some hundred values, known of twenty items",
                came="none",
                do="map raw/items.category, or further columns of the items",
            )
        if not any(vectors.any() for vectors in self._kinds(examples).values()):
            raise EvidenceError(
                "Nothing tells items apart", expected="names, descriptions or pictures", came="none that differ"
            )
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """Of each item and attribute: ``tag`` (null below the confidence), ``likely_tag``, ``score``, ``reasons``."""
        from capflow_assets.learning.item_attributes import tag_rows
        from capflow_assets.learning.tag_chances import tag_chances

        kinds = self._kinds(examples)
        return tag_rows(
            examples.table(ITEMS),
            examples.columns.index,
            lambda codes, fold: tag_chances(kinds, codes, fold),
            self.params.confidence,
            {kind: (vectors**2).sum(axis=1) > 0 for kind, vectors in kinds.items()},
        )

    def parameters(self) -> dict[str, Any]:
        """As they were set."""
        return self.params.model_dump()

    def _kinds(self, examples: Examples) -> dict[str, np.ndarray]:
        """The vectors of the items, in the order of their ids, by kind."""
        import pandas as pd

        from capflow_assets.encoders.texts import Params, demand, encoded
        from capflow_assets.learning.item_attributes import by_id, texts_of
        from capflow_assets.learning.item_likeness import mean_vectors
        from capflow_assets.learning.tag_chances import compact

        items = by_id(examples.table(ITEMS))
        chosen = Params.model_validate({"encoder": self.params.encoder})
        demand(chosen, "text")
        seen = mean_vectors(examples.table(PICTURES), pd.Index(items["item_id"]))
        return {"text": compact(encoded(texts_of(items), chosen).vectors), "picture": compact(seen)}


class MostFrequent(TextAndPicture):
    """The baseline: the tag that most items have."""

    def fit(self, examples: Examples) -> MostFrequent:
        """Nothing to learn."""
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """As the model's; the chance is the share of the items that have it."""
        from capflow_assets.learning.item_attributes import most_frequent, tag_rows

        return tag_rows(examples.table(ITEMS), examples.columns.index, most_frequent, self.params.confidence, {})
