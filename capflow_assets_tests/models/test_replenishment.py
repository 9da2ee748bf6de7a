"""What is bought again, by hand; and the order of needs that were planted in a simulated shop."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from capflow_assets.clean.line_items import TABLE
from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.intervals import difference_with_interval
from capflow_assets.models.replenishment import (
    ITEMS,
    LINES,
    MODEL,
    ItemHazard,
    MeanGap,
    ReplenishmentParams,
    known,
    outcome,
)
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.staples import CHANGE, staple_gaps
from capflow_assets.simulation.world import World, simulate
from capflow_assets_doubles.engines import frame_of, rows_of
from capflow_assets_tests.features.basket_rows import sold

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

START, END = datetime(2024, 6, 10, 20, tzinfo=UTC), datetime(2024, 7, 8, 20, tzinfo=UTC)
PARAMS = ReplenishmentParams()
HORIZON = PARAMS.horizon_days


def lines_of(spark: SparkSession) -> Any:
    """Tea comes again two days later and once more, jam in the night after the moment; nobody had soap before."""
    rows = [sold("ana", "2024-06-01", "tea"), sold("ana", "2024-06-12", "tea"), sold("ana", "2024-06-20", "tea")]
    rows += [sold("ana", "2024-06-01", "jam"), {**sold("ana", "2024-06-10", "jam"), "billed_at": START}]
    rows += [{**sold("ana", "2024-06-10", "jam"), "billed_at": START + timedelta(hours=1)}]
    rows += [
        sold("ana", "2024-06-12", "soap"),
        sold("bea", "2024-06-01", "tea"),
        sold("bea", "2024-06-14", "tea", -1.0),
    ]
    rows += [sold("bea", "2024-07-09", "tea"), sold("cem", "2024-06-12", "tea"), sold(None, "2024-06-01", "tea")]
    rows += [sold("dan", "2024-06-01", "post", flags="not_an_item"), sold("dan", "2024-06-13", "post")]
    return frame_of(spark, TABLE, [{"line_no": n, **row} for n, row in enumerate(rows, 1)])


def test_what_is_bought_again_was_bought_before(spark: SparkSession) -> None:
    rows = outcome(lines_of(spark), START, END, "Europe/Madrid")
    assert rows_of(rows, "user_id", "item_id", "bought", "days") == [("ana", "jam", 1.0, 1.0), ("ana", "tea", 1.0, 2.0)]


def test_users_are_known_by_what_they_bought(spark: SparkSession) -> None:
    assert rows_of(known(lines_of(spark), START), "user_id") == [("ana",), ("bea",)]


# -- the planted world -------------------------------------------------------------------------------------------------


@cache
def shop() -> World:
    """Users who never leave use up staples; what they buy besides is one of 400 items by taste."""
    dials = {"r": 4.0, "alpha_weeks": 4.0, "b": 1e6, "opening_pct": 100, "campaigns": 0, "returns_pct": 0}
    dials |= {"anonymous_pct": 0, "items_per_bill": 1.0, "items": 400, "affinities": 0, "staples": 25}
    return simulate(tiny("shop", seed=5, users=400, days=300, **dials))


def lines_until(moment: pd.Timestamp) -> pd.DataFrame:
    lines = shop().line_items[shop().line_items["billed_at"] <= moment]
    return lines.assign(billed_on=lines["billed_at"].dt.date, is_return=False, flags="")


def examples_at(*weeks_ago: int) -> Examples:
    """The users at the moments so many weeks before the end, with what they bought again, counted with pandas."""
    moments = [shop().end - timedelta(weeks=weeks, seconds=60) for weeks in weeks_ago]
    columns, outcomes = [], []
    for number, moment in enumerate(moments):
        past, later = lines_until(moment), lines_until(moment + timedelta(days=HORIZON))
        later = later[later["billed_at"] > moment]
        first = later.groupby(["user_id", "item_id"])["billed_at"].min().dt.normalize()
        pairs = past.drop_duplicates(["user_id", "item_id"]).set_index(["user_id", "item_id"]).index
        again = first[first.index.isin(pairs)].reset_index("item_id")
        days = (again["billed_at"] - moment.normalize()).dt.days.clip(lower=1)
        outcomes.append(again[["item_id"]].assign(bought=1.0, days=days.astype(float), moment=number))
        columns.append(pd.DataFrame({"moment": number}, index=pd.Index(past["user_id"].unique(), name="user_id")))
    frames = {LINES: tuple(lines_until(moment) for moment in moments), ITEMS: (shop().items,) * len(moments)}
    at = tuple(moment.to_pydatetime() for moment in moments)
    return Examples(pd.concat(columns), pd.concat(outcomes), frames, at, "UTC")


@cache
def judged() -> tuple[Examples, pd.DataFrame, pd.DataFrame, ItemHazard]:
    test = examples_at(4)
    model = ItemHazard(PARAMS).fit(examples_at(12, 8))
    return test, model.predict(test), MeanGap(PARAMS).fit(test).predict(test), model


def law_answers() -> pd.DataFrame:
    """The lists of someone who knows how long each need lasts, how often each user comes, and nothing of taste.

    A need of ``g e^(0.15 z)`` days is met on the first visit after it, visits come at random.
    """
    test = judged()[0]
    lines, moment = test.table(LINES), test.moments[0]
    users, staples = shop().truth.users, shop().items["item_id"].iloc[:25]
    last = lines.groupby(["user_id", "item_id"])["billed_at"].max().reset_index()
    user, item = pd.Index(users["user_id"]).get_indexer(last["user_id"]), pd.Index(staples).get_indexer(last["item_id"])
    gap = np.where(item >= 0, staple_gaps(shop().brand, len(users))[user, item], np.nan)
    waited = ((moment - last["billed_at"]) / pd.Timedelta(days=1)).to_numpy()
    rate = users["rate_per_week"].to_numpy()[user] / 7
    chances, weights = np.zeros(len(last)), np.zeros(len(last))
    for z in np.linspace(-3, 3, 61):
        ahead = gap * np.exp(CHANGE * z) - waited
        weight = np.exp(-(z**2) / 2 + rate * np.minimum(ahead, 0))
        chances += weight * -np.expm1(-rate * np.maximum(HORIZON - np.maximum(ahead, 0), 0))
        weights += weight
    answers = last[["item_id"]].assign(score=np.nan_to_num(chances / weights))
    return answers.set_index(pd.Index(last["user_id"], name="user_id"))


def test_needs_are_ordered_nearly_as_by_their_laws() -> None:
    test, answers, baseline, _ = judged()
    assert test.outcomes is not None
    value, best = (MODEL.metric.compute(test.outcomes, lists) for lists in (answers, law_answers()))
    assert value > 0.95 * best
    assert difference_with_interval(MODEL.metric, test.outcomes, answers, baseline, seed=0).low > 0


def test_the_chances_add_up_to_what_is_bought_again() -> None:
    test, answers, _, _ = judged()
    assert test.outcomes is not None
    listed = pd.MultiIndex.from_arrays([answers.index, answers["item_id"]])
    is_bought = listed.isin(pd.MultiIndex.from_arrays([test.outcomes.index, test.outcomes["item_id"]]))
    assert answers["chance"].sum() == pytest.approx(is_bought.sum(), rel=0.1)


def test_days_of_what_is_due_are_those_on_which_half_is_bought() -> None:
    """Of the items likely to be bought again soon, about half are on the day when they are due."""
    test, answers, _, _ = judged()
    assert test.outcomes is not None
    soon = answers[(answers["chance"] > 0.9) & (answers["due_in_days"] <= 14)]
    bought_days = test.outcomes.set_index("item_id", append=True)["days"]
    days = bought_days.reindex(pd.MultiIndex.from_arrays([soon.index, soon["item_id"]])).fillna(np.inf).to_numpy()
    assert 0.35 < (days <= np.maximum(soon["due_in_days"], 1)).mean() < 0.65
    ahead = pd.to_datetime(answers["due_on"]) - pd.Timestamp(test.moments[0].date())
    assert ahead.dt.days.tolist() == answers["due_in_days"].tolist()


def test_where_nothing_is_bought_again_there_is_no_habit_to_learn_from() -> None:
    test = judged()[0]
    assert test.outcomes is not None
    none = Examples(test.columns, test.outcomes[:0], test.tables, test.moments, "UTC")
    with pytest.raises(EvidenceError, match="There is no habit to learn from"):
        ItemHazard(PARAMS).fit(none)
