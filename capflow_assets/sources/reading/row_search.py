"""Rows looked up again by their values, to tell people where they stand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_SEARCHED = 5_000_000
Row = dict[str, str | None]


def found_in(batches: Iterable[pa.RecordBatch], rows: Sequence[Row]) -> list[int | None]:
    """The 1-based number of each of ``rows`` in ``batches``; equal rows are given one after another.

    None where a row is not found among the first ``ROWS_SEARCHED``. A row names some columns and their text.
    """
    numbers_of_rows: list[int | None] = [None] * len(rows)
    before = 0
    for batch in batches:
        for place, row in enumerate(rows):
            if numbers_of_rows[place] is None:
                taken = {numbers_of_rows[i] for i in range(place) if rows[i] == row}
                numbers = (before + at + 1 for at in _places(batch, row))
                numbers_of_rows[place] = next((number for number in numbers if number not in taken), None)
        before += batch.num_rows
        if before > ROWS_SEARCHED or all(number is not None for number in numbers_of_rows):
            break
    return numbers_of_rows


def _places(batch: pa.RecordBatch, row: Row) -> list[int]:
    import pyarrow as pa
    import pyarrow.compute as pc

    mask = pa.array([True] * batch.num_rows)
    for name, text in row.items():
        if name not in batch.schema.names:
            return []
        same = _equal(batch.column(name), text)
        if same is None:
            return []
        mask = pc.and_(mask, same)
    return pc.indices_nonzero(mask).to_pylist()


def _equal(array: pa.Array, text: str | None) -> pa.Array | None:
    """Where ``array`` holds what Spark writes as ``text``; None where its type has no such text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.timestamp("us", array.type.tz), safe=False).cast(pa.timestamp("us"))
    if text is None:
        is_null = pc.is_null(array)
        return pc.or_(is_null, pc.equal(array, "").fill_null(False)) if pa.types.is_string(array.type) else is_null
    try:
        return pc.equal(array, pa.scalar(text).cast(array.type)).fill_null(False)
    except pa.ArrowException:
        return None
