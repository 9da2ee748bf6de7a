"""An index that looks into few lists finds nearly all that comparing with each finds."""

from __future__ import annotations

import numpy as np

from capflow_assets.learning.nearest import CosineIndex, blocks, unit_rows


def test_rows_have_length_one_or_nothing() -> None:
    assert unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == [[0.6, 0.8], [0.0, 0.0]]


def test_blocks_hold_so_many_cells_and_at_least_a_row() -> None:
    assert [block.tolist() for block in blocks(np.arange(5), 10, cells=20)] == [[0, 1], [2, 3], [4]]
    assert [block.tolist() for block in blocks(np.arange(2), 10, cells=1)] == [[0], [1]]


def test_nearly_all_of_the_nearest_are_in_the_lists_looked_into() -> None:
    random = np.random.default_rng(0)
    middles = random.normal(size=(60, 24))
    vectors = unit_rows(middles[random.integers(0, 60, 4000)] + 0.4 * random.normal(size=(4000, 24))).astype("float32")
    rows = np.arange(0, 4000, 40)
    index = CosineIndex.of(vectors, seed=1)
    answers = dict(index.nearest(rows, 10))
    cosines = vectors[rows] @ vectors.T
    cosines[np.arange(len(rows)), rows] = -1
    best = np.argsort(-cosines, axis=1)[:, :10]
    shares = [np.isin(best[place], answers[row]).mean() for place, row in enumerate(rows.tolist())]
    assert np.mean(shares) > 0.95
    assert all(row not in others and len(others) == 10 for row, others in answers.items())
    # A query is compared with the members of a few lists, not with all.
    looked_at = np.diff(index.starts).max() * 8
    assert looked_at < len(vectors) / 2
