"""What a model's functions see of its parameters: those of the customer, of a run, and of the count for readiness."""

from __future__ import annotations

from dataclasses import replace
from inspect import signature

import pytest

from capflow_assets.contract import Window
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.expressions.as_of import newest
from capflow_assets.expressions.days import days_after
from capflow_assets.graph.engine import Engine, deployment
from capflow_assets.home.places import Home
from capflow_assets.life.examples import ExampleReader
from capflow_assets.models.spend_tier_upgrade import SpendTierUpgradeParams
from capflow_assets.stores.lake import Lake

MODEL = "spend_tier_upgrade"


@pytest.fixture(scope="module")
def reader(acme, spark) -> ExampleReader:
    place = deployment(STAGES, SOURCES, home=Home.of(acme.root), engine=Engine())
    lake = Lake(place.lake.root, lambda: spark)
    return ExampleReader(lake, STAGES, place.customer("acme"), STAGES.model(MODEL))


def tiers(*thresholds: float) -> SpendTierUpgradeParams:
    return SpendTierUpgradeParams.model_validate({"thresholds": thresholds})


def set_in_toml(reader: ExampleReader, **params: object) -> ExampleReader:
    return replace(reader, customer=reader.customer.model_copy(update={"models": {MODEL: params}}))


def test_they_are_those_of_the_customers_toml_or_of_the_run(reader: ExampleReader) -> None:
    moment = days_after(newest(reader.lake.table("acme", "clean/bills")), -60, "UTC")
    of_toml = set_in_toml(reader, thresholds=[1.0])
    few, all_users = len(of_toml.columns(moment)), len(replace(of_toml, params=tiers(1e9)).columns(moment))
    assert few < all_users
    assert len(set_in_toml(reader, thresholds=[1e9]).columns(moment)) == all_users
    window = Window(moment, days_after(moment, 60, "UTC"))
    reached = [
        one.with_outcomes([window])[0].outcomes["reached_next_tier"].sum()  # type: ignore[index]
        for one in (replace(reader, params=tiers(1e9)), replace(reader, params=tiers(50.0, 1e9)))
    ]
    assert reached[0] == 0 < reached[1]


def test_users_with_the_outcome_are_counted_with_them() -> None:
    spec, ours = STAGES.model(MODEL), tiers(123.0)
    requirements = spec.requirements(ours)
    assert "params" not in requirements.injected
    assert signature(requirements.outcome).parameters["params"].default is ours


def test_a_model_that_does_not_ask_is_called_as_before() -> None:
    spec = STAGES.model("churn")
    assert spec.requirements().outcome is spec.model.outcome.compute
    assert spec.requirements().injected == spec.outcome.injected == ("start", "end", "zone")
