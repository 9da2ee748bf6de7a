"""What is demand, by hand; and forecasts of a simulated chain whose categories have their time of the year."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from capflow_assets.clean.items import TABLE as ITEMS_TABLE
from capflow_assets.clean.line_items import TABLE as LINES_TABLE
from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError
from capflow_assets.features.demand_weeks import TABLE as WEEKS_TABLE
from capflow_assets.learning.intervals import difference_with_interval
from capflow_assets.models.demand_forecast import (
    KEY,
    MODEL,
    TABLE,
    DemandForecastParams,
    GlobalForecast,
    NaiveForecast,
    known,
    outcome,
)
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.oracle import weekly_pieces
from capflow_assets.simulation.world import World, simulate
from capflow_assets_doubles.engines import frame_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

START, END = datetime(2020, 3, 1, 12, tzinfo=UTC), datetime(2020, 3, 29, 12, tzinfo=UTC)
LISTED = [{"item_id": name, "category": of, "flags": ""} for name, of in (("tea", "drinks"), ("bag", None))]
PARAMS = DemandForecastParams(threads=1)


def march(day: int) -> date:
    return date(2020, 3, day)


def line(day: int, item: str = "tea", **more: Any) -> dict[str, Any]:
    row = {"store_id": "north", "item_id": item, "billed_at": datetime(2020, 3, day, 9, tzinfo=UTC)}
    return {**row, "billed_on": march(day), "quantity": 2.0, "amount": 6.0, "is_return": False, "flags": "", **more}


def test_the_outcome_is_the_pieces_of_each_week_after_the_moments_day(spark: SparkSession) -> None:
    sold = [
        line(1),  # the day of the moment belongs to the past
        line(2),
        line(8, quantity=None),  # the last day of the first week, and one piece
        line(9),
        line(10, is_return=True, quantity=-5.0),
        line(11, "bag"),
        line(12, flags="zero_quantity,not_an_item"),
        line(13, store_id=None),
        line(30),
    ]
    rows = outcome(frame_of(spark, LINES_TABLE, sold), frame_of(spark, ITEMS_TABLE, LISTED), START, END, "UTC")
    weeks = [("north", "drinks", march(8), 3.0), ("north", "drinks", march(15), 2.0)]
    assert sorted(tuple(row) for row in rows.collect()) == weeks


def test_pairs_are_forecast_that_were_sold_in_nine_of_the_last_26_weeks(spark: SparkSession) -> None:
    weeks = {"often": range(9), "rare": (*range(8), 26)}
    rows = [
        {"store_id": store, "category": "drinks", "week": week, "as_of": START, "pieces": 1.0}
        for store, sold in weeks.items()
        for week in sold
    ]
    assert [tuple(row) for row in known(frame_of(spark, WEEKS_TABLE, rows)).collect()] == [("often", "drinks")]


# -- the planted world -------------------------------------------------------------------------------------------------


@cache
def chain() -> World:
    """Twelve stores whose users all came early and never leave; each category has its time of the year."""
    dials = {"r": 2.0, "alpha_weeks": 4.0, "b": 1e6, "opening_pct": 100, "campaigns": 0, "returns_pct": 0}
    dials |= {"affinities": 0, "anonymous_pct": 0, "category_season": 0.8}
    return simulate(tiny("shop", seed=3, users=1500, days=800, stores=12, **dials))


def weekly(days: pd.DataFrame, week: pd.Series) -> pd.DataFrame:
    """Pieces and price of each pair and week, counted with pandas."""
    sums = days.assign(week=week).groupby([*KEY, "week"])[["quantity", "amount"]].sum().reset_index()
    return sums.assign(pieces=sums["quantity"], price_avg=sums["amount"] / sums["quantity"])


@cache
def examples() -> Examples:
    """All series of the chain six weeks before its end, with the pieces of the coming weeks."""
    world = chain()
    moment = (world.end - timedelta(days=42, seconds=60)).to_pydatetime()
    lines = world.line_items.merge(world.items[["item_id", "category"]], on="item_id")
    ahead = (lines["billed_at"].dt.normalize() - pd.Timestamp(moment.date(), tz="UTC")).dt.days
    past = weekly(lines[ahead <= 0], -ahead[ahead <= 0] // 7)
    later = weekly(lines[ahead > 0], (ahead[ahead > 0] - 1) // 7)
    later["day"] = [moment.date() + timedelta(days=7 * (int(week) + 1)) for week in later["week"]]
    index = pd.MultiIndex.from_frame(past[[*KEY]].drop_duplicates())
    tables = {TABLE: (past[[*KEY, "week", "pieces", "price_avg"]],)}
    outcomes = later.set_index([*KEY])[["day", "pieces"]]
    return Examples(pd.DataFrame(index=index), outcomes, tables, (moment,), "UTC")


@cache
def answers() -> pd.DataFrame:
    return GlobalForecast(PARAMS).fit(examples()).predict(examples())


def expected() -> np.ndarray:
    """What the laws of the world expect in each row of the answers."""
    law = weekly_pieces(chain(), examples().moments[0], 6).set_index([*KEY, "week"])["pieces"]
    week = (pd.to_datetime(answers()["day"]) - pd.to_datetime(answers()["day"]).min()).dt.days // 7
    rows = pd.MultiIndex.from_arrays([*(answers().index.get_level_values(name) for name in KEY), week])
    return law.loc[rows].to_numpy()


def test_seasons_of_categories_are_recovered() -> None:
    """Its error is at most a tenth above that of the laws themselves, which nobody who sees counts can beat."""
    outcomes = examples().outcomes
    assert outcomes is not None
    best = MODEL.metric.compute(outcomes, answers().assign(pieces=expected()))
    naive = NaiveForecast(PARAMS).fit(examples()).predict(examples())
    assert MODEL.metric.compute(outcomes, answers()) < 1.1 * best
    assert difference_with_interval(MODEL.metric, outcomes, answers(), naive, seed=0).low > 0.05
    np.testing.assert_allclose(answers()["pieces"].sum(), expected().sum(), rtol=0.1)


def test_intervals_hold_what_they_promise() -> None:
    outcomes = examples().outcomes
    assert outcomes is not None
    for rule in MODEL.rules:
        assert rule.at_least <= rule.measure(outcomes, answers()) <= rule.at_most, rule.name
    ends = answers()[[f"pieces{name}" for name in ("_low_95", "_low_80", "", "_high_80", "_high_95")]]
    assert (np.diff(ends.to_numpy(), axis=1) >= 0).all()


def test_a_history_of_some_weeks_is_no_evidence() -> None:
    rows = pd.DataFrame({"store_id": "s", "category": "c", "week": range(17), "pieces": 2.0, "price_avg": 1.0})
    short = Examples(pd.DataFrame(), None, {TABLE: (rows,)}, (END,), "UTC")
    with pytest.raises(EvidenceError, match="There is no demand to forecast"):
        GlobalForecast(PARAMS).fit(short)
