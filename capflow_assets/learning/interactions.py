"""The user-item table as a sparse matrix, for recommenders. Arrays in, arrays out; no customer, no engine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from capflow_assets.errors import ModelError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from scipy.sparse import csr_matrix


@dataclass(frozen=True, slots=True)
class Interactions:
    """A matrix of users by items, with the id of each row (``users``) and of each column (``items``), sorted."""

    matrix: csr_matrix
    users: np.ndarray
    items: np.ndarray


def interactions(
    rows: Iterable[pa.RecordBatch] | pa.Table | pd.DataFrame, value: str = "purchases", *, dtype: str = "float32"
) -> Interactions:
    """The rows of one moment of ``features/user_item`` as a sparse matrix of the column ``value``.

    Batches are read one at a time, so that a table that is streamed is never there as a whole. Memory is that of the
    non-zeros (about 12 bytes each, twice while the matrix is built) and of the ids, whatever users times items is.
    Nulls and zeros are no entries; ids without an entry have no row and no column. The order of the rows is irrelevant.

    Raises:
        ModelError: a column is absent, or a user and an item stand together in more than one row.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"user_id": ["b", "a", "b"], "item_id": ["x", "y", "y"], "purchases": [2, 1, 3]})
    >>> counts = interactions(frame)
    >>> counts.matrix.toarray().tolist(), list(counts.users), list(counts.items)
    ([[0.0, 1.0], [2.0, 3.0]], ['a', 'b'], ['x', 'y'])
    """
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    parts = [_encoded(batch, value, users, items, dtype) for batch in _batches(rows)]
    empty = (np.empty(0, "int32"), np.empty(0, "int32"), np.empty(0, dtype))
    row, column, entries = (np.concatenate(arrays) for arrays in zip(empty, *parts, strict=True))
    parts.clear()
    user_ids, user_places = _sorted(users)
    item_ids, item_places = _sorted(items)
    return Interactions(
        _compressed(user_places[row], item_places[column], entries, len(users), len(items)), user_ids, item_ids
    )


def _batches(rows: Iterable[pa.RecordBatch] | pa.Table | pd.DataFrame) -> Iterable[pa.RecordBatch]:
    import pandas as pd
    import pyarrow as pa

    if isinstance(rows, pd.DataFrame):
        rows = pa.Table.from_pandas(rows, preserve_index=False)
    return rows.to_batches() if isinstance(rows, pa.Table) else rows


def _encoded(
    batch: pa.RecordBatch, value: str, users: dict[str, int], items: dict[str, int], dtype: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    import pyarrow.compute as pc

    names = ("user_id", "item_id", value)
    absent = [name for name in names if name not in batch.schema.names]
    if absent:
        raise ModelError(
            "A table cannot be read as a matrix of users and items",
            expected=f"columns {', '.join(names)}",
            came=f"columns {', '.join(batch.schema.names)}",
            do="read features/user_item, or name one of its columns",
        )
    # A null is no entry, and neither is a 0: filtering takes only what is true.
    kept = batch.select(list(names)).filter(pc.not_equal(batch[value], 0))
    entries = kept[value].to_numpy(zero_copy_only=False).astype(dtype)
    return _places(kept["user_id"], users), _places(kept["item_id"], items), entries


def _places(ids: pa.Array, known: dict[str, int]) -> np.ndarray:
    """The place of each id among the ``known`` ones, which grow by the new ones."""
    encoded = ids.dictionary_encode()
    places = [known.setdefault(text, len(known)) for text in encoded.dictionary.to_pylist()]
    return np.asarray(places, dtype="int32")[encoded.indices.to_numpy(zero_copy_only=False)]


def _sorted(known: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """The ids in order, and the new place of each old one."""
    ids = np.asarray(list(known), dtype=object)
    order = np.argsort(ids, kind="stable")
    places = np.empty(len(ids), dtype="int32")
    places[order] = np.arange(len(ids), dtype="int32")
    return ids[order], places


def _compressed(row: np.ndarray, column: np.ndarray, entries: np.ndarray, users: int, items: int) -> csr_matrix:
    from scipy.sparse import coo_matrix

    matrix = coo_matrix((entries, (row, column)), shape=(users, items)).tocsr()
    if matrix.nnz < len(entries):
        raise ModelError(
            "A user and an item stand together in more than one row",
            expected="the rows of one moment",
            came=f"{len(entries) - matrix.nnz:,} rows too many",
            do="choose one as_of",
        )
    matrix.sort_indices()
    return matrix
