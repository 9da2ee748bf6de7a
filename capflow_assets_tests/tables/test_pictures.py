"""A picture is drawn anew where the rows or the picture that lies there are others, and only there."""

from __future__ import annotations

import itertools

import pytest

from capflow_assets.blueprint.specs import TableSpec
from capflow_assets.contract import Column, Table
from capflow_assets.stores.lake import Lake
from capflow_assets.tables.pictures import Pictures, place

TABLE = Table("user", (Column("user_id", "string", ""), Column("n", "bigint", "")))
ROWS = [("a", 1), ("b", None), (None, 3)]
SCHEMA = "user_id string, n bigint"


def plot(frame):
    return frame.count()


@pytest.fixture
def pictured(spark, tmp_path):
    """The picture of rows: each drawing has a number of its own."""
    lake = Lake(str(tmp_path), lambda: spark)
    number = itertools.count()
    pictures = Pictures(lake, "acme", lambda rows: f"{rows} rows, drawing {next(number)}".encode())

    def of(rows, schema=SCHEMA):
        spec = TableSpec("features/rfm", TABLE, "", plot=plot)
        image = pictures.of(spec, spark.createDataFrame(rows, schema), len(rows))
        lake.save_bytes("acme", place("features/rfm"), image)
        return image.decode()

    return of, lake


def test_the_same_rows_in_another_order_keep_their_picture(pictured):
    of, _ = pictured
    assert of(ROWS) == "3 rows, drawing 0"
    assert of(ROWS[::-1]) == "3 rows, drawing 0"


@pytest.mark.parametrize("rows", [ROWS[:2], [("a", 1), (None, None), ("b", 3)], [("a", 1), ("b", None), ("c", 3)]])
def test_other_rows_are_drawn(pictured, rows):
    of, _ = pictured
    of(ROWS)
    assert of(rows) == f"{len(rows)} rows, drawing 1"
    assert of(rows) == f"{len(rows)} rows, drawing 1"


def test_other_columns_are_drawn(pictured):
    of, _ = pictured
    of(ROWS)
    assert of(ROWS, "user_id string, m bigint") == "3 rows, drawing 1"


def test_a_picture_that_is_gone_or_of_another_run_is_drawn(pictured):
    of, lake = pictured
    of(ROWS)
    lake.save_bytes("acme", place("features/rfm"), b"of a run that was killed")
    assert of(ROWS) == "3 rows, drawing 1"


def test_a_table_without_a_picture_has_none(spark, tmp_path):
    pictures = Pictures(Lake(str(tmp_path), lambda: spark), "acme", bytes)
    assert pictures.of(TableSpec("features/rfm", TABLE, ""), spark.range(1), 1) is None
