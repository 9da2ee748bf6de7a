"""How users go by the price: by hand, and against the elasticities of a world whose laws we wrote."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from capflow_assets.clean.line_items import TABLE as LINES
from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.category_elasticity import category_elasticities, item_prices
from capflow_assets.learning.intervals import difference_with_interval
from capflow_assets.learning.price_choices import choices_of
from capflow_assets.learning.user_elasticity import user_elasticities
from capflow_assets.models.price_sensitivity import (
    MODEL,
    OneElasticity,
    PriceSensitivity,
    PriceSensitivityParams,
    outcome,
)
from capflow_assets.simulation import oracle
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.world import World, simulate
from capflow_assets_doubles.engines import frame_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PARAMS = PriceSensitivityParams.model_validate({})
START, END = datetime(2020, 3, 1, tzinfo=UTC), datetime(2020, 5, 31, tzinfo=UTC)
DIALS = {"r": 4.0, "alpha_weeks": 2.0, "a": 0.5, "b": 50.0, "items": 60, "campaigns": 0, "affinities": 0}


def line(user: str | None, amount: float, quantity: float | None = 1.0, **more: Any) -> dict[str, Any]:
    at = more.get("billed_at", START + timedelta(days=3))
    row = {"bill_id": "b", "line_no": 1, "item_id": "tea", "user_id": user, "billed_at": at}
    row |= {"billed_on": at.date(), "store_id": "north"}
    return {**row, "quantity": quantity, "amount": amount, "is_return": False, "flags": "", **more}


def test_the_outcome_is_what_was_saved_on_the_same_items(spark: SparkSession) -> None:
    crowd = [line(f"u{number}", 8.0) for number in range(8)]
    lines = [
        *crowd,
        line("ann", 8.0, 2.0),  # two pieces at half the price
        line(None, 8.0),
        line("bob", 1.0, item_id="rare"),  # too few to know what is usual
        line("cas", 1.0, billed_at=START),  # the start belongs to the past
        line("dan", -8.0, -1.0, is_return=True),
        line("eve", 2.0, flags="not_an_item"),
        line("fay", 0.0),
        line("gil", 8.0, None),
        # A dear store: what all pay more there is no user's.
        *(line(f"s{number}", 16.0, store_id="south", item_id="milk") for number in range(6)),
        *(line(f"n{number}", 8.0, item_id="milk") for number in range(5)),
    ]
    rows = {row["user_id"]: row for row in outcome(frame_of(spark, LINES, lines), START, END).collect()}
    crowds = {*(f"u{number}" for number in range(8)), *(f"s{n}" for n in range(6)), *(f"n{n}" for n in range(5))}
    assert set(rows) == {"ann", "gil", *crowds}
    # Tea: 10 pieces at 8 and two at 4: usual is log 2 / 6 below 8. Milk: six at 16, five at 8: 6 / 11 of log 2 above 8.
    # In the north tea saves nothing on the whole, and milk 5 * 6 / 11 of log 2 over 17 pieces.
    north = 30 / 11 / 17
    assert rows["ann"]["pieces"] == 2
    assert rows["ann"]["saving"] == pytest.approx(np.log(2) * (5 / 6 - north))
    assert rows["u0"]["saving"] == pytest.approx(np.log(2) * (-1 / 6 - north))
    assert rows["n0"]["saving"] == pytest.approx(np.log(2) * (6 / 11 - north))
    assert rows["s0"]["saving"] == pytest.approx(0, abs=1e-12)


# -- the planted world -------------------------------------------------------------------------------------------------


@lru_cache
def world() -> World:
    dials = {**DIALS, "reduced_weeks_pct": 30, "markdown_pct": 0, "returns_pct": 0}
    return simulate(tiny("shop", seed=3, users=1500, days=511, **dials))


@lru_cache
def examples() -> Examples:
    """What was known 91 days before the end of the history."""
    return known_at(world(), world().end - timedelta(days=91))


def known_at(of: World, moment: pd.Timestamp) -> Examples:
    lines = of.line_items[of.line_items["billed_at"] <= moment]
    lines = lines.assign(is_return=lines["amount"] < 0, flags="", billed_on=lines["billed_at"].dt.date)
    users = pd.DataFrame(index=pd.Index(sorted(lines["user_id"].dropna().unique()), name="user_id"))
    tables = {"clean/line_items": (lines,), "clean/items": (of.items[["item_id", "category"]],)}
    return Examples(users, None, tables, (moment.to_pydatetime(),), of.brand.time_zone)


@lru_cache
def fitted() -> PriceSensitivity:
    return PriceSensitivity(PARAMS).fit(examples())


def full_price_pieces() -> pd.DataFrame:
    """What each user bought at the full price, by category: how much the user counts for the category's elasticity."""
    lines = (
        examples()
        .table("clean/line_items")
        .query("discount == 0")
        .merge(world().items[["item_id", "category"]], on="item_id")
    )
    truth = oracle.elasticities(world())
    pieces = lines.groupby(["user_id", "category"])["quantity"].sum().unstack(fill_value=0)
    return pieces.reindex(truth.index, fill_value=0.0)[truth.columns]


