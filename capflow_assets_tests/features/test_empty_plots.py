"""The picture of a table without a row can be drawn: a customer may know no user, sell nothing, write to nobody."""

from __future__ import annotations

import pytest

from capflow_assets.definitions import STAGES
from capflow_assets.pages.plots import png

DRAWN = {name: spec for name, spec in STAGES.tables.items() if spec.plot is not None and spec.stage == "features"}


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_a_table_without_a_row_is_drawn(spark, name: str) -> None:
    spec = DRAWN[name]
    schema = ", ".join(f"`{column.name}` {column.type}" for column in spec.table.columns)
    assert png(spec.plot(spark.createDataFrame([], schema))).startswith(b"\x89PNG")
