"""The shop of ``shop.py``: written once, and copied for each test that changes it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from capflow_assets.life.training import Trained, train
from capflow_assets_tests.life.shop import AS_OF, RegularsParams, deployment, reader, write_shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="package")
def untrained(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop's home. Do not change it."""
    root = tmp_path_factory.mktemp("shop") / "home"
    write_shop(root, spark)
    return root


@pytest.fixture
def shop(untrained: Path, tmp_path: Path) -> Path:
    """The shop's home, for a test that changes it."""
    return Path(shutil.copytree(untrained, tmp_path / "home"))


@pytest.fixture(scope="package")
def trained_once(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop's home with a champion, version 1. Do not change it."""
    root = Path(shutil.copytree(untrained, tmp_path_factory.mktemp("trained") / "home"))
    place = deployment(root)
    assert isinstance(train(place, reader(place), RegularsParams(), AS_OF), Trained)
    return root


@pytest.fixture
def trained_shop(trained_once: Path, tmp_path: Path) -> Path:
    """The shop's home with a champion, version 1, for a test that changes it."""
    return Path(shutil.copytree(trained_once, tmp_path / "home"))
