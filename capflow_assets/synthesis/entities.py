"""The entities that features are generated from, and what can be read off one row of each.

    users ─< bills ─< line items >─ items
                  >─ stores

Belongs here: which entity is a child of which, and the variables of a row as data: its own columns, its parents'
columns and the transforms of one row. Does not belong here: how rows are aggregated (``primitives``) and what the
aggregations are composed of (``features``). Pure but for the expressions of transforms that the engine evaluates.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression

_A_MONDAY = date(1970, 1, 5)
_FRIDAY = 5

Kind = Literal["number", "truth", "category", "row"]


@dataclass(frozen=True, slots=True)
class Variable:
    """What is known of a row of an entity: a column, a parent's column, a transform, an aggregation of children.

    ``formula`` is how a person reads it (``"max(line_items.amount)"``), ``slug`` the same for a column's name.
    ``parent`` is the entity whose column it is, where it is not the entity's own. ``adds_up`` says that a sum of it
    means something. ``primitives`` are the primitives in it, the outermost first. An aggregation is ``of`` a variable
    of the child. A transform of the calendar is ``read`` by the engine. A ``transform`` that is arithmetic is computed
    in the worker from the row's numbers with the slugs ``inputs``, unknown being NaN, by a function that numba can
    compile.
    """

    entity: str
    formula: str
    slug: str
    kind: Kind
    unit: str | None = None
    parent: str = ""
    adds_up: bool = False
    read: Callable[[], Expression] | None = None
    transform: Callable[..., float] | None = None
    inputs: tuple[str, ...] = ()
    primitives: tuple[str, ...] = ()
    of: Variable | None = None

    @property
    def depth(self) -> int:
        """How many primitives are stacked in it; a column and a parent's column are 0."""
        return len(self.primitives)

    @property
    def column(self) -> str:
        """The name of the column that it is read from, where it is a column."""
        return self.formula.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Entity:
    """A table of the graph as generation sees it: its key, its relatives and its variables.

    ``table`` is the table of CapFlow that holds it. ``is_ordered`` where the rows that one parent has differ in time.
    """

    name: str
    table: str
    key: str
    children: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    time: str | None = None
    is_ordered: bool = False
    variables: tuple[Variable, ...] = ()


def _discount_share(amount: float, discount: float) -> float:
    before = amount + discount
    return discount / before if before > 0 and discount >= 0 else math.nan


def _unit_price(amount: float, quantity: float) -> float:
    return amount / quantity if quantity > 0 else math.nan


def _is_discounted(discount: float) -> float:
    return math.nan if math.isnan(discount) else 1.0 if discount > 0 else 0.0


def _weekday() -> Expression:
    from pyspark.sql import functions as F

    # Counted from a Monday: the engines' own weekdays do not begin with the same day.
    return F.pmod(F.datediff("billed_on", F.lit(_A_MONDAY)), F.lit(7)) + 1


def _is_weekend() -> Expression:
    return _weekday() > _FRIDAY


def _hour() -> Expression:
    from pyspark.sql import functions as F

    # The hour on the clock of the customer's zone: the caller hands the local time over as ``billed_locally_at``.
    return F.hour("billed_locally_at")


_SHARE = "share"
_BILL_VARIABLES = (
    Variable("bills", "amount", "amount", "number", "currency", adds_up=True),
    Variable("bills", "discount", "discount", "number", "currency", adds_up=True),
    Variable("bills", "quantity", "quantity", "number", "pieces", adds_up=True),
    Variable("bills", "is_return", "is_return", "truth"),
    Variable("bills", "store_id", "store_id", "category"),
    Variable("bills", "billed_on", "billed_on", "category"),
    Variable("bills", "stores.city", "stores_city", "category", parent="stores"),
    Variable("bills", "stores.region", "stores_region", "category", parent="stores"),
    Variable("bills", "rows", "rows", "row"),
    Variable("bills", "hour(billed_at)", "hour", "number", "hour", read=_hour, primitives=("hour",)),
    Variable("bills", "weekday(billed_on)", "weekday", "number", "1-7", read=_weekday, primitives=("weekday",)),
    Variable("bills", "is_weekend(billed_on)", "is_weekend", "truth", read=_is_weekend, primitives=("is_weekend",)),
    Variable(
        "bills",
        "discount_share(amount, discount)",
        "discount_share",
        "number",
        _SHARE,
        transform=_discount_share,
        inputs=("amount", "discount"),
        primitives=("discount_share",),
    ),
)
_LINE_VARIABLES = (
    Variable("line_items", "amount", "amount", "number", "currency", adds_up=True),
    Variable("line_items", "discount", "discount", "number", "currency", adds_up=True),
    Variable("line_items", "quantity", "quantity", "number", "pieces", adds_up=True),
    Variable("line_items", "items.price", "items_price", "number", "currency", parent="items", adds_up=True),
    Variable("line_items", "is_return", "is_return", "truth"),
    Variable("line_items", "items.own_brand", "items_own_brand", "truth", parent="items"),
    Variable("line_items", "item_id", "item_id", "category"),
    Variable("line_items", "items.department", "items_department", "category", parent="items"),
    Variable("line_items", "items.category", "items_category", "category", parent="items"),
    Variable("line_items", "items.subcategory", "items_subcategory", "category", parent="items"),
    Variable("line_items", "items.brand", "items_brand", "category", parent="items"),
    Variable("line_items", "rows", "rows", "row"),
    Variable(
        "line_items",
        "unit_price(amount, quantity)",
        "unit_price",
        "number",
        "currency",
        transform=_unit_price,
        inputs=("amount", "quantity"),
        primitives=("unit_price",),
    ),
    Variable(
        "line_items",
        "discount_share(amount, discount)",
        "discount_share",
        "number",
        _SHARE,
        transform=_discount_share,
        inputs=("amount", "discount"),
        primitives=("discount_share",),
    ),
    Variable(
        "line_items",
        "is_discounted(discount)",
        "is_discounted",
        "truth",
        transform=_is_discounted,
        inputs=("discount",),
        primitives=("is_discounted",),
    ),
)

ENTITIES = {
    entity.name: entity
    for entity in (
        Entity("users", "clean/bills", "user_id", children=("bills",)),
        Entity(
            "bills",
            "clean/bills",
            "bill_id",
            children=("line_items",),
            parents=("stores",),
            time="billed_at",
            is_ordered=True,
            variables=_BILL_VARIABLES,
        ),
        Entity(
            "line_items",
            "clean/line_items",
            "line_no",
            parents=("items",),
            time="billed_at",
            variables=_LINE_VARIABLES,
        ),
        Entity("items", "clean/items", "item_id"),
        Entity("stores", "raw/stores", "store_id"),
    )
}


def inputs_of(variable: Variable) -> tuple[Variable, ...]:
    """The variables of the same row that a transform is computed from."""
    by_slug = {own.slug: own for own in ENTITIES[variable.entity].variables}
    return tuple(by_slug[slug] for slug in variable.inputs)