def test_planted_elasticities_of_categories_lie_in_their_intervals() -> None:
    pieces, truth = full_price_pieces(), oracle.elasticities(world())
    market = (truth * pieces).sum() / pieces.sum()
    described = fitted().parameters()["categories"]
    assert set(described) == set(market.index)
    for category, cell in described.items():
        assert cell["low"] < market[category] < cell["high"], category
        assert cell["high"] - cell["low"] < 0.6


def test_planted_elasticities_of_users_lie_in_their_intervals_as_often_as_is_said() -> None:
    pieces, truth = full_price_pieces(), oracle.elasticities(world())
    own = ((truth * pieces).sum(axis=1) / pieces.sum(axis=1)).dropna()
    answers = fitted().predict(examples()).loc[own.index]
    is_inside = (answers["elasticity_low"] < own) & (own < answers["elasticity_high"])
    assert is_inside.mean() > 0.9
    assert np.corrcoef(answers["elasticity"], own)[0, 1] > 0.5


def test_users_differ_by_what_was_planted_and_shrunk_they_are_nearer_the_truth() -> None:
    lines = examples().table("clean/line_items")
    week = (examples().moments[0] - lines["billed_at"]).dt.days.to_numpy() // 7
    choices = choices_of(lines, world().items.set_index("item_id")["category"], week)
    users = user_elasticities(choices, item_prices(choices, category_elasticities(choices).shrunk.value))
    truth = oracle.elasticities(world()).iloc[:, 0]
    true = (truth - truth.mean()).reindex(choices.users).to_numpy()
    assert users.law[0] == pytest.approx(true.std(), abs=0.12)
    seen = np.isfinite(users.unshrunk)
    shrunk, alone = (float(((of - true)[seen] ** 2).mean()) for of in (users.own, users.unshrunk))
    assert shrunk < 0.9 * float((true[seen] ** 2).mean()) < alone


def test_who_goes_by_the_price_pays_less_afterwards_and_one_elasticity_does_not_know_who() -> None:
    outcomes = savings().reindex(examples().columns.index).dropna()
    answers = fitted().predict(examples()).loc[outcomes.index]
    baseline = OneElasticity(PARAMS).fit(examples()).predict(examples()).loc[outcomes.index]
    gain = difference_with_interval(MODEL.metric, outcomes, answers, baseline, seed=0)
    assert gain.low > 0
    assert MODEL.metric.compute(outcomes, baseline) == 0
    assert 0.6 < MODEL.rules[0].measure(outcomes, answers) < 1.5


def savings() -> pd.DataFrame:
    """What users saved in the last 91 days of the history, piece by piece."""
    lines = world().line_items
    lines = lines[lines["billed_at"] > examples().moments[0]]
    rows = lines.loc[lines.index.repeat(lines["quantity"].astype(int))]
    price = (rows["amount"] / rows["quantity"]).map(np.log)
    saved = price.groupby(rows["item_id"]).transform("mean") - price
    of_user = saved.groupby(rows["user_id"])
    return pd.DataFrame({"pieces": of_user.size().astype(float), "saving": of_user.mean()})


def test_where_the_price_moves_nobody_all_are_answered_alike() -> None:
    """A world in which markdowns fall on lines at random: no user is said to differ by more than chance shows."""
    random = simulate(tiny("shop", seed=5, users=800, days=300, **DIALS))
    plain = known_at(random, random.end)
    answers = PriceSensitivity(PARAMS).fit(plain).predict(plain)
    assert answers["expected_saving"].abs().max() < 0.01
    assert answers["elasticity"].abs().median() < 0.5


def test_prices_that_never_move_are_no_evidence() -> None:
    still = {**DIALS, "markdown_pct": 0, "returns_pct": 0}
    fixed = simulate(tiny("shop", seed=5, users=100, days=200, **still))
    with pytest.raises(EvidenceError, match="No elasticity can be seen"):
        PriceSensitivity(PARAMS).fit(known_at(fixed, fixed.end))


def test_nobody_is_told_apart_where_nothing_was_bought() -> None:
    none = replace(examples(), tables={name: (frame[:0],) for name, (frame,) in examples().tables.items()})
    with pytest.raises(EvidenceError, match="No elasticity can be seen"):
        PriceSensitivity(PARAMS).fit(none)
    stranger = replace(examples(), columns=pd.DataFrame(index=pd.Index(["nobody"], name="user_id")))
    (row,) = fitted().predict(stranger).to_dict("records")
    assert row["reasons"].endswith("nothing of the user's own says more")
    assert row["elasticity_low"] < row["elasticity"] < row["elasticity_high"] < 0
    assert row["expected_saving"] == 0


def test_reasons_say_what_was_bought_reduced() -> None:
    reasons = fitted().predict(examples())["reasons"]
    assert reasons.str.contains(" pieces bought below the usual price, ").mean() > 0.9
