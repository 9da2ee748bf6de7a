"""Computes the features of ``_synthesis`` in the engine, however many, in one plan. No table of its own.

Line items and bills are stacked and grouped by bill (one shuffle), which gives the states of every bill; these are
grouped by user and stretch of time between the starts of any window (one more, over bills), and the few stretches of
a user are put together for each moment and window. With several moments a bill whose line items come after a moment
that knows the bill itself has several versions: each holds from the moment that knows it to the next version. To find
such bills the rows are read a second time, to sum up their earlier versions a third time, whatever the number of
moments; one moment reads them once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from capflow_assets.features._entities import ENTITIES, Variable
from capflow_assets.features._moments import KNOWN_FROM, Moments, at_each, in_order, known, local_day_of
from capflow_assets.features._primitives import (
    AGGREGATIONS,
    TICKS,
    Aggregation,
    final,
    merged,
    nested,
    row_value,
    states_of,
)
from capflow_assets.features._synthesis import Feature

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

Wanted = dict[Variable, tuple[str, ...]]
ROW = "rows"
_ORDER = "order_key"
_UNTIL = "known_until"
_SEGMENT = "segment_on"
_LATEST = "latest"
_WINDOW = "window_days"


@dataclass(frozen=True)
class Plan:
    """Which variables the features need of a line item and of a bill, and which states of them."""

    features: tuple[Feature, ...]

    @cached_property
    def of_bills(self) -> Wanted:
        """The states over a user's bills."""
        return _states((each.of, each.variable.primitives[0]) for each in self.features if each.of.entity == "bills")

    @cached_property
    def of_lines(self) -> Wanted:
        """The states over all of a user's line items."""
        return _states((each.of, each.variable.primitives[0]) for each in self.features if each.of.entity != "bills")

    @cached_property
    def in_bills(self) -> Wanted:
        """The states over the line items of a bill: for its own aggregations, and to be added up for the user."""
        inner = [(each.of, each.primitives[0]) for each in self.of_bills if each.of]
        both = _states(inner)
        for variable, states in self.of_lines.items():
            both[variable] = tuple(dict.fromkeys((*both.get(variable, ()), *states)))
        return both

    @cached_property
    def latest(self) -> tuple[Variable, ...]:
        """The variables of which the newest bill's value is asked."""
        return tuple(dict.fromkeys(each.of for each in self.features if each.aggregation.is_latest))

    @cached_property
    def columns(self) -> tuple[Variable, ...]:
        """The variables of a bill that are read off its own row."""
        return tuple(variable for variable in self.of_bills if variable.of is None and variable.kind != "row")


def _states(pairs: Iterable[tuple[Variable | None, str]]) -> Wanted:
    wanted: Wanted = {}
    for variable, name in pairs:
        if variable is not None:
            wanted[variable] = tuple(dict.fromkeys((*wanted.get(variable, ()), *AGGREGATIONS[name].states)))
    return wanted


def name_of(variable: Variable) -> str:
    """The column of a variable's values and states; the entity in front keeps bills and line items apart."""
    return f"{variable.entity}.{variable.slug}".replace(".", "__")


def feature_table(
    features: Sequence[Feature],
    bills: DataFrame,
    line_items: DataFrame | None,
    parents: dict[str, DataFrame | None],
    as_of: Moments,
    zone: str,
) -> DataFrame:
    """One row per known user and moment with all the features. ``parents`` are ``items`` and ``stores``, if any."""
    plan = Plan(tuple(features))
    rows = _bill_rows(plan, known(bills, ENTITIES["bills"].time or "", as_of), parents.get("stores"), zone)
    if line_items is not None and plan.in_bills:
        lines = _line_rows(plan, known(line_items, ENTITIES["line_items"].time or "", as_of), parents.get("items"))
        rows = _stacked(rows, lines)
    versions = _versions(plan, rows, as_of)
    stretches = _stretches(plan, _valued(plan, versions), _window_starts(plan, as_of, zone), as_of)
    return _by_user(plan, stretches, as_of, zone)


def _with_parent(frame: DataFrame, parent: DataFrame | None, variables: Sequence[Variable]) -> DataFrame:
    """The parent's columns on every row, as row values: categories are hashed once per parent."""
    from pyspark.sql import functions as F

    if parent is None or not variables:
        return frame
    key = ENTITIES[variables[0].parent].key
    values = (row_value(F.col(each.column), each.kind).alias(name_of(each)) for each in variables)
    return frame.join(parent.select(key, *values), key, "left")


def _read(variables: Sequence[Variable]) -> list[Expression]:
    """The row values of the variables; those of a parent are there already."""
    from pyspark.sql import functions as F

    def value(each: Variable) -> Expression:
        if each.parent:
            return F.col(name_of(each))
        return row_value(each.made() if each.made else F.col(each.column), each.kind)

    return [value(each).alias(name_of(each)) for each in variables]


