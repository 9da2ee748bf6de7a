"""Two shops in one home, and copies of it."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from capflow_assets.graph.launch import dagster_instance
from capflow_assets.home.places import Home
from capflow_assets_doubles.homes import TestHome, made_once, own_environment
from capflow_assets_tests.erasure.shops import FEW, SELECT, USER, Forgotten, files_of


@pytest.fixture(scope="session")
def shops(tmp_path_factory: pytest.TempPathFactory) -> TestHome:
    """A home with ``shop``, of several versions, and ``shop2``, which sends the same. Do not change it."""
    return made_once(tmp_path_factory, "shops", _run_shops)


def _run_shops(home: TestHome, folder: Path) -> None:
    for name, tables in (("shop", SELECT), ("shop2", FEW)):
        home.ok("onboard", str(files_of(folder / name, name)))
        home.ok("run", name, "--select", tables)
    files_of(folder / "shop", "shop", extra=True)
    home.ok("run", "shop", "--select", FEW)
    with own_environment(), dagster_instance(Home.of(home.root)) as instance:
        for name in ("shop", "shop2"):
            metadata = {"sample": dg.MetadataValue.json([{"user_id": USER}]), "note": f"{USER} came; {USER}s did not"}
            key = dg.AssetKey(["raw", "bills"])
            instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=name, metadata=metadata))


@pytest.fixture
def own(shops: TestHome, tmp_path: Path) -> TestHome:
    return shops.copied(tmp_path / "home")


@pytest.fixture(scope="session")
def forgotten(shops: TestHome, tmp_path_factory: pytest.TempPathFactory) -> Forgotten:
    """The two shops after the user of ``shop`` was forgotten, once for all tests. Do not change them."""
    home = shops.copied(tmp_path_factory.mktemp("forgotten") / "home")
    return Forgotten(home, home.ok("forget", "shop", USER, "--yes", "--reason", "a letter"))


@pytest.fixture
def erased(forgotten: Forgotten, tmp_path: Path) -> TestHome:
    return forgotten.home.copied(tmp_path / "home")
