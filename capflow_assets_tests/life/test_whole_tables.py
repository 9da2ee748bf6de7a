"""Tables read once for several moments are those that each moment alone would be given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from capflow_assets.blueprint.calls import cut
from capflow_assets.definitions import STAGES
from capflow_assets.life.whole_tables import as_of_each
from capflow_assets_doubles.engines import frame_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LINES = STAGES.tables["clean/line_items"]
MOMENT = datetime(2024, 3, 1, 12, tzinfo=UTC)
MICRO, DAY = timedelta(microseconds=1), timedelta(days=1)
MOMENTS = (MOMENT, MOMENT + DAY, MOMENT - DAY)
TIMES = [MOMENT + MICRO, None, MOMENT, MOMENT - DAY, MOMENT + DAY, MOMENT + 2 * DAY, MOMENT - DAY + MICRO, None]


def lines(spark: SparkSession) -> DataFrame:
    rows = [{"item_id": f"i{place}", "quantity": float(place), "billed_at": time} for place, time in enumerate(TIMES)]
    return frame_of(spark, LINES.table, rows)


def test_each_moment_has_the_rows_that_the_engine_cuts_for_it(spark: SparkSession) -> None:
    """Among them are a moment's own microsecond, the next one, and rows without a time."""
    frame, columns = lines(spark), ["item_id", "quantity", "billed_at"]
    frames = as_of_each(frame, "billed_at", columns, MOMENTS)
    for moment, rows in zip(MOMENTS, frames, strict=True):
        alone = cut(frame, LINES, moment).select(*columns).toPandas()
        pd.testing.assert_frame_equal(
            rows.sort_values("item_id", ignore_index=True), alone.sort_values("item_id", ignore_index=True)
        )
    assert [len(rows) for rows in frames] == [5, 7, 3]


def test_a_moment_that_is_asked_twice_is_answered_twice(spark: SparkSession) -> None:
    one, other = as_of_each(lines(spark), "billed_at", ["item_id"], (MOMENT, MOMENT))
    pd.testing.assert_frame_equal(one, other)
    assert list(one.columns) == ["item_id"]
    assert sorted(one["item_id"]) == ["i1", "i2", "i3", "i6", "i7"]
