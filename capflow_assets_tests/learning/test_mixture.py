"""Groups planted in numbers are found again, as many as there are; columns that say nothing do no harm."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from capflow_assets.errors import EvidenceError
from capflow_assets.learning.mixture import FLOOR, Mixture, Scale, agreement, mixture

CENTRES = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])


def planted(rows: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    groups = random.integers(0, 3, rows)
    return CENTRES[groups] + random.normal(size=(rows, 2)), groups


def test_as_many_groups_as_were_planted() -> None:
    values, truth = planted()
    standardised = Scale.of(values).standardised(values)
    fitted = mixture(standardised, 7, seed=0)
    assert len(fitted.shares) == 3
    assert fitted.shares.sum() == pytest.approx(1.0)
    assert adjusted_rand_score(truth, fitted.groups(standardised)) > 0.95
    assert agreement(standardised, fitted, seed=0) > 0.95


def test_no_groups_agree_by_chance_alone() -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, (600, 4))
    assert agreement(noise, mixture(noise, 7, seed=0), seed=0) < 0.7


def test_the_likeliest_group_by_hand() -> None:
    """At 1.2 the narrow one: -0.72 against -0.18 - log 2 = -0.87; at 2 the wide one: -0.5 - 0.69 against -2."""
    overlapping = Mixture(np.array([0.5, 0.5]), np.zeros((2, 1)), np.array([[1.0], [4.0]]))
    assert overlapping.groups(np.array([[1.2], [2.0], [-2.0]])).tolist() == [0, 1, 1]


def test_equal_rows_make_no_spike() -> None:
    values, _ = planted(200)
    fitted = mixture(np.concatenate([values / 3, np.zeros((200, 2))]), 6, seed=0)
    assert fitted.variances.min() >= FLOOR


def test_what_is_null_or_does_not_vary_stands_in_the_middle() -> None:
    values = np.array(
        [[1.0, 5.0, np.nan, np.inf], [3.0, 5.0, np.nan, 0.0], [np.nan, 5.0, np.nan, 1.0], [100.0, 5, 0, 1]]
    )
    standardised = Scale.of(values).standardised(values)
    assert np.isfinite(standardised).all()
    assert standardised[:, 1].tolist() == [0.0] * 4
    assert standardised[2, 0] == 0.0
    assert np.abs(standardised).max() <= 3.0


@pytest.mark.parametrize("rows", [np.zeros((0, 3)), np.ones((1, 3)), np.zeros((500, 3))], ids=["none", "one", "alike"])
def test_rows_that_cannot_be_told_apart_are_too_little_evidence(rows: np.ndarray) -> None:
    with pytest.raises(EvidenceError, match="rows that differ"):
        mixture(rows, 7, seed=0)
