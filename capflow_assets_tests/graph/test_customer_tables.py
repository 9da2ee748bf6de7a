"""The assets of tables, as their files declare them, and moments that no run takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError, GraphError
from capflow_assets.graph.customer_tables import land_and_compute, table_asset
from capflow_assets.graph.engine import Engine
from capflow_assets.graph.model_assets import live
from capflow_assets.home.places import Home

TOML = """
name = "ann"
vertical = "footwear"
currency = "EUR"
time_zone = "UTC"
[tables.users]
source = "csv"
location = "s3://ann/users.csv"
columns = { user_id = "id" }
"""
SPEC = STAGES.spec("features/rfm")


def owned_by(owner: str) -> list[str]:
    spec = replace(SPEC, table=replace(SPEC.table, owner=owner))
    return list(table_asset(STAGES, spec).owners)


@pytest.mark.parametrize("owner", ["team:loyalty", "ana@boots.example"])
def test_a_table_has_the_owner_that_its_file_names(owner: str) -> None:
    assert owned_by(owner) == [owner]


@pytest.mark.parametrize("owner", ["", "loyalty", "team:"])
def test_an_owner_whom_dagster_cannot_know_is_refused_at_load(owner: str) -> None:
    with pytest.raises(GraphError, match=r"The owner of features/rfm cannot be one[^$]*team:NAME"):
        owned_by(owner)


def test_the_catalogue_leads_from_a_columns_name_to_its_tables() -> None:
    holding = {spec.key for spec in STAGES.tables.values() if "gap_days_avg" in spec.table.names}
    tagged = {key for key in STAGES.tables if "column/gap_days_avg" in table_asset(STAGES, STAGES.spec(key)).tags}
    assert tagged == holding
    assert holding


@pytest.fixture
def place(tmp_path: Path) -> Deployment:
    """A home with a customer that sends users alone, and no model for it."""
    (tmp_path / "customers").mkdir()
    (tmp_path / "customers" / "ann.toml").write_text(TOML)
    return Deployment(Home.of(tmp_path, {}), STAGES, SOURCES, Engine())


@pytest.mark.parametrize(("as_of", "words"), [("2999-01-01", "ahead of now"), ("soon", "cannot be read")])
def test_a_moment_ahead_of_today_is_refused_before_anything_lands(place: Deployment, as_of: str, words: str) -> None:
    """Whatever is selected, and also where nothing of it would be read as of a moment."""
    with pytest.raises(CapflowError, match=words):
        list(land_and_compute(place, "ann", frozenset({"raw/users"}), as_of, full=False))
    with pytest.raises(CapflowError, match=words):
        list(live(place, STAGES.model("rfm_segments"), "ann", frozenset({"models"}), as_of))
    assert place.lake.tables("ann") == []
    [waits] = live(place, STAGES.model("rfm_segments"), "ann", frozenset({"models"}))
    assert waits.metadata["status"] == "not ready"
