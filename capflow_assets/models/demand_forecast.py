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
from typing import TYPE_CHECKING

from pydantic import Field

from capflow_assets.contract import Candidate, Column, Horizon, Needs, Reads, Subject
from capflow_assets.learning.forecast_scores import interval_columns
from capflow_assets.learning.objectives.series import series_model
from capflow_assets.learning.weekly_forecasts import SIZE, TABLE, GlobalForecast, NaiveForecast, WeeklyForecast

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


KEY, MEASURES = ("store_id", "category"), ("pieces",)
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
