"""Which columns of which tables each column of a frame is made from, read off the frame's own plan.

A frame of Spark Connect is a plan that nothing has computed yet: a tree of projections, joins and sums over named
columns. Reading it needs no rows, and says what the code does rather than what somebody wrote of it.

A column's **value** is made from the columns in its expression. Its **condition** is what else decides it: the filters
and joins before rows are summed up or looked up, and the order of a window. Keys by which rows are summed up are the
row's own, not what its columns are made from; where nothing else goes into a column, as into a count of rows, they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import TYPE_CHECKING, Any

from capflow_assets.tables.column_lineage import Source

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

NONE: frozenset[Source] = frozenset()
WORDS = re.compile(r"`[^`]+`|[A-Za-z_]\w*")
# Relations that change neither columns nor what they are made of.
PLAIN = (
    *("sort", "repartition", "repartition_by_expression", "hint", "to_schema", "sample", "limit", "offset", "tail"),
    "subquery_alias",
)


@dataclass(frozen=True, slots=True)
class Origin:
    """What a column is made from, as ``(table, column)``: what its value is, and what else decides it."""

    value: frozenset[Source] = NONE
    condition: frozenset[Source] = NONE

    def __or__(self, other: Origin) -> Origin:
        """Both together."""
        return Origin(self.value | other.value, self.condition | other.condition)

    @property
    def all(self) -> frozenset[Source]:
        """Value and condition."""
        return self.value | self.condition

    def under(self, condition: frozenset[Source]) -> Origin:
        """The same where ``condition`` decides as well."""
        return Origin(self.value, self.condition | condition)


NOTHING = Origin()


@dataclass(frozen=True, slots=True)
class Traced:
    """A relation's columns with their origins, and what decides which rows it has.

    ``rest`` is the origin of columns whose names the plan does not tell, ``identity`` the keys of the tables that its
    rows come from: what a count of them is made of, or a constant that tells where a row comes from.
    """

    columns: Mapping[str, Origin]
    rows: frozenset[Source] = NONE
    rest: Origin | None = None
    identity: frozenset[Source] = NONE

    def column(self, name: str) -> Origin:
        """The origin of a column by its name, which may be quoted, qualified by an alias, or lead into a struct."""
        plain = name.replace("`", "")
        lower = {column.lower(): column for column in self.columns}
        for part in (plain, *reversed(plain.split("."))):
            if part.lower() in lower:
                return self.columns[lower[part.lower()]]
        if self.rest is None:
            raise KeyError(f"no column {name} among {', '.join(self.columns)}")
        return self.rest

    @property
    def everything(self) -> Origin:
        """All columns together."""
        return reduce(Origin.__or__, self.columns.values(), self.rest or NOTHING)


def one_by_one(table: str, columns: Iterable[str], key: Iterable[str] = ()) -> Traced:
    """The relation of a table: each of its columns is made of itself."""
    origins = {name: Origin(frozenset({(table, name)})) for name in columns}
    return Traced(origins, identity=frozenset((table, name) for name in key))


@dataclass
class Tracer:
    """Traces plans down to ``bases``, the relations that are tables, by the numbers of their plans.

    Rows that were brought to Python and made a frame again are made of what ``collected`` has: the origins of all that
    was read so far.
    """

    bases: dict[int, Traced] = field(default_factory=dict)
    collected: Origin = NOTHING
    _known: dict[int, Traced] = field(default_factory=dict)

    def frame(self, frame: DataFrame) -> Traced:
        """The columns of a frame."""
        return self.relation(_plan(frame))

    def number(self, frame: DataFrame) -> int:
        """The number by which plans name the relation of a frame."""
        return int(_plan(frame).common.plan_id)

    def collect(self, plan: Any) -> None:
        """Rows of a plan are brought to Python: what is made a frame later may be made of them."""
        if plan.HasField("root"):
            traced = self.relation(plan.root)
            self.collected |= Origin(traced.everything.all | traced.rows)

    def relation(self, node: Any) -> Traced:
        """The columns of a relation of a plan."""
        number = node.common.plan_id
        for known in (self.bases, self._known):
            if number in known:
                return known[number]
        kind = node.WhichOneof("rel_type")
        part = getattr(node, kind)
        reader = getattr(self, f"_{kind}", None)
        if reader is not None:
            traced: Traced = reader(part)
        elif kind in PLAIN:
            traced = self.relation(part.input)
        else:
            traced = self._unknown(part)
        self._known[number] = traced
        return traced

    @staticmethod
    def _identity(below: Iterable[Traced]) -> frozenset[Source]:
        return NONE.union(*(relation.identity for relation in below))

    def _unknown(self, part: Any) -> Traced:
        """What is not understood is made of all that goes into it."""
        below = [self.relation(child) for child in _relations(part)]
        whole = reduce(Origin.__or__, (child.everything.under(child.rows) for child in below), self.collected)
        return Traced({}, whole.condition, whole, self._identity(below))

    def _local_relation(self, part: Any) -> Traced:
        return Traced({}, self.collected.all, self.collected)

    _cached_local_relation = _chunked_cached_local_relation = _range = _local_relation

    def _project(self, part: Any) -> Traced:
        if not part.HasField("input"):
            return Traced({}, rest=NOTHING)
        below = self.relation(part.input)
        return self._selected(part.expressions, below, {})

    def _selected(self, expressions: Iterable[Any], below: Traced, kept: Mapping[str, Origin]) -> Traced:
        columns, rest = dict(kept), below.rest if kept else None
        for expression in expressions:
            if expression.WhichOneof("expr_type") == "unresolved_star":
                source = self._starred(expression.unresolved_star, below)
                columns |= source.columns
                rest = _both(rest, source.rest)
                continue
            origin, names = self._origin(expression, below), _names(expression)
            columns |= dict.fromkeys(names, origin)
            if not names:
                rest = _both(rest, origin)
        return replace(below, columns=columns, rest=rest)

    def _starred(self, star: Any, below: Traced) -> Traced:
        """All columns of a relation, or all fields of a struct, whose names the plan does not tell."""
        source, qualifier = self._of_plan(star, below), star.unparsed_target.removesuffix(".*").replace("`", "")
        return Traced({}, rest=source.columns[qualifier]) if qualifier in source.columns else source

    def _with_columns(self, part: Any) -> Traced:
        below = self.relation(part.input)
        columns = dict(below.columns)
        for alias in part.aliases:
            columns |= dict.fromkeys(alias.name, self._origin(alias.expr, below))
        return replace(below, columns=columns)

    def _with_columns_renamed(self, part: Any) -> Traced:
        below = self.relation(part.input)
        names = {rename.col_name: rename.new_col_name for rename in part.renames} or dict(part.rename_columns_map)
        return replace(below, columns={names.get(name, name): origin for name, origin in below.columns.items()})

    def _drop(self, part: Any) -> Traced:
        below = self.relation(part.input)
        dropped = {*part.column_names, *(name for column in part.columns for name in _names(column))}
        columns = {name: origin for name, origin in below.columns.items() if name not in dropped}
        return replace(below, columns=columns)

    def _to_df(self, part: Any) -> Traced:
        below = self.relation(part.input)
        if len(below.columns) != len(part.column_names):
            return replace(below, columns=dict.fromkeys(part.column_names, below.everything))
        return replace(below, columns=dict(zip(part.column_names, below.columns.values(), strict=True)))

    def _with_relations(self, part: Any) -> Traced:
        return self.relation(part.root)

    def _filter(self, part: Any) -> Traced:
        below = self.relation(part.input)
        return replace(below, rows=below.rows | self._origin(part.condition, below).all)

    def _deduplicate(self, part: Any) -> Traced:
        below = self.relation(part.input)
        names = below.columns if part.all_columns_as_keys else part.column_names
        return replace(below, rows=below.rows.union(*(below.column(name).all for name in names)))

    def _set_op(self, part: Any) -> Traced:
        left, right = self.relation(part.left_input), self.relation(part.right_input)
        rows, rest, identity = left.rows | right.rows, _both(left.rest, right.rest), left.identity | right.identity
        if part.by_name or left.rest or right.rest:
            names = [*left.columns, *(name for name in right.columns if name not in left.columns)]
            origins = [[side.columns.get(name, side.rest or NOTHING) for name in names] for side in (left, right)]
        else:
            names, origins = [*left.columns], [[*left.columns.values()], [*right.columns.values()]]
        together = (one | other for one, other in zip(*origins, strict=True))
        # A constant may tell which of the two a row comes from.
        columns = (origin if origin.value else origin.under(rows | identity) for origin in together)
        return Traced(dict(zip(names, columns, strict=True)), rows, rest, identity)

    def _join(self, part: Any) -> Traced:
        from pyspark.sql.connect.proto import Join

        left, right = self.relation(part.left), self.relation(part.right)
        using = {name: left.column(name) | right.column(name) for name in part.using_columns}
        both = Traced(_united(left.columns, right.columns), rest=_both(left.rest, right.rest))
        keys = reduce(frozenset.union, (origin.all for origin in using.values()), NONE)
        if part.HasField("join_condition"):
            keys |= self._origin(part.join_condition, both).all
        kind = part.join_type
        rows = left.rows | right.rows | keys
        if kind in (Join.JOIN_TYPE_LEFT_SEMI, Join.JOIN_TYPE_LEFT_ANTI):
            return replace(left, rows=rows)
        outer = (Join.JOIN_TYPE_LEFT_OUTER, Join.JOIN_TYPE_FULL_OUTER)
        if kind == Join.JOIN_TYPE_LEFT_OUTER:
            rows = left.rows
        looked_up = {
            name: origin.under(keys | (right.rows if kind in outer else NONE)) for name, origin in right.columns.items()
        }
        columns = _united(left.columns, looked_up)
        if kind == Join.JOIN_TYPE_LEFT_OUTER:
            using = {name: left.column(name) for name in using}
        rest = both.rest and both.rest.under(keys)
        return Traced({**columns, **using}, rows, rest, left.identity | right.identity)

    def _aggregate(self, part: Any) -> Traced:
        below = self.relation(part.input)
        groups = {name: self._origin(key, below) for key in part.grouping_expressions for name in _names(key)}
        keys = reduce(frozenset.union, (origin.all for origin in groups.values()), NONE)
        if part.HasField("pivot"):
            return replace(below, columns=groups, rest=below.everything.under(below.rows))
        columns, rest = dict(groups), None
        for expression in part.aggregate_expressions:
            origin = self._origin(expression, below)
            origin = origin.under(below.rows if origin.value else below.rows | (below.identity or keys))
            names = _names(expression)
            rest = rest if names else _both(rest, origin)
            columns |= {name: origin for name in names if name not in groups}
        return Traced(columns, below.rows | keys, rest, keys or below.identity)

    def _unpivot(self, part: Any) -> Traced:
        below = self.relation(part.input)
        kept = self._selected(part.ids, below, {}).columns
        values = [self._origin(value, below) for value in part.values.values] or [below.everything]
        origin = reduce(Origin.__or__, values)
        names = {part.value_column_name: origin, part.variable_column_name: NOTHING}
        return replace(below, columns={**kept, **names}, rest=None)

    def _map_partitions(self, part: Any) -> Traced:
        """What a function over batches of rows gives: it reads all that it is given, and passes columns on by name."""
        below = self.relation(part.input)
        return replace(below, rest=below.everything.under(below.rows))

    def _of_plan(self, reference: Any, below: Traced) -> Traced:
        number = reference.plan_id if reference.HasField("plan_id") else None
        return below if number is None else self.bases.get(number) or self._known.get(number) or below

    def _origin(self, message: Any, below: Traced) -> Origin:
        """What an expression is made of."""
        kind = message.DESCRIPTOR.name
        if kind == "UnresolvedAttribute":
            source = self._of_plan(message, below)
            try:
                return source.column(message.unparsed_identifier)
            except KeyError:
                return below.column(message.unparsed_identifier)
        if kind in ("UnresolvedStar", "UnresolvedRegex"):
            return below.everything
        if kind == "ExpressionString":
            words = {word.strip("`").lower() for word in WORDS.findall(message.expression)}
            named = (origin for name, origin in below.columns.items() if name.lower() in words)
            return reduce(Origin.__or__, named, below.rest or NOTHING)
        if kind == "Window":
            value = self._origin(message.window_function, below)
            order = self._together(message.order_spec, below).all
            shared = self._together(message.partition_spec, below).all
            return value.under(order | below.rows | (NONE if value.value or order else shared))
        return self._together(_parts(message), below)

    def _together(self, messages: Iterable[Any], below: Traced) -> Origin:
        return reduce(Origin.__or__, (self._origin(message, below) for message in messages), NOTHING)


def _plan(frame: DataFrame) -> Any:
    # Connect's frames have no public way to their plans.
    return frame._plan.plan(frame.sparkSession.client)  # type: ignore[operator]


def _both(one: Origin | None, other: Origin | None) -> Origin | None:
    return one | other if one and other else one or other


def _united(left: Mapping[str, Origin], right: Mapping[str, Origin]) -> dict[str, Origin]:
    return {**left, **{name: left.get(name, NOTHING) | origin for name, origin in right.items()}}


def _names(expression: Any) -> tuple[str, ...]:
    """The names of the columns that an expression gives; none where its own words would be the name."""
    kind = expression.WhichOneof("expr_type")
    if kind == "alias":
        return tuple(expression.alias.name)
    if kind == "unresolved_attribute":
        return (expression.unresolved_attribute.unparsed_identifier.replace("`", "").rsplit(".", 1)[-1],)
    if kind == "cast":
        return _names(expression.cast.expr)
    if kind == "expression_string" and WORDS.fullmatch(expression.expression_string.expression):
        return (expression.expression_string.expression.strip("`"),)
    return ()


def _parts(message: Any) -> Iterator[Any]:
    """The messages within a message, relations left aside."""
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        values = value if descriptor.is_repeated else (value,)
        if descriptor.message_type.GetOptions().map_entry:
            continue
        yield from (part for part in values if part.DESCRIPTOR.name not in ("Relation", "DataType"))


def _relations(message: Any) -> Iterator[Any]:
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None and descriptor.message_type.name == "Relation":
            yield from value if descriptor.is_repeated else (value,)
