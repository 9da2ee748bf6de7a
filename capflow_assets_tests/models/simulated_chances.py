"""A simulated customer's users with what became of them, and what one who knows the laws expects of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import ModuleType
from typing import TYPE_CHECKING

import pandas as pd

from capflow_assets.contract import Examples
from capflow_assets.features.rfm import rfm
from capflow_assets.features.rhythm import rhythm
from capflow_assets.simulation.world import World

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SCHEMA = "user_id string, billed_at timestamp, billed_on date, amount double, is_return boolean, is_anonymous boolean"


def clean_bills(spark: SparkSession, bills: pd.DataFrame) -> DataFrame:
    """The bills of a world as clean/bills has them, of a customer in UTC."""
    rows = bills[["user_id", "billed_at", "amount"]].assign(
        billed_on=bills["billed_at"].dt.date, is_return=bills["amount"] < 0, is_anonymous=bills["user_id"].isna()
    )
    rows["user_id"] = rows["user_id"].astype(object).where(rows["user_id"].notna(), None)
    return spark.createDataFrame(
        rows[["user_id", "billed_at", "billed_on", "amount", "is_return", "is_anonymous"]], SCHEMA
    )


def examples_of(
    spark: SparkSession, module: ModuleType, world: World, moments: list[datetime], horizon_days: int
) -> Examples:
    """The subjects of a model of chances at each of the moments, with what came of them in the horizon."""
    model, bills = module.MODEL, clean_bills(spark, pd.concat([world.bills, world.truth.future_bills]))
    outcome, frames = model.outcome.columns[0], []
    for place, moment in enumerate(moments):
        users = module.known(bills, moment, "UTC")
        state = users.join(rfm(bills, moment, "UTC"), "user_id").join(
            rhythm(bills, moment, "UTC").drop("as_of"), "user_id"
        )
        came = module.outcome(bills, moment, moment + timedelta(days=horizon_days), "UTC")
        rows = state.join(came, "user_id", "left").select("user_id", *model.columns, outcome).toPandas()
        frames.append(rows.set_index("user_id").sort_index().assign(moment=place))
    rows = pd.concat(frames)
    return Examples(rows.drop(columns=outcome), rows[[outcome]].fillna(0.0), moments=tuple(moments))
