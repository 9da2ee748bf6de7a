from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from capflow_assets.learning.review_labels import labelled, labels
from capflow_assets.raw.reviews import TABLE
from capflow_assets_doubles.engines import frame_of, rows_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NONE = np.nan


@pytest.mark.parametrize(
    ("ratings", "expected"),
    [
        ((1, 2, 3, 4, 5), (0, 0, NONE, 1, 1)),
        ((0, 1, 1), (0, 1, 1)),
        ((-1, 0, 1), (0, NONE, 1)),
        ((2, 6, 9, 10), (0, NONE, 1, 1)),
        ((20, 50, 85), (0, NONE, 1)),
        ((5, NONE, 1), (1, NONE, 0)),
        # One star, or a thumb up.
        ((1, 1, 1), (NONE, NONE, NONE)),
        ((0, 0, 0), (0, 0, 0)),
        ((5, 5, 5), (1, 1, 1)),
        # Wider than any usual scale: its own ends.
        ((-300, 0, 300), (0, NONE, 1)),
    ],
)
def test_stars_and_points_are_held_against_the_scale_that_they_are_on(ratings: Any, expected: Any) -> None:
    np.testing.assert_array_equal(labels(pd.DataFrame({"rating": ratings}, dtype=float)), expected)


def test_a_label_of_the_customers_goes_before_the_stars() -> None:
    rows = pd.DataFrame({"rating": [1.0, 5.0, 5.0, NONE], "sentiment": [" Positive", "NEGATIV", "who knows", None]})
    np.testing.assert_array_equal(labels(rows), [1, 0, 1, NONE])
    assert np.isnan(labels(pd.DataFrame({"text": ["a"]}))).all()


def test_of_several_reviews_with_one_id_the_newest_counts(spark: SparkSession) -> None:
    at = datetime(2024, 5, 1, tzinfo=UTC)
    written: tuple[dict[str, Any], ...] = (
        {"review_id": "a", "text": "x", "written_at": at, "rating": 5.0},
        {"review_id": "a", "text": "x", "written_at": at.replace(day=2), "rating": 1.0},
        {"review_id": "b", "text": "y", "written_at": None, "rating": 3.0},
        {"review_id": "c", "text": "y", "written_at": None, "rating": 3.0, "sentiment": "positive"},
    )
    rows = rows_of(labelled(frame_of(spark, TABLE, written)), "review_id", "is_positive")
    assert sorted(rows) == [("a", 0.0), ("c", 1.0)]
    assert rows_of(labelled(frame_of(spark, TABLE, ())), "review_id") == []
