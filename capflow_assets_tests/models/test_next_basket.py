"""What the next basket is, whose tastes lists recover, and what those get of whom little is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from capflow_assets.clean.line_items import TABLE as LINE_ITEMS
from capflow_assets.contract import Examples
from capflow_assets.errors import ModelError
from capflow_assets.learning.intervals import difference_with_interval
from capflow_assets.learning.objectives.ranked_list import users_with_a_bill
from capflow_assets.learning.outcomes import next_visit_items
from capflow_assets.learning.recipe_choice import USUAL
from capflow_assets.models.next_basket import (
    LINE_COLUMNS,
    LINES,
    MODEL,
    FrequentItems,
    NextBasket,
    NextBasketParams,
)
from capflow_assets.simulation.assortment import assortment, choices
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.world import World, simulate
from capflow_assets_doubles.engines import frame_of
from capflow_assets_doubles.real_customers import demo_customer, prepare
from capflow_assets_tests.features.shoppers import bill, bills_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PARAMS = NextBasketParams()
MOMENT = datetime(2024, 6, 30, 21, 59, tzinfo=UTC)


# -- the outcome -------------------------------------------------------------------------------------------------------

START, END = datetime(2020, 3, 1, 12, tzinfo=UTC), datetime(2020, 3, 31, 12, tzinfo=UTC)


def line(user: str | None, at: datetime, item: str, **more: Any) -> dict[str, Any]:
    row = {"user_id": user, "billed_at": at, "billed_on": at.date(), "item_id": item, "is_return": False, "flags": ""}
    return {**row, **more}


def march(day: int, hour: int = 9) -> datetime:
    return datetime(2020, 3, day, hour, tzinfo=UTC)


SOLD = (
    line("ann", START, "tea"),  # the start itself belongs to the past
    line("ann", march(9), "jam"),
    line("ann", march(9), "jam"),  # twice the same day
    line("ann", march(9, 18), "oil"),
    line("ann", march(10, 23), "gin", billed_on=date(2020, 3, 11)),
    line("bob", END, "tea"),  # the end itself belongs to the horizon
    line("cas", END.replace(microsecond=1), "tea"),
    line("dan", march(9), "tea", is_return=True),
    line("dan", march(12), "jam"),  # what was brought back is no visit
    line("eve", march(9), "postage", flags="zero_quantity,not_an_item"),
    line(None, march(9), "tea"),
    # The evening of the ninth in UTC is the tenth at the till, where the visit goes on in the morning.
    line("fay", march(9, 23), "tea", billed_on=date(2020, 3, 10)),
    line("fay", march(10, 8), "oil"),
)


def test_the_outcome_is_what_is_bought_on_the_next_local_day_with_a_purchase(spark: SparkSession) -> None:
    rows = next_visit_items(frame_of(spark, LINE_ITEMS, SOLD), START, END)
    assert rows.columns == ["user_id", "item_id", "bought"]
    assert sorted(tuple(row) for row in rows.collect()) == [
        ("ann", "jam", 1.0),
        ("ann", "oil", 1.0),
        ("bob", "tea", 1.0),
        ("dan", "jam", 1.0),
        ("fay", "oil", 1.0),
        ("fay", "tea", 1.0),
    ]


def test_the_outcomes_of_several_horizons_are_kept_apart(spark: SparkSession) -> None:
    from pyspark.sql import functions as F

    days = F.when(F.col("billed_at") <= F.lit(march(10)), F.lit(START)).otherwise(F.lit(march(10)))
    lines = frame_of(spark, LINE_ITEMS, SOLD).withColumn("as_of", days).withColumn("_end", F.lit(END))
    rows = next_visit_items(lines, F.col("as_of"), F.col("_end")).filter("user_id = 'ann'")  # type: ignore[arg-type]
    assert sorted((row["as_of"].day, row["item_id"]) for row in rows.collect()) == [(1, "jam"), (1, "oil"), (10, "gin")]


def test_all_users_with_a_bill_are_known(spark: SparkSession) -> None:
    sold = [bill("ana", "2024-06-03", 1.0), bill("cem", "2024-06-20", -3.0), bill(None, "2024-06-20", 1.0)]
    rows = users_with_a_bill(bills_of(spark, sold), MOMENT, "Europe/Madrid").collect()
    assert sorted(row["user_id"] for row in rows) == ["ana", "cem"]


# -- the planted world -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Market:
    """A world, its lists at the end of its history, and the true chance of each item on each user's bill."""

    world: World
    lists: pd.DataFrame
    frequent: pd.DataFrame
    chances: pd.DataFrame

    def share_of_best(self, lists: pd.DataFrame) -> pd.Series:
        """Of each user, the true chances of the first ten of the list, over those of the ten likeliest items."""
        first = lists.groupby(level=0).head(10)
        users = self.chances.index.get_indexer(first.index)
        chances = self.chances.to_numpy()[users, self.chances.columns.get_indexer(first["item_id"])]
        best = np.sort(self.chances.to_numpy(), axis=1)[:, -10:].sum(axis=1)
        return pd.Series(chances, first.index).groupby(level=0).sum() / pd.Series(best, self.chances.index)


