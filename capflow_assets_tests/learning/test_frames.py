"""What an estimator reads of a frame."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.errors import ModelError
from capflow_assets.learning.frames import fitted, matrix


def test_columns_come_in_order_as_floats_with_one_kind_of_null() -> None:
    frame = pd.DataFrame(
        {"b": pd.array([1, None], dtype="Int64"), "other": ["x", "y"], "a": [np.inf, 2.0]}, index=["u", "v"]
    )
    floats = matrix(frame, ("a", "b"))
    assert floats.columns.tolist() == ["a", "b"]
    assert floats.dtypes.tolist() == [np.float64, np.float64]
    assert np.isnan(floats.loc["u", "a"])
    assert np.isnan(floats.loc["v", "b"])
    assert floats.loc["u", "b"] == 1.0
    assert frame.loc["u", "a"] == np.inf


def test_absent_columns_are_named() -> None:
    with pytest.raises(ModelError, match="without visits"):
        matrix(pd.DataFrame({"recency_days": [1]}), ("recency_days", "visits"))


def test_unfitted_models_refuse() -> None:
    assert fitted(3, "m") == 3
    with pytest.raises(ModelError, match="not fitted"):
        fitted(None, "m")
