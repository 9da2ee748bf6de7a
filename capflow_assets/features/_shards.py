"""Puts the rows that a worker gets in order: bills by user and time, line items by bill. No table of its own. Pure.

Rows come in any order, as ``_columns`` tells. They stay where they are: their order is kept beside them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from capflow_assets.features._columns import column, read, slots
from capflow_assets.features._groups import NO_HASH, Groups, Whole, room
from capflow_assets.features._moments import KNOWN_FROM
from capflow_assets.features._rollup import Lines, Plan, Shard

if TYPE_CHECKING:
    import pyarrow as pa


def shard_of(batches: Iterable[pa.RecordBatch], plan: Plan) -> Shard | None:
    """The rows of the batches in order; None where there is no bill."""
    import numpy as np

    bills, lines = _apart(batches)
    if bills is None:
        return None
    users = bills["user_id"].combine_chunks().dictionary_encode()
    of_slots = slots(plan.read("bills"))
    numbers = room(len(plan.numbers), len(bills))
    for variable, out in zip(plan.numbers, numbers, strict=True):
        values = read(variable, bills, of_slots)
        out[:] = math.nan if values is None else values
    hashes = {variable: read(variable, bills, of_slots) for variable in plan.categories}
    unknown = np.full(len(bills), NO_HASH)
    return Shard(
        users=users.dictionary,
        bills=_by_time(users, bills),
        known_from=_known_from(bills),
        day=column("day", bills) if "day" in bills.column_names else None,
        numbers=numbers,
        categories={variable: unknown if each is None else each for variable, each in hashes.items()},
        lines=_lines_of(bills, bills.slice(0, 0) if lines is None else lines, plan),
    )


def _apart(batches: Iterable[pa.RecordBatch]) -> tuple[pa.Table | None, pa.Table | None]:
    """Bills, which say whose they are, and line items, which leave that to their bill; None where there is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    bills: list[pa.RecordBatch] = []
    lines: list[pa.RecordBatch] = []
    for batch in batches:
        unsaid = batch["user_id"].null_count
        if 0 < unsaid < len(batch):
            is_bill = batch["user_id"].is_valid()
            bills.append(batch.filter(is_bill))
            lines.append(batch.filter(pc.invert(is_bill)))
        elif len(batch):
            (lines if unsaid else bills).append(batch)
    made = (pa.Table.from_batches(some) if some else None for some in (bills, lines))
    return next(made), next(made)


def _known_from(rows: pa.Table) -> Whole | None:
    return column(KNOWN_FROM, rows) if KNOWN_FROM in rows.column_names else None


def _by_time(users: pa.DictionaryArray, bills: pa.Table) -> Groups:
    """The bills of each user by time and, of one moment, number."""
    import numpy as np

    user, time = users.indices.to_numpy(), column("place", bills)
    made = Groups.of(user, time, len(users.dictionary))
    rows = made.rows
    is_same = (user[rows][1:] == user[rows][:-1]) & (time[rows][1:] == time[rows][:-1])
    # Few bills share a moment; their numbers are compared as engines compare texts, byte by byte.
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_same, [0]]).astype(np.int8)))
    bill_id = bills["bill_id"]
    for begin, end in zip(edges[::2], edges[1::2] + 1, strict=True):
        rows[begin:end] = sorted(rows[begin:end], key=lambda row: bill_id[int(row)].as_py().encode())
    return made


def _lines_of(bills: pa.Table, lines: pa.Table, plan: Plan) -> Lines:
    """The line items of each bill by number; those of bills that are not there are nobody's."""
    from capflow_assets.features._kernels import places

    bill = room(len(lines), kind="i4")
    places(column("bill", lines), column("bill", bills), bill)
    groups = Groups.of(bill, column("place", lines), len(bills))
    return Lines(lines, groups, _known_from(lines), slots(plan.read("line_items")))
