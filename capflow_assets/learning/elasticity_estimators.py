"""How users go by the price: each user's elasticity shrunk to the categories', or one for all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError

if TYPE_CHECKING:
    import pandas as pd

    from capflow_assets.learning.price_choices import Choices

LINES, ITEMS = "clean/line_items", "clean/items"


class ElasticityParams(Protocol):
    """Weeks of line items that are learned from."""

    weeks: int

    def model_dump(self) -> dict[str, Any]:
        """All of them."""


class PriceSensitivity:
    """The elasticity of each category with its error, and how much users differ, as they were at the moment of fit."""

    is_personal = True

    def __init__(self, params: ElasticityParams) -> None:
        self.params = params
        self.categories: dict[str, list[float]] | None = None
        self.overall: list[float] = []
        self.law: list[float] = []
        self.described: dict[str, dict[str, Any]] = {}

    def fit(self, examples: Examples) -> PriceSensitivity:
        """Learn from the line items up to the moment.

        Raises ``EvidenceError`` where no item that sells week by week has had more than one price.
        """
        from capflow_assets.learning.category_elasticity import category_elasticities, item_prices
        from capflow_assets.learning.user_elasticity import user_elasticities

        choices = _choices(examples, self.params.weeks)
        learned = category_elasticities(choices)
        if not learned.is_seen.any():
            raise EvidenceError(
                "No elasticity can be seen",
                expected="items that sell in most weeks, at more than one price",
                came=f"{len(choices.items)} items, none of them such",
                do="wait for prices to move, or send amounts after discounts",
            )
        value, error = learned.shrunk.value, learned.shrunk.error
        self.categories = {str(name): [float(value[n]), float(error[n])] for n, name in enumerate(learned.names)}
        self.overall = [float(learned.shrunk.mean), float(error.mean())]
        self.law = list(user_elasticities(choices, item_prices(choices, value)).law)
        self.described = learned.describe()
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """One row per user: ``score``, the elasticity and its interval, the strongest category, what is saved by it."""
        import numpy as np

        from capflow_assets.learning.category_elasticity import CERTAINTY_95, item_prices
        from capflow_assets.learning.frames import fitted
        from capflow_assets.learning.price_answers import ALL, frame_of, personal_answers
        from capflow_assets.learning.user_elasticity import user_elasticities

        categories, index = fitted(self.categories, "price_sensitivity"), examples.columns.index
        if not self.is_personal:
            mean, error = (np.full(len(index), value) for value in self.overall)
            answers = frame_of(index, mean, CERTAINTY_95 * error)
            return answers.assign(strongest_category=None, expected_saving=0.0, reasons=ALL)
        choices = _choices(examples, self.params.weeks)
        slope, error = (
            np.array([categories.get(str(name), self.overall) for name in choices.categories]).reshape(-1, 2).T
        )
        users = user_elasticities(choices, item_prices(choices, slope), (self.law[0], self.law[1]))
        return personal_answers(index, choices, users, slope, error)

    def parameters(self) -> dict[str, Any]:
        """The largest categories' elasticities with 95 % intervals, unshrunk beside, and how much users differ."""
        return {
            **self.params.model_dump(),
            "categories": self.described,
            "overall": self.overall,
            "users_differ_by": self.law[:1],
        }


class OneElasticity(PriceSensitivity):
    """The baseline: all users go by the price as all categories do together, so nobody saves more than others."""

    is_personal = False


def _choices(examples: Examples, weeks: int) -> Choices:
    """The line items of the last so many weeks as choices at a price."""
    import numpy as np
    import pandas as pd

    from capflow_assets.learning.habits import today_of
    from capflow_assets.learning.price_choices import choices_of

    lines, items = examples.table(LINES), examples.table(ITEMS)
    # Days and flags repeat: each is read once.
    day, days = pd.factorize(lines["billed_on"])
    flag, flags = pd.factorize(lines["flags"].fillna(""))
    age = (today_of(examples, -1) - np.asarray(days).astype("datetime64[D]")).astype("int64")[day]
    is_return = lines["is_return"].to_numpy(dtype=bool)
    is_item = np.array(["not_an_item" not in str(text) for text in flags], dtype=bool)[flag]
    kept = (age >= 0) & (age < 7 * weeks) & ~is_return & is_item
    return choices_of(lines[kept], items.set_index("item_id")["category"], age[kept] // 7)