def lines_of(world: World) -> pd.DataFrame:
    lines = world.line_items
    local = lines["billed_at"].dt.tz_convert(world.brand.time_zone)
    return pd.DataFrame(
        {
            "user_id": lines["user_id"],
            "item_id": lines["item_id"],
            "billed_at": lines["billed_at"],
            "billed_on": local.dt.date,
            "is_return": (lines["quantity"] < 0) | (lines["amount"] < 0),
            "flags": "",
        }
    )


def examples_at(lines: pd.DataFrame, moment: datetime, horizon_days: int = 30) -> Examples:
    """All users known at a moment, with what they bought next in the horizon."""
    past = lines[lines["billed_at"] <= moment]
    users = pd.DataFrame(index=pd.Index(sorted(past["user_id"].dropna().unique()), name="user_id"))
    later = lines[(lines["billed_at"] > moment) & (lines["billed_at"] <= moment + timedelta(days=horizon_days))]
    later = later[~later["is_return"] & later["user_id"].isin(users.index)]
    next_day = later[later["billed_on"] == later.groupby("user_id")["billed_on"].transform("min")]
    outcomes = next_day[["user_id", "item_id"]].drop_duplicates().assign(bought=1.0).set_index("user_id")
    return Examples(users, outcomes, {LINES: (past,)}, (moment,), "UTC")


@cache
def market() -> Market:
    """Users with tastes for a category or two, of whom most have bought a few times only."""
    world = simulate(tiny("market", seed=3, users=1200, days=500, items=120, taste_concentration=0.4))
    lines, end = lines_of(world), world.end.to_pydatetime()
    estimator = NextBasket(PARAMS).fit(examples_at(lines, end - timedelta(days=30)))
    subjects = examples_at(lines, end)
    frequent = FrequentItems(PARAMS).fit(subjects).predict(subjects)
    return Market(world, estimator.predict(subjects), frequent, true_chances(world).loc[subjects.columns.index])


def true_chances(world: World) -> pd.DataFrame:
    """The chance that a line of a user's bill is of an item: taste, popularity and price; and companions."""
    goods, users = assortment(world.brand), world.truth.users
    shares = np.diff(choices(goods), axis=1, prepend=0.0)
    tastes = users[[f"taste_{one.name.replace(' ', '_')}" for one in world.brand.categories]].to_numpy()
    chances = tastes[:, goods.category] * shares[users["price_sensitivity"].to_numpy()]
    for first, second in enumerate(goods.partner):
        if second >= 0:
            chances[:, second] += world.brand.affinity_pct / 100 * chances[:, first]
    return pd.DataFrame(chances, users["user_id"], goods.frame["item_id"])


def test_lists_recover_the_planted_tastes() -> None:
    lists, frequent = (market().share_of_best(rows) for rows in (market().lists, market().frequent))
    gain = lists - frequent
    assert lists.mean() > 0.8
    # The lower end of its 99.9 % interval.
    assert gain.mean() - 3.3 * gain.std() / len(gain) ** 0.5 > 0.05


def test_companions_are_listed_for_those_who_bought_the_first_alone() -> None:
    """Of users who bought an item and never its partner, more get the partner listed than of all others."""
    world = market().world
    bought = world.line_items.groupby("user_id")["item_id"].agg(set)
    listed = market().lists.groupby(level=0).head(10).groupby(level=0)["item_id"].agg(set)
    half, neither = [], []
    for pair in world.truth.affinities.itertuples():
        for user, items in listed.items():
            if pair.with_item_id not in bought[user]:
                (half if pair.item_id in bought[user] else neither).append(pair.with_item_id in items)
    assert len(half) > 30
    assert np.mean(half) > 1.5 * np.mean(neither)


# -- those of whom little is known -------------------------------------------------------------------------------------


def examples_of(rows: list[tuple[str, str, str]], *user_ids: str) -> Examples:
    """Users to answer for, of line items by user, local day and item."""
    lines = pd.DataFrame(rows, columns=["user_id", "billed_on", "item_id"]).assign(is_return=False, flags="")
    lines["billed_on"] = pd.to_datetime(lines["billed_on"]).dt.date
    users = pd.DataFrame(index=pd.Index(user_ids, name="user_id"))
    outcomes = pd.DataFrame({"item_id": pd.Series(dtype=object), "bought": pd.Series(dtype=float)}, users.index[:0])
    return Examples(users, outcomes, {LINES: (lines,)}, (MOMENT,), "Europe/Madrid")


