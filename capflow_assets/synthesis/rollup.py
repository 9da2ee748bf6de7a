"""Sums up all rows of some users, bottom up: line items into bills, bills into users. Pure.

What a worker does with the rows that ``scans`` brings it, all of every user whom it has at all, once ``shards`` has
put them in order: line items are summed up once, and again only those of bills which a moment knows in part; bills are
summed up for each moment and window.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import count
from typing import TYPE_CHECKING, Any

from capflow_assets.synthesis.columns import Columns, Slots, needed, read
from capflow_assets.synthesis.entities import Variable
from capflow_assets.synthesis.figures import FIGURES, STORED, TICKS
from capflow_assets.synthesis.groups import Groups, Numbers, Truths, Whole, in_ticks
from capflow_assets.synthesis.plan import Plan, Step, Window
from capflow_assets.synthesis.primitives import aggregation_of

if TYPE_CHECKING:
    import pyarrow as pa

EPOCH = date(1970, 1, 1)
# Of each variable of line items what those of each bill sum up to, (figures, bills): stored ``FIGURES``, or how many.
Sums = dict[Variable, Numbers]


@dataclass(frozen=True)
class Lines:
    """The line items of bills as they came, and the ``groups`` that those of each bill are.

    ``known_from`` is the place of the first moment that knows each, None where there is one moment or no line item.
    """

    columns: Columns
    groups: Groups
    known_from: Whole | None
    slots: Slots

    def sums(self, variables: Sequence[Variable]) -> Sums:
        """What the line items of each bill sum up to.

        Where there is one moment nobody asks again: columns are let go as soon as no other variable needs them.
        """
        import numpy as np

        made = {}
        nothing = Groups(self.groups.rows, self.groups.ends, self.groups.ends)
        for place, each in enumerate(variables):
            if each.kind == "row":
                made[each] = self.groups.counted()
                continue
            values = read(each, self.columns, self.slots)
            if self.known_from is None:
                self._keep(variables[place + 1 :])
            groups = nothing if values is None else self.groups
            if each.kind == "category":
                made[each] = groups.different(np.empty(0, np.int64) if values is None else values)
            else:
                (made[each],) = groups.summed((np.empty(0) if values is None else values)[None], TICKS, STORED)
        return made

    def _keep(self, variables: Sequence[Variable]) -> None:
        still = {name for each in variables if each.kind != "row" for name in needed(each, self.slots)}
        for name in self.columns.keys() - still:
            del self.columns[name]

    def in_parts(self, place: int) -> Truths:
        """The bills of whose line items the moment at ``place`` does not know all."""
        import numpy as np

        if self.known_from is None:
            return np.zeros(len(self.groups), dtype=bool)
        (figures,) = self.groups.summed(self.known_from.astype(np.float64)[None])
        return figures[FIGURES.index("greatest")] > place

    def as_known(self, bills: Any, place: int) -> Lines:
        """The line items of some bills that the moment at ``place`` knows."""
        import numpy as np
        import pyarrow as pa

        groups = self.groups.some(bills)
        if self.known_from is not None:
            groups = groups.where(self.known_from <= place)
        in_order, taken = np.arange(len(groups.rows), dtype=groups.rows.dtype), pa.array(groups.rows)
        columns = {name: values.take(taken) for name, values in self.columns.items()}
        return Lines(columns, Groups(in_order, groups.begins, groups.ends), None, self.slots)


@dataclass(frozen=True)
class Shard:
    """Users, the bills of each by time, and their line items.

    Of each bill, as they came: the place of the first moment that knows it (None where there is one moment), its
    ``day`` since 1970 (None where there is no window), the ``numbers`` and ``categories`` of its own row (see
    ``groups``): (variables, bills), those of the plan.
    """

    users: pa.Array
    bills: Groups
    known_from: Whole | None
    day: Whole | None
    numbers: Numbers
    categories: Mapping[Variable, Whole]
    lines: Lines

    def features(self, plan: Plan, sums: Sums, place: int, today: int) -> tuple[pa.Array, Numbers]:
        """The users of whom the moment at ``place`` knows a bill, and their features in their units, (features, users).

        ``sums`` are those of all line items, ``today`` is the moment's day since 1970.
        """
        import numpy as np

        bills = self.bills
        if self.known_from is not None:
            bills, sums = bills.where(self.known_from <= place), self._as_known(plan, sums, place)
        there = np.flatnonzero(bills.sizes)
        bills = bills.some(there)
        within = {days: self._within(bills, days, today) for days in plan.windows}
        figures: dict[Window, list[Numbers]] = {days: [] for days in plan.windows}
        for step in plan.steps:
            values = self._values(step, sums)
            for days, steps in plan.windows.items():
                if step in steps:
                    figures[days].append(_figures(step, values, within[days]))
        made = np.empty((len(plan.features), len(there)))
        for days, (features, rows) in plan.places.items():
            made[features] = np.concatenate(figures[days])[rows]
        made[~plan.is_whole] /= TICKS
        return self.users.take(there), made

    def _within(self, bills: Groups, days: Window, today: int) -> Groups:
        return bills if days is None or self.day is None else bills.where(self.day > today - days)

    def _as_known(self, plan: Plan, sums: Sums, place: int) -> Sums:
        """What the line items of each bill sum up to of which the moment at ``place`` knows."""
        import numpy as np

        bills = np.flatnonzero(self.lines.in_parts(place))
        if not len(bills):
            return sums
        made = {}
        for variable, anew in self.lines.as_known(bills, place).sums(plan.of_lines).items():
            made[variable] = sums[variable].copy()
            made[variable][:, bills] = anew
        return made

    def _values(self, step: Step, sums: Sums) -> Any:
        """What the figures of a step are made of: a value of each variable and bill, or sums of each bill."""
        import numpy as np

        if step.makes == "numbers":
            return self.numbers
        if step.makes == "counts":
            return np.concatenate([sums[each.of] for each in step.variables if each.of])
        (variable, *_) = step.variables
        if step.makes == "figures" and variable.of:
            return in_ticks(sums[variable.of], tuple(aggregation_of(each).figure for each in step.variables))
        return self.categories.get(variable) if step.makes == "different" else sums.get(variable)


def _figures(step: Step, values: Any, groups: Groups) -> Numbers:
    """The figures of a step, of each of its variables those that it names, (figures, groups)."""
    if step.makes == "bills":
        return groups.counted()
    if step.makes == "different":
        return groups.different(values)
    if step.names == ("rows",):
        return groups.summed(values)[:, FIGURES.index("total")]
    if step.makes == "all_lines":
        return groups.merged(values)[0]
    made = groups.summed(values, TICKS if step.makes in ("numbers", "counts") else 1)
    return made.reshape(made.shape[0] * made.shape[1], len(groups))


def feature_rows(
    shard: Shard, plan: Plan, moments: Sequence[datetime], days: Sequence[date]
) -> Iterator[pa.RecordBatch]:
    """One row per moment and user of whom it knows a bill. ``days`` are the moments' own, in the customer's zone."""
    import pyarrow as pa

    sums = shard.lines.sums(plan.of_lines)
    names = ["user_id", "as_of", *(each.column for each in plan.features)]
    for place, (moment, day) in enumerate(zip(moments, days, strict=True)):
        users, made = shard.features(plan, sums, place, (day - EPOCH).days)
        at = pa.repeat(pa.scalar(moment, pa.timestamp("us", "UTC")), len(users))
        counts = pa.array(made[plan.is_whole].ravel(), pa.int32(), safe=False)
        figures = pa.array(made[~plan.is_whole].ravel(), from_pandas=True)
        column = {True: _in_turn(counts, len(users)), False: _in_turn(figures, len(users))}
        yield pa.record_batch([users, at, *(next(column[whole]) for whole in plan.is_whole.tolist())], names)


def _in_turn(columns: pa.Array, length: int) -> Iterator[pa.Array]:
    """The columns that stand one after another, of so many rows each."""
    return (columns.slice(begin, length) for begin in count(0, length))
