"""Who is asked about and who has bought again, by hand; and the planted truth."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from capflow_assets.contract import Examples
from capflow_assets.features.baskets import baskets
from capflow_assets.features.promotion import promotion
from capflow_assets.features.rfm import rfm
from capflow_assets.learning.intervals import difference_with_interval
from capflow_assets.models.second_purchase import AGAIN, MODEL, SecondPurchaseParams, known, outcome
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.oracle import second_purchase_chances
from capflow_assets.simulation.world import World, simulate
from capflow_assets_tests.models.simulated_chances import SCHEMA

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

START = datetime(2020, 6, 1, 12, tzinfo=UTC)
END = START + timedelta(days=90)
# The hours of the bills, counted from START.
BILLS = {
    "once, then again": [-240, 600],
    "once, and no more": [-240],
    "once, and too late": [-240, 90 * 24 + 1],
    "twice on one day": [-242, -240, 600],
    "today, and later today": [-3, 3],
    "today, later today and tomorrow": [-3, 3, 24],
    "twice before": [-480, -240, 600],
    "will come": [20, 48],
}


def bills(spark: SparkSession) -> DataFrame:
    moments = [(user, START + timedelta(hours=hours)) for user, of_user in BILLS.items() for hours in of_user]
    rows = [(user, at, at.date(), 5.0, False, user is None) for user, at in [*moments, (None, START)]]
    back = [(user, START + timedelta(hours=hours)) for user, hours in (("once, and no more", 9), ("brought back", -9))]
    return spark.createDataFrame([*rows, *((user, at, at.date(), -5.0, True, False) for user, at in back)], SCHEMA)


def users(frame: DataFrame) -> set[str]:
    return {row["user_id"] for row in frame.collect()}


def test_users_of_one_day_are_asked_about_and_only_a_later_day_is_a_second_purchase(spark: SparkSession) -> None:
    asked_about = {name for name in BILLS if name not in ("twice before", "will come")}
    assert users(known(bills(spark), START, "UTC")) == asked_about
    frame = outcome(bills(spark), START, END, "UTC")
    again = {"once, then again", "twice on one day", "today, later today and tomorrow"}
    assert sorted(tuple(row) for row in frame.collect()) == sorted((name, 1) for name in again)
    assert frame.columns == ["user_id", AGAIN]


def test_days_are_those_of_the_customer(spark: SparkSession) -> None:
    """Eleven at night and one in the morning in UTC are one afternoon in Auckland, and one visit."""
    at = datetime(2020, 6, 1, 23, tzinfo=UTC)
    later = [at, at + timedelta(hours=2)]
    utc = [("ann", moment, moment.date(), 5.0, False, False) for moment in later]
    auckland = [("ann", moment, date(2020, 6, 2), 5.0, False, False) for moment in later]
    now = at + timedelta(hours=3)
    assert users(known(spark.createDataFrame(utc, SCHEMA), now, "UTC")) == set()
    assert users(known(spark.createDataFrame(auckland, SCHEMA), now, "Pacific/Auckland")) == {"ann"}


def test_both_engines_agree(spark: SparkSession, jvm: SparkSession) -> None:
    here, there = (outcome(bills(engine), START, END, "UTC") for engine in (spark, jvm))
    assert here.dtypes == there.dtypes
    assert users(here) == users(there)


# -- the planted world -------------------------------------------------------------------------------------------------


def examples_of(spark: SparkSession, world: World, moments: list[datetime]) -> Examples:
    """The users who had bought once at each moment, with whether they did again within ninety days."""
    rows = pd.concat([world.bills, world.truth.future_bills])
    rows = rows[rows["user_id"].notna()].assign(
        billed_on=lambda of: of["billed_at"].dt.date, is_return=False, is_anonymous=False, line_items=None
    )
    columns = ["bill_id", "user_id", "billed_at", "billed_on", "amount", "discount", "quantity", "line_items"]
    schema = f"bill_id string, {SCHEMA}, discount double, quantity double, line_items int"
    order = [part.strip().split()[0] for part in schema.split(",")]
    sent, parts = spark.createDataFrame(rows[[*columns, "is_return", "is_anonymous"]][order], schema), []
    for place, moment in enumerate(moments):
        blocks = (block(sent, as_of=moment, zone="UTC").drop("as_of") for block in (rfm, baskets, promotion))
        known_users, *state, outcomes = (
            frame.toPandas().set_index("user_id")
            for frame in (
                known(sent, moment, "UTC"),
                *blocks,
                outcome(sent, moment, moment + timedelta(days=90), "UTC"),
            )
        )
        part = known_users.join(state).sort_index()
        parts.append(part.assign(moment=place, **{AGAIN: outcomes[AGAIN].reindex(part.index).fillna(0.0)}))
    together = pd.concat(parts)
    return Examples(together[[*MODEL.columns, "moment"]], together[[AGAIN]], moments=tuple(moments))


def test_it_orders_users_as_one_who_knows_the_laws(spark: SparkSession) -> None:
    dials = {"r": 2.0, "alpha_weeks": 8.0, "campaigns": 0, "returns_pct": 0, "anonymous_pct": 0, "affinities": 0}
    world = simulate(tiny("shop", seed=1, users=4500, days=420, one_time_users=2000, **dials))
    end, params = world.end.to_pydatetime(), SecondPurchaseParams()
    past = examples_of(spark, world, [end - timedelta(days=90 * back) for back in (3, 2, 1)])
    test = examples_of(spark, world, [end])
    truth = second_purchase_chances(world, end, 90).reindex(test.columns.index)
    is_known = truth.notna().to_numpy()  # two bills on one day are one visit, and no single bill
    assert is_known.mean() > 0.98
    outcomes = test.outcomes
    assert outcomes is not None
    best = MODEL.metric.compute(outcomes[is_known], pd.DataFrame({"score": truth[is_known]}))
    answers = {
        candidate.name: candidate.make(params).fit(past).predict(test)[is_known] for candidate in MODEL.candidates
    }
    figures = {name: MODEL.metric.compute(outcomes[is_known], of) for name, of in answers.items()}
    assert best > 0.85
    assert figures["boosted trees"] == pytest.approx(best, abs=0.02)
    baseline = answers[MODEL.baseline.name]
    gain = difference_with_interval(MODEL.metric, outcomes[is_known], answers["boosted trees"], baseline, seed=0)
    assert gain.low > 0.02, gain
    # One who bought at full price comes again; of those who bought what was reduced, most do not.
    reduced = test.columns["discount_share"][is_known] > 0.15
    scores = answers["boosted trees"]["score"]
    assert scores[reduced].mean() < 0.5 * scores[~reduced].mean()
