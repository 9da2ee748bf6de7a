"""Which hours count as visited, and how near lists come to those of one who knows each user's true week."""

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
from capflow_assets.learning.week_hours import names
from capflow_assets.models.send_time import MODEL, BusiestHours, SendTime, SendTimeParams, outcome
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.oracle import week_hours
from capflow_assets.simulation.world import World, simulate
from capflow_assets_doubles.engines import frame_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PARAMS = SendTimeParams()
START, END = datetime(2020, 3, 1, 12, tzinfo=UTC), datetime(2020, 3, 31, 12, tzinfo=UTC)


def bill(user: str | None, at: datetime, **more: Any) -> dict[str, Any]:
    row = {"user_id": user, "billed_at": at, "billed_on": at.date(), "amount": 5.0}
    return {**row, "is_return": False, "is_anonymous": user is None, **more}


def march(day: int, hour: int = 9) -> datetime:
    return datetime(2020, 3, day, hour, tzinfo=UTC)


def test_the_outcome_is_the_days_in_each_local_hour_of_the_week(spark: SparkSession) -> None:
    bills = [
        bill("ann", START),  # the start itself belongs to the past
        bill("ann", march(9)),  # a Monday, 10 o'clock in Madrid
        bill("ann", march(9).replace(minute=59)),  # the same hour
        bill("ann", march(16)),
        bill("ann", march(30)),  # after the clocks changed
        bill("ann", march(22, 23), billed_on=date(2020, 3, 23)),  # Sunday in UTC
        bill("ann", march(17), amount=-5.0, is_return=True),
        *(bill("bob", march(day, 11)) for day in range(9, 16)),
        bill("bob", END),
        bill("cas", END + timedelta(microseconds=1)),
        bill(None, march(9)),
    ]
    rows = outcome(frame_of(spark, BILLS, bills), START, END, "Europe/Madrid")
    assert rows.columns == ["user_id", "week_hour", "visits"]
    noons = [("bob", f"{day} 12:00", 1) for day in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")]
    expected = [("ann", "Mon 10:00", 2), ("ann", "Mon 11:00", 1), ("ann", "Mon 00:00", 1), ("bob", "Tue 14:00", 1)]
    assert sorted(tuple(row) for row in rows.collect()) == sorted([*expected, *noons])


# -- the planted world -------------------------------------------------------------------------------------------------


def examples_at(world: World, moment: pd.Timestamp, horizon_days: int = 30) -> Examples:
    """All users who had come by a moment, with the hours of their visits in the horizon."""
    bills = pd.concat([world.bills, world.truth.future_bills], ignore_index=True)
    bills = bills[bills["user_id"].notna()]
    local = bills["billed_at"].dt.tz_convert(world.brand.time_zone)
    hour = names((local.dt.dayofweek * 24 + local.dt.hour).to_numpy())
    bills = bills.assign(is_return=bills["amount"] < 0, billed_on=local.dt.date, week_hour=hour)
    past = bills[bills["billed_at"] <= moment]
    users = pd.DataFrame(index=pd.Index(sorted(past["user_id"].unique()), name="user_id"))
    later = bills[(bills["billed_at"] > moment) & (bills["billed_at"] <= moment + timedelta(days=horizon_days))]
    later = later[~later["is_return"] & later["user_id"].isin(users.index)]
    visits = later.drop_duplicates(["user_id", "week_hour", "billed_on"]).groupby(["user_id", "week_hour"]).size()
    outcomes = visits.rename("visits").astype(float).reset_index("week_hour")
    return Examples(users, outcomes, {"clean/bills": (past,)}, (moment.to_pydatetime(),), world.brand.time_zone)


def test_lists_come_near_those_of_one_who_knows_each_users_week() -> None:
    dials = {"r": 2.0, "alpha_weeks": 2.0, "a": 0.5, "b": 20.0, "opening_pct": 80, "own_hours_pct": 60}
    world = simulate(tiny("hours", seed=6, users=1500, days=500, time_zone="Europe/Madrid", **dials))
    fitted = SendTime(PARAMS).fit(examples_at(world, world.end - timedelta(days=30)))
    test = examples_at(world, world.end)
    assert test.outcomes is not None
    answers, baseline = (one.predict(test) for one in (fitted, BusiestHours(PARAMS).fit(test)))
    truth = week_hours(world).loc[test.columns.index]
    columns = {"week_hour": np.tile(names(np.arange(168)), len(truth)), "score": truth.to_numpy().ravel()}
    oracle = pd.DataFrame(columns, truth.index.repeat(168))
    value, best = (MODEL.metric.compute(test.outcomes, lists) for lists in (answers, oracle))
    assert best > 0.3
    assert value > best - 0.05
    gain = difference_with_interval(MODEL.metric, test.outcomes, answers, baseline, seed=0)
    assert gain.low > 0.1, gain


def test_where_nobody_has_hours_of_their_own_everybodys_hold() -> None:
    world = simulate(tiny("hours", seed=6, users=1500, days=300, alpha_weeks=2.0, a=0.5, b=20.0))
    fitted = SendTime(PARAMS).fit(examples_at(world, world.end - timedelta(days=30)))
    test = examples_at(world, world.end)
    assert test.outcomes is not None
    own, busiest = (one.predict(test) for one in (fitted, BusiestHours(PARAMS).fit(test)))
    loss = MODEL.metric.compute(test.outcomes, busiest) - MODEL.metric.compute(test.outcomes, own)
    assert loss < 0.02


# -- those of whom little is known -------------------------------------------------------------------------------------


def examples_of(times: list[tuple[str | None, str]], visited: list[tuple[str, str]], *users: str) -> Examples:
    bills = pd.DataFrame(times, columns=["user_id", "billed_at"]).assign(is_return=False)
    bills["billed_at"] = pd.to_datetime(bills["billed_at"], utc=True)
    bills["billed_on"] = bills["billed_at"].dt.date
    outcomes = pd.DataFrame(visited, columns=["user_id", "week_hour"]).set_index("user_id").assign(visits=1.0)
    index = pd.Index(users, name="user_id")
    return Examples(pd.DataFrame(index=index), outcomes, {"clean/bills": (bills,)}, (END,), "UTC")


def test_a_newcomer_gets_the_busiest_hours_of_all() -> None:
    times: list[tuple[str | None, str]] = [("ana", "2020-03-02 09:00"), ("bob", "2020-03-06 18:00")]
    examples = examples_of([*times, ("cem", "2020-03-13 18:30")], [("ana", "Mon 09:00")], "ana", "new")
    answers = SendTime(PARAMS).fit(examples).predict(examples)
    first = answers.loc["new"].iloc[0]
    assert first[["week_hour", "weekday", "hour", "reasons"]].tolist() == ["Fri 18:00", 5, 18, "busy with all shoppers"]
    assert answers.loc["ana"].iloc[0]["reasons"] == "of 1 visit 1 on a Mon and 1 within an hour of 09:00"
    assert len(answers.loc["ana"]) == PARAMS.slots


def test_days_without_hours_and_strangers_are_no_evidence() -> None:
    with pytest.raises(EvidenceError, match="within one hour"):
        SendTime(PARAMS).fit(examples_of([("ana", "2020-03-02"), ("ana", "2020-03-03")], [("ana", "Mon 00:00")], "ana"))
    with pytest.raises(EvidenceError, match="came again"):
        SendTime(PARAMS).fit(examples_of([(None, "2020-03-02 09:00")], [], "ana"))
    with pytest.raises(ModelError, match="not fitted"):
        SendTime(PARAMS).predict(examples_of([], [], "ana"))
