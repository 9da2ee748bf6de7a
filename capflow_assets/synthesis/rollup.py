"""Sums up all rows of some users, bottom up: line items into bills, bills into users. Pure.

This is what a worker does once ``shards`` has put its rows in order; of a user it has all rows or none. Line items are
summed up once, and again only those of bills that a moment knows in part; bills are summed up for each moment and
window.
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
    """The line items of bills in the order of arrival, and the ``groups`` that those of each bill are.

    ``known_from`` is the place of the first moment that knows each, None where there is one moment or no line item.
    """

    columns: Columns
    groups: Groups
    known_from: Whole | None
    slots: Slots

    def sums(self, variables: Sequence[Variable]) -> Sums:
        """What the line items of each bill sum up to.

        Where there is one moment they are summed up once: columns are let go as soon as no other variable needs them.
        """
        import numpy as np

        sums = {}
        nothing = Groups(self.groups.rows, self.groups.ends, self.groups.ends)
        for place, variable in enumerate(variables):
            if variable.kind == "row":
                sums[variable] = self.groups.counted()
                continue
            values = read(variable, self.columns, self.slots)
            if self.known_from is None:
                self._keep(variables[place + 1 :])
            groups = nothing if values is None else self.groups
            if variable.kind == "category":
                sums[variable] = groups.different(np.empty(0, np.int64) if values is None else values)
            else:
                (sums[variable],) = groups.summed((np.empty(0) if values is None else values)[None], TICKS, STORED)
        return sums

    def _keep(self, variables: Sequence[Variable]) -> None:
        kept = {name for variable in variables if variable.kind != "row" for name in needed(variable, self.slots)}
        for name in self.columns.keys() - kept:
            del self.columns[name]

    def in_parts(self, place: int) -> Truths:
        """The bills that have line items which the moment at ``place`` does not know."""
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

    Of each bill, in the order of arrival: the place of the first moment that knows it (None where there is one
    moment), its ``day`` since 1970 (None where there is no window), the plan's ``numbers`` and ``categories`` of its
    own row: (variables, bills).
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
        known = np.flatnonzero(bills.sizes)
        bills = bills.some(known)
        within = {days: self._within(bills, days, today) for days in plan.windows}
        figures: dict[Window, list[Numbers]] = {days: [] for days in plan.windows}
        for step in plan.steps:
            values = self._values(step, sums)
            for days, steps in plan.windows.items():
                if step in steps:
                    figures[days].append(_figures(step, values, within[days]))
        features = np.empty((len(plan.features), len(known)))
        for days, (columns, rows) in plan.places.items():
            features[columns] = np.concatenate(figures[days])[rows]
        features[~plan.is_whole] /= TICKS
        return self.users.take(known), features

    def _within(self, bills: Groups, days: Window, today: int) -> Groups:
        return bills if days is None or self.day is None else bills.where(self.day > today - days)

    def _as_known(self, plan: Plan, sums: Sums, place: int) -> Sums:
        """What those line items of each bill sum up to that the moment at ``place`` knows."""
        import numpy as np

        bills = np.flatnonzero(self.lines.in_parts(place))
        if not len(bills):
            return sums
        as_known = {}
        for variable, part in self.lines.as_known(bills, place).sums(plan.of_lines).items():
            as_known[variable] = sums[variable].copy()
            as_known[variable][:, bills] = part
        return as_known

    def _values(self, step: Step, sums: Sums) -> Any:
        """The input of a step: a value of each variable and bill, or sums of each bill."""
        import numpy as np

        if step.makes == "numbers":
            return self.numbers
        if step.makes == "counts":
            return np.concatenate([sums[variable.of] for variable in step.variables if variable.of])
        (variable, *_) = step.variables
        if step.makes == "figures" and variable.of:
            return in_ticks(sums[variable.of], tuple(aggregation_of(outer).figure for outer in step.variables))
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
    sums = groups.summed(values, TICKS if step.makes in ("numbers", "counts") else 1)
    return sums.reshape(sums.shape[0] * sums.shape[1], len(groups))


def feature_rows(
    shard: Shard, plan: Plan, moments: Sequence[datetime], days: Sequence[date]
) -> Iterator[pa.RecordBatch]:
    """One row per moment and user of whom it knows a bill. ``days`` are the moments' own, in the customer's zone."""
    import pyarrow as pa

    sums = shard.lines.sums(plan.of_lines)
    names = ["user_id", "as_of", *(feature.column for feature in plan.features)]
    for place, (moment, day) in enumerate(zip(moments, days, strict=True)):
        users, features = shard.features(plan, sums, place, (day - EPOCH).days)
        at = pa.repeat(pa.scalar(moment, pa.timestamp("us", "UTC")), len(users))
        counts = pa.array(features[plan.is_whole].ravel(), pa.int32(), safe=False)
        figures = pa.array(features[~plan.is_whole].ravel(), from_pandas=True)
        columns = {True: _in_turn(counts, len(users)), False: _in_turn(figures, len(users))}
        yield pa.record_batch([users, at, *(next(columns[is_whole]) for is_whole in plan.is_whole.tolist())], names)


def _in_turn(columns: pa.Array, length: int) -> Iterator[pa.Array]:
    """The columns that stand one after another, of so many rows each."""
    return (columns.slice(begin, length) for begin in count(0, length))
