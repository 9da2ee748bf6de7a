"""Puts the rows that a worker gets in order: bills by user and time, line items by bill. Pure.

Rows come in any order, in the columns of ``columns``. They stay where they are: their order is kept beside them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from capflow_assets.expressions.known_at import KNOWN_FROM
from capflow_assets.synthesis.columns import Columns, Slots, column, read, slots
from capflow_assets.synthesis.figures import NO_HASH
from capflow_assets.synthesis.groups import Groups, Whole, room
from capflow_assets.synthesis.plan import Plan
from capflow_assets.synthesis.rollup import Lines, Shard

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_ONCE = 1 << 19


def shard_of(batches: Iterable[pa.RecordBatch], plan: Plan) -> Shard | None:
    """The rows of the batches in order; None where there is no bill."""
    import numpy as np

    of_lines = slots(plan.read("line_items"))
    bills, lines = _apart(batches, ("bill", "place", KNOWN_FROM, *of_lines.values()))
    if not bills:
        return None
    users = bills["user_id"].combine_chunks().dictionary_encode()
    of_bills = slots(plan.read("bills"))
    numbers = room(len(plan.numbers), len(users))
    for variable, out in zip(plan.numbers, numbers, strict=True):
        values = read(variable, bills, of_bills)
        out[:] = math.nan if values is None else values
    hashes = {variable: read(variable, bills, of_bills) for variable in plan.categories}
    unknown = np.full(len(users), NO_HASH)
    return Shard(
        users=users.dictionary,
        bills=_by_time(users, bills),
        known_from=_known_from(bills),
        day=column(bills["day"]) if "day" in bills else None,
        numbers=numbers,
        categories={variable: unknown if values is None else values for variable, values in hashes.items()},
        lines=_lines_of(bills, lines, of_lines),
    )


def _apart(batches: Iterable[pa.RecordBatch], of_lines: Sequence[str]) -> tuple[Columns, Columns]:
    """Bills, which name their user, and these columns of line items, which leave that to their bill."""
    import pyarrow.compute as pc

    bills, lines = _Blocks(()), _Blocks(of_lines)
    for batch in batches:
        lines_of_batch = batch["user_id"].null_count
        if 0 < lines_of_batch < len(batch):
            is_bill = batch["user_id"].is_valid()
            bills.add(batch.filter(is_bill))
            lines.add(batch.filter(pc.invert(is_bill)))
        else:
            (lines if lines_of_batch else bills).add(batch)
    return bills.columns(), lines.columns()


class _Blocks:
    """Rows in large batches that hold the named columns alone, or all, joined from the small ones that arrive.

    A small batch lives as long as any of its columns is in use, even an empty one.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.joined: list[pa.Table] = []
        self.waiting: list[pa.RecordBatch] = []
        self.rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Take a batch."""
        self.waiting.append(batch)
        self.rows += len(batch)
        if self.rows >= ROWS_AT_ONCE:
            self._join()

    def _join(self) -> None:
        import pyarrow as pa

        table = pa.Table.from_batches(self.waiting)
        names = [name for name in table.column_names if name in self.names or not self.names]
        self.joined.append(table.select(names).combine_chunks())
        self.waiting, self.rows = [], 0

    def columns(self) -> Columns:
        """The columns of all rows; none where there is no row."""
        import pyarrow as pa

        if self.rows:
            self._join()
        if not self.joined:
            return {}
        table = pa.concat_tables(self.joined)
        return dict(zip(table.column_names, table.columns, strict=True))


def _known_from(columns: Columns) -> Whole | None:
    return column(columns[KNOWN_FROM]) if KNOWN_FROM in columns else None


def _by_time(users: pa.DictionaryArray, bills: Columns) -> Groups:
    """The bills of each user by time and, of one moment, number."""
    import numpy as np

    user, time = users.indices.to_numpy(), column(bills["place"])
    groups = Groups.of(user, time, len(users.dictionary))
    rows = groups.rows
    is_same = (user[rows][1:] == user[rows][:-1]) & (time[rows][1:] == time[rows][:-1])
    # Few bills share a moment; their numbers are compared as engines compare texts, byte by byte.
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_same, [0]]).astype(np.int8)))
    bill_id = bills["bill_id"]
    for begin, end in zip(edges[::2], edges[1::2] + 1, strict=True):
        rows[begin:end] = sorted(rows[begin:end], key=lambda row: bill_id[int(row)].as_py().encode())
    return groups


def _lines_of(bills: Columns, lines: Columns, of_slots: Slots) -> Lines:
    """The line items of each bill by number; those of bills that are not here are in no group."""
    import numpy as np

    from capflow_assets.synthesis.kernels import places

    bill, place = (column(lines.pop(name)) if lines else np.empty(0, np.int64) for name in ("bill", "place"))
    of_bill = room(len(bill), kind="i4")
    places(bill, column(bills["bill"]), of_bill)
    return Lines(lines, Groups.of(of_bill, place, len(bills["bill"])), _known_from(lines), of_slots)
