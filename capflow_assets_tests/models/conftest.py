"""What several files of tests of models share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING

import pytest

from capflow_assets_doubles.homes import TestHome, made_once
from capflow_assets_tests.models import action_shop as shops
from capflow_assets_tests.models.market import CUSTOMER, NAMES, OWN_WORLDS, WORLD, Case, case_of, fill

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def action_shop(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> shops.ActionShop:
    """A shop whose users each answer another action, written once. Do not change it."""
    return shops.action_shop(tmp_path_factory.mktemp("actions") / "home", spark)


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> TestHome:
    """The home of most models. Do not change it."""
    return made_once(
        tmp_path_factory, CUSTOMER, partial(fill, dials={"users": 2000, **WORLD}, models=NAMES), has_pictures=False
    )


@pytest.fixture(scope="session")
def own_homes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], TestHome]:
    """The home of a model whose world is its own, made once. Do not change it."""

    def home_of_model(name: str) -> TestHome:
        return made_once(
            tmp_path_factory, name, partial(fill, dials=OWN_WORLDS[name], models=[name]), has_pictures=False
        )

    return home_of_model


@pytest.fixture(scope="session")
def cases(
    request: pytest.FixtureRequest, own_homes: Callable[[str], TestHome], spark: SparkSession
) -> Callable[[str], Case]:
    """Every model's case by its name, made once."""

    @cache
    def case_of_model(name: str) -> Case:
        if name == "next_best_action":
            # Which action moves whom is planted in a world of its own, so that the others' stays as it is.
            of_actions: shops.ActionShop = request.getfixturevalue("action_shop")
            shop = of_actions.shop
            return Case(name, shop.reader.spec.model, shop.reader, of_actions.split, shop.as_of)
        home = own_homes(name) if name in OWN_WORLDS else request.getfixturevalue("market")
        return case_of(home, name, spark)

    return case_of_model
