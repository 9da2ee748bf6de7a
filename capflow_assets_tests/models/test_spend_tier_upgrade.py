"""Who stands below which tier, who reaches the next one, and how near the model comes to one who knows the laws."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy.stats import gamma

from capflow_assets.clean.bills import TABLE as BILLS
from capflow_assets.learning.intervals import difference_with_interval
from capflow_assets.learning.moments import apart, together
from capflow_assets.learning.spend_tiers import standings
from capflow_assets.models.spend_tier_upgrade import MODEL, UPGRADED, SpendTierUpgradeParams, known, outcome
from capflow_assets.simulation import oracle
from capflow_assets.simulation.world import World
from capflow_assets_doubles.engines import frame_of
from capflow_assets_tests.models.simulated_chances import examples_of, planted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

START, END = datetime(2024, 3, 1, 12, tzinfo=UTC), datetime(2024, 5, 30, 12, tzinfo=UTC)

BASELINE = "the gap over the own rate"


def params(**given: Any) -> SpendTierUpgradeParams:
    return SpendTierUpgradeParams.model_validate({"threads": 1, "rounds": 60, **given})


def bill(user: str | None, at: datetime, amount: float) -> dict[str, Any]:
    row = {"user_id": user, "billed_at": at, "billed_on": at.date(), "amount": amount}
    return {**row, "is_return": amount < 0, "is_anonymous": user is None}


def one_year(spark: SparkSession) -> DataFrame:
    before = START - timedelta(days=30)
    bills = [
        bill("ann", before, 80.0),
        bill("ann", START + timedelta(hours=1), 30.0),  # on the day of the start itself
        bill("bob", before, 80.0),
        bill("bob", END + timedelta(seconds=1), 30.0),  # too late
        bill("cas", START - timedelta(days=330), 80.0),
        bill("cas", START + timedelta(days=60), 30.0),  # what counted has dropped out meanwhile
        bill("dan", before, 80.0),
        bill("dan", START + timedelta(days=5), 30.0),
        bill("dan", START + timedelta(days=9), -30.0),  # reached, and then brought back
        bill("eve", before, 120.0),
        bill("eve", START + timedelta(days=5), 200.0),  # the next after her own
        bill("fay", before, 400.0),
        bill("fay", START + timedelta(days=5), 400.0),  # at the top already
        bill("gil", START - timedelta(days=700), 90.0),
        bill("gil", START + timedelta(days=5), 90.0),  # a year ago counts no more
        bill(None, START + timedelta(days=5), 900.0),
        bill("new", START + timedelta(days=5), 900.0),  # not known at the start
    ]
    return frame_of(spark, BILLS, bills)


def users(frame: DataFrame) -> set[str]:
    return {row["user_id"] for row in frame.collect()}


def test_the_next_tier_is_reached_by_the_spend_of_a_year(spark: SparkSession) -> None:
    bills, tiers = one_year(spark), params(thresholds=(100, 300))
    assert users(known(bills, START, "UTC", tiers)) == {"ann", "bob", "cas", "dan", "eve", "gil"}
    reached = outcome(bills, START, END, "UTC", tiers)
    assert reached.columns == ["user_id", UPGRADED]
    assert users(reached) == {"ann", "dan", "eve"}


@pytest.mark.parametrize("given", [{}, {"thresholds": (100, 300)}])
def test_both_engines_agree(spark: SparkSession, jvm: SparkSession, given: dict[str, Any]) -> None:
    here, there = (outcome(one_year(engine), START, END, "UTC", params(**given)) for engine in (spark, jvm))
    assert here.dtypes == there.dtypes
    assert users(here) == users(there)


def test_tiers_begin_at_quantiles_of_what_users_spent_where_none_are_named(spark: SparkSession) -> None:
    spent = {f"u{number:03d}": float(number) for number in range(1, 102)}
    bills = [bill(user, START - timedelta(days=9), amount) for user, amount in spent.items()]
    bills += [bill("old", START - timedelta(days=500), 1000.0)]  # spent nothing in the year
    rows = {row.user_id: row for row in standings(frame_of(spark, BILLS, bills), START, "UTC", params()).collect()}
    begins = np.quantile(list(spent.values()), (0.5, 0.8, 0.95))  # 51, 81 and 96
    for user, amount in {**spent, "old": 0.0}.items():
        above = begins[begins > amount]
        assert rows[user].year_spend == amount
        assert rows[user].next_at == (pytest.approx(above[0]) if above.size else None), user


def test_nobody_waits_for_a_tier_where_nobody_spent(spark: SparkSession) -> None:
    given = frame_of(spark, BILLS, [bill("ann", START - timedelta(days=9), 0.0)])
    assert known(given, START, "UTC", params()).count() == 0


def test_nobody_waits_for_a_tier_where_all_spend_the_same(spark: SparkSession) -> None:
    days = (START - timedelta(days=9), START + timedelta(days=5))
    given = frame_of(spark, BILLS, [bill(f"u{number}", day, 10.0) for number in range(30) for day in days])
    assert users(known(given, START, "UTC", params())) == set()
    assert users(outcome(given, START, END, "UTC", params())) == set()


@pytest.mark.parametrize(
    "given", [{"thresholds": (300, 100)}, {"thresholds": (0,)}, {"quantiles": (0.5, 1.0)}, {"quantiles": ()}]
)
def test_tiers_grow(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="larger than the one before"):
        params(**given)


# -- the planted world -------------------------------------------------------------------------------------------------


def knowing(world: World, moment: datetime, users: pd.Index, missing: pd.Series) -> pd.Series:
    """The chances of one who knows the laws: bills come as BG/NBD expects, and cost what the user's did and all's do.

    A Poisson number of amounts adds up to about a Gamma of the same mean and variance; nothing drops out meanwhile.
    """
    expected = oracle.expected_purchases(world, moment, 90).set_index("user_id")["purchases"].reindex(users)
    bills = world.bills[(world.bills["amount"] > 0) & (world.bills["billed_at"] <= moment)]
    own, all_bills = bills.groupby("user_id")["amount"].agg(["sum", "size"]), bills["amount"]
    mean = ((own["sum"] + 2 * all_bills.mean()) / (own["size"] + 2)).reindex(users)
    # The mean of a square, in squares of the mean: how a sum varies with the number of its parts.
    ratio = float((all_bills**2).mean() / all_bills.mean() ** 2)
    return pd.Series(gamma.sf(missing, expected / ratio, scale=ratio * mean), users)


def test_it_comes_near_to_one_who_knows_the_laws_and_beats_the_gap_alone(spark: SparkSession) -> None:
    world, tiers = planted(seed=4), params()
    moments = [world.end.to_pydatetime() - timedelta(days=days) for days in (180, 90, 0)]
    module = SimpleNamespace(MODEL=MODEL, known=partial(known, params=tiers), outcome=partial(outcome, params=tiers))
    *past, test = apart(examples_of(spark, module, world, moments, 90))  # type: ignore[arg-type]
    outcomes = test.outcomes
    assert outcomes is not None
    by_name = {candidate.name: candidate for candidate in MODEL.candidates}
    splines, baseline = (by_name[name].make(tiers).fit(together(past)) for name in ("gap splines", BASELINE))
    # Those below the top tier are 95 in 100 of those who spent: their quantiles are p / 0.95 of the quantiles p of all.
    spent = past[-1].columns["spend_364d"]
    begins = np.quantile(spent[spent > 0], np.divide((0.5, 0.8, 0.95), 0.95))
    assert splines.parameters()["tiers_begin"][0] == pytest.approx(begins, abs=0.01)
    assert baseline.parameters()["tiers_begin"] == splines.parameters()["tiers_begin"]
    answers, gap_alone, spend = splines.predict(test), baseline.predict(test), test.columns["spend_364d"]
    missing = pd.Series(np.append(begins, np.inf)[np.searchsorted(begins, spend, side="right")], spend.index) - spend
    best = knowing(world, moments[-1], test.columns.index, missing).to_frame("score")
    assert MODEL.metric.compute(outcomes, answers) > MODEL.metric.compute(outcomes, best) - 0.02
    assert difference_with_interval(MODEL.metric, outcomes, answers, gap_alone, seed=0).low > 0
    assert MODEL.rules[0].measure(outcomes, answers) < 0.05
    assert answers["reasons"].str.contains("missing to the next tier").mean() > 0.3
