"""The primitives that sum rows up, as data, and the exact sums that all of them are made of. No table of its own.

Numbers are counted in whole millionths (**ticks**, ``decimal(18,0)``), so that a sum is the same in every order and on
every engine; a group of rows is told by five figures of each number: how many are known, their sum, the sum of their
squares, the least and the greatest. Such **states** of parts give the state of the whole, so the rows are read no
more often for more moments and windows. Truths are 1 or 0, and categories are told by the list of their different
hashes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from capflow_assets.features._entities import Kind

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression

TICKS = 1_000_000
# Numbers from here on are left out (null): the squares of a thousand of them would not fit in 38 digits.
LARGEST = 1e10
_EXACT = "decimal(18,0)"
_WIDEST = 1e37


@dataclass(frozen=True, slots=True)
class Aggregation:
    """A primitive that makes one value of the rows of a child.

    ``takes`` is the kind of variable it is made of, ``states`` the figures it needs, ``empty`` its value where there
    is no row. ``only_sums`` where it wants a variable that adds up. ``collapses_over`` are the aggregations over which
    it says nothing new: the greatest of the greatest lines is the greatest line. ``reaches_far`` where states of the
    children's children give it over all of them at once. ``is_latest`` where it takes the newest row.
    """

    name: str
    takes: Kind
    states: tuple[str, ...]
    unit: str | None = ""
    empty: int | None = None
    only_sums: bool = False
    collapses_over: tuple[str, ...] = ()
    reaches_far: bool = True
    is_latest: bool = False
    is_whole: bool = False
    featuretools: str = ""


# ``unit=""`` keeps the unit of what is summed up.
AGGREGATIONS = {
    each.name: each
    for each in (
        Aggregation("count", "row", ("n",), None, 0, is_whole=True, featuretools="COUNT"),
        Aggregation("sum", "number", ("s",), empty=0, only_sums=True, featuretools="SUM"),
        Aggregation("mean", "number", ("n", "s"), featuretools="MEAN"),
        Aggregation("std", "number", ("n", "s", "q"), featuretools="STD"),
        Aggregation("min", "number", ("lo",), collapses_over=("min",), featuretools="MIN"),
        Aggregation("max", "number", ("hi",), collapses_over=("max",), featuretools="MAX"),
        Aggregation("last", "number", (), reaches_far=False, is_latest=True, featuretools="LAST"),
        Aggregation("share_true", "truth", ("n", "s"), "share", featuretools="PERCENT_TRUE"),
        Aggregation(
            "n_unique", "category", ("list",), None, 0, reaches_far=False, is_whole=True, featuretools="NUM_UNIQUE"
        ),
    )
}


def ticks(value: Expression) -> Expression:
    """A number in whole millionths, halves upwards; null where it is none or too large."""
    from pyspark.sql import functions as F

    # Multiplying and flooring doubles is the same everywhere; casting one to a decimal is not.
    fits = F.when(F.abs(value) < LARGEST, value)
    return F.floor(fits * float(TICKS) + 0.5).cast("bigint").cast(_EXACT)


def row_value(value: Expression, kind: Kind) -> Expression:
    """What a row gives to the states: ticks, 0 or 1 in ticks, or a hash."""
    from pyspark.sql import functions as F

    if kind == "category":
        return F.when(value.isNotNull(), F.xxhash64(value))
    return (
        ticks(value.cast("double"))
        if kind == "number"
        else F.when(value, F.lit(TICKS)).otherwise(F.when(~value, F.lit(0))).cast(_EXACT)
    )


def states_of(column: str, wanted: tuple[str, ...]) -> dict[str, Expression]:
    """The states of a column of row values: figures by the name of their column."""
    from pyspark.sql import functions as F

    value = F.col(column)
    made: dict[str, Callable[[], Expression]] = {
        "n": lambda: F.count(value),
        "s": lambda: F.sum(value),
        "q": lambda: F.sum(value * value),
        "lo": lambda: F.min(value),
        "hi": lambda: F.max(value),
        "list": lambda: F.array_distinct(F.collect_list(value)),
    }
    return {f"{column}__{state}": made[state]() for state in wanted}


def merged(column: str, state: str, over: Callable[[Expression], Expression] | None = None) -> Expression:
    """The state of a whole from the states of its parts, in one group or window."""
    from pyspark.sql import functions as F

    part = F.col(f"{column}__{state}")
    placed = over or (lambda expression: expression)
    if state == "list":
        return F.array_distinct(F.flatten(placed(F.collect_list(part))))
    make = {"lo": F.min, "hi": F.max}.get(state, F.sum)
    return placed(make(part))


def value_of(aggregation: Aggregation, column: str) -> Expression:
    """The aggregation of a column's states, a double in ticks; counts are whole numbers, and not in ticks."""
    from pyspark.sql import functions as F

    def state(name: str) -> Expression:
        return F.col(f"{column}__{name}")

    if aggregation.is_whole:
        counted = F.size(state("list")) if aggregation.takes == "category" else state("n")
        return F.coalesce(counted, F.lit(0))
    if aggregation.name == "std":
        return deviation(state("n"), state("s"), state("q"))
    if len(aggregation.states) == 1:
        known = state(aggregation.states[0]).cast("double")
        return known if aggregation.empty is None else F.coalesce(known, F.lit(float(aggregation.empty)))
    return state("s").cast("double") / F.nullif(state("n"), F.lit(0))


def deviation(n: Expression, total: Expression, squares: Expression) -> Expression:
    """The sample deviation from whole sums: sqrt((n q - s^2) / (n (n - 1))); null below two rows.

    The difference is taken of whole numbers, so that no digit is lost; null where they do not fit in 38 digits.
    """
    from pyspark.sql import functions as F

    fits = (n > 1) & (F.abs(total.cast("double")) < 1e17) & (n.cast("double") * squares.cast("double") < _WIDEST)
    narrow = total.cast(_EXACT)
    spread = F.when(fits, n.cast(_EXACT) * squares - narrow * narrow)
    return F.sqrt(spread.cast("double") / F.nullif(n * (n - 1), F.lit(0)))


def nested(aggregation: Aggregation, column: str) -> Expression:
    """The aggregation of a column's states as a value of the parent's row, in ticks like any other."""
    from pyspark.sql import functions as F

    value = value_of(aggregation, column).cast("double")
    in_ticks = value * float(TICKS) if aggregation.is_whole else value
    return F.floor(F.when(F.abs(in_ticks) < LARGEST * TICKS, in_ticks) + 0.5).cast("bigint").cast(_EXACT)


def final(aggregation: Aggregation, column: str) -> Expression:
    """The aggregation of a column's states as a feature, in the unit of the column."""
    value = value_of(aggregation, column)
    return value.cast("int") if aggregation.is_whole else value / float(TICKS)
