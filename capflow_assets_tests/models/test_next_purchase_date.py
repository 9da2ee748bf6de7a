"""Planted times are recovered, whole days are counted, and odd evidence is refused in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError, ModelError
from capflow_assets.learning.gap_estimators import DueDate, RenewalTime
from capflow_assets.learning.time_estimators import BoostedTime
from capflow_assets.models.next_purchase_date import MODEL, NextPurchaseDateParams, outcome

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PARAMS = NextPurchaseDateParams(rounds=100, threads=1)
HORIZON = PARAMS.horizon_days
MOMENT = datetime(2024, 6, 30, 22, 30, tzinfo=UTC)
TREES = MODEL.candidates[0].make
KINDS: tuple[Any, ...] = (TREES, RenewalTime, DueDate)


def planted(size: int = 6_000, moments: int = 3, seed: int = 0) -> tuple[Examples, np.ndarray]:
    """Users with gaps of their own, log-normal, who have waited less than their next one; and what is left of it."""
    random = np.random.default_rng(seed)
    own = random.normal(3.2, 0.7, size)
    gap = np.exp(own + 0.3 * random.normal(size=size))
    waited = np.floor(gap * random.random(size))
    frame = pd.DataFrame({name: random.random(size) for name in MODEL.columns})
    frame["recency_days"], frame["tenure_days"] = waited, 400.0
    frame["visits"], frame["gap_days_median"], frame["gap_days_cv"] = 20.0, np.exp(own), 0.3
    frame["moment"] = np.sort(np.arange(size) % moments)
    frame.index = pd.Index([f"u{number:06d}" for number in range(size)], name="user_id")
    left = gap - waited
    events = left <= HORIZON
    outcomes = pd.DataFrame({"came": events.astype(float), "days": np.where(events, np.ceil(left), 0.0)}, frame.index)
    return Examples(frame, outcomes, moments=(MOMENT,), zone="Europe/Madrid"), left


def outcomes_of(known: Examples) -> pd.DataFrame:
    assert known.outcomes is not None
    return known.outcomes


@pytest.mark.parametrize("kind", KINDS[:2])
def test_planted_times_are_recovered(kind: Any) -> None:
    (known, _), (later, left) = planted(), planted(seed=1)
    answers = kind(PARAMS).fit(known).predict(later)
    due = DueDate(PARAMS).fit(known).predict(later)
    actual = outcomes_of(later)
    judge = MODEL.metric.compute
    assert judge(actual, answers) > judge(actual, due) + 0.01
    # Who knows each user's law can do no better than the time that is left by the law.
    assert judge(actual, answers) > judge(actual, _oracle(later)) - 0.01
    assert ((answers["low_80"] <= left) & (left <= answers["high_80"])).mean() == pytest.approx(0.8, abs=0.04)
    assert (left <= answers["days"]).mean() == pytest.approx(0.5, abs=0.03)
    for rule in MODEL.rules:
        assert abs(rule.measure(actual, answers)) < 0.05


def _oracle(known: Examples) -> pd.DataFrame:
    """The expected share of the horizon that is left, by the planted law."""
    from scipy.stats import norm

    state = known.columns
    mean, waited = np.log(state["gap_days_median"].to_numpy()), state["recency_days"].to_numpy()

    def left_at(days: float) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.asarray(norm.sf((np.log(waited + days) - mean) / 0.3))

    area = sum(left_at(day + 0.5) for day in range(HORIZON)) / left_at(0.0)
    return pd.DataFrame({"score": 1 - area / HORIZON}, index=state.index)


def test_days_and_dates_agree_in_the_customers_calendar() -> None:
    known, _ = planted()
    answers = RenewalTime(PARAMS).fit(known).predict(known)
    # It is the first of July in Madrid.
    expected = [date(2024, 7, 1) + pd.Timedelta(days=round(days)) for days in answers["days"].head(50)]
    assert answers["expected_on"].head(50).tolist() == expected


def test_who_is_not_expected_within_two_years_has_no_date() -> None:
    known, _ = planted()
    gone = replace(known, columns=known.columns.head(3).assign(recency_days=4000.0, tenure_days=5000.0))
    answers = RenewalTime(PARAMS).fit(known).predict(gone)
    assert answers["expected_on"].isna().all()
    assert (answers["days"] == 730).all()
    assert (answers["score"] < 0.2).all()


@pytest.mark.parametrize("kind", KINDS)
def test_features_that_say_nothing_are_answered_all_the_same(kind: Any) -> None:
    known, _ = planted()
    blank = replace(known, columns=known.columns.assign(**dict.fromkeys(MODEL.columns, np.nan)))
    answers = kind(PARAMS).fit(blank).predict(blank)
    assert answers["score"].nunique() == 1
    assert answers["chance"].iloc[0] == pytest.approx(outcomes_of(known)["came"].mean(), abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_where_hardly_anybody_came_nothing_is_learned(kind: Any) -> None:
    known, _ = planted(300)
    nobody = replace(known, outcomes=outcomes_of(known) * 0.0)
    with pytest.raises(EvidenceError, match="Times cannot be learned"):
        kind(PARAMS).fit(nobody)


@pytest.mark.parametrize("kind", KINDS)
def test_everybody_who_came_on_the_first_day_is_expected_then(kind: Any) -> None:
    known, _ = planted(600)
    everybody = replace(known, outcomes=outcomes_of(known) * 0.0 + 1.0)
    answers = kind(PARAMS).fit(everybody).predict(known)
    assert np.isfinite(answers.select_dtypes("number").to_numpy()).all()
    assert answers["chance"].mean() > 0.9


def test_an_outcome_is_needed_for_each_example() -> None:
    known, _ = planted(300)
    for kind in KINDS:
        for wrong in (None, outcomes_of(known)[1:]):
            with pytest.raises(ModelError, match="one outcome per example"):
                kind(PARAMS).fit(replace(known, outcomes=wrong))


def test_the_columns_that_were_chosen_are_all_that_is_read() -> None:
    known, _ = planted(3_000)
    chosen = ("recency_days", "gap_days_median")
    few = BoostedTime(PARAMS, dict.fromkeys(MODEL.columns, "{:.0f}")).using(chosen)
    assert few.columns == chosen
    narrow = replace(known, columns=known.columns[[*chosen, "moment"]])
    assert few.fit(narrow).refit(narrow).predict(narrow)["score"].nunique() > 100


def test_once_promoted_the_newest_moment_reaches_the_trees_and_the_spread_stays() -> None:
    known, _ = planted(3_000)
    measured = BoostedTime(PARAMS, dict.fromkeys(MODEL.columns, "{:.0f}")).fit(known)
    served = measured.refit(known)
    assert served.times is measured.times
    assert not served.predict(known)["score"].equals(measured.predict(known)["score"])


def test_reasons_name_the_wait_beside_the_usual_gap() -> None:
    known, _ = planted()
    one = known.columns.head(1).assign(recency_days=54.0, gap_days_median=21.0, visits=2000.0)
    reasons = RenewalTime(PARAMS).fit(known).predict(replace(known, columns=one))["reasons"].iloc[0]
    assert reasons == "has not bought for 54 days, usual gap 21 (by 1999 gaps of its own)"
    ordered = replace(known, columns=known.columns.sort_values("gap_days_median"))
    reasons = TREES(PARAMS).fit(known).predict(ordered)["reasons"]
    assert "usual gap 2 days raises it" in reasons.iloc[:20].str.cat(sep=" ")
    assert "lowers it" in reasons.iloc[-1]


def test_the_usual_gap_counts_from_the_last_visit_and_doubles_the_wait_once_it_is_over() -> None:
    known, _ = planted()
    rule = DueDate(PARAMS).fit(known)
    usual = rule.parameters()["gap_days"]
    waits, gaps = [5.0, 0.0, 50.0, 0.0, 10.0, 10.0], [20.0, 15.0, 20.0, 50.0, np.nan, usual]
    some = known.columns.head(6).assign(recency_days=waits, gap_days_median=gaps)
    days = rule.predict(replace(known, columns=some))["days"].to_numpy()
    assert days[::2] == pytest.approx(days[1::2]), "15 days are left, 50 more are waited, everybody's gap counts"
    assert days[0] < days[2]


def test_the_outcome_counts_days_to_the_first_visit(spark: SparkSession) -> None:
    start, end = datetime(2020, 3, 1, 12, tzinfo=UTC), datetime(2020, 3, 31, 12, tzinfo=UTC)
    rows = [
        ("ann", start, 1.0),  # the start itself belongs to the past
        ("ann", datetime(2020, 3, 3, 13, tzinfo=UTC), 1.0),
        ("ann", datetime(2020, 3, 9, 12, tzinfo=UTC), 1.0),
        ("bob", end, 0.0),  # a gift is a visit
        ("cas", end.replace(microsecond=1), 1.0),
        ("dan", datetime(2020, 3, 9, tzinfo=UTC), -5.0),
        ("eve", start.replace(microsecond=1), 1.0),
        (None, datetime(2020, 3, 9, tzinfo=UTC), 50.0),
    ]
    bills = spark.createDataFrame(
        [(*row, row[2] < 0, row[0] is None) for row in rows],
        "user_id string, billed_at timestamp, amount double, is_return boolean, is_anonymous boolean",
    )
    days = sorted(tuple(row) for row in outcome(bills, start, end).collect())
    assert days == [("ann", 1.0, 3.0), ("bob", 1.0, 30.0), ("eve", 1.0, 1.0)]
