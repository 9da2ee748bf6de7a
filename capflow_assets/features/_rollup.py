"""Sums up all rows of some users, bottom up: line items into bills, bills into users. No table of its own. Pure.

What a worker does with the rows that ``_scans`` brings it: all that every user has whom it has at all, in any order.
They are put in order once, line items by bill and bills by user and time, and then summed up for each moment and
window, some hundred thousand rows at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from capflow_assets.features._entities import Variable
from capflow_assets.features._groups import TICKS, Grouped, Groups, Numbers, Whole, whole_ticks
from capflow_assets.features._primitives import Aggregation, aggregation_of
from capflow_assets.features._synthesis import Feature

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_ONCE = 1 << 19
EPOCH = date(1970, 1, 1)
Key = TypeVar("Key")
Wanted = Mapping[Key, tuple[Variable, Aggregation]]


@dataclass(frozen=True)
class Plan:
    """What the features ask of line items, of bills and of users."""

    features: tuple[Feature, ...]

    @cached_property
    def windows(self) -> dict[int | None, tuple[Feature, ...]]:
        """The features of each window, in days, None for all time."""
        lengths = dict.fromkeys(each.window_days for each in self.features)
        return {days: tuple(each for each in self.features if each.window_days == days) for days in lengths}

    @cached_property
    def in_bills(self) -> dict[Variable, tuple[Variable, Aggregation]]:
        """The variables of a bill that are aggregations of its line items, and what each is made of."""
        outer = dict.fromkeys(each.of for each in self.features if each.of.entity == "bills")
        return {each: (each.of, aggregation_of(each)) for each in outer if each.of}

    @cached_property
    def of_bills(self) -> tuple[Variable, ...]:
        """The variables that are read off a bill's own row."""
        return _read("bills", (each.of for each in self.features))

    @cached_property
    def of_lines(self) -> tuple[Variable, ...]:
        """The variables that are read off a line item's row."""
        inner = (variable for variable, _ in self.in_bills.values())
        return _read("line_items", (*(each.of for each in self.features), *inner))


def _read(entity: str, variables: Iterable[Variable]) -> tuple[Variable, ...]:
    there = dict.fromkeys(variables)
    return tuple(each for each in there if each.entity == entity and each.of is None and each.kind != "row")


@dataclass(frozen=True)
class Rows:
    """Rows of one entity in order: the place of each one's parent, the first moment that knows it, its variables."""

    parent: Whole
    known_from: Whole
    values: Mapping[Variable, Any]

    def at(self, chosen: Any) -> Rows:
        """Some of the rows, in their order: a mask or a slice."""
        values = {name: column[chosen] for name, column in self.values.items()}
        return Rows(self.parent[chosen], self.known_from[chosen], values)

    def figures(self, asked: Wanted[Key], groups: Groups, chosen: Any = slice(None)) -> dict[Key, Numbers]:
        """What the groups sum up to, of the ``chosen`` rows, which are theirs; in ticks, counts in ones."""
        grouped: dict[Variable, Grouped] = {}
        made = {}
        for key, (variable, aggregation) in asked.items():
            if variable not in grouped:
                column = self.values.get(variable)
                grouped[variable] = Grouped(None if column is None else column[chosen], groups)
            made[key] = aggregation.figure(grouped[variable])
        return made


