"""Which features the entity graph and the primitives give, and what each is called. Pure.

Deep Feature Synthesis: the features of an entity are aggregations of the variables of its children, which are their
columns, their parents' columns, transforms of one row, and, in turn, aggregations of their own children; every
primitive makes a feature one deeper.

Reference: J. M. Kanter, K. Veeramachaneni, "Deep Feature Synthesis: Towards Automating Data Science Endeavors",
IEEE DSAA 2015, section III.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from capflow_assets.synthesis.entities import ENTITIES, Variable
from capflow_assets.synthesis.primitives import AGGREGATIONS, Aggregation

DEEPEST = 3
EVERYTHING = frozenset(ENTITIES)
_NAME = re.compile(r"(?P<slug>.+?)(?:_(?P<days>\d+)d)?")


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature of a user: an aggregation of a variable of bills or line items, over a window of days or all."""

    variable: Variable
    window_days: int | None = None

    @property
    def column(self) -> str:
        """The name of its column."""
        return self.variable.slug + (f"_{self.window_days}d" if self.window_days else "")

    @property
    def window(self) -> str:
        """The stretch of time that it looks at, in words; empty where it is all of it."""
        return f"{self.window_days} days" if self.window_days else ""

    @property
    def aggregation(self) -> Aggregation:
        """The outermost primitive."""
        return AGGREGATIONS[self.variable.primitives[0]]

    @property
    def of(self) -> Variable:
        """The variable that the outermost primitive aggregates."""
        assert self.variable.of is not None  # noqa: S101  (features are aggregations)
        return self.variable.of

    @property
    def simplicity(self) -> tuple[int, int, str]:
        """The order in which the simpler of two features comes first."""
        return self.variable.depth, len(self.variable.formula), self.column


def synthesis(depth: int, windows_days: Sequence[int], entities: frozenset[str] = EVERYTHING) -> tuple[Feature, ...]:
    """All features of users down to a depth, over all time and each window, of the entities that are there.

    >>> [feature.variable.formula for feature in synthesis(1, (), frozenset({"users", "bills"}))][:3]
    ['sum(bills.amount)', 'mean(bills.amount)', 'std(bills.amount)']
    >>> synthesis(2, (91,))[-1].column
    'line_items_share_true_is_discounted_91d'
    """
    variables = [variable for variable in aggregations_of("users", entities) if variable.depth <= depth]
    windows: tuple[int | None, ...] = (None, *sorted(set(windows_days), reverse=True))
    # The newest row is the same in every window that has one.
    return tuple(
        Feature(variable, days)
        for days in windows
        for variable in variables
        if days is None or not AGGREGATIONS[variable.primitives[0]].is_latest
    )


@cache
def aggregations_of(entity: str, entities: frozenset[str] = EVERYTHING) -> tuple[Variable, ...]:
    """The aggregations of an entity's children, then those of all its children's children at once."""
    aggregations: list[Variable] = []
    for child in _known(ENTITIES[entity].children, entities):
        aggregations += _aggregated(child, variables_of(child, entities), far=False)
        for grandchild in _known(ENTITIES[child].children, entities):
            aggregations += _aggregated(grandchild, variables_of(grandchild, entities), far=True)
    return tuple(aggregations)


@cache
def variables_of(entity: str, entities: frozenset[str] = EVERYTHING) -> tuple[Variable, ...]:
    """The variables of a row: columns, parents' columns and transforms, then aggregations of children."""
    own = [variable for variable in ENTITIES[entity].variables if not variable.parent or variable.parent in entities]
    return (*own, *aggregations_of(entity, entities))


def _known(names: Sequence[str], entities: frozenset[str]) -> Iterator[str]:
    return (name for name in names if name in entities)


def _aggregated(entity: str, variables: Sequence[Variable], *, far: bool) -> Iterator[Variable]:
    for variable in variables:
        for aggregation in AGGREGATIONS.values():
            if _applies(aggregation, variable, far=far):
                yield _apply(aggregation, entity, variable)


