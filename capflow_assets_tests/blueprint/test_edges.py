"""The table that a parameter names."""

from __future__ import annotations

import pytest

from capflow_assets.blueprint.edges import resolve
from capflow_assets.errors import GraphError

KNOWN = {"raw/bills", "raw/line_items", "clean/bills", "clean/line_items", "features/rfm"}


@pytest.mark.parametrize(
    ("stage", "name", "parameter", "table"),
    [
        ("features", "rfm", "bills", "clean/bills"),
        ("clean", "bills", "raw_bills", "raw/bills"),
        ("clean", "bills", "line_items", "clean/line_items"),
        ("clean", "bills", "bills", "raw/bills"),
        ("models", "any", "rfm", "features/rfm"),
    ],
)
def test_a_parameter_names_the_nearest_earlier_table(stage, name, parameter, table):
    assert resolve(stage, name, parameter, KNOWN) == table


def test_a_parameter_that_names_nothing_is_refused_with_a_hint():
    with pytest.raises(GraphError, match="did you mean 'bills'"):
        resolve("features", "rfm", "bils", KNOWN)


def test_a_later_stage_is_out_of_reach():
    with pytest.raises(GraphError, match="names no table"):
        resolve("clean", "bills", "rfm", KNOWN)
