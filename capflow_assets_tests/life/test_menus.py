"""A wider menu of columns: asked for in a customer's TOML, of blocks that the customer can have, and read by chance."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from capflow_assets.contract import Window
from capflow_assets.customers.customer import Customer
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.expressions.as_of import newest
from capflow_assets.graph.engine import Engine, deployment
from capflow_assets.home.places import Home
from capflow_assets.learning.extra_trees import ExtraTrees
from capflow_assets.learning.splits import moments
from capflow_assets.life.examples import ExampleReader
from capflow_assets.life.menus import further_words, on_menu
from capflow_assets_tests.life.shop import SHOP, TOML
from capflow_assets_tests.life.shop import deployment as shop_deployment

CHURN = STAGES.model("churn")


@pytest.fixture
def shop(tmp_path) -> Customer:
    """A customer that sends bills alone."""
    (tmp_path / "customers").mkdir()
    (tmp_path / "customers" / f"{SHOP}.toml").write_text(TOML)
    return shop_deployment(tmp_path).customer(SHOP)


def asking(brand: Customer, model: str = "churn") -> Customer:
    """The customer with ``menu = "all"`` for a model."""
    return brand.model_copy(update={"models": {**brand.models, model: {"menu": "all"}}})


def test_the_menu_is_what_the_model_names_unless_the_toml_says_otherwise(shop) -> None:
    assert on_menu(CHURN, STAGES, shop) is CHURN


@pytest.mark.parametrize("name", ["churn", "spend_forecast", "next_purchase_date"])
def test_all_blocks_that_the_customer_can_have_are_on_it_after_those_that_are_named(shop, name: str) -> None:
    """The shop has nothing of items, messages or campaigns."""
    spec = STAGES.model(name)
    wide, named = on_menu(spec, STAGES, asking(shop, name)).model, spec.model
    tables = [reads.table for reads in wide.joined]
    assert tables[: len(named.joined)] == [reads.table for reads in named.joined]
    assert "features/season" in tables
    assert not {"features/assortment", "features/campaigns", "features/recursive"} & set(tables)
    assert set(named.columns) < set(wide.columns)
    assert len(set(wide.columns)) == len(wide.columns)
    estimator: Any = wide.challengers[0].make(wide.params())
    assert set(estimator.columns) == set(wide.columns), "the choice of columns is among all of them"
    assert wide.metric.name == named.metric.name
    assert [rule.name for rule in wide.rules] == [rule.name for rule in named.rules]


def test_every_model_that_may_be_asked_for_a_menu_has_one() -> None:
    for spec in STAGES.models.values():
        assert ("menu" in spec.model.params.model_fields) == (spec.model.widened is not None), spec.name


def test_another_word_is_refused() -> None:
    with pytest.raises(ValueError, match="menu"):
        CHURN.model.params(menu="everything")


def test_examples_have_the_further_columns_and_the_same_subjects(acme, spark) -> None:
    place = deployment(STAGES, SOURCES, home=Home.of(acme.root), engine=Engine())
    brand = place.customer("acme")
    words = further_words(CHURN, STAGES, brand)
    assert CHURN.model.widened is not None
    wide = ExampleReader(place.lake, STAGES, brand, on_menu(CHURN, STAGES, asking(brand)))
    narrow = ExampleReader(place.lake, STAGES, brand, CHURN)
    (moment,) = moments(newest(place.lake.table("acme", "clean/bills")), 60, 1, "UTC")
    windows = [Window(moment, moment + timedelta(days=60))]
    (more,), (few,) = (reader.with_outcomes(windows) for reader in (wide, narrow))
    pd.testing.assert_frame_equal(more.columns[list(few.columns)].loc[few.columns.index], few.columns)
    further = [name for block in words.values() for name in block]
    assert len(further) > 20
    assert set(further) <= set(more.columns)


def test_a_champion_of_a_wide_menu_is_read_for_when_the_toml_has_narrowed_it(acme) -> None:
    place = deployment(STAGES, SOURCES, home=Home.of(acme.root), engine=Engine())
    brand = place.customer("acme")
    further = next(name for block in further_words(CHURN, STAGES, brand).values() for name in block)
    narrow = ExampleReader(place.lake, STAGES, brand, CHURN)
    champion = ExtraTrees(CHURN.model.params(), "lapsed", {further: "{}", "bills_mean_amount_28d": "{}"})
    assert narrow.columns_read
    assert further not in narrow.columns_read
    moment = newest(place.lake.table("acme", "clean/bills"))
    assert set(narrow.reading(champion).columns(moment).columns) == {further, "bills_mean_amount_28d"}


def test_recursive_features_that_are_kept_are_on_it_with_their_formulas(acme) -> None:
    """Judged by another program: pandas' mean of each user's bills of the last 28 days."""
    place = deployment(STAGES, SOURCES, home=Home.of(acme.root), engine=Engine())
    brand, lake = place.customer("acme"), place.lake
    wide = on_menu(CHURN, STAGES, asking(brand), lake)
    verdicts = lake.table("acme", "features/recursive_columns").toPandas()
    kept, named = set(verdicts["column"][verdicts["is_kept"]]), set(on_menu(CHURN, STAGES, asking(brand)).model.columns)
    assert set(wide.model.columns) - named == kept - named
    assert kept - named
    narrow = ExampleReader(lake, STAGES, brand, CHURN)
    champion = ExtraTrees(CHURN.model.params(), "lapsed", {"bills_mean_amount_28d": "{}"})
    bills = lake.table("acme", "clean/bills").toPandas().dropna(subset=["user_id"])
    bills["billed_at"] = pd.to_datetime(bills["billed_at"], utc=True)
    (moment,) = moments(newest(lake.table("acme", "clean/bills")), 60, 1, "UTC")
    start = pd.Timestamp(moment).floor("D") - pd.Timedelta(days=27)
    window = bills[(bills["billed_at"] >= start) & (bills["billed_at"] <= moment)]
    expected = window.groupby("user_id")["amount"].apply(lambda amounts: float(amounts.astype(float).mean()))
    values = narrow.reading(champion).columns(moment)["bills_mean_amount_28d"]  # of users who came twice
    assert values.notna().sum() > 100
    pd.testing.assert_series_equal(values, expected.reindex(values.index), check_names=False, atol=1e-5)
