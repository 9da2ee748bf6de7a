"""Who is asked about and who has come back, by hand; and the planted truth."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from capflow_assets.models import winback
from capflow_assets.models.winback import MODEL, WinbackParams, known, outcome
from capflow_assets.simulation.oracle import expected_purchases
from capflow_assets_tests.models.simulated_chances import SCHEMA, examples_of, planted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

START = datetime(2020, 6, 1, 12, tzinfo=UTC)
END = START + timedelta(days=60)
VISITS = {
    "weekly, gone, back": [-60, -53, -46, 60],
    "weekly, gone": [-60, -53, -46],
    "weekly, gone, back too late": [-60, -53, -46, 61],
    "weekly, three gaps silent": [-35, -28, -21, 3],
    "came once, a quarter ago": [-91, 5],
    "came once, not so long ago": [-90, 5],
    "will come": [20, 27],
}


def bills(spark: SparkSession) -> DataFrame:
    rows = [
        (user, START + timedelta(days=day), (START + timedelta(days=day)).date(), 5.0, False, False)
        for user, days in VISITS.items()
        for day in days
    ]
    at = START + timedelta(days=5)
    rows += [("weekly, gone", at, at.date(), -5.0, True, False), (None, at, at.date(), 5.0, False, True)]
    return spark.createDataFrame(rows, SCHEMA)


def users(frame: DataFrame) -> set[str]:
    return {row["user_id"] for row in frame.collect()}


def test_lapsed_users_are_asked_about_and_a_return_is_no_coming_back(spark: SparkSession) -> None:
    gone = {name for name in VISITS if "gone" in name}
    assert users(known(bills(spark), START, "UTC")) == gone | {"came once, a quarter ago"}
    frame = outcome(bills(spark), START, END, "UTC")
    assert users(frame) == {"weekly, gone, back", "came once, a quarter ago"}
    assert frame.columns == ["user_id", "came_back"]


def test_both_engines_agree(spark: SparkSession, jvm: SparkSession) -> None:
    here, there = (outcome(bills(engine), START, END, "UTC") for engine in (spark, jvm))
    assert here.dtypes == there.dtypes
    assert users(here) == users(there)


def test_it_orders_users_as_one_who_knows_the_laws(spark: SparkSession) -> None:
    world, params = planted(seed=1), WinbackParams()
    end = world.end.to_pydatetime()
    past = examples_of(spark, winback, world, [end - timedelta(days=60 * back) for back in (4, 3, 2, 1)], 60)
    test = examples_of(spark, winback, world, [end], 60)
    truth = expected_purchases(world, end, 60).set_index("user_id").loc[test.columns.index]
    assert test.outcomes is not None
    best = MODEL.metric.compute(test.outcomes, pd.DataFrame({"score": truth["p_purchase"]}))
    figures = {
        candidate.name: MODEL.metric.compute(test.outcomes, candidate.make(params).fit(past).predict(test))
        for candidate in MODEL.candidates
    }
    assert best > 0.9
    assert figures["buy till you die"] == pytest.approx(best, abs=0.02)
    assert min(figures, key=lambda name: figures[name]) == MODEL.baseline.name
