"""Lifetime value is net of returns, finds the laws of the tiny world, and says when it cannot."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.intervals import difference_with_interval
from capflow_assets.learning.lifetime_estimators import BgNbdValue, HistoricalRate, LifetimeParams, MbgCnbdValue
from capflow_assets.life.comparison import chosen_candidate
from capflow_assets.life.split import Split
from capflow_assets.models.lifetime_value import MODEL, calibration, value_calibration, value_order
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.world import World, simulate
from capflow_assets_tests.learning.cdnow import CALIBRATION_END, purchase_days
from capflow_assets_tests.models import shopping

CHALLENGERS = [candidate.make for candidate in MODEL.challengers]
MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


def bills(*rows: tuple[str, int, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["user_id", "day", "amount"])


def examples(rows: pd.DataFrame, day: int) -> Examples:
    return Examples(shopping.features_at(rows, day), moments=(MOMENT,))


def with_outcomes(rows: pd.DataFrame, day: int, horizon: int) -> Examples:
    """The users of a day, with what they bought in the horizon."""
    subjects = examples(rows, day)
    ahead = rows[(rows["day"] > day) & (rows["day"] <= day + horizon)]
    purchases = ahead[ahead["amount"] >= 0].groupby("user_id")["day"].nunique()
    outcomes = pd.DataFrame({"purchases": purchases, "value": ahead.groupby("user_id")["amount"].sum()})
    return replace(subjects, outcomes=outcomes.reindex(subjects.columns.index).fillna(0.0))


def cdnow() -> Examples:
    days = purchase_days().rename(columns={"spend": "amount"})
    first = days["day"].min()
    return examples(days.assign(day=(days["day"] - first).dt.days), (CALIBRATION_END - first).days)


def of_world(world: World) -> pd.DataFrame:
    rows = pd.concat([world.bills, world.truth.future_bills])
    day = (rows["billed_at"].dt.tz_convert(None) - pd.Timestamp(world.brand.start)).dt.days
    return pd.DataFrame({"user_id": rows["user_id"], "day": day, "amount": rows["amount"]})


def test_the_papers_figures_come_out_of_features_in_days() -> None:
    estimator = BgNbdValue(LifetimeParams(horizon_days=39 * 7)).fit(cdnow())
    parameters = estimator.parameters()
    assert [round(parameters[name], 3) for name in ("r", "alpha", "a", "b")] == [0.243, 4.414, 0.793, 2.426]
    assert [round(parameters[name], 2) for name in ("p", "q", "gamma")] == [6.25, 3.74, 15.44]
    assert parameters["note"] == ""
    answers = estimator.predict(cdnow())
    assert answers["expected_purchases"].sum() == pytest.approx(1653, abs=5)
    assert (answers["score"] == answers["expected_value"]).all()


def test_the_laws_of_the_tiny_world_are_found() -> None:
    parameters = BgNbdValue(LifetimeParams()).fit(examples(shopping.shop(6_000, seed=5), 510)).parameters()
    (r, days), (a, b) = shopping.RATE, shopping.LEAVE
    # Visits are rounded up to whole days, at most one a day: a little is lost at the busy end.
    assert parameters["r"] == pytest.approx(r, rel=0.12)
    assert parameters["alpha"] == pytest.approx(days / 7, rel=0.2)
    assert parameters["a"] / (parameters["a"] + parameters["b"]) == pytest.approx(a / (a + b), rel=0.1)
    assert parameters["mean_spend"] == pytest.approx(15 * 6.25 / (3.7 - 1), rel=0.1)


# -- a rhythm ----------------------------------------------------------------------------------------------------------


def test_a_planted_rhythm_is_found_and_wins() -> None:
    """Purchases at every second event: k = 2 is found, chosen on an earlier moment, and surely better on the newest."""
    rows = of_world(
        simulate(tiny("clock", seed=8, users=4000, days=500, future_days=90, regularity=2, r=1.5, alpha_weeks=4.0))
    )
    test, earlier = with_outcomes(rows, 500, 90), with_outcomes(rows, 410, 90)
    split = Split(replace(test, outcomes=None), test, MOMENT, (), earlier)
    params = LifetimeParams()
    chosen = chosen_candidate(MODEL, params, split)
    assert chosen.make is MbgCnbdValue
    regular = chosen.make(params).fit(split.train)
    assert regular.parameters()["k"] == 2
    plain = BgNbdValue(params).fit(split.train)
    assert test.outcomes is not None
    both = regular.predict(test), plain.predict(test)
    assert difference_with_interval(MODEL.metric, test.outcomes, *both, seed=0).low > 0


def test_where_too_little_was_known_the_first_candidate_stands() -> None:
    """Nobody had come back by the earlier moment."""
    rows = bills(*((f"u{n}", 10 + n % 20, 9.0) for n in range(50)), ("u1", 80, 9.0), ("u2", 90, 9.0))
    test, earlier = with_outcomes(rows, 100, 30), with_outcomes(rows, 40, 30)
    split = Split(replace(test, outcomes=None), test, MOMENT, (), earlier)
    assert chosen_candidate(MODEL, LifetimeParams(), split) is MODEL.challengers[0]
    assert chosen_candidate(MODEL, LifetimeParams(), replace(split, earlier=None)) is MODEL.challengers[0]


def test_purchases_at_random_have_no_rhythm() -> None:
    """Two a year, so that whole days hide nothing."""
    rows = of_world(simulate(tiny("dice", seed=8, users=4000, days=500, r=1.5, alpha_weeks=30.0)))
    assert MbgCnbdValue(LifetimeParams()).fit(examples(rows, 500)).parameters()["k"] == 1


# -- net of returns ----------------------------------------------------------------------------------------------------


def test_who_brings_everything_back_is_worth_nothing() -> None:
    """One in five brings back whatever was bought; the others a tenth of it at most."""
    shop = shopping.shop(2_000, seed=2)
    number = shop["user_id"].str[1:].astype(int)
    share = np.where(number % 5 == 0, 1.0, 0.02 * (number % 5))
    rows = pd.concat([shop, shop.assign(amount=-share * shop["amount"], day=shop["day"] + 1)]).query("amount != 0")
    test = with_outcomes(rows, 500, 90)
    assert test.outcomes is not None
    answers = BgNbdValue(LifetimeParams()).fit(test).predict(test)
    is_returner = test.columns.index.str[1:].astype(int) % 5 == 0
    expected, actual = answers["expected_value"], test.outcomes["value"]
    assert expected[is_returner].sum() < 0.1 * answers["expected_purchases"][is_returner].sum() * 30
    assert expected[~is_returner].sum() == pytest.approx(actual[~is_returner].sum(), rel=0.1)
    faithful = test.columns.index[is_returner & (test.columns["visits"] > 9).to_numpy()]
    assert answers.loc[faithful, "returned_share"].mean() > 0.95
    assert "; 100% of it brought back; " in answers.loc[faithful[0], "reasons"]


def test_a_return_that_begins_the_history_does_not_start_the_clock() -> None:
    """Two who bought on the same days are expected to buy alike, though one brought something back before."""
    shop = shopping.shop(500, seed=2)
    twin = [("twin", day, 30.0) for day in (100, 130, 160)]
    other = [("other", day, 30.0) for day in (100, 130, 160)]
    rows = pd.concat([shop, bills(*twin, *other, ("other", 3, -10.0))])
    answers = BgNbdValue(LifetimeParams()).fit(examples(rows, 200)).predict(examples(rows, 200))
    columns = ["expected_purchases", "p_alive", "repeat_visits"]
    assert answers.loc["twin", columns].tolist() == answers.loc["other", columns].tolist()
    assert answers.loc["twin", "expected_value"] > answers.loc["other", "expected_value"]


def test_an_average_of_nothing_is_nothing() -> None:
    shop = shopping.shop(500, seed=2)
    free = [("free", day, 0.0) for day in range(100, 200, 5)]
    paying = [("paying", day, 30.0) for day in range(100, 200, 5)]
    rows = pd.concat([shop, bills(*free, *paying)])
    answers = BgNbdValue(LifetimeParams()).fit(examples(rows, 200)).predict(examples(rows, 200))
    assert answers.loc["free", "expected_purchases"] == answers.loc["paying", "expected_purchases"]
    assert answers.loc["free", "expected_value"] < 0.05 * answers.loc["paying", "expected_value"]


def test_the_value_is_judged_beside_the_purchases() -> None:
    outcomes = pd.DataFrame({"purchases": [4.0, 0.0, 1.0], "value": [90.0, -10.0, 20.0]})
    answers = pd.DataFrame({"expected_purchases": [2.0, 1.0, 0.75], "expected_value": [60.0, 5.0, 25.0]})
    assert calibration(outcomes, answers) == pytest.approx(0.25)
    # 90 of 100.
    assert value_calibration(outcomes, answers) == pytest.approx(0.1)
    assert value_order(outcomes, answers) == 1.0
    assert {rule.name for rule in MODEL.rules} == {"calibrated", "value_calibrated", "value_ordered"}


def test_value_that_came_back_altogether_is_as_wrong_as_can_be() -> None:
    outcomes = pd.DataFrame({"value": [5.0, -9.0]})
    assert value_calibration(outcomes, pd.DataFrame({"expected_value": [4.0, 4.0]})) == float("inf")


# -- spend -------------------------------------------------------------------------------------------------------------


def test_spend_that_falls_with_frequency_is_said_and_expected() -> None:
    shop = shopping.shop(4_000, seed=3)
    often = shop["user_id"].map(shop.groupby("user_id").size())
    rows = shop.assign(amount=shop["amount"] * often**-0.5)
    test = with_outcomes(rows, 500, 90)
    assert test.outcomes is not None
    estimator = BgNbdValue(LifetimeParams()).fit(test)
    assert "Spend per visit falls with frequency" in estimator.parameters()["note"]
    answers = estimator.predict(test)
    one_time = (test.columns["visits"] == 1).to_numpy()
    # Of those who came once the own spend says nothing, and the mean of the others too little.
    actual = test.outcomes["value"][one_time].sum() / test.outcomes["purchases"][one_time].sum()
    expected = answers["expected_value"][one_time].sum() / answers["expected_purchases"][one_time].sum()
    assert abs(expected - actual) < 0.5 * abs(estimator.mean_spend - actual)


def test_few_repeat_buyers_fall_back_to_the_mean_with_a_note() -> None:
    # Two repeat visits of 20 and one of 50.
    rows = bills(("a", 1, 9.0), ("b", 100, 9.0), ("b", 150, 15.0), ("b", 190, 25.0), ("c", 150, 9.0), ("c", 195, 50.0))
    estimator = BgNbdValue(LifetimeParams()).fit(examples(rows, 200))
    answers = estimator.predict(examples(rows, 200))
    assert estimator.parameters()["mean_spend"] == 30.0
    assert "came: 2" in estimator.parameters()["note"].lower()
    assert (answers["expected_value"] / answers["expected_purchases"]).tolist() == pytest.approx([30.0] * 3)


def test_a_second_fit_forgets_the_first() -> None:
    rows = bills(("a", 1, 9.0), ("b", 100, 9.0), ("b", 150, 15.0))
    estimator = BgNbdValue(LifetimeParams()).fit(cdnow()).fit(examples(rows, 200))
    assert "p" not in estimator.parameters()


# -- little is known ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", CHALLENGERS)
def test_all_one_timers_are_refused(make) -> None:
    with pytest.raises(EvidenceError, match="none with a second purchase day"):
        make(LifetimeParams()).fit(examples(bills(("a", 1, 9.0), ("b", 5, 9.0), ("c", 5, -9.0)), 30))


@pytest.mark.parametrize("make", CHALLENGERS)
def test_repeat_visits_that_brought_nothing_are_refused(make) -> None:
    with pytest.raises(EvidenceError, match="none of a positive spend"):
        make(LifetimeParams()).fit(examples(bills(("a", 1, 9.0), ("a", 5, 0.0)), 30))


@pytest.mark.parametrize("make", CHALLENGERS)
def test_users_of_whom_little_is_known_count_as_new(make) -> None:
    estimator = make(LifetimeParams()).fit(cdnow())
    known = cdnow().columns
    rows = [
        {"recency_days": 0, "visits": 1, "spend_total": 9.0, "returns_total": 0.0},
        {"visits": 0, "spend_total": -9.0, "returns_total": 9.0},
        {},
        dict.fromkeys(known.columns, np.inf),
    ]
    columns = pd.DataFrame(rows, columns=known.columns, index=known.index[:4])
    value = estimator.predict(Examples(columns))["expected_value"]
    assert np.isfinite(value).all()
    assert value.iloc[1:].tolist() == [value.iloc[0]] * 3


@pytest.mark.parametrize("make", CHALLENGERS)
def test_one_user_who_came_back_can_be_fitted(make) -> None:
    rows = bills(("a", 1, 9.0), ("a", 50, 9.0))
    assert np.isfinite(make(LifetimeParams()).fit(examples(rows, 90)).predict(examples(rows, 90))["score"]).all()


def test_reasons_name_what_a_marketer_can_check() -> None:
    estimator = BgNbdValue(LifetimeParams(horizon_days=30)).fit(cdnow())
    visits = [("many", day, 12.0) for day in (60, 80, 100, 119)]
    subjects = examples(bills(("back", 99, -3.0), *visits, ("one", 100, 8.0), ("one", 110, -2.0)), 120)
    back, many, one = estimator.predict(subjects)["reasons"]
    assert back.startswith("no visit yet; ")
    assert one.startswith("one visit, 20 days ago; 25% of it brought back; 0.")
    assert many.startswith("visits after the first: 3, the last 1 day ago; ")
    assert many.endswith("expected in 30 days")


def test_the_baseline_goes_on_at_the_rate_of_the_past() -> None:
    rows = bills(
        *(("a", day, 9.0) for day in (40, 60, 95)), ("b", 99, 9.0), ("b", 100, 3.0), ("c", 70, 9.0), ("d", 100, -6.0)
    )
    state = examples(rows, 100)
    answers = HistoricalRate(LifetimeParams(horizon_days=90)).fit(state).predict(state)
    # 2 in 60 days; 1 in a day, taken as a week; none in 30 days; nobody knows: all together 3 in 91 days
    assert answers["expected_purchases"].tolist() == pytest.approx([3.0, 90 / 7, 0.0, 90 * 3 / 91])
    # 9 a visit; 6 a visit; and of all together (27 + 12 + 9 - 6) / 6 = 7.
    assert answers["expected_value"].tolist() == pytest.approx([27.0, 6 * 90 / 7, 0.0, 7 * 90 * 3 / 91])
