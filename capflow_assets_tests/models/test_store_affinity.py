"""Which stores count as visited, and how near lists come to those of one who knows each user's home store."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from capflow_assets.clean.bills import TABLE as BILLS
from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError, ModelError
from capflow_assets.learning.intervals import difference_with_interval
from capflow_assets.models.store_affinity import MODEL, LastStore, StoreAffinity, StoreAffinityParams, outcome
from capflow_assets.simulation.assortment import store_shares
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.world import World, simulate
from capflow_assets_doubles.engines import frame_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PARAMS = StoreAffinityParams(horizon_days=60, stores=9)
START, END = datetime(2020, 3, 1, 12, tzinfo=UTC), datetime(2020, 3, 31, 12, tzinfo=UTC)


def bill(user: str | None, at: datetime, store: str | None, **more: Any) -> dict[str, Any]:
    row = {"user_id": user, "store_id": store, "billed_at": at, "billed_on": at.date(), "amount": 5.0}
    return {**row, "is_return": False, "is_anonymous": user is None, **more}


def march(day: int, hour: int = 9) -> datetime:
    return datetime(2020, 3, day, hour, tzinfo=UTC)


def test_the_outcome_is_the_days_at_each_store(spark: SparkSession) -> None:
    bills = [
        bill("ann", START, "north"),  # the start itself belongs to the past
        bill("ann", march(9), "north"),
        bill("ann", march(9, 18), "north"),  # the same day
        bill("ann", march(9, 19), "south"),
        bill("ann", march(12), "north", amount=0.0),  # paid by a coupon
        bill("ann", march(13), "north", amount=-5.0, is_return=True),
        bill("bob", END, "south"),
        bill("bob", END + timedelta(microseconds=1), "north"),
        bill("cas", march(9, 23), "north"),
        bill("cas", march(10, 8), "north", billed_on=date(2020, 3, 9)),  # one evening in New York
        bill("dan", march(9), None),
        bill(None, march(9), "north"),
    ]
    rows = outcome(frame_of(spark, BILLS, bills), START, END)
    assert rows.columns == ["user_id", "store_id", "visits"]
    expected = [("ann", "north", 2), ("ann", "south", 1), ("bob", "south", 1), ("cas", "north", 1)]
    assert sorted(tuple(row) for row in rows.collect()) == expected


# -- the planted world -------------------------------------------------------------------------------------------------


def examples_at(world: World, moment: pd.Timestamp, horizon_days: int = 60) -> Examples:
    """All users who had come by a moment, with the stores of their visits in the horizon."""
    bills = pd.concat([world.bills, world.truth.future_bills], ignore_index=True)
    bills = bills[bills["user_id"].notna()].assign(is_return=bills["amount"] < 0)
    bills["billed_on"] = bills["billed_at"].dt.tz_convert(world.brand.time_zone).dt.date
    past = bills[bills["billed_at"] <= moment]
    users = pd.DataFrame(index=pd.Index(sorted(past["user_id"].unique()), name="user_id"))
    later = bills[(bills["billed_at"] > moment) & (bills["billed_at"] <= moment + timedelta(days=horizon_days))]
    later = later[~later["is_return"] & later["user_id"].isin(users.index)]
    visits = later.drop_duplicates(["user_id", "store_id", "billed_on"]).groupby(["user_id", "store_id"]).size()
    outcomes = visits.rename("visits").astype(float).reset_index("store_id")
    return Examples(users, outcomes, {"clean/bills": (past,)}, (moment.to_pydatetime(),), world.brand.time_zone)


def oracle(world: World, test: Examples) -> pd.DataFrame:
    """The lists of one who knows the laws: how large stores are, and that 7 visits in 10 go to a home store.

    Which it is follows from the user's visits: its chance is the store's share times that of the visits, were it so.
    """
    stores, shares = world.stores["store_id"].to_numpy(), store_shares(world.brand)
    bills = test.table("clean/bills")
    counts = pd.crosstab(bills["user_id"], bills["store_id"]).reindex(test.columns.index)[stores].to_numpy()
    of_home = 0.3 * shares + 0.7 * np.eye(len(stores))  # the chance of a store, by the home
    weight = np.log(shares) + counts @ np.log(of_home).T
    home = np.exp(weight - weight.max(axis=1, keepdims=True))
    chances = (home / home.sum(axis=1, keepdims=True)) @ of_home
    lists = {"store_id": np.tile(stores, len(counts)), "score": chances.ravel()}
    return pd.DataFrame(lists, test.columns.index.repeat(len(stores)))


def test_lists_come_near_those_of_one_who_knows_the_laws() -> None:
    brand = tiny("chain", seed=4, users=1500, days=400, stores=9, home_store_pct=70, r=2.0, alpha_weeks=4.0, b=20.0)
    world = simulate(brand)
    fitted = StoreAffinity(PARAMS).fit(examples_at(world, world.end - timedelta(days=60)))
    test = examples_at(world, world.end)
    assert test.outcomes is not None
    answers = fitted.predict(test)
    value, best = (MODEL.metric.compute(test.outcomes, lists) for lists in (answers, oracle(world, test)))
    assert value > best - 0.01
    baseline = LastStore(PARAMS).fit(test).predict(test)
    gain = difference_with_interval(MODEL.metric, test.outcomes, answers, baseline, seed=0)
    assert gain.low > 0.05, gain
    # Chances are those that come true: of the visits, as many went to the first store as its chance says.
    first = answers.groupby(level=0).head(1)
    visits = test.outcomes.join(first[["store_id", "score"]], rsuffix="_first")
    hits = np.average(visits["store_id"] == visits["store_id_first"], weights=visits["visits"])
    assert hits == pytest.approx(np.average(visits["score"], weights=visits["visits"]), abs=0.05)


# -- those of whom little is known -------------------------------------------------------------------------------------


def examples_of(rows: list[tuple[str | None, str, str]], visited: list[tuple[str, str]], *users: str) -> Examples:
    bills = pd.DataFrame(rows, columns=["user_id", "billed_on", "store_id"]).assign(is_return=False)
    bills["billed_on"] = pd.to_datetime(bills["billed_on"]).dt.date
    outcomes = pd.DataFrame(visited, columns=["user_id", "store_id"]).set_index("user_id").assign(visits=1.0)
    index = pd.Index(users, name="user_id")
    return Examples(pd.DataFrame(index=index), outcomes, {"clean/bills": (bills,)}, (END,), "UTC")


def test_a_newcomer_gets_the_busiest_stores_and_the_last_one_is_what_the_baseline_says() -> None:
    rows = [("ana", "2020-03-01", "north"), ("ana", "2020-03-08", "north"), ("ana", "2020-03-30", "south")]
    examples = examples_of([*rows, ("bob", "2020-03-02", "north")], [("ana", "north")], "ana", "new")
    answers = StoreAffinity(PARAMS).fit(examples).predict(examples)
    assert answers.loc["new", "store_id"].tolist() == ["north", "south"]
    assert answers.loc["new", "reasons"].tolist() == ["much visited", "much visited"]
    assert answers.loc["ana", "own_visits"].tolist() == [2, 1]
    assert answers.loc["ana", "reasons"].tolist()[0] == "2 of 3 visits, the last 23 days ago"
    baseline = LastStore(PARAMS).fit(examples).predict(examples)
    assert baseline.loc["ana"].sort_values("score", ascending=False)["store_id"].tolist() == ["south", "north"]
    assert baseline.loc["new"].sort_values("score", ascending=False)["store_id"].tolist() == ["north", "south"]


def test_one_user_of_one_store_is_answered() -> None:
    examples = examples_of([("ana", "2020-03-01", "north")], [("ana", "north")], "ana")
    answers = StoreAffinity(PARAMS).fit(examples).predict(examples)
    assert answers["store_id"].tolist() == ["north"]
    assert answers["score"].tolist() == [1.0]


def test_bills_without_a_store_or_a_user_are_no_evidence() -> None:
    examples = examples_of([(None, "2020-03-01", "north")], [], "ana")
    with pytest.raises(EvidenceError, match="came again"):
        StoreAffinity(PARAMS).fit(examples)
    with pytest.raises(ModelError, match="not fitted"):
        StoreAffinity(PARAMS).predict(examples)
