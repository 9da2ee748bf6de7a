"""The columns in which the rows of bills and of line items come to a worker, and what it reads off them.

No table of its own. Pure. Both come as one kind of rows, for the engine puts them under one another, so that one
shuffle brings together what belongs together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from capflow_assets.synthesis.entities import Variable, made_of
from capflow_assets.synthesis.figures import NO_HASH
from capflow_assets.synthesis.groups import of_each_row

if TYPE_CHECKING:
    import pyarrow as pa

# What a row brings besides its variables: of which bill it is (a hash), what puts it in order (a bill's time, a line
# item's number); of a bill alone its user, its number and, where there are windows, its day since 1970. Where there are
# several moments, the first that knows it is there too.
COLUMNS = {"bill": "bigint", "place": "bigint", "user_id": "string", "bill_id": "string", "day": "bigint"}
TYPES = {"number": "double", "truth": "tinyint", "category": "bigint"}
Slots = Mapping[Variable, str]
Columns = dict[str, "pa.ChunkedArray"]


def slots(variables: Sequence[Variable]) -> Slots:
    """The column in which each variable of a row comes; bills and line items share them: ``number_0``, ``truth_1``."""
    placed: dict[Variable, str] = {}
    for kind in TYPES:
        placed |= {
            each: f"{kind}_{place}" for place, each in enumerate(each for each in variables if each.kind == kind)
        }
    return placed


def needed(variable: Variable, of_slots: Slots) -> tuple[str, ...]:
    """The columns that a variable is made of."""
    return tuple(of_slots[each] for each in (made_of(variable) if variable.made else (variable,)))


def read(variable: Variable, columns: Columns, of_slots: Slots) -> Any:
    """A variable of each row: numbers and truths as doubles, NaN where unknown, or hashes; None where none is known."""
    import numpy as np

    there = [columns[name] for name in needed(variable, of_slots)] if columns else []
    if not there or any(each.null_count == len(each) for each in there):
        return None
    inputs = [column(each) for each in there]
    if variable.kind == "category":
        return inputs[0]
    return of_each_row(variable.made, *inputs) if variable.made else inputs[0].astype(np.float64, copy=False)


def column(values: pa.ChunkedArray) -> Any:
    """The numbers of a column one after another; unknown ones are NaN, of 64-bit integers ``NO_HASH``, the least."""
    import pyarrow as pa

    if values.null_count and pa.types.is_int64(values.type):
        values = values.fill_null(NO_HASH)
    joined = values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()
    return joined.to_numpy(zero_copy_only=False)
