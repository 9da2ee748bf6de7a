"""Who is asked about and who has lapsed, by hand; and the planted truth."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from capflow_assets.models import churn
from capflow_assets.models.churn import MODEL, ChurnParams, known, outcome
from capflow_assets.simulation.oracle import expected_purchases
from capflow_assets_tests.models.simulated_chances import SCHEMA, examples_of, planted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

START = datetime(2020, 6, 1, 12, tzinfo=UTC)
END = START + timedelta(days=60)
# The days of the visits, counted from the day of START.
VISITS = {
    "weekly, stays": [-21, -14, -7, 30],
    "weekly, lapses": [-21, -14, -7],
    "weekly, comes a day late": [-21, -14, -7, 61],
    "quarterly, silent": [-91, -1],  # 61 days of silence are no three gaps of 90
    "every four weeks, late": [-79, -51, -23],  # silent for 83 days at the end, three gaps are 84
    "every 27 days, lapses": [-78, -51, -24],  # 84 days, three gaps are 81
    "long gone": [-100, -93, -86],
    "came once": [-10],
    "will come": [20, 27],
}


def bills(spark: SparkSession) -> DataFrame:
    rows = [
        (user, START + timedelta(days=day), (START + timedelta(days=day)).date(), 5.0, False, False)
        for user, days in VISITS.items()
        for day in days
    ]
    at = START + timedelta(days=5)
    rows += [("weekly, lapses", at, at.date(), -5.0, True, False), (None, at, at.date(), 5.0, False, True)]
    return spark.createDataFrame(rows, SCHEMA)


def users(frame: DataFrame) -> set[str]:
    return {row["user_id"] for row in frame.collect()}


def test_active_users_are_asked_about_and_those_who_lapse_by_their_own_rhythm_have(spark: SparkSession) -> None:
    weekly, rest = {name for name in VISITS if name.startswith("weekly")}, {"quarterly, silent"}
    rest |= {"every four weeks, late", "every 27 days, lapses"}
    assert users(known(bills(spark), START, "UTC")) == weekly | rest
    lapsed = {"weekly, lapses", "weekly, comes a day late", "every 27 days, lapses"}
    frame = outcome(bills(spark), START, END, "UTC")
    assert users(frame) == lapsed
    assert frame.columns == ["user_id", "lapsed"]


def test_both_engines_agree(spark: SparkSession, jvm: SparkSession) -> None:
    here, there = (outcome(bills(engine), START, END, "UTC") for engine in (spark, jvm))
    assert here.dtypes == there.dtypes
    assert users(here) == users(there)


def test_days_are_those_of_the_customer(spark: SparkSession) -> None:
    """Just before midnight in UTC it is the next day in Auckland, so one silent for three gaps is silent for more."""
    at = datetime(2020, 6, 1, 22, tzinfo=UTC)
    rows = [("ann", at, date(2020, 5, day), 5.0, False, False) for day in (20, 24)]
    late = spark.createDataFrame([(user, at - timedelta(days=8), *rest) for user, _, *rest in rows], SCHEMA)
    assert users(known(late, datetime(2020, 6, 5, 13, tzinfo=UTC), "UTC")) == {"ann"}
    assert users(known(late, datetime(2020, 6, 5, 13, tzinfo=UTC), "Pacific/Auckland")) == set()


def test_it_orders_users_as_one_who_knows_the_laws(spark: SparkSession) -> None:
    world, params = planted(seed=1), ChurnParams()
    end = world.end.to_pydatetime()
    past = examples_of(spark, churn, world, [end - timedelta(days=60 * back) for back in (4, 3, 2, 1)], 60)
    test = examples_of(spark, churn, world, [end], 60)
    truth = expected_purchases(world, end, 60).set_index("user_id").loc[test.columns.index]
    may_lapse = test.columns["recency_days"] + 60 > 3 * test.columns["gap_days_avg"]
    assert test.outcomes is not None
    best = MODEL.metric.compute(test.outcomes, pd.DataFrame({"score": (1 - truth["p_purchase"]) * may_lapse}))
    figures = {
        candidate.name: MODEL.metric.compute(test.outcomes, candidate.make(params).fit(past).predict(test))
        for candidate in MODEL.candidates
    }
    assert best > 0.8
    assert figures["buy till you die"] == pytest.approx(best, abs=0.02)
    assert min(figures, key=lambda name: figures[name]) == MODEL.baseline.name
