"""What stands on one bill, whether planted pairs are found, and that chance is not."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from capflow_assets.clean.line_items import TABLE as LINE_ITEMS
from capflow_assets.contract import Examples
from capflow_assets.learning.association import LEAST_BILLS
from capflow_assets.models.market_basket import (
    LINES,
    AssociationRules,
    MarketBasketParams,
    PopularItems,
    held_out_lift,
    known,
    outcome,
)
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.world import World, simulate
from capflow_assets_doubles.engines import frame_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PARAMS = MarketBasketParams()
MOMENT = datetime(2024, 6, 30, tzinfo=UTC)
START, END = datetime(2020, 3, 1, 12, tzinfo=UTC), datetime(2020, 3, 31, 12, tzinfo=UTC)


def line(bill: str, at: datetime, item: str, number: int, **more: Any) -> dict[str, Any]:
    row = {"bill_id": bill, "line_no": number, "billed_at": at, "billed_on": at.date(), "item_id": item}
    return {**row, "is_return": False, "flags": "", **more}


def test_the_outcome_counts_the_bills_of_the_horizon_with_both_items(spark: SparkSession) -> None:
    within = datetime(2020, 3, 9, tzinfo=UTC)
    lines = [
        line("early", START, "tea", 1),  # the start itself belongs to the past
        line("early", START, "jam", 2),
        line("one", within, "tea", 1),
        line("one", within, "jam", 2),
        line("one", within, "jam", 3),
        line("one", within, "postage", 4, flags="not_an_item"),
        line("two", END, "tea", 1),  # the end itself belongs to the horizon
        line("two", END, "oil", 2, is_return=True),
        line("late", END.replace(microsecond=1), "tea", 1),
    ]
    rows = outcome(frame_of(spark, LINE_ITEMS, lines), START, END).collect()
    assert sorted(tuple(row) for row in rows) == [("jam", "tea", 1.0, 1.0), ("tea", "jam", 1.0, 2.0)]


def test_items_on_enough_bills_are_known(spark: SparkSession) -> None:
    lines = [line(f"b{number}", START, "tea", 1) for number in range(LEAST_BILLS)]
    lines += [line(f"b{number}", START, "jam", 2) for number in range(LEAST_BILLS - 1)]
    lines += [line("b0", START, "jam", 3)]  # twice on one bill is once
    assert [row["item_id"] for row in known(frame_of(spark, LINE_ITEMS, lines)).collect()] == ["tea"]


@cache
def world() -> World:
    return simulate(tiny("pairs", seed=5, users=1500, days=400, items=80, affinities=6))


def examples() -> Examples:
    lines = world().line_items
    table = lines[["bill_id", "item_id"]].assign(is_return=lines["quantity"].to_numpy() < 0, flags="")
    counts = table.drop_duplicates().groupby("item_id").size()
    index = pd.Index(sorted(counts[counts >= LEAST_BILLS].index), name="item_id")
    return Examples(pd.DataFrame(index=index), None, {LINES: (table,)}, (MOMENT,), "UTC")


def test_planted_pairs_come_first() -> None:
    """An item brings its companion in 40 % of its lines: no other is as much likelier on its bills."""
    rows = AssociationRules(PARAMS).fit(examples()).predict(examples())
    first = rows.sort_values("score", ascending=False, kind="stable").groupby(level=0)["with_item_id"].first()
    planted = world().truth.affinities.set_index("item_id")["with_item_id"]
    assert len(planted) == 6
    assert (first.reindex(planted.index) == planted).all()


def test_a_planted_pairs_confidence_is_at_least_its_chance() -> None:
    rows = AssociationRules(PARAMS).fit(examples()).predict(examples())
    pairs = rows.set_index("with_item_id", append=True)
    for pair in world().truth.affinities.itertuples():
        rule = pairs.loc[(pair.item_id, pair.with_item_id)]
        bills = round(rule["support"] / rule["confidence"] * world().line_items["bill_id"].nunique())
        error = np.sqrt(0.4 * 0.6 / bills)
        assert rule["confidence"] > pair.chance_pct / 100 - 3.3 * error
        assert rule["lift"] > 2


def test_where_items_are_bought_at_random_later_bills_show_no_lift() -> None:
    random = np.random.default_rng(3)
    numbers = np.repeat(np.arange(3000), 3)
    lines = pd.DataFrame({"bill_id": [f"b{number:04d}" for number in numbers]})
    lines["item_id"] = [f"i{number:02d}" for number in random.integers(0, 40, len(lines))]
    lines = lines.drop_duplicates().assign(is_return=False, flags="")
    past, later = lines[lines["bill_id"] < "b1500"], lines[lines["bill_id"] >= "b1500"]
    index = pd.Index(sorted(past["item_id"].unique()), name="item_id")
    subjects = Examples(pd.DataFrame(index=index), None, {LINES: (past,)}, (MOMENT,), "UTC")
    rows = AssociationRules(PARAMS).fit(subjects).predict(subjects)
    pairs = later.merge(later, on="bill_id", suffixes=("", "_other")).query("item_id != item_id_other")
    counts = pairs.groupby(["item_id", "item_id_other"]).size().rename("together_bills").reset_index()
    counts = (
        counts.rename(columns={"item_id_other": "with_item_id"}).set_index("item_id").astype({"together_bills": float})
    )
    counts["item_bills"] = later.groupby("item_id").size().reindex(counts.index).astype(float)
    # Three of forty items a bill: the two others on a bill with an item are any of the thirty-nine.
    assert held_out_lift(counts, rows) == pytest.approx(2 / 39 / (3 / 40), abs=0.06)
    assert rows["lift"].mean() > 1.1


@pytest.mark.parametrize("estimator", [AssociationRules, PopularItems])
def test_items_without_bills_have_no_list(estimator: Any) -> None:
    lines = pd.DataFrame({"bill_id": [], "item_id": [], "is_return": [], "flags": []})
    subjects = Examples(pd.DataFrame(index=pd.Index(["tea"], name="item_id")), None, {LINES: (lines,)}, (MOMENT,))
    assert estimator(PARAMS).fit(subjects).predict(subjects).empty
