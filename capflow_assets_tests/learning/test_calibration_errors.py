"""Errors of predictions by hand."""

from __future__ import annotations

import numpy as np
import pytest

from capflow_assets.learning.calibration_errors import (
    calibration_table,
    expected_calibration_error,
    order_error,
    ratio_error,
)


def test_expected_calibration_error_by_hand() -> None:
    # low half: 0.2 predicted, 0 of 2 came; high half: 0.7 predicted, 2 of 2 came
    assert expected_calibration_error([0, 0, 1, 1], [0.1, 0.3, 0.6, 0.8], bins=2) == pytest.approx(0.25)
    assert np.isnan(expected_calibration_error([1.0], [np.nan]))


def test_the_table_has_bins_of_equal_mass() -> None:
    table = calibration_table(np.zeros(103), np.linspace(0, 1, 103))
    assert len(table) == 10
    assert set(table["users"]) == {10, 11}
    assert table["predicted_mean"].is_monotonic_increasing
    assert calibration_table([1.0, 0.0], [0.5, np.inf])["users"].tolist() == [1]


def test_ratio_error() -> None:
    assert ratio_error([10, 10], [12, 13]) == pytest.approx(0.25)
    assert ratio_error([0, 0], [0, 0]) == 0
    assert ratio_error([0, 0], [0, 1]) == float("inf")


def test_order_error_by_hand() -> None:
    # 4 before 2 with weights 1 and 3: the isotonic mean is 2.5; |4 - 2.5| + 3 |2 - 2.5| = 3, of 2 * (4 + 6)
    assert order_error([4.0, 2.0], [1, 3]) == pytest.approx(3 / 20)
    assert order_error([1.0, 2.0, 2.0], [5, 1, 1]) == 0
    assert order_error([0.0, 0.0], [5, 1]) == 0
    assert order_error([7.0], [5]) == 0
