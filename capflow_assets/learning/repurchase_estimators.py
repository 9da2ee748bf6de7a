"""When users buy an item again: by the hazard of each pair of user and item, or by mean gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from capflow_assets.contract import Examples

if TYPE_CHECKING:
    import pandas as pd

    from capflow_assets.learning.repurchase_rows import Purchases

LINES, ITEMS = "clean/line_items", "clean/items"


class RepurchaseParams(Protocol):
    """What both ways are told: the horizon, and how many items a list has at most."""

    seed: int
    horizon_days: int
    items: int

    def model_dump(self) -> dict[str, Any]:
        """All of them."""


class ItemHazard:
    """The laws of the gaps between purchases of an item."""

    def __init__(self, params: RepurchaseParams) -> None:
        self.params = params
        self.laws: dict[str, float] | None = None

    def fit(self, examples: Examples) -> ItemHazard:
        """Learn the laws of greatest likelihood from what was bought again after the moments of the examples.

        Raises ``EvidenceError`` where hardly anything was.
        """
        from capflow_assets.learning.repurchase_examples import learned_hazard

        known = [_purchases(examples, place) for place in range(len(examples.moments))]
        self.laws = learned_hazard(known, examples, self.params.horizon_days, self.params.seed).describe()
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """A list for each user: ``item_id``, ``score`` (the chance in the horizon), when it is due, ``reasons``."""
        import numpy as np

        from capflow_assets.learning.frames import fitted
        from capflow_assets.learning.repurchase_rows import due_rows
        from capflow_assets.learning.repurchases import Hazard

        known, hazard = _purchases(examples, -1), Hazard(**fitted(self.laws, "replenishment"))
        chance = 1 - hazard.survival(known.waits, float(self.params.horizon_days))
        usual, due = np.exp(hazard.usual(known.waits)[0]), hazard.due(known.waits)
        return due_rows(known, examples.columns.index, chance, chance, due, usual, self.params.items)

    def parameters(self) -> dict[str, Any]:
        """The laws (``learning.repurchases.Hazard``)."""
        return {**self.params.model_dump(), **(self.laws or {})}


class MeanGap:
    """The baseline: each item after the user's own mean gap, after the item's median one where it was bought once.

    Once the wait is longer than the gap, the gap is the wait; what comes most often in the horizon is first.
    """

    def __init__(self, params: RepurchaseParams) -> None:
        self.params = params

    def fit(self, examples: Examples) -> MeanGap:
        """There is nothing to learn: gaps are counted at the moment that is answered for."""
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """As the model's; the ``score`` is how often the gap fits into the horizon."""
        import numpy as np

        from capflow_assets.learning.repurchase_rows import due_rows

        known = _purchases(examples, -1)
        gap, waited = known.mean_gap, known.waits.waited
        score = self.params.horizon_days / np.maximum(np.maximum(gap, waited), 1.0)
        due = np.maximum(gap - waited, 0.0)
        return due_rows(known, examples.columns.index, score, -np.expm1(-score), due, gap, self.params.items)

    def parameters(self) -> dict[str, Any]:
        """How long its lists are, and how far they look."""
        return {"items": self.params.items, "horizon_days": self.params.horizon_days}


def _purchases(examples: Examples, place: int) -> Purchases:
    from capflow_assets.expressions.days import local_day_of
    from capflow_assets.learning.repurchase_rows import purchases_of

    lines, items = examples.tables[LINES][place], examples.tables[ITEMS][place]
    return purchases_of(lines, items, local_day_of(examples.moments[place], examples.zone))
