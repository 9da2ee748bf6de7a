"""Puts the rows that a worker gets in order: bills by user and time, line items by bill. No table of its own.

Rows come in any order and as one kind of rows: the engine has put bills and line items under one another, so that one
shuffle brings together what belongs together. They share the columns of ``COLUMNS`` and of their variables (``slots``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from capflow_assets.features._entities import Variable
from capflow_assets.features._groups import TICKS, UNKNOWN, Numbers, Whole, ticks
from capflow_assets.features._rollup import Plan, Rows, Shard

if TYPE_CHECKING:
    import pyarrow as pa

# What a row brings besides its variables: of which bill it is (a hash), whether it is a line item, the first moment
# that knows it, what puts it in order (a bill's time, a line item's number); of a bill its user, its number, its day.
COLUMNS = {
    "bill": "bigint",
    "is_line": "boolean",
    "known_from": "int",
    "place": "bigint",
    "user_id": "string",
    "bill_id": "string",
    "day": "bigint",
}
TYPES = {"number": "double", "truth": "boolean", "category": "bigint"}
NO_HASH = -(1 << 63)
_LINE_NUMBERS = 1 << 31
ROWS_COPIED = 1 << 18


def slots(variables: Sequence[Variable]) -> dict[Variable, str]:
    """The column in which each variable of a row comes; bills and line items share them: ``number_0``, ``truth_1``."""
    placed: dict[Variable, str] = {}
    for kind in TYPES:
        placed |= {
            each: f"{kind}_{place}" for place, each in enumerate(each for each in variables if each.kind == kind)
        }
    return placed


def shard_of(batches: Iterable[pa.RecordBatch], plan: Plan) -> Shard | None:
    """The rows of the batches in order; None where there is no bill."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    came = _Columns()
    for batch in batches:
        came.add(batch)
    came.copy()
    if not any(map(len, came.texts["user_id"])):
        return None
    is_line = came.taken("is_line").astype(bool)
    bill_rows, line_rows = np.flatnonzero(~is_line), np.flatnonzero(is_line)
    key, place, known_from = (came.taken(name) for name in ("bill", "place", "known_from"))

    encoded = came.text("user_id").dictionary_encode()
    user = encoded.indices.to_numpy().astype(np.int64)
    order = _by_time(user, place[bill_rows], came.text("bill_id"))
    user, bill_rows = user[order], bill_rows[order]

    found = pc.index_in(pa.array(key[line_rows]), value_set=pa.array(key[bill_rows]))
    line_rows, bill = _without_strangers(line_rows, found)
    order = _by_bill(bill * _LINE_NUMBERS + place[line_rows], bill)
    line_rows, bill = line_rows[order], bill[order]
    del key, place, order

    day = came.taken("day")[bill_rows].astype(np.int64)
    values: list[dict[Variable, Any]] = [{}, {}]
    of_slot: dict[str, list[tuple[int, Variable]]] = {}
    for which, variables in enumerate((plan.of_bills, plan.of_lines)):
        for variable, slot in slots(variables).items():
            of_slot.setdefault(slot, []).append((which, variable))
    for slot, places in of_slot.items():
        column = came.taken(slot)
        for which, variable in places:
            rows = (bill_rows, line_rows)[which]
            values[which][variable] = _value(None if column is None else column[rows], variable, len(rows))
    bills, lines = (
        Rows(parent, known_from[rows], each)
        for parent, rows, each in ((user, bill_rows, values[0]), (bill, line_rows, values[1]))
    )
    return Shard(encoded.dictionary, bills, day, lines)


def _without_strangers(line_rows: Whole, found: pa.Array) -> tuple[Whole, Whole]:
    """The line items whose bill is there, and its place."""
    import numpy as np

    bill = found.fill_null(UNKNOWN).to_numpy().astype(np.int64)
    return (line_rows, bill) if not found.null_count else (line_rows[bill != UNKNOWN], bill[bill != UNKNOWN])