def _applies(aggregation: Aggregation, variable: Variable, *, far: bool) -> bool:
    return (
        aggregation.takes == variable.kind
        and (aggregation.reaches_far or not far)
        and (variable.adds_up or not aggregation.only_sums)
        and (ENTITIES[variable.entity].is_ordered or not aggregation.is_latest)
        and (not variable.of or variable.primitives[0] not in aggregation.collapses_over)
    )


def _apply(aggregation: Aggregation, entity: str, variable: Variable) -> Variable:
    rows = variable.kind == "row"
    link = "of_" if variable.of else ""
    return Variable(
        entity=next(name for name, parent in ENTITIES.items() if entity in parent.children),
        formula=f"{aggregation.name}({entity})" if rows else f"{aggregation.name}({entity}.{variable.formula})",
        slug=f"{entity}_{aggregation.name}" + ("" if rows else f"_{link}{variable.slug}"),
        kind="number",
        unit=variable.unit if aggregation.unit == "" else aggregation.unit,
        primitives=(aggregation.name, *variable.primitives),
        of=variable,
    )


@cache
def _by_slug() -> dict[str, Variable]:
    return {variable.slug: variable for variable in aggregations_of("users") if variable.depth <= DEEPEST}


def feature_of(column: str) -> Feature | None:
    """The feature that a column holds, by its name alone; None where it is not the name of a feature.

    >>> feature = feature_of("bills_mean_of_line_items_max_amount_91d")
    >>> feature.variable.formula, feature.variable.depth, feature.window
    ('mean(bills.max(line_items.amount))', 2, '91 days')
    """
    parts = _NAME.fullmatch(column)
    variable = _by_slug().get(parts["slug"]) if parts else None
    if parts is None or variable is None:
        return None
    return Feature(variable, int(parts["days"]) if parts["days"] else None)


def path(feature: Feature) -> tuple[Variable, ...]:
    """The variables that a feature is composed of, its own first and the column or transform at the end."""
    steps = [feature.variable]
    while steps[-1].of:
        steps.append(steps[-1].of)
    return tuple(steps)


def source_tables(feature: Feature) -> tuple[str, ...]:
    """The tables that a feature is made of, by their names in the graph.

    >>> source_tables(feature_of("bills_mean_of_line_items_n_unique_items_category"))
    ('clean/bills', 'clean/items', 'clean/line_items')
    """
    names = {ENTITIES["users"].table}
    for step in path(feature):
        names |= {ENTITIES[step.entity].table} | ({ENTITIES[step.parent].table} if step.parent else set())
    return tuple(sorted(names))


def source_columns(feature: Feature) -> tuple[tuple[str, str], ...]:
    """The columns of tables that a feature is made of, as ``(table, column)``; of a count the key of what is counted.

    >>> source_columns(feature_of("bills_mean_of_line_items_max_unit_price"))
    (('clean/line_items', 'amount'), ('clean/line_items', 'quantity'))
    """
    leaf = path(feature)[-1]
    entity = ENTITIES[leaf.parent or leaf.entity]
    if leaf.kind == "row":
        return ((entity.table, entity.key),)
    named = re.findall(r"\w+", leaf.formula.partition("(")[2]) or [leaf.column]
    return tuple((entity.table, name) for name in named)


def featuretools_name(feature: Feature) -> str:
    """What featuretools calls the same feature, on entities whose transforms are plain columns named like the slug.

    >>> featuretools_name(feature_of("bills_mean_of_line_items_max_amount"))
    'MEAN(bills.MAX(line_items.amount))'
    >>> featuretools_name(feature_of("bills_mean_hour"))
    'MEAN(bills.hour)'
    """

    def named(variable: Variable) -> str:
        if variable.of is None:
            return variable.slug if variable.read or variable.transform else variable.formula
        primitive = AGGREGATIONS[variable.primitives[0]].featuretools
        entity = variable.of.entity
        return f"{primitive}({entity})" if variable.of.kind == "row" else f"{primitive}({entity}.{named(variable.of)})"

    return named(feature.variable)
