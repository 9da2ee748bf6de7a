"""Rows as JSON: every kind of column that is delivered, against Python's own JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pyarrow as pa

from capflow_assets.transfer.batches import json_value, rows_of
from capflow_assets_tests.delivery.deliveries import delivery_of


def test_a_row_of_every_kind_of_column() -> None:
    columns = {
        "user": pa.array(["ann", "köln 😀"], pa.string()),
        "score": pa.array([0.1, float("nan")], pa.float64()),
        "count": pa.array([1, None], pa.int32()),
        "big": pa.array([2**60, -1], pa.int64()),
        "is_new": pa.array([True, None], pa.bool_()),
        "day": pa.array([date(2026, 3, 1), None], pa.date32()),
        "at": pa.array([datetime(2026, 3, 1, 6, 7, 8, 9, UTC), None], pa.timestamp("us", tz="UTC")),
        "items": pa.array([["a", "b"], None], pa.list_(pa.string())),
        "scores": pa.array([[0.5, float("inf")], []], pa.list_(pa.float64())),
    }
    delivery = replace(delivery_of(), key=("user", "big"))
    first, second = rows_of(delivery, [pa.RecordBatch.from_pydict(columns)])
    assert (first.key, second.key) == (("ann", 2**60), ("köln 😀", -1))
    assert json.loads(first.json) == {
        "user": "ann", "score": 0.1, "count": 1, "big": 2**60, "is_new": True, "day": "2026-03-01",
        "at": "2026-03-01T06:07:08.000009Z", "items": ["a", "b"],
        "scores": [0.5, None],
    }  # fmt: skip
    assert json.loads(second.json) == {
        "user": "köln 😀", "score": None, "count": None, "big": -1, "is_new": None, "day": None, "at": None,
        "items": None, "scores": [],
    }  # fmt: skip


def test_a_value_by_itself_is_written_as_in_a_row() -> None:
    berlin = timezone(timedelta(hours=2))
    assert json_value(datetime(2026, 7, 1, 2, tzinfo=berlin)) == "2026-07-01T00:00:00Z"
    assert json_value([float("inf"), 1.5, "a"]) == [None, 1.5, "a"]