def _bill_rows(plan: Plan, bills: DataFrame, stores: DataFrame | None, zone: str) -> DataFrame:
    from pyspark.sql import functions as F

    at = ENTITIES["bills"].time or ""
    frame = bills.filter(F.col("user_id").isNotNull())
    frame = frame.withColumn("billed_locally_at", F.from_utc_timestamp(at, zone))
    frame = _with_parent(frame, stores, [each for each in plan.columns if each.parent])
    # Text of one length, so that its order is that of time; bills of one moment follow by number.
    order = F.concat(F.lpad((F.unix_micros(at) + 10**18).cast("string"), 20, "0"), F.col("bill_id"))
    return frame.select("bill_id", KNOWN_FROM, "user_id", "billed_on", order.alias(_ORDER), *_read(plan.columns))


def _line_rows(plan: Plan, lines: DataFrame, items: DataFrame | None) -> DataFrame:
    from pyspark.sql import functions as F

    variables = [each for each in plan.in_bills if each.kind != "row"]
    frame = _with_parent(lines, items, [each for each in variables if each.parent])
    return frame.select("bill_id", KNOWN_FROM, F.lit(1).alias(ROW), *_read(variables))


def _stacked(bills: DataFrame, lines: DataFrame) -> DataFrame:
    """Both under one another. Sail sums no column whose type is not told, so what one lacks gets the other's type."""
    from pyspark.sql import functions as F

    kinds = dict(bills.dtypes) | dict(lines.dtypes)

    def filled(frame: DataFrame) -> DataFrame:
        there = set(frame.columns)
        return frame.select(
            *(F.col(name) if name in there else F.lit(None).cast(kind).alias(name) for name, kind in kinds.items())
        )

    return filled(bills).union(filled(lines))


def _by_bill(plan: Plan, rows: DataFrame, *keys: str) -> DataFrame:
    """The rows of a bill summed up: its own values, and the states of its line items."""
    from pyspark.sql import functions as F

    own = ["user_id", "billed_on", _ORDER, *(name_of(each) for each in plan.columns)]
    own += [] if KNOWN_FROM in keys else [KNOWN_FROM]
    made = {name: F.max(name) for name in own}
    for variable, states in plan.in_bills.items():
        made |= _made(variable, states) if ROW in rows.columns else {}
    # Brought together first: summed up in two steps, as engines do by themselves, every bill would be held twice.
    return rows.repartition("bill_id").groupBy(*keys).agg(*(each.alias(name) for name, each in made.items()))


def _made(variable: Variable, states: tuple[str, ...]) -> dict[str, Expression]:
    from pyspark.sql import functions as F

    if variable.kind == "row":
        return {f"{name_of(variable)}__n": F.count(ROW)}
    return states_of(name_of(variable), states)


def _versions(plan: Plan, rows: DataFrame, as_of: Moments) -> DataFrame:
    """Each bill as the moments know it: all of it up to ``known_from``, until the moment ``known_until`` knows more.

    All but a few bills are known at once and have one version, which is grouped without a thought of the others.
    """
    from pyspark.sql import functions as F

    whole = _by_bill(plan, rows, "bill_id").withColumn(_UNTIL, F.lit(None).cast("timestamp"))
    if len(in_order(as_of)) == 1 or ROW not in rows.columns:
        return whole
    seen = rows.groupBy("bill_id").agg(F.min(KNOWN_FROM).alias("first"), F.max(KNOWN_FROM).alias("last"))
    in_parts = rows.join(seen.filter("first < last").select("bill_id"), "bill_id", "left_semi")
    early = _earlier(_by_bill(plan, in_parts, "bill_id", KNOWN_FROM), as_of)
    return whole.unionByName(early.select(*whole.columns))


