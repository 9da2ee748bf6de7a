from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from capflow_assets.errors import ModelError
from capflow_assets.learning.interactions import interactions

FRAME = pd.DataFrame(
    {
        "user_id": ["漢字", "ana", "bea", "ana", "cem"],
        "item_id": ["tea", "tea", "jam", "jam", "oil"],
        "purchases": [2, 1, 0, 3, 0],
        "pieces": [1.5, None, 2.0, -1.0, 0.0],
    }
)


def test_figures_by_hand() -> None:
    entries = interactions(FRAME)
    assert (list(entries.users), list(entries.items)) == (["ana", "漢字"], ["jam", "tea"])
    assert entries.matrix.toarray().tolist() == [[3.0, 1.0], [0.0, 2.0]]
    assert entries.matrix.dtype == "float32"


def test_nulls_are_no_entries_and_negatives_are() -> None:
    entries = interactions(FRAME, "pieces", dtype="float64")
    assert (list(entries.users), list(entries.items)) == (["ana", "bea", "漢字"], ["jam", "tea"])
    assert entries.matrix.toarray().tolist() == [[-1.0, 0.0], [2.0, 0.0], [0.0, 1.5]]


def test_batches_and_order_are_irrelevant() -> None:
    whole = interactions(FRAME)
    shuffled = pa.Table.from_pandas(FRAME.iloc[::-1], preserve_index=False).to_batches(max_chunksize=2)
    entries = interactions(iter(shuffled))
    assert (entries.matrix != whole.matrix).nnz == 0
    assert list(entries.users) == list(whole.users)
    assert list(entries.items) == list(whole.items)


def test_no_rows() -> None:
    assert interactions(FRAME.iloc[:0]).matrix.shape == (0, 0)
    assert interactions(iter([])).matrix.shape == (0, 0)


def test_what_cannot_be_a_matrix_is_refused() -> None:
    with pytest.raises(ModelError, match="more than one row"):
        interactions(pd.concat([FRAME, FRAME]))
    with pytest.raises(ModelError, match="user_id, item_id, scores"):
        interactions(FRAME, "scores")


def batches(pairs: int, users: int, items: int) -> Iterator[pa.RecordBatch]:
    """So many different pairs, spread over the users and items, 10,000 at a time."""
    for start in range(0, pairs, 10_000):
        place = np.arange(start, min(start + 10_000, pairs))
        columns = {
            "user_id": [f"u{user}" for user in place % users],
            "item_id": [f"i{item}" for item in (place // users + place * 7) % items],
            "purchases": np.ones(len(place)),
        }
        yield pa.record_batch(columns)


def peak_of(pairs: int, users: int, items: int) -> int:
    tracemalloc.start()
    try:
        entries = interactions(batches(pairs, users, items))
        assert entries.matrix.nnz == pairs
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_is_that_of_the_entries() -> None:
    """A hundred times the cells take no more; ten times the entries do, and never 100 bytes each."""
    few, wide, many = peak_of(50_000, 500, 5_003), peak_of(50_000, 5_000, 50_021), peak_of(500_000, 5_000, 50_021)
    # The ids themselves take some 150 bytes each.
    assert wide - few < 200 * (5_000 + 50_021)
    assert wide < 5_000 * 50_021 * 4 / 50
    assert (many - wide) / 450_000 < 100
