"""The columns in which rows of bills and of line items come to a worker, and the variables that it reads off them.

Pure. Both travel as one kind of rows, one below the other, so that one shuffle brings together what belongs together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from capflow_assets.synthesis.entities import Variable, inputs_of
from capflow_assets.synthesis.figures import NO_HASH
from capflow_assets.synthesis.groups import transformed

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
        of_kind = (variable for variable in variables if variable.kind == kind)
        placed |= {variable: f"{kind}_{place}" for place, variable in enumerate(of_kind)}
    return placed


def needed(variable: Variable, of_slots: Slots) -> tuple[str, ...]:
    """The columns that a variable is made of."""
    return tuple(of_slots[part] for part in (inputs_of(variable) if variable.transform else (variable,)))


def read(variable: Variable, columns: Columns, of_slots: Slots) -> Any:
    """A variable of each row: numbers and truths as doubles, NaN where unknown, or hashes; None where none is known."""
    import numpy as np

    arrays = [columns[name] for name in needed(variable, of_slots)] if columns else []
    if not arrays or any(array.null_count == len(array) for array in arrays):
        return None
    inputs = [column(array) for array in arrays]
    if variable.kind == "category":
        return inputs[0]
    return transformed(variable.transform, *inputs) if variable.transform else inputs[0].astype(np.float64, copy=False)


def column(values: pa.ChunkedArray) -> Any:
    """The numbers of a column one after another; unknown ones are NaN, of 64-bit integers ``NO_HASH``, the least."""
    import pyarrow as pa

    if values.null_count and pa.types.is_int64(values.type):
        values = values.fill_null(NO_HASH)
    joined = values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()
    return joined.to_numpy(zero_copy_only=False)
