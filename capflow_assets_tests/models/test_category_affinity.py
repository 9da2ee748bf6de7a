"""What the next visit is, whose tastes and seasons lists recover, and what those get of whom little is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from capflow_assets.clean.items import TABLE as ITEMS_TABLE
from capflow_assets.clean.line_items import TABLE as LINE_ITEMS
from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.intervals import difference_with_interval
from capflow_assets.learning.readiness import verdict
from capflow_assets.life.split import together
from capflow_assets.models.category_affinity import (
    ITEMS,
    LINES,
    MODEL,
    RECALL,
    CategoryAffinity,
    CategoryAffinityParams,
    FrequentCategories,
    outcome,
)
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.oracle import category_chances
from capflow_assets.simulation.world import World, simulate
from capflow_assets_doubles.engines import frame_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PARAMS = CategoryAffinityParams()
START, END = datetime(2020, 3, 1, 12, tzinfo=UTC), datetime(2020, 3, 31, 12, tzinfo=UTC)


# -- the outcome -------------------------------------------------------------------------------------------------------


def line(user: str | None, at: datetime, item: str, **more: Any) -> dict[str, Any]:
    row = {"user_id": user, "billed_at": at, "billed_on": at.date(), "item_id": item, "is_return": False, "flags": ""}
    return {**row, **more}


def march(day: int) -> datetime:
    return datetime(2020, 3, day, 9, tzinfo=UTC)


def test_the_outcome_is_the_categories_of_the_next_local_day_with_a_purchase_of_any(spark: SparkSession) -> None:
    listed = [
        {"item_id": name, "category": category, "flags": ""}
        for name, category in (("tea", "drinks"), ("gin", "drinks"), ("jam", "spreads"), ("bag", None))
    ]
    sold = (
        line("ann", START, "jam"),  # the start itself belongs to the past
        line("ann", march(8), "bag"),  # of no category
        line("ann", march(9), "tea"),
        line("ann", march(9), "gin"),
        line("ann", march(12), "jam"),
        line("bob", END, "tea"),  # the end itself belongs to the horizon
        line("bob", END, "jam"),
        line("cas", END.replace(microsecond=1), "tea"),
        line("dan", march(9), "tea", is_return=True),
        line("eve", march(9), "tea", flags="zero_quantity,not_an_item"),
        line("fay", march(9), "unheard"),
        line(None, march(9), "tea"),
    )
    rows = outcome(frame_of(spark, LINE_ITEMS, sold), frame_of(spark, ITEMS_TABLE, listed), START, END)
    assert sorted(tuple(row) for row in rows.collect()) == [
        ("ann", "drinks", 1.0),
        ("bob", "drinks", 1.0),
        ("bob", "spreads", 1.0),
    ]


# -- the planted world -------------------------------------------------------------------------------------------------

# Users who come often and love few categories, each of which has its time of the year.
DIALS: dict[str, Any] = {"r": 2.0, "alpha_weeks": 4.0, "a": 0.5, "b": 20.0, "taste_concentration": 0.3}


@cache
def world(season: float) -> World:
    return simulate(tiny("shop", seed=3, users=2000, days=420, category_season=season, campaigns=0, **DIALS))


def examples_at(of: World, moment: datetime) -> Examples:
    """All users known at a moment, with the categories of their next visit within 30 days."""
    lines = of.line_items.assign(
        billed_on=of.line_items["billed_at"].dt.date, is_return=of.line_items["quantity"] < 0, flags=""
    )
    past = lines[lines["billed_at"] <= moment]
    users = pd.DataFrame(index=pd.Index(sorted(past["user_id"].dropna().unique()), name="user_id"))
    later = lines[(lines["billed_at"] > moment) & (lines["billed_at"] <= moment + timedelta(days=30))]
    later = later[~later["is_return"] & later["user_id"].isin(users.index)].merge(of.items[["item_id", "category"]])
    visit = later[later["billed_on"] == later.groupby("user_id")["billed_on"].transform("min")]
    outcomes = visit[["user_id", "category"]].drop_duplicates().assign(bought=1.0).set_index("user_id")
    return Examples(users, outcomes, {LINES: (past,), ITEMS: (of.items,)}, (moment,), "UTC")


def split(of: World) -> tuple[Examples, Examples]:
    test, *past = (of.end.to_pydatetime() - timedelta(days=30 * back) for back in (1, 2, 3))
    return together([examples_at(of, moment) for moment in sorted(past)]), examples_at(of, test)


def oracle(of: World, subjects: Examples) -> pd.DataFrame:
    """The lists of one who knows every taste and the season of the middle of the horizon."""
    chances = category_chances(of, subjects.moments[0] + timedelta(days=10)).loc[subjects.columns.index]
    rows = (
        chances.rename_axis("user_id").rename_axis("category", axis=1).stack().rename("score").reset_index("category")
    )
    assert isinstance(rows, pd.DataFrame)
    return rows


def test_lists_come_near_those_of_one_who_knows_tastes_and_seasons() -> None:
    """Of what knowing tastes and seasons gains on the baseline, two fifths are recovered at least; the lead is sure."""
    train, test = split(world(1.0))
    assert test.outcomes is not None
    estimator = CategoryAffinity(PARAMS).fit(train)
    ours, frequent = estimator.predict(test), FrequentCategories(PARAMS).fit(train).predict(test)
    best = oracle(world(1.0), test)
    value, usual, most = (MODEL.metric.compute(test.outcomes, lists) for lists in (ours, frequent, best))
    assert usual < value < most
    assert (value - usual) / (most - usual) > 0.4
    assert most - value < 0.03
    assert difference_with_interval(MODEL.metric, test.outcomes, ours, frequent, seed=0).low > 0
    assert estimator.parameters()["recipe"]["season"] > 0
    assert RECALL.compute(test.outcomes, ours) > RECALL.compute(test.outcomes, frequent)


def test_where_tastes_never_change_own_counts_are_hard_to_beat_and_nothing_is_lost() -> None:
    """Frequencies are then all that there is to know: a lead would be chance, a loss a fault."""
    train, test = split(world(0.0))
    assert test.outcomes is not None
    ours, frequent = (make(PARAMS).fit(train).predict(test) for make in (CategoryAffinity, FrequentCategories))
    gap = difference_with_interval(MODEL.metric, test.outcomes, ours, frequent, seed=0)
    assert gap.high >= 0
    assert gap.value > -0.005


def test_a_user_without_a_visit_gets_what_all_buy_now() -> None:
    train, test = split(world(1.0))
    strangers = replace(test, columns=pd.DataFrame(index=pd.Index(["nobody", "U0000001"], name="user_id")))
    rows = CategoryAffinity(PARAMS).fit(train).predict(strangers).loc["nobody"]
    lines = test.tables[LINES][0].merge(test.tables[ITEMS][0][["item_id", "category"]])
    now = lines[(lines["billed_at"] > test.moments[0] - timedelta(days=28)) & ~lines["is_return"]]
    visits = now.drop_duplicates(["user_id", "billed_on", "category"])["category"].value_counts()
    assert rows["category"].iloc[0] == visits.index[0]
    assert rows["reasons"].str.startswith("popular with all shoppers now").all()


# -- too little --------------------------------------------------------------------------------------------------------


def test_items_without_categories_are_no_evidence_and_the_reason_says_so() -> None:
    tables = dict.fromkeys(MODEL.needs.tables, 1000)
    evidence = {"tables": tables, "history_days": 400, "users": 500, "positives": 300, "categories": 0}
    answer = verdict(MODEL.needs, evidence)
    assert answer.state == "not ready"
    assert [reason.fix for reason in answer.missing] == [
        "needs 4 categories of items, has 0; map raw/items.category to the column that groups the items"
    ]


@pytest.mark.parametrize("column", ["category", "item_id"])
def test_no_category_that_is_known_is_nothing_to_learn_from(column: str) -> None:
    train, test = split(world(0.0))
    blank = tuple(frame.assign(**{column: None}) for frame in train.tables[ITEMS])
    with pytest.raises(EvidenceError, match="Which category comes next"):
        CategoryAffinity(PARAMS).fit(replace(train, tables={**train.tables, ITEMS: blank}))
    empty = replace(test, tables={**test.tables, ITEMS: (test.tables[ITEMS][0].assign(category=None),)})
    assert FrequentCategories(PARAMS).predict(empty).empty


def test_one_user_and_one_category_are_answered() -> None:
    train, test = split(world(0.0))
    one = train.columns.index[:1]

    def only(examples: Examples) -> Examples:
        items = examples.tables[ITEMS][0].assign(category="all")
        outcomes = examples.outcomes
        assert outcomes is not None
        rows = outcomes.assign(category="all").groupby([outcomes.index, *({"moment"} & set(outcomes))]).head(1)
        tables = {**examples.tables, ITEMS: (items,) * len(examples.moments)}
        return replace(examples, columns=examples.columns.loc[one], outcomes=rows, tables=tables)

    rows = CategoryAffinity(PARAMS).fit(only(train)).predict(only(test))
    assert set(rows["category"]) == {"all"}
    assert np.isfinite(rows["score"]).all()
