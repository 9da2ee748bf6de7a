"""How many bills and how much money each store will see on each of the next 28 days, with 80 and 95 % intervals.

Bills are forecast by whichever method of ``learning.forecasting`` did best on the store's own last weeks, out of time;
the amount is that times the store's average bill of the last 13 weeks, which is more accurate on real tills than to
forecast amounts by themselves, and agrees with the bills. Intervals are as wide as past errors were
(``learning.forecast_intervals``). A store of less than a bill a day, or too young to try methods on, goes on as its
weekdays were. Not known to it: holidays, campaigns, openings and closings to come.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import Field

from capflow_assets.contract import Candidate, Column, Examples, Horizon, Needs, Reads, Subject
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.forecast_scores import interval_columns
from capflow_assets.learning.objectives.series import series_model

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

    from capflow_assets.learning.store_forecasts import StoreMethods

TABLE = "features/store_days"
MEASURES = ("bills", "amount")
HORIZON_DAYS = 28


class VisitForecastParams(Horizon):
    """What a person may set for the forecast."""

    horizon_days: int = Field(HORIZON_DAYS, ge=7, le=91, description="Local days that are forecast.")
    stretches: int = Field(2, ge=1, le=6, description="Past stretches of so many days by which methods are chosen.")
    stores_compared: int = Field(
        300, ge=0, description="Largest stores whose methods are compared; it bounds the time."
    )


class VisitForecast:
    """The method of each store and the widths of intervals; series are forecast anew from the rows of the moment."""

    saved_types = (
        "capflow_assets.learning.store_forecasts.StoreMethods",
        "capflow_assets.learning.forecast_intervals.Widths",
    )
    rivals: tuple[str, ...] = ("seasonal_naive", "weekday_mean", "ets", "mstl", "mstl_year")

    def __init__(self, params: VisitForecastParams) -> None:
        self.params = params
        self.chosen: StoreMethods | None = None

    def fit(self, examples: Examples) -> VisitForecast:
        """Choose the method of each store on what lies before the moment.

        Raises ``EvidenceError`` when no store has a purchase.
        """
        from capflow_assets.learning.store_forecasts import choose_methods, histories

        stores = histories(examples.table(TABLE), examples.moments[-1], examples.zone)
        if not stores:
            raise EvidenceError(
                "There is no store to forecast",
                expected="bills that name their store",
                came="none",
                do="map store_id of the bills to the column that names the branch",
            )
        params = self.params
        self.chosen = choose_methods(stores, params.horizon_days, params.stretches, self.rivals, params.stores_compared)
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """One row per store asked for and day: ``bills``, ``amount``, their intervals, and what they are judged by."""
        from capflow_assets.learning.frames import fitted
        from capflow_assets.learning.store_forecasts import forecast_stores, histories

        chosen = fitted(self.chosen, "visit_forecast")
        stores = histories(examples.table(TABLE), examples.moments[-1], examples.zone)
        columns = ("day", *(column.name for column in ANSWER))
        return forecast_stores(stores, examples.columns.index, chosen, self.params.horizon_days, columns)

    def parameters(self) -> dict[str, Any]:
        """How many stores go by which method, and the dispersion over all stores (1 is that of Poisson counts)."""
        return {} if self.chosen is None else self.chosen.summary()


class SeasonalNaive(VisitForecast):
    """The baseline: each day as the same weekday of the last week, with intervals made the same way."""

    rivals = ("seasonal_naive",)


def known(store_days: DataFrame) -> DataFrame:
    """The stores with a purchase in the history that is kept of them."""
    return store_days.select("store_id").distinct()


def outcome(bills: DataFrame, start: datetime, end: datetime, zone: str) -> DataFrame:
    """What each store sold on each local day after that of ``start``, up to ``end``.

    One row per store and day with a purchase: ``store_id``, ``day``, ``bills`` (returns apart), ``amount`` (currency).
    """
    from pyspark.sql import functions as F

    from capflow_assets.expressions.days import local_day_of
    from capflow_assets.expressions.sums import exact_sum

    inside = (F.col("billed_on") > F.lit(local_day_of(start, zone))) & (F.col("billed_at") <= F.lit(end))
    rows = bills.filter(inside & F.col("store_id").isNotNull() & (F.col("amount") >= 0))
    sums = F.count(F.lit(1)).cast("int").alias("bills"), exact_sum(F.col("amount")).alias("amount")
    return rows.groupBy("store_id", F.col("billed_on").alias("day")).agg(*sums)


ANSWER = (
    Column("bills", "double", "Bills expected on the day, returns apart.", required=True, at_least=0, unit="bills"),
    *interval_columns("bills", "bills", "bills"),
    Column("amount", "double", "Amount expected of them.", required=True, at_least=0, unit="currency"),
    *interval_columns("amount", "the amount", "currency"),
    Column("bills_naive_error", "double", "Error of last week's bills of the day, over a year.", True, 0, unit="bills"),
    Column("amount_naive_error", "double", "The same of the amount.", required=True, at_least=0, unit="currency"),
    Column("bills_day_avg", "double", "Bills of a day on average, over a year.", True, at_least=0, unit="bills"),
    Column("method", "string", "How the store was forecast.", required=True),
)

MODEL = series_model(
    question="How many bills and how much money will each store see on each of the next days?",
    # Four weeks to be judged on, two such stretches to choose methods by, and four weeks before them.
    needs=Needs(tables=("clean/bills",), history_days=112, evidence={"stores": 1}),
    subject=Subject("store", ("store_id",), known=known),
    reads=(Reads(TABLE, ("store_id", "day", *MEASURES), form="frame"),),
    outcome=outcome,
    measures=MEASURES,
    columns=ANSWER,
    size="bills_day_avg",
    periods=HORIZON_DAYS,
    params=VisitForecastParams,
    candidates=(
        Candidate("the best method of each store", VisitForecast),
        Candidate("last week again", SeasonalNaive, is_baseline=True),
    ),
)
