"""In which hours of the week users come: by each user's own habits, or by everybody's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from capflow_assets.contract import Examples

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from capflow_assets.learning.habits import Habits

BILLS, PER, VISITS = "clean/bills", "week_hour", "visits"
USERS_AT_ONCE = 20_000


class WeekHourParams(Protocol):
    """How many hours of the week a list has."""

    seed: int
    slots: int

    def model_dump(self) -> dict[str, Any]:
        """All of them."""


class SendTime:
    """How firmly a user's own days and hours count, as served best in the past."""

    def __init__(self, params: WeekHourParams) -> None:
        self.params = params
        self.recipe: dict[str, float] | None = None
        self.log_likelihood = 0.0

    def fit(self, examples: Examples) -> SendTime:
        """Choose the recipe under which the visits after past moments were likeliest.

        Raises ``EvidenceError`` where bills have no time of the day, or nobody who was known came again.
        """
        from capflow_assets.learning.habits import pasts_of
        from capflow_assets.learning.week_hours import best_recipe, names, require_times

        pasts = pasts_of(examples, lambda place: _habits(examples, place), PER, VISITS, names)
        require_times(pasts[-1].habits)
        recipe, self.log_likelihood = best_recipe(pasts)
        self.recipe = recipe.describe()
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """The list of each user: ``week_hour``, ``score`` (the chance of it), ``weekday``, ``hour``, ``reasons``."""
        import numpy as np

        from capflow_assets.learning.frames import fitted
        from capflow_assets.learning.week_hours import WeekRecipe, Weeks

        recipe, habits = WeekRecipe(**fitted(self.recipe, "send_time")), _habits(examples)
        users = habits.numbers(examples.columns.index)
        blocks = [users[first : first + USERS_AT_ONCE] for first in range(0, max(1, len(users)), USERS_AT_ONCE)]
        chances = [Weeks.of(habits, block, recipe.half_life_days).chances(recipe) for block in blocks]
        return _lists(examples, habits, np.concatenate(chances), self.params.slots)

    def parameters(self) -> dict[str, Any]:
        """The chosen recipe, and the mean logarithm of the chance that it gave to what came."""
        return {**self.params.model_dump(), "recipe": self.recipe, "log_likelihood": self.log_likelihood}


class BusiestHours:
    """The baseline: the hours of the week in which most users come, the same for everybody."""

    def __init__(self, params: WeekHourParams) -> None:
        self.params = params

    def fit(self, examples: Examples) -> BusiestHours:
        """Nothing to learn."""
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """As the model's; the ``score`` is the share of all visits."""
        import numpy as np

        habits = _habits(examples)
        shares = np.bincount(habits.thing, minlength=len(habits.things)) / max(1, len(habits.thing))
        return _lists(examples, habits, np.tile(shares, (len(examples), 1)), self.params.slots)

    def parameters(self) -> dict[str, Any]:
        """How long its lists are."""
        return {"slots": self.params.slots}


def _habits(examples: Examples, place: int = -1) -> Habits:
    from capflow_assets.learning.habits import today_of
    from capflow_assets.learning.week_hours import week_habits

    return week_habits(examples.tables[BILLS][place], examples.zone, today_of(examples, place))


def _lists(examples: Examples, habits: Habits, chances: np.ndarray, size: int) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    from capflow_assets.learning.week_hours import HOURS, names, reasons

    index = examples.columns.index
    top = np.argsort(-chances, axis=1, kind="stable")[:, :size]
    hour, place = top.ravel(), np.repeat(np.arange(len(index)), size)
    columns = {
        PER: names(hour),
        "score": np.take_along_axis(chances, top, axis=1).ravel(),
        "weekday": (hour // HOURS + 1).astype("int32"),
        "hour": (hour % HOURS).astype("int32"),
        "reasons": reasons(habits, habits.numbers(index)[place], hour),
    }
    return pd.DataFrame(columns, index=index.take(place))
