"""A simulated customer's users with what became of them, and what one who knows the laws expects of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import ModuleType
from typing import TYPE_CHECKING

import pandas as pd

from capflow_assets.contract import Examples
from capflow_assets.features.rfm import rfm
from capflow_assets.features.rhythm import rhythm
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.world import World, simulate

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SCHEMA = "user_id string, billed_at timestamp, billed_on date, amount double, is_return boolean, is_anonymous boolean"


def clean_bills(spark: SparkSession, bills: pd.DataFrame) -> DataFrame:
    """The bills of a world as clean/bills has them, of a customer in UTC."""
    rows = bills[["user_id", "billed_at", "amount"]].assign(
        billed_on=bills["billed_at"].dt.date, is_return=bills["amount"] < 0, is_anonymous=bills["user_id"].isna()
    )
    rows["user_id"] = rows["user_id"].astype(object).where(rows["user_id"].notna(), None)
    columns = ["user_id", "billed_at", "billed_on", "amount", "is_return", "is_anonymous"]
    return spark.createDataFrame(rows[columns], SCHEMA)


def examples_of(
    spark: SparkSession, module: ModuleType, world: World, moments: list[datetime], horizon_days: int
) -> Examples:
    """The subjects of a model of chances at each of the moments, with their outcomes in the horizon."""
    bills, model = clean_bills(spark, pd.concat([world.bills, world.truth.future_bills])), module.MODEL
    outcome, parts = model.outcome.columns[0], []
    for place, moment in enumerate(moments):
        end = moment + timedelta(days=horizon_days)
        blocks = [rfm(bills, moment, "UTC"), rhythm(bills, moment, "UTC").drop("as_of")]
        known, *state, outcomes = (
            frame.toPandas().set_index("user_id")
            for frame in (module.known(bills, moment, "UTC"), *blocks, module.outcome(bills, moment, end, "UTC"))
        )
        part = known.join(state).sort_index()
        parts.append(part.assign(moment=place, **{outcome: outcomes[outcome].reindex(part.index).fillna(0.0)}))
    rows = pd.concat(parts)
    return Examples(rows[[*model.columns, "moment"]], rows[[outcome]], moments=tuple(moments))


def planted(seed: int) -> World:
    """Users who come about every other week, and of whom a few leave for good after each visit."""
    dials = {"campaigns": 0, "returns_pct": 0, "anonymous_pct": 0}
    return simulate(tiny("shop", seed, users=6000, days=420, r=2.0, alpha_weeks=4.0, a=0.5, b=20.0, **dials))
