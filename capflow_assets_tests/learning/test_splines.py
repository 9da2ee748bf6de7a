"""Curves by hand, and what they must do beyond their knots."""

from __future__ import annotations

import numpy as np
import pytest

from capflow_assets.learning.splines import basis, knots_of, squeezed


def test_a_curve_is_a_straight_line_beyond_its_outer_knots() -> None:
    knots = np.array([1.0, 2.0, 4.0, 5.0])
    for beyond in (np.linspace(-9, 1, 11), np.linspace(5, 15, 11)):
        assert np.diff(basis(beyond, knots), n=2, axis=0) == pytest.approx(0.0, abs=1e-9)


def test_a_bend_by_hand() -> None:
    # knots 0, 1, 2 at 3: (27 - 8 * 2 / 1 + 1 * 1 / 1) / 4 = 3
    assert basis(np.array([3.0]), np.array([0.0, 1.0, 2.0])).tolist() == [[3.0, 3.0, 0.0]]


def test_a_column_of_few_values_has_few_knots() -> None:
    assert knots_of(np.array([0.0] * 99 + [1.0])).tolist() == [0.0, 1.0]
    assert knots_of(np.array([np.nan, np.nan])).size == 0
    assert basis(np.array([np.nan, 3.0]), np.empty(0)).tolist() == [[1.0], [0.0]]


def test_what_is_squeezed_keeps_its_order_and_its_sign() -> None:
    assert squeezed(np.array([-1e300, -1.0, 0.0, np.e - 1, 1e300])) == pytest.approx(
        [-690.78, -np.log(2), 0.0, 1.0, 690.78], abs=0.01
    )
