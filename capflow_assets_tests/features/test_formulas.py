"""Every feature says how it is made, and no formula is of a column that there is not."""

from __future__ import annotations

import pytest

from capflow_assets.definitions import STAGES

BLOCKS = [key for key, spec in STAGES.tables.items() if spec.stage == "features" and not spec.table.intermediate]


@pytest.mark.parametrize("key", BLOCKS)
def test_every_column_has_a_formula(key: str) -> None:
    table = STAGES.tables[key].table
    assert [column.name for column in table.columns if not column.formula and column.name not in table.key] == []
    assert set(table.formulas) <= set(table.names) - set(table.key)