def _earlier(parts: DataFrame, as_of: Moments) -> DataFrame:
    """The versions but the last of bills that are known in parts."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    in_turn = Window.partitionBy("bill_id").orderBy(KNOWN_FROM)
    so_far = in_turn.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    times = F.array(*(F.lit(moment) for moment in in_order(as_of)))
    until = F.element_at(times, F.lead(KNOWN_FROM).over(in_turn) + 1)
    states = (name for name in parts.columns if name not in ("bill_id", KNOWN_FROM))
    wholes = (_so_far(name, lambda each: each.over(so_far)).alias(name) for name in states)
    return parts.select("bill_id", KNOWN_FROM, until.alias(_UNTIL), *wholes).filter(F.col(_UNTIL).isNotNull())


def _so_far(name: str, over: Callable[[Expression], Expression]) -> Expression:
    from pyspark.sql import functions as F

    column, _, state = name.rpartition("__")
    is_state = column and state in ("n", "s", "q", "lo", "hi", "list")
    return merged(column, state, over=over) if is_state else over(F.max(name))


def _valued(plan: Plan, versions: DataFrame) -> DataFrame:
    """The variables of each bill that are aggregations of its line items, in ticks like its own columns."""
    from pyspark.sql import functions as F

    made = [
        nested(AGGREGATIONS[each.primitives[0]], name_of(each.of)).alias(name_of(each))
        for each in plan.of_bills
        if each.of
    ]
    return versions.filter(F.col("user_id").isNotNull()).select("*", *made)


def _window_starts(plan: Plan, as_of: Moments, zone: str) -> list[date]:
    """The first days of all windows of all moments, the latest first."""
    lengths = {each.window_days for each in plan.features if each.window_days}
    days = {local_day_of(moment, zone) for moment in in_order(as_of)}
    return sorted({day - timedelta(days=length - 1) for day in days for length in lengths}, reverse=True)


def _stretches(plan: Plan, valued: DataFrame, starts: Sequence[date], as_of: Moments) -> DataFrame:
    """The states of each user's bills by stretch of time: ``segment_on`` is the last start of a window up to the bill.

    No window of any moment begins inside a stretch, so it lies in a window wholly or not at all.
    """
    from pyspark.sql import functions as F

    segment = F.lit(None).cast("date")
    for start in reversed(starts):
        segment = F.when(F.col("billed_on") >= F.lit(start), F.lit(start)).otherwise(segment)
    made: dict[str, Expression] = {}
    for variable, states in plan.of_bills.items():
        is_row = variable.kind == "row"
        made |= {f"{name_of(variable)}__n": F.count(F.lit(1))} if is_row else states_of(name_of(variable), states)
    for variable, states in plan.of_lines.items():
        made |= {f"{name_of(variable)}__{state}": merged(name_of(variable), state) for state in states}
    if plan.latest:
        # As long integers in one array: a structure of as many fields takes the engine several times as long.
        newest = F.array(*(F.col(name_of(each)).cast("bigint") for each in plan.latest))
        made |= {_LATEST: F.max_by(newest, F.col(_ORDER)), _ORDER: F.max(_ORDER)}
    keyed = valued.withColumn(_SEGMENT, segment)
    # What is the same in every row costs an engine time as a key: of one moment without a window, all but the user.
    keys = [_SEGMENT] if starts else []
    keys += [] if len(in_order(as_of)) == 1 else [KNOWN_FROM, _UNTIL]
    made |= {name: F.max(name) for name in (KNOWN_FROM, _UNTIL, _SEGMENT) if name not in keys}
    return keyed.groupBy("user_id", *keys).agg(*(each.alias(name) for name, each in made.items()))


def _by_user(plan: Plan, stretches: DataFrame, as_of: Moments, zone: str) -> DataFrame:
    """Each user's stretches put together for each moment and window, and the features made of them."""
    from pyspark.sql import functions as F

    windows = list(dict.fromkeys(each.window_days for each in plan.features))
    keys = ("user_id", "as_of", _WINDOW)
    spread = at_each(stretches, as_of, zone).filter(F.col(_UNTIL).isNull() | (F.col("as_of") < F.col(_UNTIL)))
    if windows == [None] and len(in_order(as_of)) == 1:
        return _values(plan, spread, keys[:2])  # the one stretch that each user has is all there is
    # A window's features are made once for all windows, so that the plan stays as small as for one.
    inside = (F.when(F.datediff("today", _SEGMENT) < days, F.lit(days)) for days in windows if days)
    spread = spread.withColumn(_WINDOW, F.explode(F.array_compact(F.array(F.lit(0), *inside))))
    made: dict[str, Expression] = {}
    for variable, states in (*plan.of_bills.items(), *plan.of_lines.items()):
        made |= {f"{name_of(variable)}__{state}": merged(name_of(variable), state) for state in states}
    if plan.latest:
        made[_LATEST] = F.max_by(_LATEST, _ORDER)
    grouped = spread.groupBy(*keys).agg(*(each.alias(name) for name, each in made.items()))
    return _side_by_side(plan, _values(plan, grouped, keys))


def _values(plan: Plan, states: DataFrame, keys: Sequence[str]) -> DataFrame:
    """The features by their variable's name, from the states of all that they are made of."""
    variables = list(dict.fromkeys((each.variable, each.aggregation) for each in plan.features))
    values = (_value(plan, variable, aggregation).alias(variable.slug) for variable, aggregation in variables)
    return states.select(*keys, *values)


def _side_by_side(plan: Plan, by_window: DataFrame) -> DataFrame:
    """One row per user and moment of the rows of their windows; a window without a row had nothing to sum up."""
    from pyspark.sql import functions as F

    if all(feature.window_days is None for feature in plan.features):
        return by_window.select("user_id", "as_of", *(feature.variable.slug for feature in plan.features))

    def told(feature: Feature) -> Expression:
        # One of the rows, if any, so its greatest value is its value; an engine sums plain columns up many at a time.
        there = F.col(_WINDOW) == (feature.window_days or 0)
        value = F.max(F.when(there, F.col(feature.variable.slug)))
        empty = feature.aggregation.empty
        kind = "int" if feature.aggregation.is_whole else "double"
        return value if empty is None else F.coalesce(value, F.lit(empty).cast(kind))

    return by_window.groupBy("user_id", "as_of").agg(*(told(each).alias(each.column) for each in plan.features))


def _value(plan: Plan, variable: Variable, aggregation: Aggregation) -> Expression:
    from pyspark.sql import functions as F

    of = variable.of or variable
    if aggregation.is_latest:
        return F.col(_LATEST)[plan.latest.index(of)].cast("double") / float(TICKS)
    return final(aggregation, name_of(of))