@dataclass(frozen=True)
class Shard:
    """Users with all their rows: ``bills`` by user and time, ``lines`` by bill. ``day`` is each bill's, since 1970."""

    users: pa.Array
    bills: Rows
    day: Whole
    lines: Rows

    def pieces(self) -> Iterator[Shard]:
        """A few users at a time, so that what is made on the way stays small."""
        import numpy as np

        bills_to = np.searchsorted(self.bills.parent, np.arange(len(self.users)), side="right")
        lines_to = np.searchsorted(self.lines.parent, bills_to - 1, side="right")
        user = bill = line = 0
        while user < len(self.users):
            most = bill + line + ROWS_AT_ONCE
            until = max(user + 1, int(np.searchsorted(bills_to + lines_to, most, side="right")))
            bills, lines = slice(bill, int(bills_to[until - 1])), slice(line, int(lines_to[until - 1]))
            some, theirs = self.bills.at(bills), self.lines.at(lines)
            some, theirs = replace(some, parent=some.parent - user), replace(theirs, parent=theirs.parent - bill)
            yield Shard(self.users[user:until], some, self.day[bills], theirs)
            user, bill, line = until, bills.stop, lines.stop

    def summed_into_bills(self, plan: Plan) -> Shard:
        """With the variables of each bill that are aggregations of its line items."""
        made = _in_bills(self.lines, len(self.day), plan)
        return replace(self, bills=replace(self.bills, values={**self.bills.values, **made}))

    def as_known(self, plan: Plan, place: int) -> Shard:
        """What the moment at ``place`` knows of it, which of some bills may be a part of their line items."""
        import numpy as np

        bills, lines = (rows.known_from <= place for rows in (self.bills, self.lines))
        if bills.all() and lines.all():
            return self
        of_known = bills[self.lines.parent]
        in_parts = np.zeros(len(bills), dtype=bool)
        in_parts[self.lines.parent[of_known & ~lines]] = True
        values = dict(self.bills.values)
        if in_parts.any():
            their = self.lines.at(in_parts[self.lines.parent] & lines)
            number = np.cumsum(in_parts) - 1
            fresh = _in_bills(replace(their, parent=number[their.parent]), int(in_parts.sum()), plan)
            for variable, made in fresh.items():
                values[variable] = values[variable].copy()
                values[variable][in_parts] = made
        seen = self.lines.at(of_known & lines)
        renumbered = replace(seen, parent=(np.cumsum(bills) - 1)[seen.parent])
        return Shard(self.users, replace(self.bills, values=values).at(bills), self.day[bills], renumbered)

    def features(self, plan: Plan, today: int) -> tuple[pa.Array, dict[str, Numbers]]:
        """The users who have bills, and each feature of theirs by its column, in its unit."""
        import numpy as np

        there = np.unique(self.bills.parent)
        of_bill = np.searchsorted(there, self.bills.parent)
        made: dict[str, Numbers] = {}
        for days, features in plan.windows.items():
            asked = {each.column: (each.of, each.aggregation) for each in features}
            bills: Any = slice(None) if days is None else self.day > today - days
            lines: Any = slice(None) if days is None else bills[self.lines.parent]
            for rows, entity, chosen, of_row in (
                (self.bills, "bills", bills, of_bill),
                (self.lines, "line_items", lines, of_bill[self.lines.parent]),
            ):
                own = {column: each for column, each in asked.items() if each[0].entity == entity}
                made |= rows.figures(own, Groups(of_row[chosen], len(there)), chosen)
        units = {each.column: 1 if each.aggregation.is_whole else TICKS for each in plan.features}
        return self.users.take(there), {column: made[column] / unit for column, unit in units.items()}


def _in_bills(lines: Rows, bills: int, plan: Plan) -> dict[Variable, Numbers]:
    figures = lines.figures(plan.in_bills, Groups(lines.parent, bills))
    is_whole = {variable: aggregation.is_whole for variable, (_, aggregation) in plan.in_bills.items()}
    return {each: whole_ticks(made * TICKS if is_whole[each] else made) for each, made in figures.items()}


def feature_rows(
    shard: Shard, plan: Plan, moments: Sequence[datetime], days: Sequence[date]
) -> Iterator[pa.RecordBatch]:
    """One row per moment and user of whom it knows a bill. ``days`` are the moments' own, in the customer's zone."""
    import pyarrow as pa

    for piece in shard.pieces():
        summed = piece.summed_into_bills(plan)
        for place, (moment, day) in enumerate(zip(moments, days, strict=True)):
            users, made = summed.as_known(plan, place).features(plan, (day - EPOCH).days)
            at = pa.scalar(moment, pa.timestamp("us", "UTC"))
            columns = {"user_id": users, "as_of": pa.repeat(at, len(users))}
            for feature in plan.features:
                kind = pa.int32() if feature.aggregation.is_whole else pa.float64()
                columns[feature.column] = pa.array(made[feature.column], from_pandas=True).cast(kind)
            yield pa.record_batch(columns)
