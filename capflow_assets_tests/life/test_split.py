"""Which past moments make examples, and how far their horizons reach: by the customer's own days."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from capflow_assets.blueprint.specs import Call, Input
from capflow_assets.life.examples import ExampleReader
from capflow_assets.life.split import split_in_time
from capflow_assets.monitoring.arrivals import LandingDelay
from capflow_assets_tests.life.shop import AS_OF, RegularsParams, deployment, reader

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def in_madrid(root: Path) -> ExampleReader:
    """The shop's examples, had it been in Madrid, where clocks went forward on 31 March."""
    shop = reader(deployment(root))
    return replace(shop, customer=shop.customer.model_copy(update={"time_zone": "Europe/Madrid"}))


def each_bill(bills: DataFrame) -> DataFrame:
    """Every bill is an event."""
    return bills.filter("user_id is not null").selectExpr("user_id", "billed_at as began_at")


def test_moments_are_at_the_same_time_of_the_customers_days(untrained: Path) -> None:
    """22:00 of 30 June, of 11 May and of 22 March, when it is an hour less to UTC."""
    split = split_in_time(in_madrid(untrained), RegularsParams(horizon_days=50), AS_OF)
    assert split.train_moments == (datetime(2024, 3, 22, 21, tzinfo=UTC),)
    assert split.test_moment == datetime(2024, 5, 11, 20, tzinfo=UTC)


def test_a_horizon_whose_bills_have_not_all_landed_is_not_learned_from(untrained: Path) -> None:
    shop, params = reader(deployment(untrained)), RegularsParams(horizon_days=20)
    on_time, late = (split_in_time(shop, params, AS_OF, LandingDelay(days=days)) for days in (0, 5))
    assert on_time.test_moment - late.test_moment == timedelta(days=5)


def test_the_horizon_of_an_event_is_of_the_customers_days(untrained: Path) -> None:
    """31 days after 13:00 of 10 March in Madrid, which is noon in UTC, the bill of 14:00 of 10 April is too late.

    Those after 10 April end on 11 May, when the event that is judged on had begun: they are not learned from.
    """
    shop = in_madrid(untrained)
    events = Call(each_bill, (Input("bills", "clean/bills", optional=False),), ())
    shop = replace(shop, spec=replace(shop.spec, events=events))
    split = split_in_time(shop, RegularsParams(horizon_days=31, moments=4), AS_OF)
    noons = [datetime(2024, month, 10, 12, tzinfo=UTC) for month in (2, 3, 5)]
    assert [*split.train_moments, split.test_moment] == noons
    assert split.train.outcomes is not None
    bounds = split.train.outcomes["bought"].groupby(split.train.columns["moment"].to_numpy()).agg(["min", "max"])
    assert bounds.to_numpy().tolist() == [[1, 1], [0, 0]]