def _by_time(user: Whole, time: Whole, bill_id: pa.Array) -> Whole:
    """The order of bills by user, time and, of one moment, number."""
    import numpy as np

    order = np.lexsort((time, user))
    is_same = (user[order][1:] == user[order][:-1]) & (time[order][1:] == time[order][:-1])
    # Few bills share a moment; their numbers are compared as engines compare texts, byte by byte.
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_same, [0]]).astype(np.int8)))
    for begin, end in zip(edges[::2], edges[1::2] + 1, strict=True):
        tied = order[begin:end]
        order[begin:end] = sorted(tied, key=lambda row: bill_id[int(row)].as_py().encode())
    return order


def _by_bill(key: Whole, bill: Whole) -> Whole:
    """The order of line items by bill and number, which are their ``key``; those of a bill mostly come one by one."""
    import numpy as np

    starts = np.concatenate([[0], np.flatnonzero(np.diff(bill)) + 1])[: len(bill)]
    sizes = np.diff(np.concatenate([starts, [len(bill)]]))
    turn = np.argsort(key[starts])
    starts, sizes = starts[turn], sizes[turn]
    rows = np.repeat(starts - np.cumsum(sizes) + sizes, sizes) + np.arange(len(bill))
    # All but a few are in order now, which this way of sorting makes use of.
    return rows[np.argsort(key[rows], kind="stable")]


def _value(column: Any, variable: Variable, count: int) -> Any:
    """A variable as figures are made of it: ticks, truths in ticks, or the number of each category."""
    import numpy as np
    import pyarrow as pa

    if column is None:
        return np.full(count, UNKNOWN, np.int32) if variable.kind == "category" else np.full(count, np.nan)
    if variable.kind == "number":
        return ticks(column)
    if variable.kind == "truth":
        return np.array([0.0, TICKS, np.nan])[column]
    hashes = pa.array(column, mask=column == NO_HASH)
    return hashes.dictionary_encode().indices.fill_null(UNKNOWN).to_numpy()


class _Columns:
    """The columns of all batches as numpy has them, copied out of the batches as they come, so that none is held."""

    def __init__(self) -> None:
        self.parts: dict[str, list[Any]] = {}
        self.texts: dict[str, list[pa.Array]] = {"user_id": [], "bill_id": []}
        self.waiting: list[pa.RecordBatch] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Take a batch; many are copied at once, since each costs a little by itself."""
        self.waiting.append(batch)
        if sum(each.num_rows for each in self.waiting) > ROWS_COPIED:
            self.copy()

    def copy(self) -> None:
        """Take the columns of the batches that wait; of texts, which bills alone have, those that are there."""
        import pyarrow as pa

        if not self.waiting:
            return
        table = pa.Table.from_batches(self.waiting)
        self.waiting = []
        for name, column in zip(table.column_names, table.columns, strict=True):
            if name in self.texts:
                self.texts[name].append(column.drop_null().combine_chunks())
            else:
                self.parts.setdefault(name, []).append(_copied(column))

    def text(self, name: str) -> pa.Array:
        """A text of all bills, in the order in which they came."""
        import pyarrow as pa

        return pa.chunked_array(self.texts.pop(name)).combine_chunks()

    def taken(self, name: str) -> Any:
        """A column of all rows, which is forgotten here; None where no row has a value."""
        import numpy as np

        parts = self.parts.pop(name)
        if all(isinstance(part, int) for part in parts):
            return None
        some = next(part for part in parts if not isinstance(part, int))
        filled = (np.full(part, _unknown(some), some.dtype) if isinstance(part, int) else part for part in parts)
        return np.concatenate(list(filled))


def _unknown(values: Any) -> Any:
    return float("nan") if values.dtype.kind == "f" else 2 if values.dtype.itemsize == 1 else NO_HASH


def _copied(column: pa.ChunkedArray) -> Numbers | Whole | int:
    """A column's numbers, an unknown double as NaN; truths as 0 and 1, unknown 2; hashes, unknown ``NO_HASH``.

    Where none is known, how many there are.
    """
    import numpy as np
    import pyarrow as pa

    if column.null_count == len(column):
        return len(column)
    if pa.types.is_boolean(column.type):
        return column.cast(pa.int8()).fill_null(2).to_numpy()
    if column.null_count and pa.types.is_int64(column.type):
        column = column.fill_null(NO_HASH)
    return np.array(column.to_numpy())
