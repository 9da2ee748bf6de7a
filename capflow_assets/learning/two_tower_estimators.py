"""Which new items users are to like: by a tower for users and one for items, or by popularity in the category."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from capflow_assets.contract import Examples

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from capflow_assets.learning.nets.loop import Course

TOP = 20
CAME = "bought_new"
# The users of one horizon who bought something new are few, and their recall is noisy.
PATIENCE = 4


class TwoTowerParams(Protocol):
    """How long lists are, how large the net is and how it is trained."""

    seed: int
    items: int
    size: int
    dropout: float
    epochs: int
    seconds: float
    batch: int
    rate: float

    def model_dump(self) -> dict[str, Any]:
        """All of them."""


class TwoTowerLists:
    """A tower for users and one for items."""

    def __init__(self, params: TwoTowerParams) -> None:
        self.params = params
        self.content: dict[str, Any] | None = None
        self.weights = b""
        self.course: dict[str, Any] = {}

    def fit(self, examples: Examples) -> TwoTowerLists:
        """Train on the purchases up to the newest moment; the new items bought after it say which epoch stays."""
        from capflow_assets.learning.part_choice import newest_outcomes

        self._train(examples, newest_outcomes(examples, CAME), self.params.epochs)
        return self

    def refit(self, examples: Examples) -> TwoTowerLists:
        """Train for as many epochs as were best, on the purchases of the newest moment."""
        again = TwoTowerLists(self.params)
        again._train(examples, None, int(self.course.get("best_epoch", self.params.epochs)))
        return again

    def predict(self, examples: Examples) -> pd.DataFrame:
        """A list of ``items`` new items for each user: ``item_id``, ``score`` (higher comes first), ``reasons``.

        Raises:
            ModelError: texts or pictures are read by another encoder than the one that was learned from.
        """
        from capflow_assets.learning.cold_start_lists import liked_rows
        from capflow_assets.learning.frames import fitted
        from capflow_assets.learning.item_content import Content

        content = Content(**fitted(self.content, "cold_start_recommendations"))
        return liked_rows(self.weights, self._shape, content, examples, self.params.items)

    def parameters(self) -> dict[str, Any]:
        """What is read of items and what says nothing; how the training went, see ``nets.loop.Course``."""
        read = {} if self.content is None else {name: self.content[name] for name in ("texts", "pictures", "left_out")}
        marks = [] if self.content is None else self.content["marks"]
        return {
            **self.params.model_dump(),
            "attributes": sorted({column for column, _ in marks}),
            **read,
            **self.course,
        }

    @property
    def _shape(self) -> tuple[int, float]:
        return self.params.size, self.params.dropout

    def _train(self, examples: Examples, bought: pd.DataFrame | None, epochs: int) -> None:
        from capflow_assets.learning.cold_start import trained_towers
        from capflow_assets.learning.cold_start_lists import PICTURES, TEXTS, Shelf, numbers_of
        from capflow_assets.learning.item_content import learned_content
        from capflow_assets.learning.nets.loop import Plan

        params, shelf = self.params, Shelf.newest(examples)
        content = learned_content(shelf.items, examples.table(TEXTS), examples.table(PICTURES))
        numbers: np.ndarray = numbers_of(content, shelf, examples)
        plan = Plan(params.seed, epochs, params.seconds, PATIENCE, params.batch, params.rate)
        past = shelf.outcomes(bought)
        self.weights, course = trained_towers(shelf.bought, numbers, self._shape, plan, past, TOP)
        self.content, self.course = content.describe(), _told(course)


class PopularByCategory:
    """The baseline: new items of the categories that the user buys most, first those whose brand sells in it."""

    def __init__(self, params: TwoTowerParams) -> None:
        self.params = params

    def fit(self, examples: Examples) -> PopularByCategory:
        """There is nothing to keep: what sells is counted at the moment that is answered for."""
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """As the net's; the ``score`` is the category's share in what the user bought."""
        from capflow_assets.learning.cold_start_lists import popular_rows

        return popular_rows(examples, self.params.items)

    def parameters(self) -> dict[str, Any]:
        """How long its lists are."""
        return {"items": self.params.items}


def _told(course: Course) -> dict[str, Any]:
    rounded = {"losses": [round(value, 5) for value in course.losses], "recalls": list(course.scores)}
    return {**rounded, "best_epoch": course.best_epoch, "ended": course.ended, "device": course.device}
