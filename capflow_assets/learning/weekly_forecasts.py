"""Demand of the next weeks with intervals: by trees over all series, by exponential smoothing, or the same again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from capflow_assets.contract import Examples

if TYPE_CHECKING:
    import pandas as pd

    from capflow_assets.learning.demand_estimators import Method
    from capflow_assets.learning.forecast_intervals import Widths
    from capflow_assets.learning.weekly_demand import Demand

TABLE = "features/demand_weeks"
SIZE = "pieces_week_avg"


class WeeklyParams(Protocol):
    """How many weeks are forecast, and how trees grow."""

    seed: int
    rounds: int
    learning_rate: float
    max_depth: int
    threads: int

    @property
    def weeks(self) -> int:
        """Whole weeks ahead."""
        ...

    def model_dump(self) -> dict[str, Any]:
        """All of them."""


class WeeklyForecast:
    """A way to forecast, and the widths of its intervals; series are read anew from the rows of the moment."""

    saved_types: ClassVar[tuple[str, ...]] = ("capflow_assets.learning.forecast_intervals.Widths",)

    def __init__(self, params: WeeklyParams) -> None:
        self.params = params
        self.widths: Widths | None = None

    def fit(self, examples: Examples) -> WeeklyForecast:
        """Learn on all weeks, and the widths by what was learned without the last ones.

        Raises ``EvidenceError`` where the history is shorter than three months and a horizon.
        """
        from capflow_assets.learning.demand_answers import past_widths, require_weeks

        demand, ahead = _demand(examples), self.params.weeks
        require_weeks(demand, ahead)
        self.widths = past_widths(demand, ahead, self._learned)
        self.learn(demand)
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """One row per store and category asked for and week: ``pieces``, its intervals, and what it is judged by."""
        from capflow_assets.learning.demand_answers import demand_rows
        from capflow_assets.learning.frames import fitted

        wide, demand = fitted(self.widths, "demand_forecast"), _demand(examples)
        pieces = self.method().forecast(demand, self.params.weeks) if len(demand) else demand.pieces
        return demand_rows(demand, examples.columns.index, pieces, wide, SIZE)

    def learn(self, demand: Demand) -> None:
        """What there is to learn from a demand."""

    def method(self) -> Method:
        """The way to forecast."""
        from capflow_assets.learning.demand_estimators import Smoothing

        return Smoothing()

    def parameters(self) -> dict[str, Any]:
        """The dispersion over all series (1 is that of Poisson counts)."""
        dispersion = None if self.widths is None else self.widths.pooled
        return {**self.params.model_dump(), "pieces_dispersion": dispersion}

    def _learned(self, demand: Demand) -> Method:
        self.learn(demand)
        return self.method()


class GlobalForecast(WeeklyForecast):
    """Trees over all series and their sums, reconciled."""

    saved_types: ClassVar[tuple[str, ...]] = (*WeeklyForecast.saved_types, "xgboost.core.Booster")

    def __init__(self, params: WeeklyParams) -> None:
        super().__init__(params)
        self.trees: Any = None

    def learn(self, demand: Demand) -> None:
        """The trees."""
        from capflow_assets.learning.demand_estimators import GlobalTrees

        params = self.params
        settings = {
            "objective": "reg:squarederror",
            "tree_method": "hist",
            "learning_rate": params.learning_rate,
            "max_depth": params.max_depth,
            "min_child_weight": 10.0,
            "subsample": 0.8,
            "colsample_bytree": 0.8,
            "seed": params.seed,
            "nthread": params.threads,
        }
        self.trees = GlobalTrees.fitted(demand, params.weeks, settings, params.rounds).trees

    def method(self) -> Method:
        """The trees that were learned."""
        from capflow_assets.learning.demand_estimators import GlobalTrees
        from capflow_assets.learning.frames import fitted

        return GlobalTrees(fitted(self.trees, "demand_forecast"))


class NaiveForecast(WeeklyForecast):
    """The baseline: last week again, or the same week of the year before where that was nearer lately."""

    def __init__(self, params: WeeklyParams) -> None:
        super().__init__(params)
        self.lag = 1

    def learn(self, demand: Demand) -> None:
        """Which week is repeated."""
        from capflow_assets.learning.weekly_demand import naive_lag

        self.lag = naive_lag(demand, self.params.weeks)

    def method(self) -> Method:
        """That week again."""
        from capflow_assets.learning.demand_estimators import Naive

        return Naive(self.lag)

    def parameters(self) -> dict[str, Any]:
        """Which week is repeated, in weeks ago."""
        return {**super().parameters(), "lag_weeks": self.lag}


def _demand(examples: Examples) -> Demand:
    from capflow_assets.learning.weekly_demand import demand_of

    return demand_of(examples.table(TABLE), examples.moments[-1], examples.zone)
