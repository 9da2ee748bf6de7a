"""What several files of tests of models share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from capflow_assets_tests.models import action_shop as shops

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def action_shop(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> shops.ActionShop:
    """A shop whose users each answer another action, written once. Do not change it."""
    return shops.action_shop(tmp_path_factory.mktemp("actions") / "home", spark)
