"""A home to examine, in an environment that says nothing of this machine's."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets_doubles.homes import TestHome

SET = re.compile(r"CAPFLOW_|AWS_|MLFLOW_|DATABRICKS_|DAGSTER_HOME|.*_PROXY$", re.IGNORECASE)


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch):
    for name in list(os.environ):
        if SET.match(name):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DAGSTER_HOME", "")  # so that it is put back after a check that sets it


@pytest.fixture(scope="module")
def onboarded(tmp_path_factory) -> Path:
    """The folder of ``home`` as it is made once."""
    folder = tmp_path_factory.mktemp("onboarded")
    toml = write(simulate(tiny("shop", seed=3, users=30, sends=("bills",))), folder / "files")
    TestHome(folder / "home").ok("onboard", str(toml))
    return folder


@pytest.fixture
def home(onboarded, tmp_path) -> TestHome:
    """A home with one customer, ``shop``, whose files lie beside it."""
    shutil.copytree(onboarded, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "home" / "customers" / "shop.toml"
    file.write_text(file.read_text().replace(str(onboarded), str(tmp_path)))
    return TestHome(tmp_path / "home")
