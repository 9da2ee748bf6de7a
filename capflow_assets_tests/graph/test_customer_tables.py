"""The assets of tables, as their files declare them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from capflow_assets.definitions import STAGES
from capflow_assets.errors import GraphError
from capflow_assets.graph.customer_tables import table_asset

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
