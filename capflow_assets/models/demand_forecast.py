"""How many pieces of each category each store will sell in each of the next weeks, with 80 and 95 % intervals.

One set of boosted trees learns from all series, from their sums over stores and categories, the calendar and prices;
what it says of the sums and of the series is reconciled (``learning.demand_estimators``). Against it stand exponential
smoothing and the naive forecast: last week again, or the same week a year ago where that was nearer lately. Intervals
are as wide as the errors of the same way of forecasting from so many weeks ago (``learning.forecast_intervals``).
Pairs of a store and a category are forecast that are sold regularly: in every third week of the last half-year. Not
known to it: holidays, campaigns and prices to come.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from capflow_assets.contract import Candidate, Column, Examples, Horizon, Needs, Reads, Subject
from capflow_assets.learning.forecast_scores import interval_columns
from capflow_assets.learning.objectives.series import series_model

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

    from capflow_assets.learning.demand_estimators import Method
    from capflow_assets.learning.forecast_intervals import Widths
    from capflow_assets.learning.weekly_demand import Demand

TABLE = "features/demand_weeks"
KEY, MEASURES, SIZE = ("store_id", "category"), ("pieces",), "pieces_week_avg"
WEEK_DAYS = 7
HORIZON_WEEKS = 6
# A pair is forecast that was sold in so many of the last so many weeks.
REGULAR_WEEKS, RECENT_WEEKS = 9, 26


class DemandForecastParams(Horizon):
    """What a person may set for the forecast."""

    horizon_days: int = Field(
        HORIZON_WEEKS * WEEK_DAYS, ge=7, le=182, multiple_of=7, description="Local days that are forecast: whole weeks."
    )
    rounds: int = Field(100, ge=1, le=2000, description="How many trees.")
    learning_rate: float = Field(0.06, gt=0, le=1, description="Step of each tree.")
    max_depth: int = Field(4, ge=1, le=12, description="Depth of each tree.")
    threads: int = Field(2, ge=1, le=64, description="Threads; change it and forecasts may differ in the last digits.")

    @property
    def weeks(self) -> int:
        """Whole weeks ahead."""
        return self.horizon_days // WEEK_DAYS


class WeeklyForecast:
    """A way to forecast, and the widths of its intervals; series are read anew from the rows of the moment."""

    saved_types: ClassVar[tuple[str, ...]] = ("capflow_assets.learning.forecast_intervals.Widths",)

    def __init__(self, params: DemandForecastParams) -> None:
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

    def __init__(self, params: DemandForecastParams) -> None:
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

    def __init__(self, params: DemandForecastParams) -> None:
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


def known(demand_weeks: DataFrame) -> DataFrame:
    """The pairs of a store and a category that are sold regularly: ``store_id``, ``category``."""
    from pyspark.sql import functions as F

    sold = demand_weeks.filter((F.col("week") < RECENT_WEEKS) & (F.col("pieces") > 0))
    return sold.groupBy(*KEY).count().filter(F.col("count") >= REGULAR_WEEKS).select(*KEY)


def outcome(line_items: DataFrame, items: DataFrame, start: datetime, end: datetime, zone: str) -> DataFrame:
    """What each store sold of each category in each week after the local day of ``start``, up to ``end``.

    One row per store, category and week with a sale: ``store_id``, ``category``, ``day`` (the week's last),
    ``pieces``; what counts is what ``expressions.category_sales`` says.
    """
    from pyspark.sql import functions as F

    from capflow_assets.expressions.category_sales import category_sales
    from capflow_assets.expressions.days import local_day_of

    today = F.lit(local_day_of(start, zone))
    is_within = (F.col("billed_on") > today) & (F.col("billed_at") <= F.lit(end))
    week = F.floor((F.datediff(F.col("billed_on"), today) - 1) / WEEK_DAYS).cast("int")
    sales = category_sales(line_items, items).filter(is_within)
    weeks = sales.withColumn("day", F.date_add(today, (week + 1) * WEEK_DAYS)).groupBy(*KEY, "day")
    return weeks.agg(F.sum("pieces").cast("double").alias("pieces"))


ANSWER = (
    Column("pieces", "double", "Pieces expected in the week that ends on the day.", True, at_least=0, unit="pieces"),
    *interval_columns("pieces", "the pieces", "pieces"),
    Column("pieces_naive_error", "double", "Mean change from week to week, over a year.", True, 0, unit="pieces"),
    Column(SIZE, "double", "Pieces of a week on average, over a quarter.", True, at_least=0, unit="pieces"),
)

MODEL = series_model(
    question="How many pieces of each category will each store sell in each of the next weeks?",
    needs=Needs(
        tables=("clean/bills", "clean/line_items", "clean/items"),
        history_days=168,
        evidence={"stores": 1, "categories": 1},
    ),
    subject=Subject("store and category", KEY, known=known),
    reads=(Reads(TABLE, (*KEY, "week", "pieces", "price_avg"), "frame"),),
    outcome=outcome,
    measures=MEASURES,
    columns=ANSWER,
    size=SIZE,
    periods=HORIZON_WEEKS,
    period="week",
    params=DemandForecastParams,
    candidates=(
        Candidate("trees over all series, reconciled", GlobalForecast),
        Candidate("exponential smoothing", WeeklyForecast),
        Candidate("the same week again", NaiveForecast, is_baseline=True),
    ),
)