def listed(examples: Examples, user: str, estimator: Any = NextBasket) -> list[tuple[str, str]]:
    rows = estimator(PARAMS).fit(examples).predict(examples)
    return list(rows.loc[[user], ["item_id", "reasons"]].itertuples(index=False, name=None))


POPULAR = "popular with all shoppers"


@pytest.mark.parametrize("estimator", [NextBasket, FrequentItems])
def test_a_user_without_history_gets_the_most_popular_items(estimator: Any) -> None:
    rows = [("ana", "2024-06-01", "tea"), ("bea", "2024-06-02", "tea"), ("bea", "2024-06-02", "jam")]
    assert listed(examples_of(rows, "ana", "new"), "new", estimator) == [("tea", POPULAR), ("jam", POPULAR)]


@pytest.mark.parametrize("estimator", [NextBasket, FrequentItems])
def test_a_customer_of_one_user_is_answered_by_the_own_items(estimator: Any) -> None:
    rows = [("ana", "2024-06-01", "tea"), ("ana", "2024-06-21", "tea"), ("ana", "2024-06-21", "jam")]
    assert listed(examples_of(rows, "ana"), "ana", estimator) == [
        ("tea", "bought 2 times, last 9 days ago"),
        ("jam", "bought once, 9 days ago"),
    ]


def test_items_that_nobody_bought_twice_are_listed_after_the_own_ones() -> None:
    rows = [(user, "2024-06-29", f"{user}'s") for user in ("ana", "bea", "cem")]
    assert listed(examples_of(rows, "bea"), "bea") == [
        ("bea's", "bought once, 1 day ago"),
        ("ana's", POPULAR),
        ("cem's", POPULAR),
    ]


def test_days_are_those_of_the_customers_zone() -> None:
    """A minute to midnight in Madrid it is another day in Auckland."""
    examples = examples_of([("ana", "2024-06-30", "tea")], "ana")
    assert listed(examples, "ana") == [("tea", "bought once, today")]
    assert listed(replace(examples, zone="Pacific/Auckland"), "ana") == [("tea", "bought once, 1 day ago")]


def test_a_shop_that_sold_nothing_yet_lists_nothing() -> None:
    assert NextBasket(PARAMS).fit(examples_of([])).predict(examples_of([], "ana")).empty


def test_predicting_before_fitting_is_refused() -> None:
    with pytest.raises(ModelError, match="not fitted"):
        NextBasket(PARAMS).predict(examples_of([], "ana"))


def test_lists_are_as_long_as_asked_for_and_the_choice_is_reported() -> None:
    rows = [("ana", "2024-06-01", f"i{number:02d}") for number in range(40)]
    params = NextBasketParams(items=30)
    examples = examples_of(rows, "ana")
    estimator = NextBasket(params).fit(examples)
    assert len(estimator.predict(examples)) == 30
    assert estimator.parameters()["recipe"] == USUAL.describe()


# -- a real customer ---------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_the_grocers_lists_beat_the_frequent_items(spark: SparkSession, tmp_path: Path) -> None:
    """Judged on the households who came within thirty days, of which nothing was learned."""
    prepare(spark, demo_customer("grocer"), tmp_path)
    lines = spark.read.parquet(str(tmp_path / LINES))
    # Midnights in New York.
    train, test = (_grocers_at(lines, datetime(2017, *day, tzinfo=UTC)) for day in ((11, 1, 4), (12, 1, 5)))
    assert test.outcomes is not None
    answers, baseline = (make(PARAMS).fit(train).predict(test) for make in (NextBasket, FrequentItems))
    gain = difference_with_interval(MODEL.metric, test.outcomes, answers, baseline, seed=0)
    assert gain.low > 0, gain


def _grocers_at(lines: DataFrame, moment: datetime) -> Examples:
    from pyspark.sql import functions as F

    past = lines.filter(F.col("billed_at") <= F.lit(moment)).select(*LINE_COLUMNS).toPandas()
    outcomes = next_visit_items(lines, moment, moment + timedelta(days=30)).toPandas().set_index("user_id")
    outcomes = outcomes[outcomes.index.isin(past["user_id"])]
    users = pd.DataFrame(index=pd.Index(sorted(outcomes.index.unique()), name="user_id"))
    return Examples(users, outcomes, {LINES: (past,)}, (moment,), "America/New_York")
